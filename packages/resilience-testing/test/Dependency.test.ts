import { assert, describe, it } from "@effect/vitest"
import { type Fate, fateOf, Request, Upstream } from "../src/internal/Upstream.ts"
import { streamsOf } from "../src/internal/streams.ts"
import { Dependency, World } from "../src/index.ts"
import { mean } from "./arrivals.ts"

/** Sorted draws of a latency. */
const drawn = (latency: Dependency.Latency, count = 20_000): ReadonlyArray<number> => {
  const draw = streamsOf("1")("latency")
  return Array.from({ length: count }, () => latency.draw(draw)).sort((a, b) => a - b)
}

/** The share of the draws below a time has a standard deviation of at most 0.0036 at 20,000 draws. */
const shareBelow = (times: ReadonlyArray<number>, time: number) =>
  times.filter((each) => each < time).length / times.length

describe("latencies", () => {
  it("constant is constant", () => {
    assert.deepStrictEqual(drawn(Dependency.constant("30 millis"), 3), [30, 30, 30])
  })

  it("uniform is between its bounds, evenly", () => {
    const times = drawn(Dependency.uniform({ min: 100, max: 300 }))
    assert.isTrue(times[0]! >= 100 && times.at(-1)! < 300)
    for (const share of [0.1, 0.5, 0.9]) assert.closeTo(shareBelow(times, 100 + 200 * share), share, 0.018)
  })

  it("exponential has its mean, its median and its tail", () => {
    const times = drawn(Dependency.exponential({ mean: 200 }))
    assert.closeTo(mean(times), 200, (5 * 200) / Math.sqrt(20_000))
    assert.closeTo(shareBelow(times, 200 * Math.log(2)), 0.5, 0.018)
    assert.closeTo(shareBelow(times, 200 * Math.log(100)), 0.99, 0.0036)
  })

  it("lognormal hits its median, its p99, and what is as far below the median", () => {
    const times = drawn(Dependency.lognormal({ median: 80, p99: 400 }))
    assert.closeTo(shareBelow(times, 80), 0.5, 0.018)
    assert.closeTo(shareBelow(times, 400), 0.99, 0.0036)
    assert.closeTo(shareBelow(times, 16), 0.01, 0.0036)
  })

  it("recorded times are as frequent as they were recorded", () => {
    const times = drawn(Dependency.recorded([5, 5, 5, 90]))
    assert.closeTo(shareBelow(times, 50), 0.75, 0.016)
    assert.deepStrictEqual([...new Set(times)], [5, 90])
  })
})

const usual: Fate = { latency: 100, error: 0.5, outage: 0.5 }

/** A dependency in a world of its own, and what its requests were answered, at which time. */
class Bench {
  readonly world = new World.World()
  readonly upstream: Upstream
  readonly answers: Array<string> = []

  constructor(options: Omit<Dependency.Options, "latency">) {
    this.upstream = new Upstream(Dependency.make({ latency: Dependency.constant(100), ...options }), this.world)
  }

  /** Sends a request now. Returns how to give it up. */
  send(name: string, fate: Partial<Fate> = {}): () => void {
    const request = new Request({ ...usual, ...fate }, (failure) =>
      this.answers.push(`${this.world.elapsed} ${name} ${failure ?? "ok"}`)
    )
    this.upstream.arrive(request)
    return () => {
      request.answer = undefined
    }
  }

  at(time: number): this {
    this.world.runTo(this.world.now - this.world.elapsed + time)
    return this
  }
}

describe("capacity", () => {
  it("one works, two wait in line, the fourth is turned away at once", () => {
    const bench = new Bench({ capacity: { concurrency: 1, queue: 2 } })
    for (const name of ["a", "b", "c", "d"]) bench.send(name)
    assert.deepStrictEqual([bench.upstream.running, bench.upstream.queued], [1, 2])
    bench.at(1_000)
    assert.deepStrictEqual(bench.answers, ["0 d full", "100 a ok", "200 b ok", "300 c ok"])
    assert.deepStrictEqual([bench.upstream.running, bench.upstream.queued, bench.upstream.requests], [0, 0, 4])
  })

  it("without a capacity, all are worked on at once", () => {
    const bench = new Bench({})
    for (let i = 0; i < 1_000; i++) bench.send(`${i}`)
    bench.at(100)
    assert.strictEqual(bench.answers.length, 1_000)
  })

  it("callers that left are worked on all the same, at work and in line", () => {
    const bench = new Bench({ capacity: { concurrency: 1, queue: 5 } })
    const leave = [bench.send("a"), bench.send("b")]
    bench.send("c")
    bench.at(50)
    for (const each of leave) each()
    bench.at(1_000)
    assert.deepStrictEqual(bench.answers, ["300 c ok"])
    assert.strictEqual(bench.upstream.wasted, 2)
  })

  it("retries of the impatient make the line longer than those who wait", () => {
    const patient = new Bench({ capacity: { concurrency: 1 } })
    const impatient = new Bench({ capacity: { concurrency: 1 } })
    // ten calls a second are all that one worker can do; whoever sends each twice doubles the work
    for (let n = 0; n < 20; n++) {
      patient.at(n * 100).send(`${n}`)
      impatient.at(n * 100).send(`${n}`)()
      impatient.send(`${n} again`)
    }
    patient.at(2_000)
    impatient.at(2_000)
    assert.strictEqual(patient.answers.length, 20)
    assert.strictEqual(impatient.answers.length, 10)
    assert.deepStrictEqual([patient.upstream.queued, impatient.upstream.queued], [0, 19])
  })

  it("who waits in line comes before whom an answer brings", () => {
    const bench = new Bench({ capacity: { concurrency: 1, queue: 1 } })
    const request = new Request(usual, () => bench.send("brought"))
    bench.upstream.arrive(request)
    bench.send("waited")
    bench.at(1_000)
    assert.deepStrictEqual(bench.answers, ["200 waited ok", "300 brought ok"])
  })
})

describe("outages", () => {
  const span = { from: 1_000, to: 2_000 }

  it("fails: from its first millisecond to its last, after the usual time or another", () => {
    for (const [after, time] of [
      [undefined, 100],
      [7, 7]
    ] as const) {
      const bench = new Bench({ outages: [{ ...span, mode: "fails", after }] })
      for (const at of [999, 1_000, 1_999, 2_000]) bench.at(at).send(`${at}`)
      bench.at(3_000)
      assert.deepStrictEqual(
        bench.answers.toSorted(),
        [`1099 999 ok`, `${1_000 + time} 1000 outage`, `${1_999 + time} 1999 outage`, `2100 2000 ok`].toSorted()
      )
    }
  })

  it("slow: the time is a multiple, and the capacity falls with it", () => {
    const bench = new Bench({ capacity: { concurrency: 1 }, outages: [{ ...span, mode: "slow", factor: 4 }] })
    for (const name of ["a", "b", "c", "d"]) bench.at(1_000).send(name)
    bench.at(5_000)
    assert.deepStrictEqual(bench.answers, ["1400 a ok", "1800 b ok", "2200 c ok", "2300 d ok"])
  })

  it("hangs: nothing happens until the end, then work goes on", () => {
    const bench = new Bench({ outages: [{ ...span, mode: "hangs" }] })
    bench.at(950).send("before")
    bench.at(1_000).send("within")
    bench.at(1_999).send("late")
    bench.at(5_000)
    assert.deepStrictEqual(bench.answers, ["1050 before ok", "2100 within ok", "2100 late ok"])
  })

  it("a share meets the part of the requests whose chance says so", () => {
    const bench = new Bench({ outages: [{ ...span, mode: "fails", share: 0.25 }] })
    for (const outage of [0, 0.2499, 0.25, 0.9]) bench.at(1_000).send(`${outage}`, { outage })
    bench.at(2_000)
    assert.deepStrictEqual(
      bench.answers.map((answer) => answer.slice(5)),
      ["0 outage", "0.2499 outage", "0.25 ok", "0.9 ok"]
    )
  })

  it("while it recovers, a part that falls evenly to none still meets it", () => {
    const failed = (at: number) => {
      const bench = new Bench({ outages: [{ ...span, mode: "fails", recovery: 1_000 }] })
      bench.at(at)
      for (let n = 0; n < 100; n++) bench.send(`${n}`, { outage: (n + 0.5) / 100 })
      bench.at(9_000)
      return bench.answers.filter((answer) => answer.endsWith("outage")).length
    }
    assert.deepStrictEqual([1_999, 2_000, 2_250, 2_500, 2_900, 3_000].map(failed), [100, 100, 75, 50, 10, 0])
  })

  it("who hangs is let go at a time of its own while it recovers", () => {
    const bench = new Bench({ outages: [{ ...span, mode: "hangs", recovery: 1_000, share: 0.5 }] })
    bench.at(1_500)
    for (const outage of [0, 0.125, 0.25, 0.499, 0.5]) bench.send(`${outage}`, { outage })
    bench.at(9_000)
    assert.deepStrictEqual(bench.answers, [
      "1600 0.5 ok",
      "2100 0 ok",
      "2350 0.125 ok",
      "2600 0.25 ok",
      "3098 0.499 ok"
    ])
  })

  it("of several, the first counts", () => {
    const slow = { from: 0, to: 10_000, mode: "slow", factor: 3 } as const
    const bench = new Bench({ outages: [{ ...span, mode: "fails" }, slow] })
    bench.send("a")
    bench.at(1_500).send("b")
    bench.at(5_000)
    assert.deepStrictEqual(bench.answers, ["300 a ok", "1600 b outage"])
  })

  it("errors come at any time, at their rate, and take their time", () => {
    const bench = new Bench({ errorRate: 0.25 })
    for (const error of [0, 0.249, 0.25]) bench.send(`${error}`, { error })
    bench.at(1_000)
    assert.deepStrictEqual(bench.answers, ["100 0 error", "100 0.249 error", "100 0.25 ok"])
    const draw = streamsOf("1")("fates")
    const dependency = Dependency.make({ latency: Dependency.constant(1), errorRate: 0.3 })
    const errors = Array.from({ length: 20_000 }, () => fateOf(dependency, draw)).filter(({ error }) => error < 0.3)
    assert.closeTo(errors.length / 20_000, 0.3, 0.017)
  })

  it("words say what a dependency is", () => {
    const { description } = Dependency.make({
      latency: Dependency.lognormal({ median: 80, p99: 1_500 }),
      errorRate: 0.001,
      capacity: { concurrency: 20, queue: 2_000 },
      outages: [
        { from: "2 minutes", to: "150 seconds", mode: "slow", factor: 10, recovery: "30 seconds" },
        { from: 0, to: 5_000, mode: "hangs", share: 0.5 }
      ]
    })
    assert.strictEqual(
      description,
      "median 80 ms, p99 1.5 s; 0.1 % errors; 20 at once and 2,000 in line; is slow from 2 min to 2 min 30 s (×\u00a010)," +
        " recovers over 30 s; hangs from 0 s to 5 s for 50 % of requests"
    )
  })
})
