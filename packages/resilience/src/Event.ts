/**
 * What happened, as plain values, for whoever wants to see it.
 *
 * Policies emit one union of events to one sink. The default sink does nothing, and nothing is built for it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type { Outcome } from "./Outcome.ts"
import type { Rejection } from "./Rejection.ts"

interface Base {
  /** The id of the service whose pipeline emitted it. */
  readonly service: string
  /** Whose call it was. Unbounded: never a metric label. */
  readonly key: string
}

/** An admission took place, after `waited` milliseconds in a queue. `attempt` is above 1 where attempts are admitted one by one. */
export interface Admitted extends Base {
  readonly _tag: "Admitted"
  readonly attempt: number
  readonly waited: number
}

/** An admission was refused; nothing was spent. */
export interface Rejected extends Base {
  readonly _tag: "Rejected"
  readonly attempt: number
  readonly rejection: Rejection
}

/** A call began to wait in the queue of a policy. */
export interface Queued extends Base {
  readonly _tag: "Queued"
  /** The kind of the policy: `"rateLimiter"`, `"bulkhead"`, or one of your own. */
  readonly policy: string
  /** The name of the limit; for others the kind again. */
  readonly limit: string
}

/** One run of the wrapped effect ended. */
export interface AttemptEnded extends Base {
  readonly _tag: "AttemptEnded"
  readonly attempt: number
  readonly result: "success" | "failure" | "timeout" | "interrupt"
  readonly exit: Exit.Exit<unknown, unknown>
  readonly duration: number
}

/** Another attempt follows after `delay` milliseconds. */
export interface RetryScheduled extends Base {
  readonly _tag: "RetryScheduled"
  /** The attempt that failed. */
  readonly attempt: number
  /** What it failed with. */
  readonly error: unknown
  readonly delay: number
}

/** A call ended: the last event of every call, whether it was let in or not. */
export interface CallEnded extends Base {
  readonly _tag: "CallEnded"
  /** What it told the circuit breaker. */
  readonly outcome: Outcome
  /** What its caller got. */
  readonly exit: Exit.Exit<unknown, unknown>
  /** 0: the effect never ran. */
  readonly attempts: number
  readonly duration: number
  /** The timeout of the whole call ended it. */
  readonly timedOut: boolean
  /** It was refused, and the effect never ran. */
  readonly rejected: boolean
}

/**
 * A circuit moved. `key` is the circuit's.
 *
 * `to: "Forgotten"`: one that was not closed is no longer remembered, since another key took its place (`maxKeys`), since it
 * was idle for too long (`idleTimeToLive`), or since the layer of its service was closed. So the transitions of a process
 * tell how many of its circuits are open. A circuit on a remote store is forgotten there, and no process reports it.
 */
export interface CircuitTransition extends Base {
  readonly _tag: "CircuitTransition"
  readonly from: CircuitState
  readonly to: CircuitState | "Forgotten"
  readonly generation: number
  /** When `to` is Open: for how many milliseconds. */
  readonly openFor: number
  /**
   * When `to` is Open: the trip policy that opened it (`"failureRate"`, or the id of one of your own), or `"probe"` for a probe
   * that failed or whose lease ended.
   */
  readonly openedBy: string | undefined
  /**
   * When `to` is Open: how the call ended whose report opened it. `undefined` where no report did: a call that is still in
   * flight was too slow, or the lease of a probe ended.
   */
  readonly exit: Exit.Exit<unknown, unknown> | undefined
}

/** The names of a circuit's states. */
export type CircuitState = "Closed" | "Open" | "HalfOpen" | "Isolated"

/** The store behind a service began to fail, or answered again. */
export interface StoreFlipped extends Base {
  readonly _tag: "StoreFlipped"
  readonly available: boolean
}

/**
 * What happened in one policy, and has no event of its own. `Policy.emit` emits it, for your own policies as well.
 *
 * `name` is a literal, and never made of a key or a number: with `policy`, it is a metric label.
 */
export interface PolicyEvent<Policy extends string = string, Name extends string = string> extends Base {
  readonly _tag: "PolicyEvent"
  /** The kind of the policy: `"retry"`, or one of your own. */
  readonly policy: Policy
  readonly name: Name
  /** What more there is to say, such as a count: attributes of the span event. */
  readonly detail: Readonly<Record<string, unknown>>
}

/**
 * @category models
 * @since 0.1.0
 */
export type Event =
  | Admitted
  | Rejected
  | Queued
  | AttemptEnded
  | RetryScheduled
  | CallEnded
  | CircuitTransition
  | StoreFlipped
  | PolicyEvent

/**
 * Receives events, in the fiber in which they happened. It must not throw and must not block: it runs between two
 * steps of a call.
 *
 * @category models
 * @since 0.1.0
 */
export type Sink = (event: Event, fiber: Fiber.Fiber<unknown, unknown>) => void

/**
 * The sink in force. `undefined` by default: then no event is even built.
 *
 * @category references
 * @since 0.1.0
 */
export const EventSink = Context.Reference<Sink | undefined>("effect-resilience/EventSink", {
  defaultValue: () => undefined
})

/**
 * Adds a sink: events go to it and to the sinks that are in force already.
 *
 * **Gotchas**
 *
 * A call looks for the sink where it runs. Where there is none, it takes the one that was in force where the service was
 * built. So a sink may be provided to the program or to the layer of a service, and an event goes to one of them only. Two
 * sinks that are merged know nothing of each other, and the last one wins: provide one to the other, with
 * `Layer.provideMerge`.
 *
 * **Example** (Printing what happens)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Event } from "effect-resilience"
 *
 * const Printed = Event.layer((event, fiber) => {
 *   Effect.runForkWith(fiber.context)(Console.log(event._tag, event.service, event.key))
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (sink: Sink): Layer.Layer<never> =>
  Layer.effect(
    EventSink,
    Effect.map(EventSink, (outer) => (outer === undefined ? sink : both(outer, sink)))
  )

/** What the first throws does not keep the event from the second. */
const both =
  (first: Sink, second: Sink): Sink =>
  (event, fiber) => {
    try {
      first(event, fiber)
    } finally {
      second(event, fiber)
    }
  }
