/**
 * One limit of a limiter: where its keys live, and the queues of those that wait for one.
 */
import { partOf, type ReadKey } from "../internal/key.ts"
import type { LimiterDecision, LimiterKernel } from "../kernel/Limiter.ts"
import type { KeyBounds, Lease, Space, Step, StoreView } from "../StoreModel.ts"
import { WaitQueue } from "../waiting/WaitQueue.ts"

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
export type LimitStep = Step<LimitSpace>

export interface Forecast {
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
  constructor(key: string, step: LimitStep, maxQueued: number, onLeave: (place: Place, inTurn: boolean) => void) {
    this.key = key
    this.step = step
    this.queue = new WaitQueue(maxQueued, (inTurn) => onLeave(this, inTurn))
  }
}

export class OneLimit {
  readonly spec: LimitSpec
  readonly space: LimitSpace & { spread: boolean }
  readonly places = new Map<string, Place>()
  private readonly store: StoreView

  constructor(spec: LimitSpec, name: string, store: StoreView) {
    this.spec = spec
    this.store = store
    const { kernel, keys, lease, policy, scale } = spec
    this.space = {
      name,
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
    const place = new Place(step.key, step, this.spec.maxQueued, (place, inTurn) => this.onLeave(place, inTurn))
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
