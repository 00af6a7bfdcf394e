/**
 * What keys weigh, what calls allocate, and what is left when keys went idle.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { EFFECT, FLOOR, OURS } from "../compare.ts"
import { allocatedBy, settledHeap, watchCollector } from "../heap.ts"
import { makeKeys } from "../keys.ts"
import { awaited, inSyncFiber } from "../loops.ts"
import { makeManualClock } from "../manualClock.ts"
import type { Case, Line, Result } from "../model.ts"
import * as effectParts from "../peers/effectParts.ts"
import { makeFloor, makeFloorLimiter } from "../peers/floor.ts"
import { key, limit, windowMillis } from "../peers/numbers.ts"
import * as ours from "../peers/ours.ts"
import { makeCockatiel } from "../peers/promises.ts"
import type { Contestant } from "../sample.ts"
import { median } from "../statistics.ts"

const day = { limit: 1_000, windowMillis: 86_400_000 }
const window = { limit: day.limit, window: day.windowMillis }

const limiters = {
  tokenBucket: RateLimiter.tokenBucket(window),
  leakyBucket: RateLimiter.leakyBucket({ ...window, capacity: day.limit }),
  fixedWindow: RateLimiter.fixedWindow(window),
  slidingWindow: RateLimiter.slidingWindow(window),
  slidingLog: RateLimiter.slidingLog(window)
}

/** Bytes for each key after its first call. Keys themselves are not counted, as whoever calls has them. */
export const keyBytes: Case = {
  id: "key-bytes",
  flags: ["--expose-gc"],
  run: async ({ short }) => {
    // a quarter of a million fills the tables of the index as much as a million does
    const keys = makeKeys(short ? 250_000 : 1_000_000)
    const weigh = async (allow: (key: string) => Effect.Effect<unknown, unknown>): Promise<number> => {
      Effect.runSync(allow("warm"))
      const before = await settledHeap()
      for (const key of keys) Effect.runSync(allow(key))
      const after = await settledHeap()
      Effect.runSync(allow("warm")) // it is still in use
      return (after - before) / keys.length
    }
    const floor = await weigh(makeFloorLimiter(day))
    const effects = effectParts.makeServices().limiter
    const consumed = await weigh((key) => effects.consume(effectParts.consumeOptions(key, day)))
    const results: Array<Result> = []
    for (const [name, policy] of Object.entries(limiters).slice(0, short ? 1 : undefined)) {
      const figure = { name: OURS, value: await weigh(Effect.runSync(RateLimiter.make(policy)).allow) }
      const first = name === "tokenBucket"
      const lines: Array<Line> = [{ ours: figure, unit: "bytes", bar: first ? 130 : undefined }]
      if (first) {
        lines.push({ ours: figure, unit: "bytes", theirs: { name: FLOOR, value: floor } })
        lines.push({ ours: figure, unit: "bytes", theirs: { name: "Effect's RateLimiter", value: consumed } })
      }
      results.push({ title: `memory of a live key, \`${name}\`, index included`, lines })
    }
    return results
  }
}

/** Bytes allocated for a call in which all passes. */
export const callBytes: Case = {
  id: "call-bytes",
  onlyFull: true,
  flags: ["--expose-gc", "--min-semi-space-size=256", "--max-semi-space-size=256"],
  run: async () => {
    const calls = 10_000
    const measure = async ({ batch }: Contestant): Promise<number> => {
      for (let i = 0; i < 10; i++) await batch(calls)
      const rounds: Array<number> = []
      for (let i = 0; i < 15; i++) rounds.push((await allocatedBy(() => batch(calls))) / calls)
      return median(rounds)
    }
    const table = async (title: string, [us, ...others]: readonly [Contestant, ...ReadonlyArray<Contestant>]) => {
      const figure = { name: us.name, value: await measure(us) }
      const lines: Array<Line> = []
      for (const other of others) {
        lines.push({ ours: figure, unit: "bytes", theirs: { name: other.name, value: await measure(other) } })
      }
      return { title, lines }
    }
    const sync = Effect.sync(() => 1)
    const one = (a: number) => a === 1
    const yes = (allowed: boolean) => allowed
    const pipeline = ours.makePipeline()
    const floor = makeFloor({ limit, windowMillis })
    const parts = effectParts.makePipeline()
    const cockatiel = makeCockatiel()
    const limiter = Effect.runSync(RateLimiter.make(ours.tokenBucket()))
    const floorLimiter = makeFloorLimiter({ limit, windowMillis })
    const effects = effectParts.makeServices().limiter
    return [
      await table("allocated by a call through breaker + token bucket + retry, built per call", [
        inSyncFiber(OURS, () => pipeline(sync, key), one),
        inSyncFiber(FLOOR, () => floor(sync, key), one),
        inSyncFiber(EFFECT, () => parts(sync, key), one),
        awaited("cockatiel + rate-limiter-flexible, awaited", () => cockatiel<number>(() => 1, key), one)
      ]),
      await table("allocated by `allow` on a warm key, built per call", [
        inSyncFiber(OURS, () => limiter.allow(key), yes),
        inSyncFiber(FLOOR, () => floorLimiter(key), yes),
        inSyncFiber(
          "Effect's RateLimiter.consume",
          () => effects.consume(effectParts.consumeOptions(key)),
          ({ remaining }) => remaining > 0
        )
      ])
    ]
  }
}

const CALLS = 50_000

/** A million keys come, go idle, and are forgotten by the calls on another key. Time is virtual. */
export const idle: Case = {
  id: "idle",
  flags: ["--expose-gc"],
  run: async ({ short }) => {
    const count = short ? 200_000 : 1_000_000
    const runs = short ? 2 : 5
    /** The least that each step took in any of the runs, which all do the same, less what the collector took of it. */
    const least = new Float64Array(count + CALLS).fill(Infinity)
    const grown: Array<number> = []
    const full: Array<number> = []
    for (let run = 0; run < runs; run++) {
      const clock = makeManualClock()
      const runSync = Effect.runSyncWith(Context.make(Clock.Clock, clock))
      const pipeline = ours.makePipeline(day)
      const work = Effect.sync(() => 1)
      const call = (key: string) => {
        if (runSync(pipeline(work, key)) !== 1) throw new Error("a call came out wrong")
      }
      const away = 2 * (day.windowMillis / day.limit) // a token is back before
      const later = () => (clock.now += 2 * day.windowMillis)
      const long: Array<{ readonly i: number; readonly from: number; readonly to: number }> = []
      const step = (i: number, key: string) => {
        const from = performance.now()
        call(key)
        const to = performance.now()
        if (to - from > 0.5) long.push({ i, from, to })
        else least[i] = Math.min(least[i]!, to - from)
      }
      for (let i = 0; i < 5_000; i++) call(`warm:${i % 100}`)
      later()
      for (let i = 0; i < 5_000; i++) {
        clock.now += away
        call("warm")
      }
      const start = await settledHeap()
      const collector = watchCollector()
      for (let i = 0; i < count; i++) step(i, `user:${i}`)
      full.push((await settledHeap()) / start)
      later()
      for (let i = 0; i < CALLS; i++) {
        clock.now += away
        step(count + i, "busy")
      }
      const collected = await collector.stop()
      for (const { from, i, to } of long) least[i] = Math.min(least[i]!, to - from - collected(from, to))
      grown.push(((await settledHeap()) / start - 1) * 100)
      call("busy") // all of it is still in use
    }
    if (median(full) < 2) throw new Error("the keys were never there")
    const said = `${count.toLocaleString("en-US")} keys`
    const called = CALLS.toLocaleString("en-US")
    const growth: Line = { ours: { name: OURS, value: Math.max(0, median(grown)) }, unit: "%", bar: 5 }
    const longest = least.reduce((a, b) => Math.max(a, b), 0)
    const step: Line = { ours: { name: OURS, value: longest * 1e6 }, unit: "ns", bar: 5e6 }
    return [
      { title: `heap above the start, ${called} calls after ${said} went idle`, lines: [growth] },
      { title: `longest step while ${said} come, and while they are forgotten`, lines: [step] }
    ]
  }
}
