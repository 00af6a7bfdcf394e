/**
 * A limiter's part in an admission: what it asks of the store, why it refuses, and where a refused call may wait.
 */
import * as Effect from "effect/Effect"
import { type LimiterDecision, type LimiterKernel, NEVER } from "../kernel/Limiter.ts"
import { RateLimitExceeded, type RateLimitReason, type RefusedLimit, type StoreError } from "../Rejection.ts"
import { type KeyBounds, type Lease, type Space, Step, type Store } from "../StoreModel.ts"
import { nameOf, partOf, type ReadKey } from "./key.ts"
import { type Peek, peek } from "./peek.ts"
import { type Waiter, WaitQueue } from "./WaitQueue.ts"

/** One limit of a policy. `dimension` is the field of the key it looks at; `undefined` for the whole key. */
export interface LimitSpec {
  readonly name: string
  // oxlint-disable-next-line typescript/no-explicit-any -- a gate holds limits of every kernel; their states never leave it
  readonly kernel: LimiterKernel<any, any, any>
  readonly policy: unknown
  /** The policy for a share of this one; `undefined` where the kernel's owner gave none. */
  readonly scale: ((policy: never, share: number) => unknown) | undefined
  /** Units that can be taken at once after a rest. */
  readonly capacity: number
  readonly shared: boolean
  readonly dimension: string | undefined
  readonly maxWait: number
  readonly maxQueued: number
  readonly keys: KeyBounds
  readonly lease: Lease | undefined
}

// oxlint-disable-next-line typescript/no-explicit-any -- as above
export type LimitSpace = Space<any, any, any, LimiterDecision<unknown>>
type LimitStep = Step<LimitSpace>

interface Forecast {
  readonly state: unknown
  readonly at: number
}

/** Where the waiters of one key stand. */
class Place {
  readonly queue: WaitQueue
  readonly key: string
  readonly step: LimitStep
  /** For calls with the same keys: what their last waiter in line will have left, and when. */
  readonly forecasts = new Map<string, Forecast>()
  unwatch: () => void = () => {}
  constructor(key: string, step: LimitStep, onLeave: (place: Place, inTurn: boolean) => void) {
    this.key = key
    this.step = step
    this.queue = new WaitQueue((inTurn) => onLeave(this, inTurn))
  }
}

class Member {
  readonly spec: LimitSpec
  readonly space: LimitSpace & { spread: boolean }
  readonly places = new Map<string, Place>()
  private readonly store: Store["Service"]

  constructor(spec: LimitSpec, service: string, store: Store["Service"]) {
    this.spec = spec
    this.store = store
    const name = spec.name.replaceAll("~", "~0").replaceAll("/", "~1") // no two limits of two services are one space
    const { kernel, keys, lease, policy, scale } = spec
    this.space = {
      name: `${service}/${name}`,
      kernel,
      policy,
      keys,
      lease,
      isLimit: true,
      spread: true, // what is leased, is; the gate says it of what is taken together
      scale: scale as LimitSpace["scale"] // of this very policy
    }
  }

  get by(): string {
    const { dimension, shared } = this.spec
    return shared ? "" : dimension === undefined ? "key" : `.${dimension}`
  }

  keyOf(key: ReadKey): string {
    return this.spec.shared ? "" : partOf(key, this.spec.dimension)
  }

  placeOf(step: LimitStep, now: number): Place {
    const known = this.places.get(step.key)
    if (known !== undefined) return known
    const place = new Place(step.key, step, (place, inTurn) => this.onLeave(place, inTurn))
    this.places.set(step.key, place)
    this.store.sync?.hold(step, now)
    place.unwatch =
      this.store.sync?.watch(step, () => {
        place.forecasts.clear()
        place.queue.wakeHead()
      }) ?? place.unwatch
    return place
  }

  /** A waiter that was let through in its turn did what was forecast. */
  private onLeave(place: Place, inTurn: boolean): void {
    if (!inTurn) place.forecasts.clear()
    if (place.queue.size > 0) return
    this.places.delete(place.key)
    place.unwatch()
    this.store.sync?.release(place.step)
  }

  /** Units came back, or the key was reset: whoever is first may ask again. */
  improved(key: string): void {
    const place = this.places.get(key)
    if (place === undefined) return
    place.forecasts.clear()
    place.queue.wakeHead()
  }

  improvedAll(): void {
    for (const key of Array.from(this.places.keys())) this.improved(key)
  }

  /**
   * How long a call of this cost would wait behind those who wait already, if none of them leaves: each is let through,
   * in a copy of the state, as early as the kernel says. Only those with the same keys count: they go first whatever
   * happens, while others may move to another queue and be overtaken.
   */
  waitBehind(
    place: Place,
    set: string,
    cost: number,
    now: number
  ): { readonly wait: number; readonly forecast: Forecast } | undefined {
    if (this.store.sync === undefined) return undefined
    let forecast = place.forecasts.get(set)
    if (forecast === undefined) {
      const { kernel, policy } = this.space
      forecast = { state: this.store.sync.read(this.space, place.key) ?? kernel.initial(policy), at: now }
      for (let waiter = place.queue.head; waiter !== undefined; waiter = waiter.next) {
        if (waiter.set === set) forecast = this.letThrough(forecast, waiter.cost, now)
      }
    }
    const next = this.letThrough(forecast, cost, now)
    return { wait: next.at - now, forecast: next }
  }

  private letThrough(from: Forecast, cost: number, now: number): Forecast {
    const { kernel, policy } = this.space
    const input = { op: "take", cost } as const
    let at = Math.max(from.at, now) // whoever stands in line can be let through at some time
    at += kernel.step(policy, from.state, input, at)[0].retryAfter
    return { state: kernel.step(policy, from.state, input, at)[1], at }
  }
}

/** Why this gate refused a call: for good, or until a wait has passed. */
export type LimitRefusal =
  | { readonly _tag: "Rejected"; readonly rejection: RateLimitExceeded }
  | {
      readonly _tag: "Waits"
      readonly wait: number
      readonly deadline: number
      readonly name: string
      readonly stand: (waiter: Waiter) => void
      readonly rejection: RateLimitExceeded
    }

/**
 * Which keys were reset lately: what a call took before that is not its to give back any more. Where there were too
 * many, whoever came before is taken to be one of them, which errs on the side of the limit.
 */
class Resets {
  count = 0
  private floor = 0
  private readonly of = new Map<string, number>()

  note(keys: ReadonlyArray<string>): void {
    if (this.of.size >= 1_024) this.noteAll()
    this.count++
    keys.forEach((key, i) => this.of.set(`${i}/${key}`, this.count))
  }

  noteAll(): void {
    this.of.clear()
    this.floor = ++this.count
  }

  /** Whether the key of the `i`-th limit was reset after `count`. */
  since(count: number, key: string, i: number): boolean {
    return this.floor > count || (this.of.get(`${i}/${key}`) ?? 0) > count
  }
}

/** One call's questions to the limiter. What was answered is on the steps. */
export class LimitEntry {
  declare readonly steps: ReadonlyArray<LimitStep>
  declare readonly cost: number
  declare private readonly gate: LimitGate
  declare private readonly key: ReadKey
  /** The resets before it asked: `asks` is to be called before the steps are committed. */
  declare private resets: number
  declare private readonly maxWait: number | undefined

  constructor(gate: LimitGate, key: ReadKey, cost: number, maxWait: number | undefined) {
    this.gate = gate
    this.key = key
    this.cost = cost
    this.maxWait = maxWait
    this.steps = gate.stepsFor(key, cost)
    this.resets = 0
  }

  /** One name for all the keys it takes from: calls of one set are let through in the order of their arrival. */
  get set(): string {
    return this.steps.length === 1 ? "" : JSON.stringify(this.steps.map(({ key }) => key))
  }

  blocked(waiter: Waiter | undefined): boolean {
    return this.gate.blocks(this.steps, waiter)
  }

  /** To be told of an admission before its waiter leaves: who stood elsewhere was not foreseen in the lines it took from. */
  taken(waiter: Waiter | undefined): void {
    for (let i = 0; i < this.steps.length; i++) {
      const places = this.gate.members[i]!.places
      const place = places.size > 0 ? places.get(this.steps[i]!.key) : undefined
      if (place !== undefined && place.queue !== waiter?.queue) place.forecasts.clear()
    }
  }

  asks(): void {
    this.resets = this.gate.resets.count
  }

  /** What the limits would say, in the transaction around it. Nothing is taken. */
  look() {
    return Effect.forEach(this.steps, (step) =>
      Effect.map(this.gate.store.read(step.space, step.key), ({ now, state }) => {
        const { kernel, policy } = step.space
        step.result = kernel.step(policy, state ?? kernel.initial(policy), step.input, now)
      })
    )
  }

  /** Reads the answers of a commit that was not allowed, or of one that was only asked. */
  assess(now: number, arrivedAt: number, callDeadline: number, waiter: Waiter | undefined): LimitRefusal | undefined {
    const refused: Array<RefusedLimit> = []
    let final = false
    let deadline = callDeadline
    let standAt:
      | {
          readonly member: Member
          readonly step: LimitStep
          readonly wait: number
          readonly own: number
          readonly forecast: Forecast | undefined
        }
      | undefined
    for (let i = 0; i < this.steps.length; i++) {
      const member = this.gate.members[i]!
      const step = this.steps[i]!
      const answer = step.result?.[0]
      const refuse = (reason: RateLimitReason, retryAfterMillis: number | undefined) =>
        refused.push({ limit: member.spec.name, key: step.key, reason, retryAfterMillis })
      if (answer === undefined) {
        refuse("too-many-keys", undefined)
        final = true
        continue
      }
      if (answer.retryAfter === NEVER) {
        refuse("cost-exceeds-capacity", undefined)
        final = true
        continue
      }
      const place = member.places.get(step.key)
      const behind = place !== undefined && place.queue.hasOlderThan(waiter)
      if (answer.allowed && !behind) continue
      const estimate = behind && waiter === undefined ? member.waitBehind(place, this.set, this.cost, now) : undefined
      const wait = Math.max(answer.retryAfter, estimate?.wait ?? 0)
      const maxWait = this.maxWait ?? member.spec.maxWait
      const until = Math.min(arrivedAt + maxWait, callDeadline)
      const reason =
        maxWait === 0
          ? "limit"
          : waiter === undefined && place !== undefined && place.queue.size >= member.spec.maxQueued
            ? "queue-full"
            : now + wait > until || now >= until
              ? "wait-too-long"
              : undefined
      refuse(reason ?? "limit", wait)
      if (reason !== undefined) final = true
      deadline = Math.min(deadline, until)
      if (standAt === undefined || wait > standAt.wait) {
        standAt = { member, step, wait, own: answer.retryAfter, forecast: estimate?.forecast }
      }
    }
    if (refused.length === 0) return undefined
    const rejection = this.reject(refused)
    const stands = final ? undefined : standAt
    if (stands === undefined) return { _tag: "Rejected", rejection }
    const { member, step, wait, own, forecast } = stands
    return {
      _tag: "Waits",
      wait,
      deadline,
      name: member.spec.name,
      rejection,
      stand: (waiter) => {
        const place = member.placeOf(step, now)
        const arrives = waiter.queue !== place.queue
        place.queue.stand(waiter, now + own)
        // a newcomer is the last; who comes over from another queue was not foreseen
        if (forecast !== undefined) place.forecasts.set(waiter.set, forecast)
        else if (arrives) place.forecasts.clear()
      }
    }
  }

  private reject(refused: ReadonlyArray<RefusedLimit>): RateLimitExceeded {
    let longest = refused[0]!
    for (const one of refused) {
      if ((one.retryAfterMillis ?? Infinity) > (longest.retryAfterMillis ?? Infinity)) longest = one
    }
    const { reason, retryAfterMillis } = longest
    const key = nameOf(this.key)
    return new RateLimitExceeded({ service: this.gate.service, key, reason, retryAfterMillis, limits: refused })
  }

  /** The steps that give back what an admission took. */
  refunds(): ReadonlyArray<LimitStep> {
    const refunds: Array<LimitStep> = []
    this.steps.forEach((step, i) => {
      if (this.gate.resets.since(this.resets, step.key, i)) return
      // a key that was evicted: what its next life took is not this call's
      if (this.gate.store.sync?.isKept(step) === false) return
      const refund = new Step(step.space, step.key, { op: "refund", receipt: step.result![0].receipt })
      refund.place = step.place
      refunds.push(refund)
    })
    return refunds
  }

  refunded(): void {
    this.steps.forEach((step, i) => this.gate.members[i]!.improved(step.key))
  }
}

export class LimitGate {
  readonly kind = "limits"
  readonly members: ReadonlyArray<Member>
  readonly resets = new Resets()
  /** What most calls ask, made once. */
  readonly takeOne = { op: "take", cost: 1 } as const
  readonly store: Store["Service"]
  readonly service: string
  /** What is taken together. */
  private readonly together: ReadonlyArray<Member>
  constructor(specs: ReadonlyArray<LimitSpec>, service: string, store: Store["Service"]) {
    this.store = store
    this.service = service
    this.members = specs.map((spec) => new Member(spec, service, store))
    this.together = this.members.filter(({ spec }) => spec.lease === undefined)
    const [first] = this.together
    if (first !== undefined) this.spread(this.looksAt(first.by))
  }

  /** Whether all that is taken together looks at this part of a call's key, in the words of `CircuitGate.by`. */
  looksAt(by: string): boolean {
    return this.together.every((member) => member.by === by)
  }

  spread(spread: boolean): void {
    for (const { space } of this.together) space.spread = spread
  }

  peek(key: ReadKey): Effect.Effect<Peek, StoreError> {
    return peek(this, key)
  }

  /** What a call asks of each limit. */
  stepsFor(key: ReadKey, cost: number): ReadonlyArray<LimitStep> {
    const { members, takeOne } = this
    const input = cost === 1 ? takeOne : { op: "take", cost }
    const steps = new Array<LimitStep>(members.length) // one that grows is copied, and larger
    for (let i = 0; i < members.length; i++) steps[i] = new Step(members[i]!.space, members[i]!.keyOf(key), input)
    return steps
  }

  /** Somebody older waits for one of these keys: a call may not overtake. */
  blocks(steps: ReadonlyArray<LimitStep>, waiter: Waiter | undefined): boolean {
    for (let i = 0; i < steps.length; i++) {
      const { places } = this.members[i]!
      if (places.size > 0 && places.get(steps[i]!.key)?.queue.hasOlderThan(waiter) === true) return true
    }
    return false
  }

  entry(key: ReadKey, cost: number, maxWait?: number): LimitEntry {
    return new LimitEntry(this, key, cost, maxWait)
  }
}
