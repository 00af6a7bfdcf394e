/** Everything that makes no sense is refused where it is written, by module and field. */
import { assert, describe, it } from "@effect/vitest"
import { Backoff, Retry } from "effect-resilience"
import { InvalidPolicyError } from "effect-resilience/Rejection"
import { Dependency, Report, Simulation, Traffic } from "../src/index.ts"

const one = Traffic.constant({ perSecond: 1 })
const up = Dependency.make({ latency: Dependency.constant(10) })
const span = { from: 0, to: 1_000 } as const
const down = (outage: unknown) =>
  Dependency.make({ latency: Dependency.constant(10), outages: [outage as Dependency.OutageOptions] })
const make = (options: object) => Dependency.make({ latency: Dependency.constant(10), ...options })
const run = (options: object) =>
  Simulation.run({ seed: 1, duration: 1_000, traffic: one, dependency: up, policies: {}, ...options })
const csv = (text: string, options: object = {}) => Traffic.fromCsv(text, { time: "t", unit: "millis", ...options })
const log = (line: string) =>
  Traffic.fromAccessLog(`h - - [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 1\n${line}`)

const refused: ReadonlyArray<readonly [message: string, build: () => unknown]> = [
  ["Traffic.constant: perSecond must be a finite number above 0 (got 0)", () => Traffic.constant({ perSecond: 0 })],
  ["Traffic.constant: perSecond must be a finite number above 0 (got NaN)", () => Traffic.constant({ perSecond: NaN })],
  [
    "Traffic.poisson: perSecond must be a finite number above 0 (got Infinity)",
    () => Traffic.poisson({ perSecond: Infinity })
  ],
  [
    "Traffic.bursts: size must be a whole number of at least 1 (got 1.5)",
    () => Traffic.bursts({ size: 1.5, every: 10 })
  ],
  ["Traffic.bursts: every must be at least 1 ms (got 0)", () => Traffic.bursts({ size: 1, every: 0 })],
  [
    "Traffic.bursts: within is longer than the time between two bursts (got 11)",
    () => Traffic.bursts({ size: 1, every: 10, within: 11 })
  ],
  ["Traffic.bursts: within must not be negative (got -1)", () => Traffic.bursts({ size: 1, every: 10, within: -1 })],
  ["Traffic.ramp: from must be a finite number at least 0 (got -1)", () => Traffic.ramp({ from: -1, to: 1, over: 10 })],
  [
    "Traffic.ramp: to must not be 0 where from is 0: nobody would ever call (got 0)",
    () => Traffic.ramp({ from: 0, to: 0, over: 10 })
  ],
  [
    "Traffic.ramp: over must be whole, finite milliseconds (got Infinity)",
    () => Traffic.ramp({ from: 1, to: 1, over: Infinity })
  ],
  [
    'Traffic.ramp: spacing must be "even" or "poisson" (got "odd")',
    () => Traffic.ramp({ from: 1, to: 1, over: 10, spacing: "odd" as "even" })
  ],
  ["Traffic.recorded: times must hold a call (got [])", () => Traffic.recorded([])],
  ["Traffic.recorded: times[1] must be a finite number (got NaN)", () => Traffic.recorded([1, NaN])],
  ["Traffic.recorded: times must be a list of milliseconds (got 5)", () => Traffic.recorded(5 as never)],
  ["Traffic.fromCsv: text must be a text (got 5)", () => csv(5 as never)],
  ['Traffic.fromCsv: text holds no row behind its header (got "t")', () => csv("t")],
  ['Traffic.fromCsv: time is not a column: the header has a, b (got "t")', () => csv("a,b\n1,2")],
  ['Traffic.fromCsv: key is not a column: the header has t (got "k")', () => csv("t\n1", { key: "k" })],
  ['Traffic.fromCsv: row 3 must have 1 cells, as the header has (got "2,3")', () => csv("t\n1\n2,3")],
  ['Traffic.fromCsv: row 3, t must be a time (millis) (got "soon")', () => csv("t\n1\nsoon")],
  ['Traffic.fromCsv: row 2, t must be a time (millis) (got " ")', () => csv("t\n \n")],
  [
    'Traffic.fromCsv: row 2, t must be a time (seconds) (got "Infinity")',
    () => csv("t\nInfinity", { unit: "seconds" })
  ],
  ['Traffic.fromCsv: row 2, t must be a time (iso) (got "yesterday")', () => csv("t\nyesterday", { unit: "iso" })],
  ['Traffic.fromCsv: row 2, t must be a time (iso) (got "5")', () => csv("t\n5", { unit: "iso" })],
  ['Traffic.fromCsv: row 2, t must be a time (iso) (got "2026-13-01")', () => csv("t\n2026-13-01", { unit: "iso" })],
  ['Traffic.fromCsv: unit must be "iso", "seconds" or "millis" (got "hours")', () => csv("t\n1", { unit: "hours" })],
  [
    'Traffic.fromCsv: delimiter must be one character, and no quote or line break (got "\\"")',
    () => csv("t\n1", { delimiter: '"' })
  ],
  ["Traffic.fromAccessLog: text must be a text (got undefined)", () => Traffic.fromAccessLog(undefined as never)],
  ['Traffic.fromAccessLog: text holds no call (got "\\n")', () => Traffic.fromAccessLog("\n")],
  ['Traffic.fromAccessLog: line 2 is not in the Common or Combined Log Format (got "hello")', () => log("hello")],
  [
    'Traffic.fromAccessLog: line 2 must be a time such as 10/Oct/2026:13:55:36 +0200 (got "10/Okt/2026:13:55:36 +0200")',
    () => log('h - - [10/Okt/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 1')
  ],
  [
    'Traffic.fromAccessLog: line 2 must be a time such as 10/Oct/2026:13:55:36 +0200 (got "32/Oct/2026:13:55:36 +0200")',
    () => log('h - - [32/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 1')
  ],
  [
    'Traffic.fromAccessLog: line 2 must be a time such as 10/Oct/2026:13:55:36 +0200 (got "now")',
    () => log('h - - [now] "GET / HTTP/1.1" 200 1')
  ],
  [
    'Traffic.fromAccessLog: key must be a function (got "host")',
    () => Traffic.fromAccessLog("", { key: "host" as never })
  ],
  ["Traffic.during: duration must be at least 1 ms (got 0)", () => Traffic.during(one, 0)],
  ["Traffic.during: self must be a traffic (got 5)", () => Traffic.during(5 as never, 1)],
  ['Traffic.delayed: duration must be a duration (got "soon")', () => Traffic.delayed(one, "soon" as never)],
  ["Traffic.delayed: duration must be a duration (got {})", () => Traffic.delayed(one, {} as never)],
  ['Traffic.concat: parts[0] never ends: cut it with during (got "1 calls/s")', () => Traffic.concat(one, one)],
  ["Traffic.merge: parts[1] must be a traffic (got null)", () => Traffic.merge(one, null as never)],
  [
    'Traffic.keyed: keys must be made by uniformKeys, zipfKeys, oneKey or keysFrom (got "a")',
    () => Traffic.keyed(one, "a" as never)
  ],
  ["Traffic.uniformKeys: count must be a whole number of at least 1 (got 0)", () => Traffic.uniformKeys({ count: 0 })],
  [
    "Traffic.zipfKeys: exponent must be a finite number above 0 (got 0)",
    () => Traffic.zipfKeys({ count: 1, exponent: 0 })
  ],
  ['Traffic.keysFrom: keyOf must be a function (got "a")', () => Traffic.keysFrom("", "a" as never)],
  ["Dependency.constant: duration must not be negative (got -1)", () => Dependency.constant(-1)],
  ["Dependency.constant: duration must be whole, finite milliseconds (got 0.5)", () => Dependency.constant(0.5)],
  ["Dependency.uniform: max is shorter than min (got 1)", () => Dependency.uniform({ min: 2, max: 1 })],
  ["Dependency.exponential: mean must be at least 1 ms (got 0)", () => Dependency.exponential({ mean: 0 })],
  ["Dependency.lognormal: p99 is shorter than the median (got 1)", () => Dependency.lognormal({ median: 2, p99: 1 })],
  ["Dependency.recorded: times must hold a time (got [])", () => Dependency.recorded([])],
  ["Dependency.recorded: times[0] must be a finite number at least 0 (got -1)", () => Dependency.recorded([-1])],
  ["Dependency.make: latency must be a latency of this module (got 10)", () => make({ latency: 10 })],
  ["Dependency.make: errorRate must be a finite number at least 0 and at most 1 (got 2)", () => make({ errorRate: 2 })],
  [
    "Dependency.make: capacity.concurrency must be a whole number of at least 1 (got 0)",
    () => make({ capacity: { concurrency: 0 } })
  ],
  [
    "Dependency.make: capacity.queue must be a whole number of at least 0 (got -1)",
    () => make({ capacity: { concurrency: 1, queue: -1 } })
  ],
  ["Dependency.make: error must be a function (got 5)", () => make({ error: 5 })],
  ["Dependency.make: outages must be a list of outages (got {})", () => make({ outages: {} })],
  [
    'Dependency.make: outages[0].mode must be "fails", "slow" or "hangs" (got "naps")',
    () => down({ ...span, mode: "naps" })
  ],
  ["Dependency.make: outages[0].to must be later than from (got 5)", () => down({ from: 5, to: 5, mode: "fails" })],
  [
    "Dependency.make: outages[0].share must be a finite number above 0 and at most 1 (got 0)",
    () => down({ ...span, mode: "fails", share: 0 })
  ],
  [
    "Dependency.make: outages[0].factor must be a finite number above 0 (got undefined)",
    () => down({ ...span, mode: "slow" })
  ],
  [
    "Dependency.make: outages[0].recovery must not be negative (got -1)",
    () => down({ ...span, mode: "hangs", recovery: -1 })
  ],
  [
    "Dependency.make: outages[0].after must not be negative (got -1)",
    () => down({ ...span, mode: "fails", after: -1 })
  ],
  ["Simulation.run: seed must be a text or a finite number (got NaN)", () => run({ seed: NaN })],
  ["Simulation.run: duration must be at least 1 ms (got 0)", () => run({ duration: 0 })],
  ["Simulation.run: traffic must be a traffic (got {})", () => run({ traffic: {} })],
  ["Simulation.run: dependency must be made by Dependency.make (got undefined)", () => run({ dependency: undefined })],
  ["Simulation.run: patience must be at least 1 ms (got 0)", () => run({ patience: 0 })],
  ["Simulation.run: title must be a text (got 5)", () => run({ title: 5 })],
  ["Simulation.run: policies must be policies, or a service made of them (got null)", () => run({ policies: null })],
  ["Simulation.run: without must be policies, or a service made of them (got true)", () => run({ without: true })],
  ["Resilience: timeout must be at least 1 millisecond (got 0)", () => run({ policies: { timeout: 0 } })],
  ['Resilience: admission must be "call" or "attempt" (got "never")', () => run({ without: { admission: "never" } })],
  [
    "Report.toSvg: width must be a whole number of at least 1000 (got 10)",
    () => Report.toSvg({} as never, { width: 10 })
  ],
  [
    "Report.toHtml: width must be a whole number of at least 1000 (got 1000.5)",
    () => Report.toHtml({} as never, { width: 1000.5 })
  ]
]

describe("bad input", () => {
  for (const [message, build] of refused) {
    it(`is refused: ${message}`, () => {
      let thrown: unknown
      try {
        build()
      } catch (error) {
        thrown = error
      }
      assert.instanceOf(thrown, InvalidPolicyError)
      assert.strictEqual((thrown as Error).message, message)
    })
  }

  it("what is odd but makes sense is taken", () => {
    run({ seed: "a day in May", policies: { retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(0) }) } })
    down({ ...span, mode: "fails", share: 1, after: 0, recovery: 0 })
    Traffic.ramp({ from: 0, to: 0.1, over: 1 })
    Traffic.bursts({ size: 1, every: 10, within: 10 })
    Dependency.uniform({ min: 0, max: 0 })
    Traffic.concat(one)
  })
})
