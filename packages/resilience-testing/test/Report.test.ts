import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Xml } from "effect/encoding"
import { CircuitBreaker, RateLimiter } from "effect-resilience"
import { binWidth, least, median, most, rate, stretches } from "../src/internal/bins.ts"
import { Histogram, ofTimes } from "../src/internal/percentiles.ts"
import { digits, percent, time } from "../src/internal/words.ts"
import { Dependency, Report, Simulation, Traffic } from "../src/index.ts"
import { everything } from "./scenario.ts"

/** What Effect's parser makes of a picture. It fails where the text is no XML. */
const parsed = (svg: string) =>
  Stream.make(svg).pipe(
    Stream.pipeThroughChannel(Xml.decodeString({ maxTokenSize: 2 ** 22 })),
    Stream.runCollect,
    Effect.map((events) => ({
      texts: events
        .flatMap((event) => (event._tag === "Text" ? [event.text.trim()] : []))
        .filter((text) => text !== ""),
      elements: events.filter((event) => event._tag === "StartElement")
    }))
  )

interface Box {
  readonly text: string
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

/** Where the texts stand, by the mean width of a letter of DejaVu Sans. */
const textBoxes = (svg: string) =>
  Stream.make(svg).pipe(
    Stream.pipeThroughChannel(Xml.decodeString({ maxTokenSize: 2 ** 22 })),
    Stream.runCollect,
    Effect.map((events) =>
      events.flatMap((event, i): ReadonlyArray<Box> => {
        const inside = events[i + 1]
        if (event._tag !== "StartElement" || event.name !== "text" || inside?._tag !== "Text") return []
        const { attributes } = event
        const [, dx = "0", dy = "0"] = /translate\(([-\d.]+) ([-\d.]+)\)/.exec(attributes["transform"] ?? "") ?? []
        const [, bold, size = "12"] = /(bold )?(\d+)px/.exec(attributes["style"] ?? "") ?? []
        const x = Number(attributes["x"] ?? 0) + Number(dx)
        const y = Number(attributes["y"] ?? 0) + Number(dy)
        const long = inside.text.length * Number(size) * (bold === undefined ? 0.56 : 0.63)
        const anchor = attributes["text-anchor"] ?? "start"
        const left = anchor === "start" ? x : anchor === "middle" ? x - long / 2 : x - long
        const half = Number(size) / 2
        return [{ text: inside.text, left, right: left + long, top: y - half, bottom: y + half }]
      })
    )
  )

const small = Simulation.run({
  title: "Down & <up>",
  seed: "a & b",
  duration: "10 seconds",
  traffic: Traffic.constant({ perSecond: 5 }),
  dependency: Dependency.make({
    latency: Dependency.constant(100),
    outages: [{ from: 3_000, to: 6_000, mode: "fails", recovery: 2_000 }]
  }),
  policies: {
    circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(3), openDuration: "1 second" }),
    rateLimiter: RateLimiter.tokenBucket({ limit: 4, window: "1 second" })
  }
})

describe("a picture", () => {
  it.effect("is XML, and says what it shows", () =>
    Effect.gen(function* () {
      const report = yield* small
      const { elements, texts } = yield* parsed(Report.toSvg(report))
      assert.strictEqual(elements[0]?.name, "svg")
      assert.strictEqual(elements[0]?.attributes["width"], "1100")
      for (const text of [
        "Down & <up>",
        "Traffic: 5 calls/s.",
        "Dependency: 100 ms; fails from 3 s to 6 s, recovers over 2 s.",
        "With policies: circuit breaker, token bucket 4 per 1 s.",
        "Without: no policies.",
        "Calls that succeed, per second",
        "Requests at the dependency, per second",
        "Refused by the policies, per second",
        "circuit open",
        "rate limit exceeded",
        "Time until the caller has an answer: p99, and p50 as a thin line",
        "Circuit",
        "Closed",
        "Open",
        "Tokens left",
        "fails",
        "recovers",
        "offered",
        "with policies",
        "without",
        "50 calls",
        "10 s",
        "time since the beginning",
        "Seed a & b."
      ]) {
        assert.include(texts, text)
      }
      const heads = "succeeded,goodput,failed,timed out,refused,gave up,requests,retries,wasted,p99,wait,fairness"
      for (const head of heads.split(",")) assert.include(texts, head)
      for (const run of [report.with, report.without!]) {
        assert.include(texts, percent(run.totals.successRate))
        assert.include(texts, digits(run.totals.attempts))
      }
      assert.notInclude(texts, "Requests in line at the dependency")
    })
  )

  it.effect("leaves out what there is not, and names other policies", () =>
    Effect.gen(function* () {
      const scene = {
        seed: 1,
        duration: "10 seconds",
        traffic: Traffic.constant({ perSecond: 30 }),
        dependency: Dependency.make({ latency: Dependency.constant(100), capacity: { concurrency: 2, queue: 5 } }),
        policies: { timeout: "1 second" }
      } as const
      const alone = yield* parsed(Report.toSvg(yield* Simulation.run({ ...scene, without: false })))
      for (const text of ["Circuit", "Tokens left", "Refused by the policies, per second", "without", "fails"]) {
        assert.notInclude(alone.texts, text)
      }
      assert.include(alone.texts, "Requests in line at the dependency")
      const two = yield* parsed(Report.toSvg(yield* Simulation.run({ ...scene, without: { timeout: 50 } })))
      assert.include(two.texts, "Other policies: timeout 50 ms.")
    })
  )

  it.effect("has every text within its frame, and none over another, at every width", () =>
    Effect.gen(function* () {
      const report = yield* everything(1)
      // two outages so close that only one has a name
      const [first, second] = [10_000, 11_000].map((from) => ({ ...report.outages[0]!, from, to: from + 500 }))
      const crowded = { ...report, outages: [second!, first!, ...report.outages] }
      assert.strictEqual((yield* textBoxes(Report.toSvg(crowded))).filter(({ text }) => text === "slow").length, 2)
      for (const width of [1_000, 1_100, 1_600]) {
        const svg = Report.toSvg(crowded, { width })
        const height = Number((yield* parsed(svg)).elements[0]!.attributes["height"])
        const boxes = yield* textBoxes(svg)
        for (const { bottom, left, right, text, top } of boxes) {
          assert.isTrue(left >= 0 && right <= width && top >= 0 && bottom <= height, `${text}: ${left} to ${right}`)
        }
        const crossing = boxes.flatMap((a, i) =>
          boxes
            .slice(i + 1)
            .filter((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
            .map((b) => `${a.text} / ${b.text}`)
        )
        assert.deepStrictEqual(crossing, [])
      }
    })
  )

  it.effect("draws a time of nothing, too, where a logarithm has no place for it", () =>
    Effect.gen(function* () {
      const report = yield* Simulation.run({
        seed: 1,
        duration: "10 seconds",
        traffic: Traffic.constant({ perSecond: 1 }),
        dependency: Dependency.make({ latency: Dependency.constant(0) }),
        policies: {},
        without: false
      })
      const { elements } = yield* parsed(Report.toSvg(report))
      const thin = elements.filter(({ attributes }) => attributes["stroke-width"] === "1.2")
      assert.match(thin[0]?.attributes["d"] ?? "", /^M[\d.]+ [\d.]+(L[\d.]+ [\d.]+){9}$/)
    })
  )

  it.effect("keeps its names to itself: an id that somebody wrote stays as it was", () =>
    Effect.gen(function* () {
      const report = yield* small
      const svg = Report.toSvg({ ...report, title: "zr0-cls-1 and url of zr7-c2" })
      assert.include((yield* parsed(svg)).texts, "zr0-cls-1 and url of zr7-c2")
      const ids = [...svg.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id)
      assert.strictEqual(new Set(ids).size, ids.length)
      for (const [, used] of svg.matchAll(/url\(#([^)]*)\)/g)) assert.include(ids, used)
    })
  )
})

describe("a page", () => {
  it.effect("holds the picture and the tables, and asks nothing from elsewhere", () =>
    Effect.gen(function* () {
      const report = yield* everything(1)
      const html = Report.toHtml({ ...report, title: `<"&'>` })
      assert.include(html, "<title>&lt;&quot;&amp;'&gt;</title>")
      assert.include(html, "</svg>")
      for (const text of ["<caption>Totals</caption>", "<th>job</th>", "<caption>Refused</caption>"]) {
        assert.include(html, text)
      }
      const links = [...html.matchAll(/(?:href|src|url\()=?"?([^")\s]*)/g)].map(([, link]) => link)
      assert.deepStrictEqual(
        links.filter((link) => !link?.startsWith("#")),
        []
      )
      assert.notInclude(html, "<script")
    })
  )
})

describe("a report", () => {
  it.effect("is plain data: read from its JSON, it draws the same picture", () =>
    Effect.gen(function* () {
      for (const report of [yield* small, yield* everything(1)]) {
        const read = JSON.parse(Report.toJson(report)) as Report.Report
        assert.isTrue(Report.toSvg(read) === Report.toSvg(report))
      }
    })
  )
})

describe("percentiles", () => {
  it("are exact, by nearest rank", () => {
    const times = Array.from({ length: 200 }, (_, i) => 200 - i)
    const expected = { p50: 100, p90: 180, p99: 198, max: 200 }
    assert.deepStrictEqual(ofTimes(Float64Array.from(times)), expected)
    assert.deepStrictEqual(ofTimes(Float64Array.from([7])), { p50: 7, p90: 7, p99: 7, max: 7 })
    assert.strictEqual(ofTimes(new Float64Array()), undefined)
    const histogram = new Histogram()
    assert.strictEqual(histogram.percentiles(), undefined)
    times.forEach((time) => histogram.add(time))
    assert.deepStrictEqual(histogram.percentiles(), expected)
  })

  it("of a histogram agree with those of the times themselves", () => {
    for (let n = 1; n < 300; n += 7) {
      const times = Array.from({ length: n }, (_, i) => (i * i * 31) % 17)
      const histogram = new Histogram()
      times.forEach((time) => histogram.add(time))
      assert.deepStrictEqual(histogram.percentiles(), ofTimes(Float64Array.from(times)))
    }
  })
})

describe("points", () => {
  it("stand for whole seconds, and no line has too many", () => {
    assert.deepStrictEqual(
      [1, 240, 241, 3_600, 86_400].map((seconds) => binWidth(seconds, 240)),
      [1, 1, 2, 15, 600]
    )
    assert.isAtMost(10_000_000 / binWidth(10_000_000, 240), 240)
  })

  it.effect("are means of rates, and least, median and most of what is measured", () =>
    Effect.gen(function* () {
      const { with: run } = yield* small
      const numbers = { ...run, seconds: run.seconds.map((second) => ({ ...second, offered: second.second ** 2 })) }
      assert.deepStrictEqual(
        rate(numbers, 4, ({ offered }) => offered),
        [
          [2, 3.5],
          [6, 31.5],
          [9, 72.5]
        ]
      )
      const odd = (second: Report.Second) => (second.second % 2 === 1 ? second.offered : undefined)
      assert.deepStrictEqual(least(numbers, 4, odd), [
        [2, 1],
        [6, 25],
        [9, 81]
      ])
      assert.deepStrictEqual(most(numbers, 4, odd), [
        [2, 9],
        [6, 49],
        [9, 81]
      ])
      assert.deepStrictEqual(
        median(numbers, 5, ({ offered }) => offered),
        [
          [2.5, 4],
          [7.5, 49]
        ]
      )
      assert.deepStrictEqual(median(numbers, 1, odd).slice(0, 2), [
        [0.5, null],
        [1.5, 1]
      ])
      assert.deepStrictEqual(
        stretches(numbers, ({ second }) => (second < 3 ? undefined : "on")),
        [
          { from: 0, to: 3, value: undefined },
          { from: 3, to: 10, value: "on" }
        ]
      )
    })
  )
})

describe("words", () => {
  it("times are in their largest units, two at most", () => {
    assert.deepStrictEqual([0, 7, 999, 1_500, 59_999, 60_000, 90_000, 3_600_000, 3_660_500, 100_000_000].map(time), [
      "0 s",
      "7 ms",
      "999 ms",
      "1.5 s",
      "59.999 s",
      "1 min",
      "1 min 30 s",
      "1 h",
      "1 h 1 min",
      "27 h 46 min"
    ])
  })

  it("numbers have their thousands apart, and no needless zeros", () => {
    assert.deepStrictEqual(
      [0, 1234567, 1000.5, 0.12345, -1234].map((value) => digits(value)),
      ["0", "1,234,567", "1,000.5", "0.123", "−1,234"]
    )
    assert.deepStrictEqual([percent(0.12345), percent(1)], ["12.3 %", "100 %"])
  })
})
