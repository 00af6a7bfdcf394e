import { assert, describe, it } from "@effect/vitest"
import { Arbitraries, Traffic } from "../src/index.ts"
import { arrivals, mean, perSecond, sum, times, variance } from "./arrivals.ts"
import { seed } from "./seed.ts"

describe("rates", () => {
  it("constant traffic comes at equal distances, rounded down", () => {
    assert.deepStrictEqual(times(Traffic.constant({ perSecond: 3 }), 2_001), [0, 333, 666, 1000, 1333, 1666, 2000])
    assert.deepStrictEqual(times(Traffic.constant({ perSecond: 0.25 }), 10_000), [0, 4000, 8000])
  })

  it("Poisson traffic has its rate, and the variance of a Poisson process", () => {
    const counts = perSecond(Traffic.poisson({ perSecond: 50 }), 4_000)
    // five standard deviations: sqrt(50 / 4000) of the mean, 50 sqrt(2 / 4000) of the variance
    assert.closeTo(mean(counts), 50, 5 * Math.sqrt(50 / 4_000))
    assert.closeTo(variance(counts), 50, 5 * 50 * Math.sqrt(2 / 4_000))
  })

  it("bursts come at once, or spread evenly over a time", () => {
    assert.deepStrictEqual(times(Traffic.bursts({ size: 2, every: "10 seconds" }), 20_000), [0, 0, 10_000, 10_000])
    assert.deepStrictEqual(
      times(Traffic.bursts({ size: 4, every: "10 seconds", within: "1 second" }), 11_000),
      [0, 250, 500, 750, 10_000, 10_250, 10_500, 10_750]
    )
  })

  it("a ramp grows evenly from one rate to the other, and ends", () => {
    const ramp = Traffic.ramp({ from: 10, to: 90, over: "100 seconds" })
    const counts = perSecond(ramp, 200)
    assert.strictEqual(sum(counts), 5_000)
    // at the middle of second n the rate is 10 + 0.8 (n + 0.5)
    counts.slice(0, 100).forEach((count, n) => assert.closeTo(count, 10 + 0.8 * (n + 0.5), 1))
    assert.strictEqual(ramp.length, 100_000)
  })

  it("a ramp falls to nothing and rises from nothing", () => {
    const falling = perSecond(Traffic.ramp({ from: 20, to: 0, over: "10 seconds" }), 10)
    assert.deepStrictEqual(falling, [19, 17, 15, 13, 11, 9, 7, 5, 3, 1])
    const rising = perSecond(Traffic.ramp({ from: 0, to: 20, over: "10 seconds" }), 10)
    assert.deepStrictEqual(rising, falling.toReversed())
  })

  it("a Poisson ramp has the rate of the even one", () => {
    const counts = perSecond(Traffic.ramp({ from: 0, to: 200, over: "200 seconds", spacing: "poisson" }), 200)
    assert.closeTo(sum(counts), 20_000, 5 * Math.sqrt(20_000))
    assert.closeTo(sum(counts.slice(0, 100)), 5_000, 5 * Math.sqrt(5_000))
  })
})

describe("recordings", () => {
  it("recorded calls are replayed in order, from the earliest on", () => {
    assert.deepStrictEqual(times(Traffic.recorded([5_000, 1_000, 1_000.5, 3_000])), [0, 0, 2_000, 4_000])
  })

  it("a CSV is read with quotes, other delimiters, empty lines and all three units", () => {
    const iso = 'id,when,user\n1,2026-03-01T09:00:01Z,"a, b"\r\n\n2,2026-03-01T10:00:00.250+01:00,c\n'
    assert.deepStrictEqual(arrivals(Traffic.fromCsv(iso, { time: "when", key: "user" })), [
      { at: 0, key: "c" },
      { at: 750, key: "a, b" }
    ])
    const noZone = "when\n2026-03-29 01:59\n2026-03-29T03:00:30\n2026-03-29T04:00+0100"
    assert.deepStrictEqual(times(Traffic.fromCsv(noZone, { time: "when" })), [0, 3_660_000, 3_690_000])
    const seconds = Traffic.fromCsv("t;k\n1.5;x\n3;y", { time: "t", unit: "seconds", delimiter: ";" })
    assert.deepStrictEqual(arrivals(seconds), [
      { at: 0, key: "caller" },
      { at: 1_500, key: "caller" }
    ])
    assert.deepStrictEqual(times(Traffic.fromCsv("t\n7\n9", { time: "t", unit: "millis" })), [0, 2])
  })

  const log = [
    '203.0.113.7 - ada [10/Oct/2026:13:55:36 +0200] "GET /a HTTP/1.1" 200 2326',
    '203.0.113.8 - - [10/Oct/2026:11:55:36 +0000] "GET /\\"b\\" HTTP/1.1" 404 - "https://example.org/" "Mozilla/5.0 (X11)"',
    "",
    '::1 - - [10/Oct/2026:11:55:38 +0000] "POST /c HTTP/1.1" 503 12'
  ].join("\n")

  it("an access log is read in both formats and every time zone, a second's calls spread over it", () => {
    assert.deepStrictEqual(arrivals(Traffic.fromAccessLog(log)), [
      { at: 0, key: "203.0.113.7" },
      { at: 500, key: "203.0.113.8" },
      { at: 2_000, key: "::1" }
    ])
  })

  it("an access log may be read by what its lines say", () => {
    const entries: Array<Traffic.LogEntry> = []
    const key = (entry: Traffic.LogEntry) => {
      entries.push(entry)
      return entry.status === 404 ? undefined : entry.user
    }
    assert.deepStrictEqual(arrivals(Traffic.fromAccessLog(log, { key })), [
      { at: 0, key: "ada" },
      { at: 2_000, key: "-" }
    ])
    assert.deepStrictEqual(entries[1], {
      host: "203.0.113.8",
      user: "-",
      request: 'GET /\\"b\\" HTTP/1.1',
      status: 404
    })
  })
})

describe("combinators", () => {
  const one = Traffic.constant({ perSecond: 1 })

  it("during cuts, delayed shifts", () => {
    assert.deepStrictEqual(times(Traffic.during(one, "3 seconds")), [0, 1000, 2000])
    assert.deepStrictEqual(times(one.pipe(Traffic.delayed("500 millis"), Traffic.during("2 seconds"))), [500, 1500])
    assert.strictEqual(Traffic.delayed(Traffic.during(one, 10), 5).length, 15)
  })

  it("concat begins each part where the one before ends, though nobody calls at its end", () => {
    const parts = Traffic.concat(
      Traffic.during(one, "1500 millis"),
      Traffic.delayed(Traffic.during(one, "1 second"), "1 second"),
      Traffic.constant({ perSecond: 2 })
    )
    assert.deepStrictEqual(times(parts, 4_500), [0, 1000, 2500, 3500, 4000])
  })

  it("merge keeps the order of time, and the keys of each part", () => {
    const merged = Traffic.merge(
      Traffic.keyed(one, Traffic.oneKey("a")),
      Traffic.keyed(Traffic.constant({ perSecond: 2 }), Traffic.oneKey("b"))
    )
    assert.deepStrictEqual(
      arrivals(merged, 1_500).map(({ at, key }) => `${at}${key}`),
      ["0a", "0b", "500b", "1000a", "1000b"]
    )
  })

  it("parts of one kind are independent of each other", () => {
    const poisson = Traffic.poisson({ perSecond: 10 }).pipe(Traffic.during("1 minute"))
    const [first, second] = [0, 60_000].map((begin) =>
      times(Traffic.concat(poisson, poisson))
        .filter((at) => at >= begin && at < begin + 60_000)
        .map((at) => at - begin)
    )
    assert.notDeepEqual(first, second)
    assert.notDeepEqual(
      times(Traffic.merge(poisson, poisson)),
      times(poisson).flatMap((at) => [at, at])
    )
  })

  it.prop(
    `arrivals are whole, in order, before the end, and the same for the same seed (seed ${seed})`,
    [Arbitraries.traffic],
    ([traffic]) => {
      const all = times(traffic, 60_000)
      assert.deepStrictEqual(times(traffic, 60_000), all)
      const bad = all.filter((at, i) => !Number.isInteger(at) || at < (all[i - 1] ?? 0) || at >= traffic.length)
      assert.deepStrictEqual(bad, [])
    },
    { arbitrary: { runs: 200, seed } }
  )
})

describe("keys", () => {
  const counts = (traffic: Traffic.Traffic) => {
    const all = new Map<string, number>()
    for (const { key } of arrivals(traffic, 1_000_000)) all.set(key, (all.get(key) ?? 0) + 1)
    return all
  }
  const busy = Traffic.constant({ perSecond: 100 })

  it("uniform keys are equally frequent", () => {
    const seen = counts(Traffic.keyed(busy, Traffic.uniformKeys({ count: 10, prefix: "tenant:" })))
    assert.deepStrictEqual([...seen.keys()].sort().slice(0, 3), ["tenant:1", "tenant:10", "tenant:2"])
    for (const count of seen.values()) assert.closeTo(count, 10_000, 5 * Math.sqrt(10_000))
  })

  it("Zipf keys are as frequent as their rank says", () => {
    const seen = counts(Traffic.keyed(busy, Traffic.zipfKeys({ count: 4, exponent: 2 })))
    const whole = 1 + 1 / 4 + 1 / 9 + 1 / 16
    ;[1, 2, 3, 4].forEach((rank) => {
      const expected = 100_000 / rank ** 2 / whole
      assert.closeTo(seen.get(`user:${rank}`) ?? 0, expected, 5 * Math.sqrt(expected))
    })
  })

  it("other keys leave the times as they were", () => {
    const poisson = Traffic.poisson({ perSecond: 20 })
    const keyed = Traffic.keyed(poisson, Traffic.uniformKeys({ count: 5 }))
    assert.deepStrictEqual(times(keyed, 60_000), times(poisson, 60_000))
    assert.notDeepEqual(
      arrivals(Traffic.keyed(poisson, Traffic.uniformKeys({ count: 5 })), 60_000, "2"),
      arrivals(keyed, 60_000)
    )
  })

  it("a key says nothing about the time before its call", () => {
    const poisson = Traffic.poisson({ perSecond: 10 })
    const calls = arrivals(Traffic.keyed(poisson, Traffic.uniformKeys({ count: 2 })), 1_000_000)
    const gaps = (key: string) =>
      calls.flatMap((call, i) => (call.key === key ? [call.at - (calls[i - 1]?.at ?? 0)] : []))
    // 5,000 exponential gaps of 100 ms each: their mean has a standard deviation of 1.4 ms
    for (const key of ["user:1", "user:2"]) assert.closeTo(mean(gaps(key)), 100, 7)
  })

  it("keys from a function may have dimensions", () => {
    const keys = Traffic.keysFrom("by turns", (n) => ({ user: `u${n}`, tenant: `t${n % 2}` }))
    assert.deepStrictEqual(arrivals(Traffic.keyed(Traffic.constant({ perSecond: 1 }), keys), 2_000), [
      { at: 0, key: { user: "u0", tenant: "t0" } },
      { at: 1000, key: { user: "u1", tenant: "t1" } }
    ])
  })

  it("words say what a traffic is", () => {
    const traffic = Traffic.merge(
      Traffic.concat(
        Traffic.ramp({ from: 10, to: 1500, over: "90 seconds" }),
        Traffic.poisson({ perSecond: 0.5 })
      ).pipe(Traffic.keyed(Traffic.zipfKeys({ count: 50 }))),
      Traffic.bursts({ size: 500, every: "1 minute", within: 200 }).pipe(Traffic.during("1 hour"))
    )
    assert.strictEqual(
      traffic.description,
      "a ramp from 10 to 1,500 calls/s over 1 min 30 s, then 0.5 calls/s (Poisson) by 50 keys (Zipf 1)" +
        " + bursts of 500 every 1 min, each within 200 ms for 1 h"
    )
  })
})
