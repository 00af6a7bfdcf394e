/** What the engine does with the tickets of any policy: of a user's own, too. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { Backoff, type Outcome, Policy, Resilience, Retry } from "../../src/index.ts"

/** A policy whose tickets let everybody through, but for what is said here. */
const ticketing = (ticket: Partial<Policy.Ticket>, member: Partial<Policy.Member> = {}) =>
  Policy.make<Policy.Policy>({
    kind: "own",
    options: {},
    open: () => ({
      kind: "own",
      stage: Policy.Stage.shed,
      enter: () => ({ steps: [], check: () => true, refusal: () => undefined, admitted: () => {}, ...ticket }),
      ...member
    })
  })

const throws = (defect: unknown) => () => {
  throw defect
}

describe("a member that throws at the end of a call", () => {
  const cases: Record<string, Partial<Policy.Ticket>> = {
    "as it records": { record: throws("first") },
    "as it releases": { release: throws("first") },
    "as it records, and as it releases": { record: throws("first"), release: throws("second") }
  }
  for (const [when, ticket] of Object.entries(cases)) {
    it.effect(`${when}: the call dies of it, and the other members hear of the end`, () =>
      Effect.gen(function* () {
        const heard: Array<unknown> = []
        const { resilient } = yield* Resilience.make("app", {
          policies: {
            throws: ticketing(ticket),
            hears: ticketing({
              record: (outcome) => void heard.push(outcome),
              release: (started) => void heard.push(started)
            })
          }
        })
        assert.deepStrictEqual(yield* Effect.exit(resilient(Effect.void, "a")), Exit.die("first"))
        assert.deepStrictEqual(heard, ["success", true])
      })
    )
  }

  it.effect("a classifier that throws is asked once, and an attempt is ignored by all of its members", () =>
    Effect.gen(function* () {
      const heard: Array<Outcome.Outcome> = []
      const ofAttempt = () => ticketing({ record: (outcome) => void heard.push(outcome) }, { scope: "attempt" })
      let asked = 0
      const { resilient } = yield* Resilience.make("app", {
        policies: { one: ofAttempt(), other: ofAttempt() },
        retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(1) }),
        classify: () => {
          asked++
          throw "a bug of the classifier"
        }
      })
      const exit = yield* Effect.exit(resilient(Effect.fail("down"), "a"))
      assert.deepStrictEqual(exit, Exit.die("a bug of the classifier"))
      assert.deepStrictEqual(heard, ["ignored", "ignored"])
      assert.strictEqual(asked, 1)
    })
  )
})
