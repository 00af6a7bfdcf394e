import { execFileSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Fiber, Schema } from "effect"
import { Backoff, CircuitBreaker, RateLimiter, Resilience, Retry } from "effect-resilience"
import { Arbitraries, Dependency, Report, Simulation, Traffic } from "../src/index.ts"
import { type Plan, recount } from "./recount.ts"
import { everything } from "./scenario.ts"
import { seed } from "./seed.ts"

const breaker = (failures: number, open: number) =>
  CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(failures), openDuration: open })

const breakdown = {
  seed: 1,
  duration: "10 seconds",
  traffic: Traffic.constant({ perSecond: 1 }),
  dependency: Dependency.make({
    latency: Dependency.constant(100),
    outages: [{ from: 3_000, to: 6_000, mode: "fails" }]
  })
} as const

describe("ten calls, by hand", () => {
  it("two failures open the circuit for two seconds, and the calls in between never reach the dependency", async () => {
    const report = await Effect.runPromise(
      Simulation.run({ ...breakdown, policies: { circuitBreaker: breaker(2, 2_000) } })
    )
    const column = <A>(of: (second: Report.Second) => A) => report.with.seconds.map(of)
    assert.deepStrictEqual(
      column(({ offered }) => offered),
      [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    )
    assert.deepStrictEqual(
      column(({ attempts }) => attempts),
      [1, 1, 1, 1, 1, 0, 0, 1, 1, 1]
    )
    assert.deepStrictEqual(
      column(({ failed }) => failed),
      [0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    )
    assert.deepStrictEqual(
      column(({ rejections }) => rejections.CircuitOpen),
      [0, 0, 0, 0, 0, 1, 1, 0, 0, 0]
    )
    // it opens at 4.1 s; at 6.1 s its time is over, and the call at 7 s is the probe that closes it
    assert.deepStrictEqual(
      column(({ circuit }) => circuit),
      ["Closed", "Closed", "Closed", "Closed", "Open", "Open", "HalfOpen", "Closed", "Closed", "Closed"]
    )
    assert.deepStrictEqual(
      column(({ latency }) => latency?.max),
      [100, 100, 100, 100, 100, undefined, undefined, 100, 100, 100]
    )
    const { failed, goodput, openings, rejections, successRate } = report.with.totals
    assert.deepStrictEqual(
      { failed, goodput, openings, rejections, successRate },
      { failed: 2, goodput: 0.6, openings: 1, rejections: { "CircuitOpen Open": 2 }, successRate: 0.6 }
    )
    assert.deepStrictEqual([report.without?.totals.succeeded, report.without?.totals.failed], [7, 3])
    assert.strictEqual(report.without?.seconds[0]?.circuit, undefined)
  })

  it("retries are extra load, and tokens are what the next second could take", async () => {
    const report = await Effect.runPromise(
      Simulation.run({
        ...breakdown,
        policies: {
          rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "2 seconds", burst: 3, maxWait: "1 second" }),
          retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("400 millis") })
        },
        without: false
      })
    )
    const column = <A>(of: (second: Report.Second) => A) => report.with.seconds.map(of)
    // 3 tokens and one more every 2 s: the calls at 5, 7 and 9 s come a second early, and wait for it
    assert.deepStrictEqual(
      column(({ tokens }) => tokens),
      [2, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    )
    assert.deepStrictEqual(
      column(({ admitted }) => admitted),
      [1, 1, 1, 1, 1, 0, 1, 0, 1, 0]
    )
    assert.deepStrictEqual(
      column(({ rejections }) => rejections.RateLimitExceeded),
      [0, 0, 0, 0, 0, 0, 1, 0, 1, 0]
    )
    assert.deepStrictEqual(
      column(({ retries }) => retries),
      [0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    )
    const { attempts, extraLoad, running, wait } = report.with.totals
    assert.deepStrictEqual(
      { attempts, extraLoad, running, wait },
      {
        attempts: 9,
        extraLoad: 2 / 7,
        running: 1,
        wait: { count: 2, mean: 1_000, max: 1_000 }
      }
    )
    assert.strictEqual(report.without, undefined)
  })

  it("callers without patience leave, and the work for them is wasted", async () => {
    const report = await Effect.runPromise(
      Simulation.run({
        ...breakdown,
        dependency: Dependency.make({
          latency: Dependency.constant(100),
          outages: [{ from: 2_000, to: 5_000, mode: "hangs" }]
        }),
        patience: "1500 millis",
        policies: { attemptTimeout: "500 millis" }
      })
    )
    const of = ({ totals }: Report.Run) => [totals.succeeded, totals.timedOut, totals.gaveUp, totals.wasted]
    assert.deepStrictEqual(of(report.with), [7, 3, 0, 3])
    // the call at 4 s has its answer at 5.1 s
    assert.deepStrictEqual(of(report.without!), [8, 0, 2, 2])
    assert.strictEqual(report.without!.totals.latency?.max, 1_500)
  })

  it("fairness is Jain's index over the keys' shares, however much each asks for", async () => {
    const two = (perSecond: number, prefix: string) =>
      Traffic.keyed(Traffic.constant({ perSecond }), Traffic.oneKey(prefix))
    const scene = {
      ...breakdown,
      traffic: Traffic.merge(two(1, "small"), two(4, "big")),
      dependency: Dependency.make({ latency: Dependency.constant(0) })
    }
    const rateLimiter = RateLimiter.fixedWindow({ limit: 2, window: "1 second" })
    const report = await Effect.runPromise(Simulation.run({ ...scene, policies: { rateLimiter } }))
    assert.deepStrictEqual(report.with.keys, [
      { key: "big", offered: 40, succeeded: 20, refused: 20 },
      { key: "small", offered: 10, succeeded: 10, refused: 0 }
    ])
    // (1 + 0.5)^2 / (2 (1 + 0.25))
    assert.closeTo(report.with.totals.fairness, 0.9, 1e-12)
    assert.strictEqual(report.without!.totals.fairness, 1)
  })
})

describe("options", () => {
  it("a service brings its policies, and may be what is compared with", async () => {
    class Payments extends Resilience.Service<Payments>()("test/Payments", { circuitBreaker: breaker(2, 2_000) }) {}
    const service = await Effect.runPromise(Simulation.run({ ...breakdown, policies: Payments, without: Payments }))
    const policies = await Effect.runPromise(
      Simulation.run({ ...breakdown, policies: { circuitBreaker: breaker(2, 2_000) } })
    )
    assert.deepStrictEqual(service.with, policies.with)
    assert.deepStrictEqual(service.without, policies.with)
  })

  it("keys of several dimensions and errors of the user's own suit the policies", async () => {
    class Busy {
      readonly _tag = "Busy"
      readonly reason: Dependency.Reason
      constructor(reason: Dependency.Reason) {
        this.reason = reason
      }
    }
    const seen: Array<string> = []
    const report = await Effect.runPromise(
      Simulation.run({
        ...breakdown,
        traffic: Traffic.keyed(
          breakdown.traffic,
          Traffic.keysFrom("by turns", (n) => ({ user: `u${n % 2}`, tenant: "t" }))
        ),
        dependency: Dependency.make({
          latency: Dependency.constant(100),
          outages: [{ from: 0, to: 1_000, mode: "fails" }],
          error: (reason) => new Busy(reason)
        }),
        watch: { user: "u1", tenant: "t" },
        policies: {
          rateLimiter: RateLimiter.every({
            user: RateLimiter.tokenBucket({ limit: 3, window: "1 hour" }),
            tenant: RateLimiter.tokenBucket({ limit: 100, window: "1 hour" })
          }),
          retry: Retry.policy({
            maxAttempts: 2,
            backoff: Backoff.constant(0),
            while: (error: Busy) => seen.push(`${error._tag} ${error.reason}`) < 0
          })
        },
        without: false
      })
    )
    assert.deepStrictEqual(seen, ["Busy outage"])
    assert.strictEqual(report.watched, '[["tenant","t"],["user","u1"]]')
    assert.deepStrictEqual(
      report.with.seconds.map(({ tokens }) => tokens),
      [3, 2, 2, 1, 1, 0, 0, 0, 0, 0]
    )
    assert.deepStrictEqual(report.with.totals.rejections, { "RateLimitExceeded limit": 4 })
  })

  it("what a function of the policies throws is a defect of the simulation", async () => {
    const broken = new Error("broken")
    const exit = await Effect.runPromiseExit(
      Simulation.run({
        ...breakdown,
        policies: {
          retry: Retry.policy({
            maxAttempts: 2,
            while: () => {
              throw broken
            }
          })
        }
      })
    )
    assert.isTrue(
      exit._tag === "Failure" && exit.cause.reasons.some((reason) => reason._tag === "Die" && reason.defect === broken)
    )
  })

  it("a long simulation gives way to others, and can be interrupted", async () => {
    const steps: Array<string> = []
    const program = Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(
        Simulation.run({
          ...breakdown,
          duration: "1 day",
          traffic: Traffic.constant({ perSecond: 1_000 }),
          policies: {}
        }),
        { startImmediately: true }
      )
      steps.push("meanwhile")
      yield* Fiber.interrupt(fiber)
      steps.push("interrupted")
    })
    await Effect.runPromise(program)
    assert.deepStrictEqual(steps, ["meanwhile", "interrupted"])
  })

  it("without a single call there is a report all the same", async () => {
    const report = await Effect.runPromise(
      Simulation.run({ ...breakdown, traffic: Traffic.delayed(breakdown.traffic, "1 hour"), policies: {} })
    )
    assert.deepStrictEqual(
      [report.watched, report.with.totals.offered, report.with.totals.latency],
      ["caller", 0, undefined]
    )
    assert.include(Report.toSvg(report), "</svg>")
  })

  it("policies stand in the report in words", async () => {
    const report = await Effect.runPromise(everything(1))
    assert.strictEqual(
      report.with.policies,
      "timeout 3 s, circuit breaker, token bucket 15 per 1 s, burst 30, waits up to 500 ms," +
        " bulkhead of 20, waits up to 200 ms, up to 3 attempts, attempt timeout 1 s"
    )
    assert.strictEqual(report.without?.policies, "no policies")
  })
})

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

describe(`any scenario (seed ${seed})`, () => {
  it.effect.prop(
    "every call ends in one way, or still runs, in the totals and in the seconds",
    { traffic: Arbitraries.traffic, dependency: Arbitraries.dependency, patience: int(1, 5_000), attempts: int(1, 4) },
    ({ attempts, dependency, patience, traffic }) =>
      Effect.gen(function* () {
        const report = yield* Simulation.run({
          seed,
          duration: "20 seconds",
          traffic,
          dependency,
          patience,
          policies: {
            timeout: "4 seconds",
            attemptTimeout: "1 second",
            circuitBreaker: breaker(3, 2_000),
            rateLimiter: RateLimiter.tokenBucket({ limit: 20, window: "1 second", maxWait: 500 }),
            retry: Retry.policy({ maxAttempts: attempts })
          }
        })
        assert.strictEqual(report.with.totals.offered, report.without?.totals.offered)
        for (const { keys, seconds, totals } of [report.with, report.without!]) {
          const ended = (of: Report.Endings) => of.succeeded + of.failed + of.timedOut + of.refused + of.gaveUp
          assert.strictEqual(totals.offered, ended(totals) + totals.running)
          let running = 0
          for (const second of seconds) {
            running += second.offered - ended(second)
            assert.strictEqual(second.running, running)
          }
          for (const name of ["offered", "admitted", "attempts", "retries", "succeeded", "refused"] as const) {
            assert.strictEqual(
              totals[name],
              seconds.reduce((sum, second) => sum + second[name], 0)
            )
          }
          assert.isAtMost(totals.wasted, totals.attempts)
          if (totals.keys <= 20) {
            assert.strictEqual(
              totals.succeeded,
              keys.reduce((sum, { succeeded }) => sum + succeeded, 0)
            )
          }
        }
      }),
    { arbitrary: { runs: 60, seed } }
  )

  // all in steps of 10 ms, but patience: who leaves in the very millisecond of the answer may have it or not
  const plans: Arbitrary.Arbitrary<Plan> = Arbitrary.map(
    Arbitrary.all({
      times: Arbitrary.array(int(0, 1_100), { minLength: 1, maxLength: 40 }),
      latency: int(1, 150),
      from: int(0, 1_000),
      length: int(1, 500),
      patience: int(1, 400)
    }),
    ({ from, latency, length, patience, times }) => ({
      times: times.map((at) => 10 * (at - Math.min(...times))).sort((a, b) => a - b),
      latency: 10 * latency,
      fails: { from: 10 * from, to: 10 * (from + length) },
      patience: 10 * patience + 5,
      seconds: 12
    })
  )

  it.effect.prop(
    "the report agrees with a plain recount of what happened",
    { plan: plans },
    ({ plan }) =>
      Effect.gen(function* () {
        const policies = {
          timeout: 2_500,
          attemptTimeout: 1_000,
          circuitBreaker: breaker(2, 1_700),
          rateLimiter: RateLimiter.tokenBucket({ limit: 2, window: "1 second", burst: 4, maxWait: "700 millis" }),
          retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("150 millis") })
        }
        const report = yield* Simulation.run({
          seed,
          duration: plan.seconds * 1000,
          traffic: Traffic.recorded(plan.times),
          dependency: Dependency.make({
            latency: Dependency.constant(plan.latency),
            outages: [{ ...plan.fails, mode: "fails" }]
          }),
          patience: plan.patience,
          policies
        })
        const seen = ({ seconds }: Report.Run) =>
          seconds.map((each) => ({
            second: each.second,
            offered: each.offered,
            admitted: each.admitted,
            attempts: each.attempts,
            retries: each.retries,
            succeeded: each.succeeded,
            failed: each.failed,
            timedOut: each.timedOut,
            refused: each.refused,
            gaveUp: each.gaveUp,
            circuitOpen: each.rejections.CircuitOpen ?? 0,
            rateLimitExceeded: each.rejections.RateLimitExceeded ?? 0,
            slowest: each.latency?.max
          }))
        assert.deepStrictEqual(seen(report.with), recount(plan, policies))
        assert.deepStrictEqual(seen(report.without!), recount(plan, {}))
      }),
    { arbitrary: { runs: 100, seed } }
  )
})

describe("same seed, same result", () => {
  const texts = (report: Report.Report) => [Report.toJson(report), Report.toSvg(report), Report.toHtml(report)]

  it("byte for byte, in this process and in another", { timeout: 120_000 }, async () => {
    const first = texts(await Effect.runPromise(everything(1)))
    const second = texts(await Effect.runPromise(everything("1")))
    const elsewhere = execFileSync(
      process.execPath,
      ["--conditions=effect-resilience-source", `${import.meta.dirname}/fixtures/everything.ts`],
      {
        encoding: "utf8",
        maxBuffer: 2 ** 26,
        env: { ...process.env, TZ: "Pacific/Auckland", LC_ALL: "de_DE.UTF-8" }
      }
    )
    // not by deepStrictEqual: a difference would be shown in millions of letters
    const third = JSON.parse(elsewhere) as ReadonlyArray<string>
    first.forEach((text, i) => assert.isTrue(text === second[i] && text === third[i], `${i}: ${text.length}`))
  })

  it("another seed, another day", async () => {
    const [one, other] = await Effect.runPromise(Effect.all([everything(1), everything(2)]))
    const others = texts(other)
    texts(one).forEach((text, i) => assert.isTrue(text !== others[i], `${i}`))
  })

  it("other policies meet the same calls, and their first requests the same fate", async () => {
    const scene = {
      seed: 1,
      duration: "1 minute",
      traffic: Traffic.poisson({ perSecond: 20 }).pipe(Traffic.keyed(Traffic.uniformKeys({ count: 5 }))),
      dependency: Dependency.make({ latency: Dependency.exponential({ mean: 200 }), errorRate: 0.1 })
    } as const
    const once = Retry.policy({ maxAttempts: 1 })
    const twice = Retry.policy({ maxAttempts: 2 })
    const report = await Effect.runPromise(
      Simulation.run({ ...scene, policies: { retry: twice }, without: { retry: once } })
    )
    const bare = await Effect.runPromise(Simulation.run({ ...scene, policies: {} }))
    const offered = (run: Report.Run) => run.keys.map(({ key, offered }) => `${key} ${offered}`)
    assert.deepStrictEqual(offered(report.with), offered(bare.with))
    // one attempt is no retry: the run is the bare one, event by event
    assert.deepStrictEqual(report.without?.seconds, bare.with.seconds)
    // every first request that failed is tried again, and only that (but for those that still run or wait)
    assert.closeTo(report.with.totals.retries, bare.with.totals.failed, 3)
  })
})
