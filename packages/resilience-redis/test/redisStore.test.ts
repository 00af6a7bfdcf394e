/** What a store in Redis does that no other does: its keys, their end, its clock, its scripts. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, RateLimiter, Resilience } from "effect-resilience"
import { StoreError } from "effect-resilience/Rejection"
import type { Decision, Kernel } from "effect-resilience/kernel/Kernel"
import { Step } from "effect-resilience/Store"
import { RedisStore } from "../src/index.ts"
import { guests } from "./kernels/guests.ts"
import { guests as guestsLua } from "./generated/guests.ts"
import { missing, pause, type Server, skipped, startRedis } from "./servers.ts"
import { breakerOn, eventually, isAllowed, perHour, storeOf, storeOn } from "./support.ts"

const ends = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity } as const
const keysOf = (server: Server): ReadonlyArray<string> =>
  server
    .command("KEYS", "*")
    .split("\n")
    .filter((key) => key !== "")
    .sort()

/** How many scripts ran. */
const callsOf = (server: Server): number =>
  Number(/cmdstat_evalsha:calls=(\d+)/.exec(server.command("INFO", "commandstats"))?.[1] ?? 0)

const circuit = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "200 millis" })

class Ours extends RateLimiter.Service<Ours>()("ours", perHour(1)) {}
class Others extends RateLimiter.Service<Others>()("others", perHour(1)) {}

describe.skipIf(missing !== undefined)(`a store in Redis${skipped}`, () => {
  it.live("takes limits and circuit in one script, and writes what the layout says", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOn(server, { prefix: "shop{1}" })
      const { resilient } = yield* Effect.provide(
        Resilience.makeFromStore("app/Payments", {
          rateLimiter: RateLimiter.every({ user: perHour(2), all: RateLimiter.shared(perHour(3)) }),
          circuitBreaker: circuit
        }),
        store
      )
      const calls = () => callsOf(server)
      assert.isTrue(yield* isAllowed(resilient(Effect.void, { user: "ada: {a}" })))
      // SCRIPT LOAD, then one EVALSHA to be let in and one to report
      assert.strictEqual(calls(), 2)
      assert.isTrue(yield* isAllowed(resilient(Effect.void, { user: "ada: {a}" })))
      assert.strictEqual(calls(), 4)
      assert.isFalse(yield* isAllowed(resilient(Effect.void, { user: "ada: {a}" })))
      assert.isTrue(yield* isAllowed(resilient(Effect.void, { user: "" })))
      assert.isFalse(yield* isAllowed(resilient(Effect.void, { user: "bob" })), "the limit of all")
      const head = "shop%7B1%7D:2:{service/app/Payments}:app/Payments/"
      assert.deepStrictEqual(keysOf(server), [
        `${head}all:fixed-window@2:`,
        `${head}user:fixed-window@2:`,
        `${head}user:fixed-window@2:ada:%20%7Ba%7D`
      ])
      assert.match(server.command("GET", `${head}all:fixed-window@2:`), /^0 \d+;\d+ 3,3600000000 \d+ 3$/)
    })
  )

  it.live("keeps each state as long as it must, and no longer", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOn(server)
      const left = (name: string) =>
        Number(
          server.command(
            "PTTL",
            keysOf(server).find((key) => key.includes(name))!
          )
        )
      const limit = (id: string, window: Duration.Input) =>
        Effect.provide(
          Resilience.makeFromStore(id, { rateLimiter: RateLimiter.tokenBucket({ limit: 10, window }) }),
          store
        )
      yield* (yield* limit("long", "1 minute")).resilient(Effect.void, "ada", { cost: 2 })
      const millis = left("long")
      assert.isTrue(millis > 2_000 && millis <= 12_000, `2 tokens are back in 12 s, and the key ends in ${millis}`)
      yield* (yield* limit("short", "1 second")).resilient(Effect.void, "ada", { cost: 2 })

      const circuit = (id: string, idleTimeToLive: Duration.Input | undefined) =>
        Effect.provide(
          Resilience.makeFromStore(id, {
            circuitBreaker: CircuitBreaker.policy({
              tripPolicy: CircuitBreaker.consecutive(1),
              openDuration: "1 hour",
              idleTimeToLive
            })
          }),
          store
        )
      const [endless, idle, soon] = [
        yield* circuit("endless", undefined),
        yield* circuit("idle", "2 seconds"),
        yield* circuit("soon", "100 millis")
      ]
      for (const { resilient } of [endless, idle, soon]) yield* Effect.exit(resilient(Effect.fail("down"), "ada"))
      assert.strictEqual(left("endless"), -1)
      // each use counts, also of a circuit that refuses
      yield* eventually(
        "a quarter of a time is over",
        Effect.sync(() => left("idle") < 2_000)
      )
      assert.isFalse(yield* isAllowed(idle.resilient(Effect.void, "ada")))
      const [took, still] = yield* Effect.timed(Effect.sync(() => left("idle")))
      assert.isAbove(still + Duration.toMillis(took), 2_000) // to look takes its time, too
      const isGone = (name: string) => Effect.sync(() => !keysOf(server).some((key) => key.includes(name)))
      yield* eventually(
        "the short limit and the circuit that nobody asks are gone",
        Effect.zipWith(isGone("short"), isGone("soon"), (a, b) => a && b)
      )
    })
  )

  it.effect("asks no clock but the server's", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const limit = { rateLimiter: RateLimiter.slidingLog({ limit: 3, window: "1 hour" }) }
      const early = yield* Effect.provide(Resilience.makeFromStore("limits", limit), yield* storeOn(server))
      const late = yield* Effect.provide(Resilience.makeFromStore("limits", limit), yield* storeOn(server))
      assert.isTrue(yield* isAllowed(early.resilient(Effect.void, "ada")))
      assert.isTrue(yield* isAllowed(early.resilient(Effect.void, "ada")))
      yield* TestClock.adjust("90 minutes")
      assert.isTrue(yield* isAllowed(late.resilient(Effect.void, "ada")))
      assert.isFalse(yield* isAllowed(late.resilient(Effect.void, "ada")))
      assert.isFalse(yield* isAllowed(early.resilient(Effect.void, "ada")))
    })
  )

  it.live("does not notice that the server has forgotten its scripts", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const layer = yield* storeOn(server)
      const store = yield* storeOf(layer)
      const {
        gate: { space }
      } = yield* breakerOn(layer, circuit)
      const ask = store.commit([new Step(space, "ada", { op: "admit", draw: 0 })])
      assert.isTrue((yield* ask).allowed)
      for (let i = 0; i < 3; i++) {
        server.command("SCRIPT", "FLUSH")
        const all = yield* Effect.all([ask, ask, ask, store.read(space, "ada"), store.clear(space)], {
          concurrency: "unbounded"
        })
        assert.isTrue(all[2].allowed)
      }
    })
  )

  it.live("begins anew where a state was cleared, and keeps what other spaces hold", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOn(server)
      const ours = yield* Effect.provide(Ours, Layer.provide(Ours.layerFromStore, store))
      const others = yield* Effect.provide(Others, Layer.provide(Others.layerFromStore, store))
      for (let round = 0; round < 3; round++) {
        assert.isTrue(yield* ours.allow("ada"))
        assert.isFalse(yield* ours.allow("ada"))
        assert.strictEqual(yield* others.allow("ada"), round === 0)
        yield* ours.reset()
      }
    })
  )

  for (const [how, options] of [
    ["in this process, two trips each", {}],
    ["in Redis, compiled", { kernels: [guestsLua] }]
  ] as const) {
    it.live(`runs a kernel of the user's: ${how}`, () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const names = ["ada", "b%b", "\ud800", "", "é 😀", "f", "g", "h"]
        const space = { name: "party/guests", kernel: guests, policy: { seats: 5, host: "\udc00'" }, keys: ends }
        const come = (name: string) => new Step(space, "table", { op: "come", name, child: name === "" } as const)
        const stores = [
          yield* storeOf(yield* storeOn(server, options)),
          yield* storeOf(yield* storeOn(server, options))
        ]
        const all = names.flatMap((name) => stores.map((store) => store.commit([come(name)])))
        const came = (yield* Effect.all(all, { concurrency: "unbounded" })).filter(({ allowed }) => allowed)
        assert.strictEqual(came.length, 5)
        for (const {
          answers: [answer]
        } of came)
          assert.strictEqual(answer?.host, "\udc00'")
        const { state } = yield* stores[0]!.read(space, "table")
        assert.strictEqual(state?.guests.length, 5)
        for (const guest of state?.guests ?? []) {
          assert.include(names, guest.name)
          assert.strictEqual(guest.child, guest.name === "")
        }
        const compiled = "kernels" in options
        const calls = callsOf(server)
        if (compiled) assert.strictEqual(calls, 3, "what comes at once goes in one trip")
        else assert.isAbove(calls, 17)
      })
    )
  }

  describe("a kernel that is written in Lua", () => {
    const gate: Kernel<{ readonly most: number }, { readonly passed: number }, object, Decision> = {
      id: "gate@1",
      initial: () => ({ passed: 0 }),
      step: ({ most }, state) =>
        state.passed === most ? [{ allowed: false }, state] : [{ allowed: true }, { passed: state.passed + 0.5 }],
      expiresAt: () => undefined
    }
    const inLua = (step: number): RedisStore.Compiled => ({
      id: "gate@1",
      policy: { record: [["most", "number"]] },
      state: { record: [["passed", "number"]] },
      input: { record: [] },
      lua: `return {
        initial = function(policy) return { passed = 0 } end,
        step = function(policy, state, input, now)
          if state.passed == policy.most then return { { allowed = false }, state } end
          return { { allowed = true }, { passed = state.passed + ${step} } }
        end,
        expiresAt = function(policy, state) return nil end
      }`
    })
    const step = new Step({ name: "s/gate", kernel: gate, policy: { most: 1.5 }, keys: ends }, "ada", {})

    it.live("decides as the one that it is", () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        assert.throws(() => RedisStore.make({ prefix: "test", kernels: [inLua(1), inLua(1)] }), /two of one id/)
        const store = yield* storeOf(yield* storeOn(server, { kernels: [inLua(0.5)] }))
        const seen = yield* Effect.forEach([1, 2, 3, 4], () => store.commit([step]))
        assert.deepStrictEqual(
          seen.map(({ allowed }) => allowed),
          [true, true, true, false]
        )
        assert.deepStrictEqual((yield* store.read(step.space, "ada")).state, { passed: 1.5 })
      })
    )

    it.live("is told from one that decides differently", () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const store = yield* storeOf(yield* storeOn(server, { kernels: [inLua(1.5)] }))
        const exits = yield* Effect.all(
          [1, 2, 3].map(() => Effect.exit(store.commit([step]))),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, false])
        const error = exits[1]!.pipe(Exit.findErrorOption, Option.getOrThrow)
        assert.instanceOf(error, StoreError)
        assert.match(String(error.cause), /differently.*gate@1/)
      })
    )
  })

  it.live("gives back what an admission took that was abandoned on its way", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const { resilient } = yield* Effect.provide(
        Resilience.makeFromStore("limits", { rateLimiter: perHour(3) }),
        yield* storeOn(server)
      )
      assert.isTrue(yield* isAllowed(resilient(Effect.void, "ada")))
      const before = callsOf(server)
      yield* server.suspend
      const calls = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(resilient(Effect.never, "ada"), { startImmediately: true })
      )
      yield* pause(50)
      yield* Effect.forkChild(Fiber.interruptAll(calls), { startImmediately: true })
      yield* pause(50)
      yield* server.resume
      const [key] = keysOf(server)
      yield* eventually(
        "both have taken and given back",
        Effect.sync(() => callsOf(server) >= before + 2 && server.command("GET", key!).endsWith(" 1"))
      )
    })
  )

  it.live("frees the slots of probes whose process is gone", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const policy = CircuitBreaker.policy({
        tripPolicy: CircuitBreaker.consecutive(1),
        openDuration: "50 millis",
        probes: { permitted: 1, lease: "300 millis" }
      })
      const survivor = yield* breakerOn(yield* storeOn(server), policy)
      yield* Effect.exit(survivor.execute(Effect.fail("down")))
      yield* pause(60)
      // a process takes the only slot, and is never heard of again
      const store = yield* storeOf(yield* storeOn(server))
      const { allowed } = yield* store.commit([new Step(survivor.gate.space, "", { op: "admit", draw: 0 })])
      assert.isTrue(allowed)
      assert.isFalse(yield* isAllowed(survivor.execute(Effect.void)))
      yield* eventually("the lease has lapsed", isAllowed(survivor.execute(Effect.void)))
    })
  )
})
