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
  /** At least so many ms after a queued call of cost `first` goes, if `more` units follow it, the last of them goes. */
  readonly pace: (first: number, more: number) => number
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

/** Where the waiters of one key stand. */
class Place {
  readonly queue: WaitQueue
  readonly key: string
  readonly step: LimitStep
  unwatch: () => void = () => {}
  constructor(key: string, step: LimitStep, maxQueued: number, onLeave: (place: Place) => void) {
    this.key = key
    this.step = step
    this.queue = new WaitQueue(maxQueued, () => onLeave(this))
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
    const place = new Place(step.key, step, this.spec.maxQueued, (place) => this.onLeave(place))
    this.places.set(step.key, place)
    this.store.sync?.hold(step, now)
    place.unwatch = this.store.sync?.watch(step, () => place.queue.wakeHead()) ?? place.unwatch
    return place
  }

  private onLeave(place: Place): void {
    if (place.queue.size > 0) return
    this.places.delete(place.key)
    place.unwatch()
    this.store.sync?.release(place.step)
  }

  /** Units came back, or the key was reset: whoever is first may ask again. */
  improved(key: string): void {
    this.places.get(key)?.queue.wakeHead()
  }

  improvedAll(): void {
    for (const key of Array.from(this.places.keys())) this.improved(key)
  }

  /**
   * How long a call of this cost waits, if all that are queued go first and as early as they can. For several limits it is an
   * estimate: a call may leave, or move to the queue of another limit. What a remote store holds is not asked for: there it is
   * the turn of the first in the queue, as that call was told, and the pace of the limit from there on.
   */
  waitBehind({ key, queue }: Place, cost: number, now: number): number {
    const { sync } = this.store
    const { kernel, policy } = this.spec
    if (sync === undefined || kernel.reach === undefined) return queue.headAfter(now) + this.paceBehind(queue, cost)
    const state: unknown = sync.read(this.space, key) ?? kernel.initial(policy)
    return kernel.reach(policy, state, queue.units + cost, now) - now
  }

  private paceBehind({ head, units }: WaitQueue, cost: number): number {
    const first = head?.cost ?? 0
    return this.spec.pace(first, units - first + cost)
  }
}
