/**
 * What can be read from the policies while they work: the state of the circuit, and what each user has left.
 */
import { Effect } from "effect"
import { Profiles } from "./protected.ts"
import type { Gauges } from "./run.ts"
import { users } from "./scenario.ts"

export const gauges: Effect.Effect<Gauges, never, Profiles> = Effect.gen(function* () {
  const tokens = new Map<string, number>()
  let circuit = ""
  for (const { name } of users) {
    const { circuitBreaker, rateLimiter } = yield* Profiles.inspect({ user: name })
    tokens.set(name, rateLimiter?.limits["user"]?.remaining ?? 0)
    circuit = circuitBreaker?.state ?? ""
  }
  return { circuit, tokens }
})
