/**
 * Handing events to the sink. Nothing is built while no sink is set.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Event, Sink } from "../Event.ts"
import { ambientOf } from "./ambient.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

export const sinkOf = (fiber: AnyFiber): Sink | undefined => ambientOf(fiber).sink

/** The sink in force where a service is built, to be asked while it is built. Its calls take it where they find none. */
export const builtSink = (): Sink | undefined => {
  const fiber = Fiber.getCurrent()
  return fiber === undefined ? undefined : sinkOf(fiber)
}

/** A sink that throws must not cost the call its permits: its defect is reported as one that nobody handles. */
export const emit = (sink: Sink, event: Event, fiber: AnyFiber): void => {
  try {
    sink(event, fiber)
  } catch (defect) {
    const unhandled = Effect.ignoreCause(Effect.die(defect), { log: "Unhandled", message: "An event sink threw" })
    Effect.runForkWith(fiber.context)(unhandled)
  }
}
