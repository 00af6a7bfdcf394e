/** What a user of Redis must be allowed to do, which is what the module says. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { CircuitBreaker, RateLimiter, Resilience } from "effect-resilience"
import { RedisStore } from "../src/index.ts"
import { missing, type Server, skipped, startRedis } from "./servers.ts"
import { storeOf } from "./support.ts"

/** The line of the docs. */
const documented = /ACL SETUSER (\S+) on >secret (.*)/.exec(
  readFileSync(new URL("../src/RedisStore.ts", import.meta.url), "utf8")
)!
const [, user, rules] = documented as unknown as readonly [string, string, string] // it has two groups

const storeAs = (server: Server, without?: string) => {
  const granted = rules.split(" ").filter((rule) => rule !== without)
  server.command("ACL", "SETUSER", user, "reset", "on", ">secret", ...granted)
  const url = server.url.replace("redis://", `redis://${user}:secret@`)
  const client = Layer.orDie(NodeRedis.layer({ url }))
  return Effect.map(Layer.build(Layer.provide(RedisStore.layer({ prefix: "shop" }), client)), (context) =>
    Layer.succeedContext(context)
  )
}

/** Uses all that a store does: limits of each kind, a circuit, what ends, what is looked at, reset and cleared. */
const all = Effect.fnUntraced(function* (layer: Effect.Success<ReturnType<typeof storeAs>>) {
  const policies = {
    bucket: RateLimiter.tokenBucket({ limit: 10, window: "1 hour" }),
    short: RateLimiter.fixedWindow({ limit: 10, window: "1 milli" }),
    log: RateLimiter.shared(RateLimiter.slidingLog({ limit: 10, window: "1 hour" }))
  }
  const { inspect, resilient } = yield* Effect.provide(
    Resilience.makeFromStore("app/Pay", {
      rateLimiter: RateLimiter.every(policies),
      circuitBreaker: CircuitBreaker.policy({
        tripPolicy: CircuitBreaker.consecutive(1),
        openDuration: "1 hour",
        idleTimeToLive: "1 milli"
      }),
      store: { onError: "fail" }
    }),
    layer
  )
  const ada = { bucket: "ada", short: "ada" }
  yield* resilient(Effect.void, ada)
  yield* Effect.ignore(resilient(Effect.fail("down"), ada))
  yield* Effect.exit(resilient(Effect.void, ada))
  yield* inspect(ada)
  const limiter = yield* Effect.provide(RateLimiter.makeFromStore(policies.bucket, "app/Mail"), layer)
  yield* limiter.allow("ada")
  yield* limiter.reset("ada")
  yield* limiter.reset()
  yield* storeOf(layer)
})

const refusals = (server: Server): ReadonlyArray<string> => {
  const log = server.command("ACL", "LOG").split("\n")
  return [...new Set(log.flatMap((line, i) => (line === "object" ? [log[i + 1]!] : [])))].sort()
}

describe.skipIf(missing !== undefined)(`the rights that the docs name${skipped}`, () => {
  it.live("are enough for all that a store does", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* all(yield* storeAs(server))
      assert.deepStrictEqual(
        refusals(server).filter((command) => !/^(client|hello)/.test(command)), // of node-redis itself, which goes on without
        []
      )
    })
  )

  it.live("are all needed", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      for (const rule of rules.split(" ").filter((rule) => rule.startsWith("+"))) {
        server.command("ACL", "LOG", "RESET")
        server.command("FLUSHALL")
        server.command("SCRIPT", "FLUSH")
        yield* Effect.exit(Effect.flatMap(storeAs(server, rule), all))
        assert.isTrue(
          refusals(server).some((command) => rule.slice(1).startsWith(command)),
          `${rule}: ${refusals(server)}`
        )
      }
    })
  )
})
