/**
 * The context in which a service is built.
 */
import * as Context from "effect/Context"
import * as Fiber from "effect/Fiber"

/** That of the fiber that runs now: to be asked while a service is built, and not where its policies are written. */
export const buildContext = (): Context.Context<never> => Fiber.getCurrent()?.context ?? Context.empty()
