/**
 * A limiter's part in an admission: what it asks of the store, why it refuses, and where a refused call may wait.
 */
import * as Effect from "effect/Effect"
import { type Key, nameOf, type ReadKey } from "../internal/key.ts"
import { spaceIn } from "../internal/spaces.ts"
import { type LimiterDecision, NEVER } from "../kernel/Limiter.ts"
import { nowOf } from "../internal/time.ts"
import { type Call, type Member, type Refusal, Stage, type Ticket } from "../Policy.ts"
import { RateLimitExceeded, type RateLimitReason, type RefusedLimit, type StoreError } from "../Rejection.ts"
import { Step, type StoreView } from "../StoreModel.ts"
import type { Waiter } from "../waiting/WaitQueue.ts"
import { type LimitSpec, type LimitStep, OneLimit } from "./OneLimit.ts"
import { type Peek, peek } from "./peek.ts"
import { reset, Resets } from "./resets.ts"

export type { LimitSpec } from "./OneLimit.ts"

/**
 * Milliseconds after which the head of a queue asks a remote store again, though it was told a later time: another process
 * may have reset the key, or a failover lost it. With the trip, that is within two seconds.
 */
const LONGEST_SILENCE = 1_900

/** What a step answers that was not asked: nothing stands against it but those who wait already. */
const NOT_ASKED: LimiterDecision<unknown> = {
  allowed: true,
  retryAfter: 0,
  remaining: 0,
  resetAfter: 0,
  receipt: undefined
}

/** Where a call may wait: with the limit that takes the longest. */
interface Stand {
  readonly member: OneLimit
  readonly step: LimitStep
  readonly wait: number
  /** Without those in front. */
  readonly own: number
}

type LimitRefusal = Refusal & { readonly error: RateLimitExceeded }

/** One call's questions to the limiter. What was answered is on the steps. A question without a call never waits. */
export class LimitEntry implements Ticket {
  declare readonly steps: ReadonlyArray<LimitStep>
  declare readonly cost: number
  declare private readonly gate: LimitGate
  declare private readonly key: ReadKey
  /** How many resets there were when it asked: `check` (or `asks`) notes it before the steps are committed. */
  declare private resets: number
  declare private readonly maxWait: number | undefined
  declare private readonly call: Call | undefined

  constructor(gate: LimitGate, key: ReadKey, cost: number, maxWait: number | undefined, call: Call | undefined) {
    this.gate = gate
    this.key = key
    this.cost = cost
    this.maxWait = maxWait
    this.call = call
    this.steps = gate.stepsFor(key, cost)
    this.resets = 0
  }

  check(): boolean {
    this.asks()
    return !this.blocked(this.call?.waiter)
  }

  blocked(waiter: Waiter | undefined): boolean {
    return this.gate.blocks(this.steps, waiter)
  }

  admitted(): void {}

  asks(): void {
    this.resets = this.gate.resets.count
  }

  /** Reads the answers of a commit that was not allowed, or of one that was only asked. */
  refusal(now: number, asked: boolean): LimitRefusal | undefined {
    const { arrivedAt, waiter } = this.call ?? { arrivedAt: now, waiter: undefined }
    const deadline = this.call?.waitsUntil(now) ?? now
    const refused: Array<RefusedLimit> = []
    let final = false
    let until = deadline
    let standAt: Stand | undefined
    for (let i = 0; i < this.steps.length; i++) {
      const member = this.gate.members[i]!
      const step = this.steps[i]!
      const answer = asked ? step.result?.[0] : NOT_ASKED
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
      // the key has room that its queue has not heard of
      if (asked && answer.allowed) place?.queue.wakeFor(answer.remaining + this.cost)
      const estimate = behind && waiter === undefined ? member.waitBehind(place, this.cost, now) : 0
      const wait = Math.max(1, answer.retryAfter, estimate) // 1 where the queued calls are about to ask
      const maxWait = this.maxWait ?? member.spec.maxWait
      const mayWaitUntil = Math.min(arrivedAt + maxWait, deadline)
      const reason =
        maxWait === 0
          ? "limit"
          : waiter === undefined && place !== undefined && place.queue.isFullFor(undefined)
            ? "queue-full"
            : now + wait > mayWaitUntil || now >= mayWaitUntil
              ? "wait-too-long"
              : undefined
      refuse(reason ?? "limit", wait)
      if (reason !== undefined) final = true
      until = Math.min(until, mayWaitUntil)
      if (standAt === undefined || wait > standAt.wait) {
        standAt = { member, step, wait, own: answer.retryAfter }
      }
    }
    if (refused.length === 0) return undefined
    const error = this.reject(refused)
    if (final || standAt === undefined) return { error, until }
    const stands = standAt
    const queue = stands.member.spec.name
    const wait = (waiter: Waiter) => {
      const { key } = stands.step
      if (stands.member.places.get(key)?.queue.isFullFor(waiter) === true) {
        return this.reject(
          refused.map((one) => (one.limit === queue && one.key === key ? { ...one, reason: "queue-full" } : one))
        )
      }
      this.stand(stands, waiter, now)
      return undefined
    }
    return { error, until, retryAt: now + stands.wait, queue, wait }
  }

  private stand({ member, own, step }: Stand, waiter: Waiter, now: number): void {
    const retryAt = now + own
    const askAt = this.gate.store.sync === undefined ? Math.min(retryAt, now + LONGEST_SILENCE) : retryAt
    member.placeOf(step, now).queue.stand(waiter, retryAt, this.cost, askAt)
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

  release(started: boolean): Effect.Effect<void> | undefined {
    if (started) return undefined
    const { store } = this.gate
    const refunds = this.refunds()
    if (store.sync === undefined) return Effect.ignore(Effect.map(store.commit(refunds), () => this.refunded()))
    store.sync.commit(refunds, nowOf(this.call!.fiber)) // only a call is admitted and does not start
    this.refunded()
    return undefined
  }

  private refunded(): void {
    this.steps.forEach((step, i) => this.gate.members[i]!.improved(step.key))
  }
}

export class LimitGate implements Member {
  readonly kind = "rateLimiter"
  readonly stage = Stage.limit
  readonly service: string
  /** Its limits. Not to be confused with `Policy.Member`: the gate is one of those, and its limits are not. */
  readonly members: ReadonlyArray<OneLimit>
  readonly resets = new Resets()
  /** What most calls ask, made once. */
  readonly takeOne = { op: "take", cost: 1 } as const
  readonly store: StoreView
  /** What is taken together. */
  private readonly together: ReadonlyArray<OneLimit>
  constructor(specs: ReadonlyArray<LimitSpec>, service: string, store: StoreView, label: string) {
    this.service = service
    this.store = store
    this.members = specs.map((spec) => new OneLimit(spec, spaceIn(service, label, this.kind, spec.name), store))
    this.together = this.members.filter(({ spec }) => spec.lease === undefined)
    this.spread(this.by !== undefined)
  }

  get waits(): boolean {
    return this.members.some(({ spec }) => spec.maxWait > 0)
  }

  /** What all that is taken together looks at; `undefined` where that is not one part of the key. */
  get by(): string | undefined {
    const by = this.together[0]?.by
    return this.together.every((member) => member.by === by) ? by : undefined
  }

  get spaces(): ReadonlyArray<OneLimit["space"]> {
    return this.members.map(({ space }) => space)
  }

  readonly control = { reset: (key?: Key) => reset(this, key) }

  private spread(spread: boolean): void {
    for (const { space } of this.together) space.spread = spread
  }

  enter(call: Call): LimitEntry {
    return this.entry(call.key, call.cost, call.maxWait, call)
  }

  inspect(key: ReadKey): Effect.Effect<Peek, StoreError> {
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

  entry(key: ReadKey, cost: number, maxWait?: number, call?: Call): LimitEntry {
    return new LimitEntry(this, key, cost, maxWait, call)
  }
}
