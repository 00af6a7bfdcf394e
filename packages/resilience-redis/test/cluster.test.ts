/** On a real cluster of three: where keys lie, and what a call may take at once. */
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { CircuitBreaker, RateLimiter, Resilience, resilient } from "effect-resilience"
import { RedisCluster, RedisStore } from "../src/index.ts"
import { missing, pause, type Server, skipped, startCluster } from "./servers.ts"
import { connected, isAllowed, perHour } from "./support.ts"

class Nodes extends Context.Service<Nodes, ReadonlyArray<Server>>()("test/Nodes") {}

const cluster = Layer.unwrap(
  Effect.map(startCluster, (nodes) =>
    Layer.merge(
      Layer.succeed(Nodes, nodes),
      RedisStore.layer({ prefix: "test" }).pipe(
        // one of the three is enough to find the others
        Layer.provideMerge(connected(RedisCluster.layer({ rootNodes: [{ url: nodes[0]!.url }] })))
      )
    )
  )
)

/** How many keys of a service each machine has. */
const counts = (service: string) =>
  Effect.map(Nodes, (nodes) =>
    nodes.map(
      (node) =>
        node
          .command("KEYS", `*:${service}/*`)
          .split("\n")
          .filter((key) => key !== "").length
    )
  )

const users = Array.from({ length: 90 }, (_, i) => `user {${i}}`)
const circuit = { tripPolicy: CircuitBreaker.consecutive(2), openDuration: "1 minute" } as const

describe.skipIf(missing !== undefined)(`a store on a cluster${skipped}`, () => {
  layer(cluster, { excludeTestServices: true })((it) => {
    it.effect("spreads a service by its keys where each call has one", () =>
      Effect.gen(function* () {
        const { resilient } = yield* Resilience.makeFromStore("spread", {
          rateLimiter: perHour(1),
          circuitBreaker: CircuitBreaker.policy({ ...circuit, by: "key" })
        })
        const call = (user: string) => isAllowed(resilient(Effect.void, user))
        assert.isTrue((yield* Effect.forEach(users, call, { concurrency: "unbounded" })).every(Boolean))
        assert.isFalse((yield* Effect.forEach(users, call, { concurrency: "unbounded" })).some(Boolean))
        for (const count of yield* counts("spread")) assert.isAtLeast(count, 10)
      })
    )

    it.effect("keeps a service on one machine where a call takes several keys, all or nothing", () =>
      Effect.gen(function* () {
        const { inspect, resilient } = yield* Resilience.makeFromStore("together", {
          rateLimiter: RateLimiter.every({ user: perHour(1), all: RateLimiter.shared(perHour(80)) }),
          circuitBreaker: CircuitBreaker.policy(circuit)
        })
        const call = (user: string) => isAllowed(resilient(Effect.void, { user }))
        const allowed = (yield* Effect.forEach(users, call, { concurrency: "unbounded" })).filter(Boolean).length
        assert.strictEqual(allowed, 80)
        const seen = yield* inspect({ user: users[0]! })
        assert.strictEqual(seen.circuitBreaker?.state, "Closed")
        assert.deepStrictEqual(
          [...(yield* counts("together"))].sort((a, b) => b - a),
          [81, 0, 0]
        )
      })
    )

    it.effect("spreads the others where the limit of all is leased, and takes all or nothing all the same", () =>
      Effect.gen(function* () {
        const all = RateLimiter.tokenBucket({
          limit: 81,
          window: "1000 hours",
          lease: { duration: "1 minute", share: 10 }
        })
        const { inspect, resilient } = yield* Resilience.makeFromStore("leased", {
          rateLimiter: RateLimiter.every({ user: perHour(2), all: RateLimiter.shared(all) }),
          circuitBreaker: CircuitBreaker.policy({ ...circuit, by: "user" }),
          store: { onError: "fail", deadline: "10 seconds" }
        })
        const call = (user: string) => isAllowed(resilient(Effect.void, { user }))
        const often = [...users.slice(0, 30), ...users.slice(0, 30), ...users.slice(0, 30)]
        const first = (yield* Effect.forEach(often, call, { concurrency: 5 })).filter(Boolean).length
        assert.strictEqual(first, 60, "the third time, each user had no more, and the tokens of all were given back")
        const then = (yield* Effect.forEach(users.slice(30), call, { concurrency: 5 })).filter(Boolean).length
        assert.strictEqual(then, 20)
        const seen = yield* inspect({ user: users[0]! })
        assert.strictEqual(seen.rateLimiter?.limits["all"]?.remaining, 0)
        for (const count of yield* counts("leased")) assert.isAtLeast(count, 10)
      })
    )

    it.effect("finds what it spread again: to look at it, to give it back, to forget it", () =>
      Effect.gen(function* () {
        class Limit extends RateLimiter.Service<Limit>()("found", perHour(2)) {}
        const limit = yield* Effect.provide(Limit, Limit.layerFromStore)
        for (const user of users.slice(0, 20)) {
          assert.isTrue(yield* limit.allow(user))
          assert.strictEqual((yield* limit.peek(user)).remaining, 1)
          yield* limit.reset(user)
          assert.strictEqual((yield* limit.peek(user)).remaining, 2)
          assert.isTrue(yield* limit.allow(user, { cost: 2 }))
        }
        yield* limit.reset()
        for (const user of users.slice(0, 20)) assert.strictEqual((yield* limit.peek(user)).remaining, 2)
      })
    )

    it.effect("loads its scripts again on the machine that has forgotten them", () =>
      Effect.gen(function* () {
        const { resilient } = yield* Resilience.makeFromStore("flushed", {
          rateLimiter: perHour(4),
          store: { onError: "fail", deadline: "10 seconds" }
        })
        const nodes = yield* Nodes
        for (let round = 0; round < 3; round++) {
          const call = (user: string) => isAllowed(resilient(Effect.void, user))
          assert.isTrue((yield* Effect.forEach(users, call, { concurrency: "unbounded" })).every(Boolean))
          nodes[round]!.command("SCRIPT", "FLUSH")
        }
      })
    )

    it.effect("waits while a slot moves to another machine, and finds its state there", () =>
      Effect.gen(function* () {
        const { resilient } = yield* Resilience.makeFromStore("moved", {
          rateLimiter: perHour(2),
          store: { onError: "fail", deadline: "10 seconds" }
        }).pipe(Effect.provide(RedisStore.layer({ prefix: "moving" }))) // nothing was cleared there
        const call = isAllowed(resilient(Effect.void, "ada"))
        assert.isTrue(yield* call)
        const nodes = yield* Nodes
        const keysOf = (node: Server) => node.command("KEYS", "*:moved/*")
        const from = nodes.find((node) => keysOf(node) !== "")!
        const to = nodes.find((node) => node !== from)!
        const [key, slot] = [keysOf(from), from.command("CLUSTER", "KEYSLOT", keysOf(from))]
        const ids = [from, to].map((node) => node.command("CLUSTER", "MYID"))
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0]!)
        from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1]!)
        const moving = yield* Effect.forkChild(call, { startImmediately: true })
        yield* pause(100)
        assert.isUndefined(moving.pollUnsafe())
        from.command("MIGRATE", "127.0.0.1", String(to.port), key, "0", "5000")
        for (const node of [to, from]) node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[1]!)
        assert.isTrue(yield* Fiber.join(moving))
        assert.isFalse(yield* call)
        assert.strictEqual(keysOf(to), key)
      })
    )

    it.effect("says so where policies of different keys were made apart, and a call would need two machines", () =>
      Effect.gen(function* () {
        const Apart = Resilience.layerFrom([RateLimiter.RateLimiter, CircuitBreaker.CircuitBreaker]).pipe(
          Layer.provide([
            RateLimiter.layerFromStore(perHour(9)),
            CircuitBreaker.layerFromStore(CircuitBreaker.policy(circuit))
          ])
        )
        const exits = yield* Effect.forEach(users.slice(0, 9), (user) =>
          Effect.exit(resilient(Effect.void, user))
        ).pipe(Effect.provide(Apart))
        assert.include(JSON.stringify(exits.map(String)), "Compose its policies as one service")
      })
    )
  })
})
