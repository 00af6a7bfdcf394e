/**
 * Events as a `Stream`, for an alert, a dashboard or an audit log.
 *
 * Each subscriber has a buffer of its own, of bounded size; a call never waits for a subscriber. One that is too slow
 * loses its oldest events, and is told: where they were, it gets a `Dropped` with their exact number.
 *
 * An application that does not import this module does not bundle `Stream`.
 *
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Event from "./Event.ts"
import { count } from "./Validate.ts"

/**
 * Stands where a subscriber lost `count` events, because it was slower than they came.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dropped {
  readonly _tag: "Dropped"
  readonly count: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Events that wait for each subscriber: a whole number of at least 1. Default: 1,024. */
  readonly capacity?: number | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Selection<Tag extends Event.Event["_tag"]> {
  /**
   * The kinds of event that come into the buffer; all by default. Unlike a filter behind it, this keeps many events of
   * one kind from pushing out few of another.
   */
  readonly only?: ReadonlyArray<Tag> | undefined
}

/**
 * A source of events: a sink, and streams of what it receives.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventSource {
  readonly sink: Event.Sink
  /**
   * Each run of the stream is a subscriber: it sees the events from its start on, and ends when the source does, after
   * what was left in its buffer.
   */
  readonly events: <Tag extends Event.Event["_tag"] = Event.Event["_tag"]>(
    selection?: Selection<Tag>
  ) => Stream.Stream<Extract<Event.Event, { readonly _tag: Tag }> | Dropped>
}

/**
 * The source of events of an application.
 *
 * @category services
 * @since 0.1.0
 */
export class EventStream extends Context.Service<EventStream, EventSource>()("effect-resilience/EventStream") {}

/**
 * A source that ends with its scope. Its `sink` does nothing until it is provided, see `Event.layer`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<EventSource, never, Scope.Scope> => {
  const capacity = count("EventStream.make", "capacity", options.capacity ?? 1_024)
  return Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Hub()),
      (hub) => Effect.sync(() => hub.close())
    ),
    (hub) => ({
      sink: (event) => hub.publish(event),
      events: <Tag extends Event.Event["_tag"]>({ only }: Selection<Tag> = {}) => {
        const subscribed = Effect.acquireRelease(
          Effect.sync(() => hub.subscribe(capacity, only)),
          (subscriber) => Effect.sync(() => hub.unsubscribe(subscriber))
        )
        const stream = Stream.unwrap(Effect.map(subscribed, ({ pull }) => Stream.fromPull(Effect.succeed(pull))))
        return stream as Stream.Stream<Extract<Event.Event, { readonly _tag: Tag }> | Dropped> // the subscriber takes these only
      }
    })
  )
}

/**
 * Provides a source, and adds its sink to those that are in force.
 *
 * **Example** (An alert for each opened circuit)
 *
 * ```ts
 * import { Console, Effect, Layer, Stream } from "effect"
 * import { EventStream, Telemetry } from "effect-resilience"
 *
 * const Alerts = Layer.effectDiscard(
 *   EventStream.events({ only: ["CircuitTransition"] }).pipe(
 *     Stream.runForEach((event) =>
 *       event._tag === "Dropped"
 *         ? Console.log(`${event.count} transitions missed`)
 *         : Console.log(`${event.key} is ${event.to}`)),
 *     Effect.forkScoped({ startImmediately: true })
 *   )
 * )
 *
 * // one around the other: both get every event
 * const Observed = Alerts.pipe(Layer.provideMerge(EventStream.layer()), Layer.provideMerge(Telemetry.layer()))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<EventStream> =>
  Layer.unwrap(
    Effect.map(make(options), (source) => Layer.merge(Layer.succeed(EventStream, source), Event.layer(source.sink)))
  )

/**
 * The events of the application, from where the stream starts to run.
 *
 * @category constructors
 * @since 0.1.0
 */
export const events = <Tag extends Event.Event["_tag"] = Event.Event["_tag"]>(
  selection?: Selection<Tag>
): Stream.Stream<Extract<Event.Event, { readonly _tag: Tag }> | Dropped, never, EventStream> =>
  Stream.unwrap(Effect.map(EventStream, (source) => source.events(selection)))

class Hub {
  private readonly subscribers = new Set<Subscriber>()
  private closed = false

  publish(event: Event.Event): void {
    for (const subscriber of this.subscribers) subscriber.offer(event)
  }

  subscribe(capacity: number, only: ReadonlyArray<Event.Event["_tag"]> | undefined): Subscriber {
    const subscriber = new Subscriber(capacity, only)
    if (this.closed) subscriber.close()
    else this.subscribers.add(subscriber)
    return subscriber
  }

  unsubscribe(subscriber: Subscriber): void {
    this.subscribers.delete(subscriber)
  }

  close(): void {
    this.closed = true
    for (const subscriber of this.subscribers) subscriber.close()
    this.subscribers.clear()
  }
}

/**
 * A ring that keeps the newest events. `oldest` is above 0 only where the ring is full and has lost some, so the events
 * lost are always those just before what it holds.
 */
class Subscriber {
  private ring: Array<Event.Event> = []
  private oldest = 0
  private lost = 0
  private closed = false
  private waiting: (() => void) | undefined
  private readonly capacity: number
  private readonly only: ReadonlySet<string> | undefined

  constructor(capacity: number, only: ReadonlyArray<string> | undefined) {
    this.capacity = capacity
    this.only = only === undefined ? undefined : new Set(only)
  }

  offer(event: Event.Event): void {
    if (this.only?.has(event._tag) === false) return
    if (this.ring.length < this.capacity) {
      this.ring.push(event)
    } else {
      this.ring[this.oldest] = event
      this.oldest = (this.oldest + 1) % this.capacity
      this.lost++
    }
    this.wake()
  }

  close(): void {
    this.closed = true
    this.wake()
  }

  /** All that is there, or the end, or a wait for either. */
  readonly pull: Pull.Pull<NonEmptyReadonlyArray<Event.Event | Dropped>> = Effect.suspend(() => {
    if (this.ring.length === 0) return this.closed ? Cause.done() : Effect.flatMap(this.park, () => this.pull)
    return Effect.succeed(this.take())
  })

  private take(): NonEmptyReadonlyArray<Event.Event | Dropped> {
    const { lost, oldest, ring } = this
    this.ring = []
    this.oldest = this.lost = 0
    if (lost > 0) return [{ _tag: "Dropped", count: lost }, ...ring.slice(oldest), ...ring.slice(0, oldest)]
    return ring as [Event.Event, ...Array<Event.Event>] // not empty: `pull` looked
  }

  private readonly park: Effect.Effect<void> = Effect.withFiber((fiber) =>
    Effect.callback<void>((resume) => {
      if (this.ring.length > 0 || this.closed) return resume(Effect.void)
      // From its own dispatcher, later: a call that emits must not run the subscriber's code.
      this.waiting = () => fiber.currentDispatcher.scheduleTask(() => resume(Effect.void), 0)
      return Effect.sync(() => {
        this.waiting = undefined
      })
    })
  )

  private wake(): void {
    const { waiting } = this
    this.waiting = undefined
    waiting?.()
  }
}
