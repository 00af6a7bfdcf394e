/**
 * Events of a policy's own. `Policy` exports it.
 *
 * @since 0.1.0
 */
import type * as Fiber from "effect/Fiber"
import type { PolicyEvent, Sink } from "../Event.ts"
import { emit as emitTo } from "./events.ts"

/** What of a call an event is made of. */
interface EventSource {
  readonly service: string
  readonly name: string
  readonly sink: Sink | undefined
  readonly fiber: Fiber.Fiber<unknown, unknown>
}

/**
 * Emits a `PolicyEvent`: what happened in a policy, for metrics, spans and streams. Does nothing where no sink is set, so
 * look at `call.sink` first where a `detail` is expensive.
 *
 * **Example** (A policy that counts what it lets through in vain)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Event, Policy, Resilience } from "effect-resilience"
 *
 * const watch = Policy.make<Policy.Policy>({
 *   kind: "watch",
 *   options: {},
 *   open: () => ({
 *     kind: "watch",
 *     stage: Policy.Stage.shed,
 *     enter: (call: Policy.Call): Policy.Ticket => ({
 *       steps: [],
 *       check: () => true,
 *       refusal: () => undefined,
 *       admitted: () => {},
 *       record: (outcome) => {
 *         if (outcome === "failure") Policy.emit(call, "watch", "FailedCall", { cost: call.cost })
 *       }
 *     })
 *   })
 * })
 *
 * const Printed = Event.layer((event) => {
 *   if (event._tag === "PolicyEvent") console.log(event.policy, event.name, event.key, event.detail)
 * })
 *
 * const program = Effect.gen(function* () {
 *   const mail = yield* Resilience.make("app/Mail", { policies: { watch } })
 *   yield* Effect.ignore(mail.resilient(Effect.fail("503"), "ada")) // watch FailedCall ada { cost: 1 }
 * })
 *
 * Effect.runPromise(Effect.provide(program, Printed))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const emit = <const Policy extends string, const Name extends string>(
  call: EventSource,
  policy: Policy,
  name: Name,
  detail: PolicyEvent["detail"] = {}
): void => {
  const { fiber, service, sink } = call
  if (sink === undefined) return
  const event: PolicyEvent<Policy, Name> = { _tag: "PolicyEvent", service, key: call.name, policy, name, detail }
  emitTo(sink, event, fiber)
}
