/**
 * Several limits at once: no member is ever debited by a call that another member, the circuit or the bulkhead refused,
 * at once or after a wait; and what the members have given out is what admitted calls spent.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { World } from "effect-resilience-testing/World"
import { Bulkhead, CircuitBreaker, RateLimiter } from "../../src/index.ts"
import { int } from "../kernel/laws.ts"
import { plain, Stage, tell } from "../laws/harness.ts"
import { definitions, numbers, type Of, seed } from "./definitions.ts"
import { maxOpsOf } from "./door.ts"

const kinds = Object.values(definitions)
const waits = [0, 0, 30, 86_400_000]
const month = "30 days"

const Member = Arbitrary.all({ kind: int(0, kinds.length - 1), numbers, wait: int(0, 3), tenant: int(0, 1) })
const Act = Arbitrary.all({ gap: int(0, 40), user: int(0, 2), tenant: int(0, 1), cost: int(0, 9), what: int(0, 99) })
const given = {
  // where the members that count stand among those that refuse
  place: int(0, 3),
  members: Arbitrary.array(Member, { minLength: 1, maxLength: 3 }),
  acts: Arbitrary.array(Act, { minLength: 1, maxLength: 80 }),
  maxOps: int(0, 99)
}
interface Given {
  readonly place: number
  readonly members: ReadonlyArray<Of<typeof Member>>
  readonly acts: ReadonlyArray<Of<typeof Act>>
  readonly maxOps: number
}

/** Two members that count what is spent and give nothing back in time, among some that refuse. */
const limitsOf = ({ members, place }: Given) => {
  const refusing = members.map(({ kind, numbers, tenant, wait }, i) => {
    const limit = kinds[kind]!.make(numbers, { maxWait: waits[wait]! })
    return [`limit${i}`, RateLimiter.by(tenant === 0 ? "user" : "tenant", limit)] as const
  })
  const quota = RateLimiter.fixedWindow({ limit: 40, window: month })
  const total = RateLimiter.shared(RateLimiter.slidingLog({ limit: 1_000, window: month }))
  const all: Array<readonly [string, RateLimiter.Limit<string>]> = [...refusing]
  all.splice(place, 0, ["quota", RateLimiter.by("user", quota)], ["all", total])
  return RateLimiter.every(Object.fromEntries(all))
}

type Key = { readonly user: string; readonly tenant: string }
const keyOf = ({ tenant, user }: { readonly user: number; readonly tenant: number }): Key => ({
  user: `u${user}`,
  tenant: `t${tenant}`
})
const KEYS = [0, 1, 2].flatMap((user) => [0, 1].map((tenant) => keyOf({ user, tenant })))

/** What started, by user. */
class Spent {
  readonly by = new Map<string, number>()
  add({ user }: Key, cost: number): void {
    this.by.set(user, (this.by.get(user) ?? 0) + cost)
  }
  check(used: (key: Key, limit: string) => number): void {
    for (const key of KEYS) assert.strictEqual(used(key, "quota"), this.by.get(key.user) ?? 0, key.user)
    const total = Array.from(this.by.values()).reduce((sum, cost) => sum + cost, 0)
    assert.strictEqual(used(KEYS[0]!, "all"), total, "all")
  }
}

const tally = { refused: 0, started: 0, circuit: 0, slots: 0 }

const alone = (given: Given): void => {
  const world = new World({ maxOpsBeforeYield: maxOpsOf(given.maxOps) })
  const limiter = world.get(RateLimiter.make(limitsOf(given)))
  const seen = () =>
    KEYS.map((key) =>
      plain({ rateLimiter: world.get(limiter.peek(key)), circuitBreaker: undefined, bulkhead: undefined })
    )
  const spent = new Spent()
  for (const act of given.acts) {
    world.advance(act.gap < 20 ? 0 : act.gap)
    const key = keyOf(act)
    const cost = act.cost < 7 ? 1 : act.cost
    const before = seen()
    const settled: { start: boolean | undefined } = { start: undefined }
    const start = Effect.sync(() => {
      settled.start = true
      spent.add(key, cost)
    })
    const call: Effect.Effect<unknown, unknown> =
      act.what < 40
        ? Effect.flatMap(limiter.allow(key, { cost }), (allowed) => (allowed ? start : Effect.fail("refused")))
        : act.what < 60
          ? Effect.andThen(limiter.acquire(key, { cost }), start)
          : limiter.execute(start, key, { cost, ...(act.what < 70 ? { maxWait: 7 } : {}) })
    const fiber = world.fork(call)
    world.settle()
    if (act.what > 92) fiber.interruptUnsafe()
    world.settle()
    const exit = fiber.pollUnsafe()
    if (exit?._tag === "Failure") {
      tally.refused++
      assert.isUndefined(settled.start)
      assert.deepStrictEqual(seen(), before, "a refused call left a trace")
    }
    if (settled.start === true) tally.started++
    spent.check((key, limit) => world.get(limiter.peek(key)).limits[limit]!.used)
  }
  world.runOut()
  spent.check((key, limit) => world.get(limiter.peek(key)).limits[limit]!.used)
}

const inPipeline = (given: Given): void => {
  const stage = new Stage(
    {
      circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: 50 }),
      rateLimiter: limitsOf(given),
      bulkhead: Bulkhead.policy({ maxConcurrent: 2, ...(given.place % 2 === 0 ? { maxWait: 25 } : {}) })
    },
    { key: KEYS[0]!, maxOps: maxOpsOf(given.maxOps) }
  )
  const { world } = stage
  const gate = stage.service.pipeline.circuit!
  const seen = () =>
    KEYS.map((key) => {
      const inspection = stage.inspect(key)
      // a closed circuit that remembers nothing may be forgotten at any time, with its generation
      return plain({ ...inspection, circuitBreaker: { ...inspection.circuitBreaker!, generation: 0 } })
    })
  const used = (key: Key, limit: string) => stage.inspect(key).rateLimiter!.limits[limit]!.used
  const spent = new Spent()
  for (const act of given.acts) {
    world.advance(act.gap < 20 ? 0 : act.gap)
    if (act.what < 4) {
      world.fork(tell(gate, "", { op: act.what < 2 ? "isolate" : "close" }))
      world.settle()
    }
    const key = keyOf(act)
    const cost = act.cost < 7 ? 1 : act.cost
    const body = act.what < 30 ? Effect.void : act.what < 45 ? Effect.fail("no") : Effect.sleep(act.what)
    const before = seen()
    let ran = false
    const start = Effect.sync(() => {
      ran = true
      spent.add(key, cost)
    })
    const fiber = world.fork<unknown, unknown>(stage.call(Effect.andThen(start, body), { key, cost }))
    world.settle()
    const exit = fiber.pollUnsafe()
    if (exit?._tag === "Failure" && !ran) {
      const error = exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error as { readonly _tag: string } // ours
      if (error._tag === "CircuitOpen") tally.circuit++
      if (error._tag === "BulkheadFull") tally.slots++
      assert.deepStrictEqual(seen(), before, "a refused call left a trace")
    }
    if (act.what > 92) fiber.interruptUnsafe()
    world.settle()
    spent.check(used)
  }
  world.runOut()
  spent.check(used)
}

describe(`every (BOUNDS_SEED=${seed})`, () => {
  const options = (runs: number) => ({
    timeout: 120_000,
    arbitrary: { runs: Math.ceil(runs * Number(process.env["LAWS_RUNS"] ?? 1)), size: 300, seed }
  })
  it.effect.prop(
    "a refused call takes nothing of any member, and the members gave out what admitted calls spent",
    given,
    (given) => Effect.sync(() => alone(given)),
    options(200)
  )
  it.effect.prop(
    "nor does a call that the circuit or the bulkhead refused",
    given,
    (given) => Effect.sync(() => inPipeline(given)),
    options(150)
  )
  it("and there were enough of each", () => {
    for (const [what, times] of Object.entries(tally)) assert.isAbove(times, 20, what)
  })
})
