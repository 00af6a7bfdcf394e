/** A line of waiters: what a newcomer is told of it, and who is asked when. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { World } from "effect-resilience-testing/World"
import { readKey } from "../../src/internal/key.ts"
import type { Event } from "../../src/Event.ts"
import { CircuitBreaker, RateLimiter, Rejection } from "../../src/index.ts"
import { tokenBucket } from "../../src/kernel/TokenBucket.ts"
import type { Policies } from "../../src/Policies.ts"
import { int } from "../kernel/laws.ts"
import { arrive, type Caller } from "../laws/caller.ts"
import { Stage } from "../laws/harness.ts"
import { during, settle } from "./support.ts"

const day = 86_400_000
const MAX_WAITS = [day, day, 2_500] as const

interface Act {
  readonly what: number
  readonly n: number
  readonly gap: number
}

/** One key of a limiter, and the calls that came to it. */
class Line {
  readonly world = new World()
  readonly limiter: RateLimiter.RateLimiterService<string>
  private waiting: ReadonlyArray<{ readonly fiber: ReturnType<Line["arrive"]>["fiber"] }> = []

  constructor(policy: RateLimiter.Limit) {
    this.limiter = this.world.get(RateLimiter.make(policy))
  }

  arrive(cost: number, maxWait: number) {
    const { world } = this
    const came = world.elapsed
    const seen: { waited?: number; told?: number | undefined } = {}
    const told = (error: { readonly retryAfterMillis: number | undefined }) => (seen.told = error.retryAfterMillis)
    const call = Effect.match(this.limiter.acquire("a", { cost, maxWait }), {
      onFailure: told,
      onSuccess: () => (seen.waited = world.elapsed - came)
    })
    const fiber = world.fork(call)
    world.settle()
    return { fiber, seen }
  }

  act({ gap, n, what }: Act, mixed: boolean): void {
    const { world } = this
    this.waiting = this.waiting.filter(({ fiber }) => fiber.pollUnsafe() === undefined)
    if (what < 12)
      this.waiting = [...this.waiting, this.arrive(mixed ? 1 + (n % 3) : 1, mixed ? day : MAX_WAITS[what % 3]!)]
    else if (what < 15) this.waiting[n % this.waiting.length]?.fiber.interruptUnsafe()
    else if (what === 15) world.fork(this.limiter.reset("a"))
    else if (what === 16) world.get(this.limiter.allow("a", { cost: 1 + (n % 3) }))
    else world.advance(gap)
    if (n % 2 === 0) world.settle() // others meet who was woken, and has not asked yet
  }
}

/** One of each whose turns come while a story lasts. */
const kinds = {
  tokenBucket: RateLimiter.tokenBucket({ limit: 3, window: "1 second", maxWait: day }),
  leakyBucket: RateLimiter.leakyBucket({ limit: 3, window: "1 second", capacity: 3, maxWait: day }),
  fixedWindow: RateLimiter.fixedWindow({ limit: 3, window: "1 second", maxWait: day }),
  slidingWindow: RateLimiter.slidingWindow({ limit: 3, window: "1 second", maxWait: day }),
  slidingLog: RateLimiter.slidingLog({ limit: 3, window: "1 second", maxWait: day })
}

describe("what a newcomer is told on arrival", () => {
  const stories = Object.entries(kinds).flatMap(([name, policy]) =>
    [false, true].map((mixed) => ({ name, policy, mixed }))
  )
  for (const { mixed, name, policy } of stories) {
    it.effect.prop(
      mixed
        ? `of a ${name} is no longer than it waits, where calls ask for several units`
        : `of a ${name} is how long it waits, whatever became of those before, where each asks for one unit`,
      {
        acts: Arbitrary.array(Arbitrary.all({ what: int(0, 19), n: int(0, 9), gap: int(0, 700) }), {
          minLength: 2,
          maxLength: 40
        }),
        cost: int(1, 3)
      },
      ({ acts, cost }) =>
        Effect.sync(() => {
          const line = new Line(policy)
          for (const act of acts) line.act(act, mixed)
          const { seen: now } = line.arrive(mixed ? cost : 1, 1)
          const { seen: later } = line.arrive(mixed ? cost : 1, day)
          line.world.runOut()
          if (now.waited !== undefined || now.told === undefined) return
          if (mixed) assert.isAtMost(now.told, later.waited!)
          else assert.strictEqual(later.waited, now.told)
        }),
      { arbitrary: { runs: 200 } }
    )
  }

  it.effect("takes two looks at the state at most, however long the line, and none to leave again", () =>
    Effect.sync(() => {
      let steps = 0
      const step: typeof tokenBucket.step = (...args) => (steps++, tokenBucket.step(...args))
      const reach: typeof tokenBucket.reach = (...args) => (steps++, tokenBucket.reach!(...args))
      const policy = { limit: 1, window: 1_000, burst: 1 }
      const kernel = { ...tokenBucket, step, reach }
      const line = new Line(RateLimiter.fromKernel({ limit: 1, window: "1 second", kernel, policy, maxWait: day }))
      for (let i = 0; i < 60; i++) {
        line.world.advance(i % 5 === 0 ? 1_000 : 0) // the line grows, though some are let through
        steps = 0
        const { fiber } = line.arrive(1, day)
        assert.isAtMost(steps, 2)
        if (i % 2 === 0) continue
        steps = 0
        fiber.interruptUnsafe()
        line.world.settle()
        assert.strictEqual(steps, 0)
      }
    })
  )

  it.effect("counts what a transaction has committed, also for whoever came while it was open", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: day }))
      const join = Effect.andThen(Effect.forkChild(limiter.acquire("a")), settle)
      yield* limiter.acquire("a")
      yield* join
      yield* during(
        (gap) => Effect.andThen(limiter.reset("a"), gap),
        join // by what it can know, it is second
      )
      yield* settle
      const { retryAfterMillis } = yield* Effect.flip(limiter.acquire("a", { maxWait: 1 }))
      assert.strictEqual(retryAfterMillis, 2_000)
    })
  )

  const bucket = (limit: number) => RateLimiter.tokenBucket({ limit, window: "1 second", burst: 4, maxWait: day })
  const told = (stage: Stage, key: Record<string, string>) => {
    const error = arrive(stage, { key, maxWait: 1 }).ended?.error
    assert.instanceOf(error, Rejection.RateLimitExceeded)
    return error.limits.map(({ limit, retryAfterMillis }) => [limit, retryAfterMillis])
  }

  it.effect("counts who came over from the line of another limit, there and not here", () =>
    Effect.sync(() => {
      const stage = new Stage({ rateLimiter: RateLimiter.every({ x: bucket(4), y: bucket(1) }) })
      const key = { x: "a", y: "b" }
      arrive(stage, { key: { x: "a", y: "other" }, cost: 4 })
      const first = arrive(stage, { key })
      arrive(stage, { key: { x: "other", y: "b" }, cost: 4 })
      const after = [arrive(stage, { key }), arrive(stage, { key })]
      assert.deepStrictEqual(told(stage, key), [
        ["x", 500],
        ["y", 3_000]
      ])
      stage.world.advance(250)
      assert.deepStrictEqual(told(stage, key), [["y", 3_750]])
      stage.world.runOut()
      assert.deepStrictEqual(
        [first, ...after].map(({ ranAt }) => ranAt),
        [1_000, 2_000, 3_000]
      )
    })
  )

  it.effect("does not count who has just gone over to another line", () =>
    Effect.sync(() => {
      const stage = new Stage({ rateLimiter: RateLimiter.every({ x: bucket(4), y: bucket(1) }) })
      const key = { x: "a", y: "b" }
      arrive(stage, { key: { x: "a", y: "other" }, cost: 4 })
      arrive(stage, { key })
      arrive(stage, { key })
      arrive(stage, { key: { x: "other", y: "b" }, cost: 4 })
      const queued = () => stage.service.pipeline.limits!.members.map(({ places }) => places.size)
      while (queued()[1] === 0) stage.world.turn()
      assert.deepStrictEqual([stage.world.elapsed, queued()], [250, [1, 1]], "one has gone, and one has not asked yet")
      assert.deepStrictEqual(told(stage, key), [
        ["x", 250],
        ["y", 1_750]
      ])
      stage.world.runOut()
    })
  )
})

/** A service whose store is asked, and counts how often. */
const counted = (policies: Policies) => {
  const asked = { times: 0 }
  const stage = new Stage(policies, {
    store: (memory) => ({
      ...memory,
      sync: { ...memory.sync, commit: (...args) => (asked.times++, memory.sync.commit(...args)) }
    })
  })
  return { stage, asked }
}
const ends = (callers: ReadonlyArray<Caller>) => callers.map(({ ended }) => ended?.at)

describe("a line", () => {
  it.effect("asks each on arrival and in its turn, and has one timer", () =>
    Effect.sync(() => {
      const rateLimiter = RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: day })
      const { asked, stage } = counted({ rateLimiter })
      const callers = [1, 2, 3, 4, 5].map(() => arrive(stage))
      assert.deepStrictEqual([asked.times, stage.world.slept], [5, 1])
      callers[2]!.fiber.interruptUnsafe()
      stage.world.settle()
      assert.deepStrictEqual([asked.times, stage.world.slept], [5, 1], "who leaves the middle wakes nobody")
      stage.world.advance(1_000)
      assert.deepStrictEqual([asked.times, stage.world.slept], [7, 2], "one goes, the next asks when its turn is")
      stage.world.runOut()
      assert.deepStrictEqual(ends(callers), [0, 1_000, 0, 2_000, 3_000])
      assert.deepStrictEqual([asked.times, stage.world.slept], [10, 3])
    })
  )

  it.effect("asks who has no more time exactly then, and nobody else", () =>
    Effect.sync(() => {
      const { asked, stage } = counted({
        rateLimiter: RateLimiter.fixedWindow({ limit: 4, window: "1 second", maxWait: day })
      })
      const edge = 1_000 - (stage.world.now % 1_000)
      // a unit of each window is of no use to those in front, which a lower bound does not see
      const callers = [4, 3, 3, 3, 3, 3].map((cost) => arrive(stage, { cost }))
      const late = arrive(stage, { cost: 1, maxWait: edge + 3_500 })
      stage.world.advance(edge + 3_499)
      assert.deepStrictEqual([asked.times, late.ended], [7 + 2 * 4, undefined])
      stage.world.advance(1)
      assert.strictEqual(asked.times, 7 + 2 * 4 + 1)
      stage.world.runOut()
      assert.deepStrictEqual(ends(callers), [0, edge, edge + 1_000, edge + 2_000, edge + 3_000, edge + 4_000])
      assert.deepInclude(late.ended, { at: edge + 3_500 })
      assert.deepInclude(late.ended!.error, { reason: "wait-too-long" })
    })
  )

  it.effect("keeps the place of those who are woken before their turn", () =>
    Effect.sync(() => {
      const stage = new Stage({
        rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: day }),
        circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "1 minute" })
      })
      const callers = [1, 1_000, 2_000, 3_000].map((maxWait) => arrive(stage, { maxWait }))
      stage.world.advance(500)
      const { circuit } = stage.service.pipeline
      circuit!.moved(circuit!.keyOf(readKey(stage.key))) // a circuit that moves wakes all
      stage.world.runOut()
      assert.deepStrictEqual(
        callers.map(({ ranAt }) => ranAt),
        [0, 1_000, 2_000, 3_000]
      )
    })
  )

  for (const [first, second, where] of [
    [1, 5, "second"],
    [5, 1, "first"],
    [5, 5, "first"]
  ] as const) {
    it.effect(`is that of the longest wait, of ${first} and ${second} seconds`, () =>
      Effect.sync(() => {
        const events: Array<Event> = []
        const of = (seconds: number) =>
          RateLimiter.fixedWindow({ limit: 1, window: `${seconds} seconds`, maxWait: "1 minute" })
        const rateLimiter = RateLimiter.every({ first: of(first), second: of(second) })
        const key = { first: "a", second: "a" }
        const stage = new Stage({ rateLimiter }, { key, sink: (event) => void events.push(event) })
        arrive(stage)
        arrive(stage)
        assert.deepInclude(
          events.find(({ _tag }) => _tag === "Queued"),
          { limit: where }
        )
        stage.world.runOut()
      })
    )
  }
})

describe("resets", () => {
  it.effect("are remembered key by key while there are not too many, and then as if all had been reset", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow({ limit: 1, window: "1 hour" }))
      const { resets } = limiter.gate
      const before = resets.count
      for (let i = 0; i < 1_024; i++) yield* limiter.reset(`${i}`)
      assert.isTrue(resets.since(before, "7", 0))
      assert.isFalse(resets.since(before, "a", 0))
      yield* limiter.reset("one more")
      assert.isTrue(resets.since(before, "a", 0))
      const then = resets.count
      yield* limiter.reset("and another")
      assert.isFalse(resets.since(then, "a", 0), "it remembers anew")
    })
  )
})
