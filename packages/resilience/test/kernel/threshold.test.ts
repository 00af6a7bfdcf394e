/** A threshold that is a fraction is met by exactly that many. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker } from "../../src/index.ts"
import { breaker, type BreakerPolicy, type BreakerState } from "../../src/kernel/Breaker.ts"
import { defaults } from "./breakerCircuit.ts"

const kinds = {
  failureRate: (threshold: number, minimumCalls: number) =>
    CircuitBreaker.failureRate({ threshold, window: 1, minimumCalls }),
  slowCallRate: (threshold: number, minimumCalls: number) =>
    CircuitBreaker.slowCallRate({ slowAfter: 50, threshold, window: 1, minimumCalls })
}

/** `bad` of `calls` are counted in the one slice, of now. */
const state = (policy: BreakerPolicy, calls: number, bad: number): BreakerState => ({
  ...breaker.initial(policy),
  windows: [{ calls, bad, head: 0, cells: [calls, bad] }]
})

const last = {
  op: "record",
  generation: 0,
  probe: 0,
  outcome: "failure",
  duration: 50,
  slowFed: 0,
  retryAfter: 0,
  draw: 0
} as const

describe("k of n calls", () => {
  for (const [name, trip] of Object.entries(kinds)) {
    it(`meet a ${name} of k / n, and one fewer do not, for every n up to 1,000`, () => {
      const wrong: Array<string> = []
      for (let n = 1; n <= 1_000; n++) {
        for (let k = 1; k <= n; k++) {
          const policy = { ...defaults, trips: trip(k / n, n).trips }
          const opens = (bad: number) =>
            breaker.step(policy, state(policy, n - 1, bad - 1), last, 0)[1].phase === "Open"
          if (!opens(k) || (k > 1 && opens(k - 1))) wrong.push(`${k}/${n}`)
        }
      }
      assert.deepStrictEqual(wrong, [])
    })
  }

  it.effect("open a circuit in use, of failures and of slow calls, by calls and by time", () =>
    Effect.gen(function* () {
      for (let n = 2; n <= 12; n++) {
        for (let k = 1; k < n; k++) {
          for (const window of [{ calls: n }, "1 day"] as const) {
            const options = { threshold: k / n, window, minimumCalls: n }
            const slow = CircuitBreaker.slowCallRate({ ...options, slowAfter: "1 second" })
            for (const tripPolicy of [CircuitBreaker.failureRate(options), slow]) {
              const circuit = yield* CircuitBreaker.make(
                CircuitBreaker.policy({ tripPolicy, openDuration: "1 minute" })
              )
              const call = (isBad: boolean) => {
                if (tripPolicy !== slow) return circuit.execute(isBad ? Effect.fail("503") : Effect.void)
                const advance = TestClock.adjust(isBad ? "1 second" : 0)
                return circuit.execute(advance)
              }
              for (let i = 0; i < n; i++) {
                assert.strictEqual((yield* circuit.state()).state, "Closed", `${i} of ${n}, ${k} bad`)
                yield* Effect.exit(call(i >= n - k))
              }
              assert.strictEqual((yield* circuit.state()).state, "Open", `${k} of ${n}`)
            }
          }
        }
      }
    })
  )
})
