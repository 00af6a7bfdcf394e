/** Several processes that take tokens ahead, in virtual time: what all of them spend keeps the limit's bound. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { RateLimiter } from "effect-resilience"
import { lease } from "effect-resilience/kernel/Lease"
import { type TokenBucketPolicy, type TokenBucketReceipt, tokenBucket } from "effect-resilience/kernel/TokenBucket"
import { Line, type Question, type Spent } from "../src/internal/leaseLine.ts"
import { type Draw, drawsOf, pick } from "./random.ts"

/** `LEASE_SEED` repeats a run. */
const seed = Number(process.env["LEASE_SEED"] ?? Effect.runSync(Random.nextIntBetween(0, 2 ** 31)))
const RUNS = 300
const STEPS = 400

interface Settings {
  readonly limit: number
  readonly window: number
  readonly burst: number
  readonly duration: number
  readonly share: number
}

/** Drawn so that the lowered burst is often 1, and often the share all of it. */
const settingsOf = (draw: Draw): Settings => {
  const limit = 1 + draw(pick(draw, [5, 50, 500]))
  const window = 1 + draw(pick(draw, [10, 100, 1_000]))
  const duration = 1 + draw(pick(draw, [5, 50, 300]))
  const late = Math.ceil((limit * duration) / window)
  const left = 1 + draw(pick(draw, [1, 10, 100]))
  return { limit, window, burst: late + left, duration, share: 1 + draw(left) }
}

/** The bucket on its server, as a store asks it. */
class Bucket {
  private state = tokenBucket.initial({ limit: 1, window: 1, burst: 1 })
  private readonly policy: TokenBucketPolicy
  trips = 0
  constructor(policy: TokenBucketPolicy) {
    this.policy = policy
  }
  lease(question: Question, now: number) {
    this.trips++
    const [answer, state] = lease.step(this.policy, this.state, question, now)
    this.state = state
    return answer
  }
  refund(receipts: ReadonlyArray<TokenBucketReceipt>, now: number): void {
    for (const receipt of receipts) {
      this.trips++
      this.state = tokenBucket.step(this.policy, this.state, { op: "refund", receipt }, now)[1]
    }
  }
}

interface Trip {
  readonly question: Question
  readonly costs: ReadonlyArray<number>
  answer: { readonly at: number; readonly really: number; readonly decision: ReturnType<Bucket["lease"]> } | undefined
}

/** A process: its clock is minutes off, and its trips take their time on the way there, and back. */
class Process {
  line: Line
  trip: Trip | undefined
  /** What calls hold that may still give it back. */
  readonly open: Array<{ readonly spent: Spent; readonly entry: Entry }> = []
  readonly offset: number
  constructor(line: Line, offset: number) {
    this.line = line
    this.offset = offset
  }
}

interface Entry {
  readonly at: number
  units: number
}

const lineOf = (settings: Settings) => {
  const limit = RateLimiter.tokenBucket({ ...settings, lease: settings })
  return { line: new Line(limit.spec.policy as TokenBucketPolicy, limit.spec.lease!), policy: limit.spec.policy }
}

/** In every span of whole milliseconds that begins or ends with an admission: by how much it is above the bound. */
const worstOf = (entries: ReadonlyArray<Entry>, { burst, limit, window }: Settings) => {
  const sorted = entries.filter(({ units }) => units > 0).toSorted((a, b) => a.at - b.at)
  let worst = -Infinity
  for (let last = 0; last < sorted.length; last++) {
    let units = 0
    for (let first = last; first >= 0; first--) {
      units += sorted[first]!.units
      const span = Math.ceil(sorted[last]!.at - sorted[first]!.at)
      worst = Math.max(worst, units - burst - Math.floor((limit * span) / window))
    }
  }
  return worst
}

const play = (draw: Draw, settings: Settings) => {
  const server = new Bucket(lineOf(settings).policy as TokenBucketPolicy)
  const fresh = () => new Process(lineOf(settings).line, (draw(7) - 3) * 100_000)
  const processes = Array.from({ length: 1 + draw(5) }, fresh)
  const entries: Array<Entry> = []
  let now = 1_800_000_000_000
  const admit = (process: Process, spent: Spent, at: number, units: number) => {
    const entry = { at, units }
    entries.push(entry)
    process.open.push({ spent, entry })
  }
  for (let step = 0; step < STEPS; step++) {
    now += draw(3) === 0 ? draw(pick(draw, [3, 30, settings.duration + 1])) / pick(draw, [1, 1, 4]) : 0
    const at = Math.floor(now)
    const which = draw(processes.length)
    const process = processes[which]!
    const here = now + process.offset
    const { line, trip } = process
    const what = draw(100)
    if (trip !== undefined && what < 40) {
      if (trip.answer === undefined) trip.answer = { at, really: now, decision: server.lease(trip.question, at) }
      else {
        process.trip = undefined
        const lease = line.hear(trip.question, trip.answer.decision, trip.answer.at)
        for (const cost of trip.costs) {
          const spent = line.take(cost, here, lease)
          // the server let these through, when it did
          if (spent !== undefined) admit(process, spent, trip.answer.really, cost)
          else assert.isAbove(line.refused(cost, here).retryAfter, 0)
        }
      }
    } else if (what < 85) {
      const costs = Array.from({ length: 1 + draw(4) }, () => (draw(4) === 0 ? 1 + draw(settings.share) : 1))
      const waits = costs.filter((cost) => {
        const spent = line.take(cost, here)
        if (spent !== undefined) admit(process, spent, now, cost)
        return spent === undefined && line.refuse(cost, here) === undefined
      })
      if (waits.length > 0 && trip === undefined) {
        const question = line.ask(waits, here, true)
        // no more was of use, but the bound does not stand on that
        const most = draw(2) === 0 ? question.most : question.most + draw(settings.share + 1)
        process.trip = { question: { ...question, most }, costs: waits, answer: undefined }
      }
    } else if (what < 90 && process.open.length > 0) {
      // a call gives back what it did not use
      const [given] = process.open.splice(draw(process.open.length), 1)
      given!.entry.units = 0
      server.refund(line.giveBack(given!.spent, here), at)
    } else if (what < 97) server.refund(line.end(here), at)
    else if (what < 98) server.refund(line.end(Infinity), at)
    else processes[which] = fresh() // killed
    if (process.open.length > 5) process.open.shift()
  }
  return { entries, trips: server.trips }
}

describe(`tokens taken ahead (LEASE_SEED=${seed})`, () => {
  it("keep the stated bound in every span, over all processes, whatever they spend, give back, or take with them", () => {
    const draw = drawsOf(seed)
    let admitted = 0
    let nearest = -Infinity
    for (let run = 0; run < RUNS; run++) {
      const settings = settingsOf(draw)
      const { entries } = play(draw, settings)
      const worst = worstOf(entries, settings)
      nearest = Math.max(nearest, worst)
      admitted += entries.length
      assert.isAtMost(worst, 0, `run ${run}: ${JSON.stringify(settings)}`)
    }
    assert.isAbove(admitted, RUNS * 20)
    assert.isAtLeast(nearest, -1, "no run came near the bound: this test would see nothing")
  })

  const settings = { limit: 100, window: 1_000, burst: 100, duration: 200, share: 20 }

  it("are a burst of what the bucket has, to the last one, in few trips", () => {
    const { line, policy } = lineOf(settings)
    const server = new Bucket(policy as TokenBucketPolicy)
    let spent = 0
    for (let i = 0; i < 200; i++) {
      if (line.take(1, 0) === undefined) {
        if (line.refuse(1, 0) !== undefined) break
        const question = line.ask([1], 0, true)
        const lease = line.hear(question, server.lease(question, 5_000), 5_000)
        if (line.take(1, 0, lease) === undefined) break
      }
      spent++
    }
    assert.strictEqual(spent, 80)
    assert.isAtMost(server.trips, 9)
  })

  it("are spent until the last moment, and then the burst is whole again, and no more", () => {
    const server = new Bucket(lineOf(settings).policy as TokenBucketPolicy)
    const { line } = lineOf(settings)
    const question = { cost: 1, most: 1_000, sentAt: -1 }
    line.hear(question, server.lease(question, 5_000), 5_000)
    assert.isUndefined(line.take(80, 198.81), "a thousandth is for the pace of clocks")
    assert.isDefined(line.take(80, 198.79))
    assert.strictEqual(server.lease({ cost: 1, most: 1_000, sentAt: 0 }, 5_200).receipt.cost, 20)
  })

  it("are given back as if they had not been taken, in parts or whole", () => {
    const { line, policy } = lineOf(settings)
    const server = new Bucket(policy as TokenBucketPolicy)
    const question = line.ask([3, 4, 5], 0, true)
    line.hear(question, server.lease(question, 5_000), 5_000)
    const calls = [3, 4, 5].map((cost) => line.take(cost, 0)!)
    assert.deepStrictEqual(line.end(Infinity), [])
    for (const call of calls) server.refund(line.giveBack(call, Infinity), 5_000)
    assert.strictEqual(server.lease({ cost: 80, most: 80, sentAt: 0 }, 5_000).receipt.cost, 80)
    assert.strictEqual(server.lease({ cost: 1, most: 1, sentAt: 0 }, 5_000).receipt.cost, 0)
  })

  it("are as many as were of use", () => {
    const { line, policy } = lineOf(settings)
    const server = new Bucket(policy as TokenBucketPolicy)
    const mosts: Array<number> = []
    const trip = (now: number) => {
      const question = line.ask([1], now, true)
      mosts.push(question.most)
      const lease = line.hear(question, server.lease(question, now), now)
      assert.isDefined(line.take(1, now, lease))
    }
    for (let now = 0; now < 5; now++) {
      trip(now)
      while (line.take(1, now) !== undefined);
    }
    assert.deepStrictEqual(mosts, [1, 2, 3, 5, 9], "each time all were spent")
    trip(5)
    line.end(500)
    trip(500)
    assert.deepStrictEqual(mosts.slice(5), [17, 1], "of the last, one was spent")
  })

  it("are refused where the bucket is known to be empty, but no longer than a lease", () => {
    const { line, policy } = lineOf(settings)
    const server = new Bucket(policy as TokenBucketPolicy)
    server.lease({ cost: 80, most: 80, sentAt: 0 }, 5_000)
    const question = line.ask([1], 0, true)
    assert.isUndefined(line.hear(question, server.lease(question, 5_000), 5_000))
    assert.strictEqual(line.refuse(1, 0)?.retryAfter, 10)
    assert.strictEqual(line.refuse(1, 4)?.retryAfter, 6)
    assert.isUndefined(line.refuse(1, 10))
    assert.strictEqual(line.refuse(60, 100)?.retryAfter, 500)
    assert.isUndefined(line.refuse(60, 200), "somebody may have given back")
    assert.strictEqual(line.refuse(81, 0)?.retryAfter, -1)
  })
})
