/** What opened a circuit: failures within a time, or a trip policy of your own beside it. */
import { Effect } from "effect"
import { CircuitBreaker, Event } from "effect-resilience"

/** A score that failures raise by three, and successes lower by one. */
const score = CircuitBreaker.trip({
  id: "score@1",
  initial: 0,
  step: (points, { outcome }) => {
    const next = outcome === "failure" ? points + 3 : Math.max(0, points - 1)
    return [next >= 8, next]
  },
  expiresAt: (points) => (points === 0 ? 0 : undefined) // at 0 the circuit may be forgotten
})

class Mail extends CircuitBreaker.Service<Mail>()(
  "app/Mail",
  CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.anyOf(CircuitBreaker.failures({ count: 4, within: "10 minutes" }), score),
    openDuration: "1 minute"
  })
) {}

const Printed = Event.layer((event) => {
  if (event._tag !== "CircuitTransition" || event.to !== "Open") return
  console.log(`opened by ${event.openedBy}`)
})

/** `+` succeeds, `-` fails. */
const play = Effect.fnUntraced(function* (calls: string) {
  const breaker = yield* Mail
  for (const call of calls) yield* Effect.ignore(breaker.execute(call === "+" ? Effect.void : Effect.fail("503")))
  const { openedBy, state } = yield* breaker.state()
  console.log(calls.padEnd(13), state, openedBy)
  yield* breaker.reset()
})

const program = Effect.gen(function* () {
  yield* play("---")
  yield* play("-+++-+++-+++-")
})

program.pipe(Effect.provide(Mail.layer), Effect.provide(Printed), Effect.runPromise)
