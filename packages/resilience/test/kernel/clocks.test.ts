/** States from a clock that was ahead: a server failed over to one whose clock is right, or set its own back. */
import { assert, describe, it } from "@effect/vitest"
import { breaker, type BreakerPolicy, type BreakerState, view } from "../../src/kernel/Breaker.ts"
import { believed } from "../../src/kernel/BreakerClock.ts"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import { lease } from "../../src/kernel/Lease.ts"
import type { LimiterKernel } from "../../src/kernel/Limiter.ts"
import { slidingLog } from "../../src/kernel/SlidingLog.ts"
import { slidingWindow } from "../../src/kernel/SlidingWindow.ts"
import { tokenBucket } from "../../src/kernel/TokenBucket.ts"
import { byCalls, byTime, consecutive, defaults } from "./breakerCircuit.ts"

const HOUR = 3_600_000
const NOW = 1_800_000_000_000

// oxlint-disable-next-line typescript/no-explicit-any -- a list of limits of every kind
type Limit = readonly [kernel: LimiterKernel<any, any, any>, policy: any]

/** `limit` per `window` ms, of each kind. */
const limits = (limit: number, window: number): ReadonlyArray<Limit> => [
  [tokenBucket, { limit, window, burst: limit }],
  [fixedWindow, { limit, window }],
  [slidingWindow, { limit, slice: window / 10, slices: 10 }],
  [slidingLog, { limit, window }]
]

const key = ([kernel, policy]: Limit) => {
  let state: unknown = kernel.initial(policy)
  return {
    take: (now: number, cost = 1) => {
      const before = state
      const [answer, after] = kernel.step(policy, state, { op: "take", cost }, now)
      state = after
      return { ...answer, changed: after !== before }
    },
    fill: (now: number) => {
      let admitted = 0
      for (;;) {
        const [answer, after] = kernel.step(policy, state, { op: "take", cost: 1 }, now)
        if (!answer.allowed) return admitted
        state = after
        admitted++
      }
    }
  }
}

describe("a limit", () => {
  for (const limit of limits(100, 1_000)) {
    const [{ id }] = limit

    it(`that was used up an hour ahead lets its bound through at once, and then keeps its rate: ${id}`, () => {
      const bucket = key(limit)
      assert.strictEqual(bucket.fill(NOW + HOUR), 100)
      assert.strictEqual(bucket.fill(NOW), 100)
      let later = 0
      for (let ms = 1; ms <= 5_000; ms++) if (bucket.take(NOW + ms).allowed) later++
      assert.isAtMost(later, 600)
      assert.isAtLeast(later, 400)
    })

    it(`is closed for no longer than a second and its span, wherever the clock was: ${id}`, () => {
      for (let ahead = 0; ahead < 5_000; ahead += 37) {
        const bucket = key(limit)
        bucket.fill(NOW + ahead)
        assert.isAtMost(bucket.take(NOW, 100).retryAfter, 1_100 + 1_100, `${ahead} ms ahead`)
      }
    })

    it(`returns the very state where nothing is taken, however far ahead it is: ${id}`, () => {
      const bucket = key(limit)
      bucket.fill(NOW + HOUR)
      assert.isFalse(bucket.take(NOW, 0).changed)
      assert.deepInclude(bucket.take(NOW, 101), { allowed: false, retryAfter: -1, remaining: 100, changed: false })
      assert.isTrue(bucket.take(NOW).changed)
    })

    it(`lets one bound through for each of 20 steps back of ten seconds: ${id}`, () => {
      const bucket = key(limit)
      let back = 0
      for (let i = 0; i < 20; i++) {
        bucket.fill(NOW + i * 2_000 + 10_000)
        back += bucket.fill(NOW + i * 2_000)
      }
      assert.strictEqual(back, 2_000)
    })
  }

  for (const limit of limits(10, 10)) {
    it(`of ten milliseconds is kept by two servers that are 50 ms apart, and take turns: ${limit[0].id}`, () => {
      const bucket = key(limit)
      let admitted = 0
      for (let ms = 0; ms < 1_000; ms++) {
        for (let ask = 0; ask < 50; ask++) if (bucket.take(NOW + ms + (ms % 2) * 50).allowed) admitted++
      }
      assert.isAtMost(admitted, 1_070)
      assert.isAtLeast(admitted, 800)
    })
  }

  it("whose tokens are taken ahead is no exception", () => {
    const policy = { limit: 100, window: 1_000, burst: 100 }
    const [, used] = lease.step(policy, lease.initial(policy), { cost: 100, most: 100 }, NOW + HOUR)
    const [answer] = lease.step(policy, used, { cost: 1, most: 30 }, NOW)
    assert.deepInclude(answer, { allowed: true, remaining: 70 })
    assert.strictEqual(answer.receipt.cost, 30)
  })

  it("gives nothing back for a call of the time that is over", () => {
    const policy = { limit: 100, window: 1_000, burst: 100 }
    const [{ receipt }, used] = tokenBucket.step(
      policy,
      tokenBucket.initial(policy),
      { op: "take", cost: 100 },
      NOW + HOUR
    )
    const [, again] = tokenBucket.step(policy, used, { op: "take", cost: 100 }, NOW)
    assert.strictEqual(tokenBucket.step(policy, again, { op: "refund", receipt }, NOW)[1], again)
  })
})

it("the span of a limit is how long it takes to be as new, of a circuit the longest that it remembers anything", () => {
  assert.strictEqual(tokenBucket.span!({ limit: 3, window: 1_000, burst: 10 }), 3_334)
  assert.strictEqual(lease.span!({ limit: 3, window: 1_000, burst: 10 }), 3_334)
  assert.strictEqual(fixedWindow.span!({ limit: 3, window: 1_000 }), 1_000)
  assert.strictEqual(slidingWindow.span!({ limit: 3, slice: 100, slices: 10 }), 1_100)
  assert.strictEqual(slidingLog.span!({ limit: 3, window: 1_000 }), 1_000)
  const span = (changes: Partial<BreakerPolicy>) => breaker.span!({ ...defaults, ...changes })
  assert.strictEqual(span({}), 10_000)
  assert.strictEqual(span({ openHigh: [100, 20_000, 300] }), 20_000)
  assert.strictEqual(span({ trips: [consecutive(1), consecutive(2, 30_000), byCalls(50, 9, 9)] }), 30_000)
  assert.strictEqual(span({ trips: [byTime(50, 4_000, 10, 9), consecutive(2, 30_000)] }), 40_000)
})

describe("a circuit", () => {
  const report = (
    policy: BreakerPolicy,
    state: BreakerState,
    outcome: "success" | "failure",
    now: number
  ): readonly [allowed: boolean, state: BreakerState] => {
    const [{ allowed, generation, probe }, admitted] = breaker.step(policy, state, { op: "admit", draw: 0 }, now)
    if (!allowed) return [false, state]
    const record = {
      op: "record",
      generation,
      probe,
      outcome,
      duration: 0,
      slowFed: 0,
      retryAfter: 0,
      draw: 0
    } as const
    return [true, breaker.step(policy, admitted, record, now)[1]]
  }
  const failed = (policy: BreakerPolicy, times: number, now: number): BreakerState => {
    let state = breaker.initial(policy)
    for (let i = 0; i < times; i++) [, state] = report(policy, state, "failure", now)
    return state
  }

  it("that opened an hour ahead lets a probe through, which closes it", () => {
    const open = failed(defaults, 1, NOW + HOUR)
    assert.strictEqual(open.phase, "Open")
    assert.deepInclude(view(defaults, open, NOW), { phase: "HalfOpen", retryAfter: 0, generation: open.generation + 1 })
    const [allowed, state] = report(defaults, open, "success", NOW)
    assert.deepEqual([allowed, state.phase, state.since], [true, "Closed", NOW])
    assert.isAbove(state.generation, open.generation)
  })

  it("believes an opening that is as far ahead as its longest one, and none that is further", () => {
    const open = failed(defaults, 1, NOW + defaults.openCap)
    assert.strictEqual(view(defaults, open, NOW).retryAfter, defaults.openCap + 100)
    assert.strictEqual(view(defaults, open, NOW - 1).retryAfter, 0)
  })

  it("has a free slot where its probe was let through an hour ahead, and does not hear of that one", () => {
    const open = failed(defaults, 1, NOW + HOUR)
    const [lost, probing] = breaker.step(defaults, open, { op: "admit", draw: 0 }, NOW + HOUR + 100)
    assert.strictEqual(lost.probe, 1)
    const record = {
      ...lost,
      op: "record",
      outcome: "failure",
      duration: 0,
      slowFed: 0,
      retryAfter: 0,
      draw: 0
    } as const
    assert.strictEqual(breaker.step(defaults, probing, record, NOW)[1], probing)
    assert.deepInclude(view(defaults, probing, NOW), {
      phase: "HalfOpen",
      retryAfter: 0,
      probesInFlight: 0,
      failures: 0
    })
    const [allowed, state] = report(defaults, probing, "success", NOW)
    assert.deepEqual([allowed, state.phase], [true, "Closed"])
  })

  it("does not take a long lease for a time that is far ahead: only the probe of that time loses its slot", () => {
    const patient = { ...defaults, lease: HOUR, permitted: 2, required: 2 }
    const open = failed(patient, 1, NOW)
    const admit = (state: BreakerState, now: number) => breaker.step(patient, state, { op: "admit", draw: 0 }, now)
    const [, one] = admit(open, NOW + 100)
    const [, two] = admit(one, NOW + HOUR / 2)
    assert.deepInclude(view(patient, two, NOW + HOUR / 2), { phase: "HalfOpen", probesInFlight: 2 })
    assert.deepInclude(view(patient, two, NOW + 200), { phase: "HalfOpen", probesInFlight: 1, failures: 0 })
    const [third, three] = admit(two, NOW + 200)
    assert.deepInclude(third, { allowed: true, probe: 3 })
    assert.isFalse(admit(three, NOW + 200)[0].allowed)
  })

  it("forgets failures from an hour ahead, each trip policy its own, and counts on", () => {
    const trips = [consecutive(9, 5_000), byTime(50, 1_000, 5, 9), byCalls(50, 20, 9)]
    const policy = { ...defaults, trips }
    const state = failed(policy, 8, NOW + HOUR)
    const counts = (state: BreakerState, now: number) => view(policy, state, now).windows.map(({ calls }) => calls)
    assert.deepEqual(counts(state, NOW + HOUR), [8, 8, 8])
    assert.deepEqual(counts(state, NOW), [0, 0, 8])
    const [, next] = report(policy, state, "success", NOW)
    assert.deepEqual(counts(next, NOW), [0, 1, 9])
    const since = { ...policy, trips: [consecutive(9, 5_000)] }
    let later = failed(since, 8, NOW + HOUR)
    for (let i = 0; i < 8; i++) [, later] = report(since, later, "failure", NOW + i)
    assert.strictEqual(later.phase, "Closed")
    ;[, later] = report(since, later, "failure", NOW + 9)
    assert.strictEqual(later.phase, "Open")
  })

  it("that was closed or half-open an hour ahead began now, and one whose times are right is the very one", () => {
    const policy = { ...defaults, trips: [consecutive(2, 5_000)] }
    const [, closed] = breaker.step(policy, breaker.initial(policy), { op: "reset" }, NOW + HOUR)
    assert.strictEqual(view(policy, closed, NOW).since, NOW)
    assert.strictEqual(believed(policy, closed, NOW + HOUR), closed)
    const open = failed(policy, 2, NOW)
    const [, probing] = breaker.step(policy, open, { op: "admit", draw: 0 }, NOW + open.openFor + HOUR)
    assert.strictEqual(probing.phase, "HalfOpen")
    assert.strictEqual(view(policy, { ...probing, since: NOW + 2 * HOUR }, NOW).since, NOW)
    assert.strictEqual(believed(policy, open, NOW), open)
  })

  it("that was closed an hour ahead still opens, and what was isolated stays so", () => {
    const policy = { ...defaults, trips: [consecutive(2, 5_000)] }
    const [, closed] = breaker.step(policy, breaker.initial(policy), { op: "reset" }, NOW + HOUR)
    const [, once] = report(policy, closed, "failure", NOW)
    assert.strictEqual(report(policy, once, "failure", NOW + 1)[1].phase, "Open")
    const [, isolated] = breaker.step(policy, closed, { op: "isolate" }, NOW + HOUR)
    assert.deepInclude(breaker.step(policy, isolated, { op: "admit", draw: 0 }, NOW)[0], {
      allowed: false,
      phase: "Isolated"
    })
  })
})
