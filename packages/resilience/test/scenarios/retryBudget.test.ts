/**
 * An overload that feeds itself: 100 calls a second on a server of ten workers that need 80 ms each, so 125 a second. For ten
 * seconds it is ten times slower. Its queue has no bound, and it does not know which callers have given up.
 *
 * The simulation that the numbers come from is `engine/budget.mjs` of the spikes; this is the same through the library.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Random } from "effect"
import { World } from "effect-resilience-testing/World"
import { Resilience, Retry, RetryBudget } from "../../src/index.ts"

/** Mulberry32. */
const numbers = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
}

interface Setup {
  readonly budget: RetryBudget.Policy | undefined
  readonly arrivals: "poisson" | "regular"
  readonly seed: number
  readonly workers?: number
  /** The part of the requests that fail, independently of each other. */
  readonly fails?: number
  readonly slow?: boolean
}

const SECONDS = 240

/** Calls that succeeded and failed, by the second in which they ended, and the requests that were sent. */
const play = ({ arrivals, budget, fails = 0, seed, slow = true, workers: free = 10 }: Setup) => {
  const next = numbers(seed)
  const random = { nextDoubleUnsafe: next, nextIntUnsafe: () => Math.floor(next() * 2 ** 31) }
  const world = new World({ maxTurns: Infinity, context: Context.make(Random.Random, random) })
  const start = world.now
  const ended = Array.from({ length: SECONDS + 20 }, () => ({ good: 0, bad: 0 }))
  const counts = { sent: 0 }

  const queue: Array<() => void> = []
  let workers = free
  let head = 0
  const work = (): void => {
    while (workers > 0 && head < queue.length) {
      const answer = queue[head]!
      queue[head++] = idle
      workers--
      const at = world.now - start
      world.at(world.now + (slow && at >= 60_000 && at < 70_000 ? 800 : 80), () => {
        workers++
        answer()
        work()
      })
    }
  }
  const request = Effect.callback<void, "no">((resume) => {
    counts.sent++
    queue.push(() => resume(fails > 0 && next() < fails ? Effect.fail("no") : Effect.void))
    work()
  })
  const { resilient } = world.get(
    Resilience.make("app/Shop", {
      attemptTimeout: "1 second",
      retry: Retry.policy({ maxAttempts: 3, ...(budget && { budget }) })
    })
  )
  const call = Effect.onExitPrimitive(resilient(request, "k"), (exit) => {
    const second = ended[Math.min(ended.length - 1, Math.floor((world.now - start) / 1_000))]!
    if (exit._tag === "Success") second.good++
    else second.bad++
    return undefined
  })
  let arrives = 0
  const arrive = (): void => {
    world.fork(call)
    arrives += arrivals === "poisson" ? -Math.log(1 - next()) * 10 : 10
    if (arrives < SECONDS * 1_000) world.at(start + Math.round(arrives), arrive)
  }
  world.at(start, arrive)
  world.advance((SECONDS + 20) * 1_000)
  const success = (from: number, to: number): number => {
    const seen = ended.slice(from, to)
    const good = seen.reduce((sum, { good }) => sum + good, 0)
    return good / (good + seen.reduce((sum, { bad }) => sum + bad, 0))
  }
  return { success, sent: counts.sent }
}
const idle = () => {}

const setups = (["poisson", "regular"] as const).flatMap((arrivals) =>
  [1, 2, 3].map((seed) => ({ arrivals, seed }) as const)
)

describe("a server that was slow for ten seconds", () => {
  for (const setup of setups) {
    const name = `${setup.arrivals} arrivals, seed ${setup.seed}`
    it(`never recovers from retries without a budget: ${name}`, () => {
      const { success } = play({ ...setup, budget: undefined })
      assert.strictEqual(success(0, 60), 1)
      assert.isBelow(success(100, SECONDS), 0.01)
    })
    it(`recovers within 140 seconds with one: ${name}`, () => {
      const { success } = play({ ...setup, budget: RetryBudget.policy() })
      assert.strictEqual(success(0, 60), 1)
      assert.strictEqual(success(140, SECONDS), 1)
    })
  }
})

it("a share of 20 % does not let a server recover that has room for 25 %, and a share of 10 % does", () => {
  const of = (percent: number) =>
    play({ arrivals: "poisson", seed: 1, budget: RetryBudget.share({ percent, minPerSecond: 0 }) })
  assert.isBelow(of(20).success(100, SECONDS), 0.01)
  assert.strictEqual(of(10).success(145, SECONDS), 1)
})

describe("one request in five fails, on a server with room", () => {
  for (const setup of setups) {
    it(`and the budget costs no success: ${setup.arrivals} arrivals, seed ${setup.seed}`, () => {
      const of = (budget: RetryBudget.Policy | undefined) =>
        play({ ...setup, budget, fails: 0.2, slow: false, workers: 100 })
      const [without, within] = [of(undefined), of(RetryBudget.policy())]
      assert.isAtLeast(within.success(0, SECONDS + 20), 0.99)
      assert.strictEqual(within.success(0, SECONDS + 20), without.success(0, SECONDS + 20))
    })
  }
})

it("three requests in ten fail: the budget ends retries", () => {
  const setup = { arrivals: "poisson", seed: 1, fails: 0.3, slow: false, workers: 100 } as const
  const [without, within] = [undefined, RetryBudget.policy()].map((budget) => play({ ...setup, budget }))
  assert.isAtLeast(without!.success(0, SECONDS), 0.97)
  assert.isBelow(within!.success(0, SECONDS), 0.85)
})
