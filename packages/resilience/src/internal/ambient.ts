/**
 * What a call asks of its fiber's context: the clock, the sink of events, and whether a transaction may be open.
 *
 * Calls come in a row from one fiber, and a context never changes, so what one says is looked up once for all calls in
 * the row. Only the last context is remembered.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { EventSink, type Sink } from "../Event.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

export interface Ambient {
  readonly clock: Clock.Clock
  readonly sink: Sink | undefined
  readonly maybeInTransaction: boolean
}

let context: Context.Context<never> | undefined
let ambient: Ambient

export const ambientOf = (fiber: AnyFiber): Ambient => {
  if (fiber.context !== context) {
    context = fiber.context
    ambient = {
      clock: fiber.getRef(Clock.Clock),
      sink: fiber.getRef(EventSink),
      maybeInTransaction: Context.getOrUndefined(context, Effect.Transaction) !== undefined
    }
  }
  return ambient
}
