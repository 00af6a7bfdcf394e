/** A line of waiters: what a newcomer is told of it, and who is asked when. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { World } from "effect-resilience-testing/World"
import { RateLimiter } from "../../src/index.ts"
import { int } from "../kernel/laws.ts"

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

  constructor(policy: RateLimiter.Policy<string>) {
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

  act({ gap, n, what }: Act): void {
    const { world } = this
    this.waiting = this.waiting.filter(({ fiber }) => fiber.pollUnsafe() === undefined)
    if (what < 12) this.waiting = [...this.waiting, this.arrive(1 + (n % 3), MAX_WAITS[what % 3]!)]
    else if (what < 15) this.waiting[n % this.waiting.length]?.fiber.interruptUnsafe()
    else if (what === 15) world.get(this.limiter.reset("a"))
    else if (what === 16) world.get(this.limiter.allow("a", { cost: 1 + (n % 3) }))
    else world.advance(gap)
    if (what !== 13) world.settle() // others meet who has not woken yet
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
  for (const [name, policy] of Object.entries(kinds)) {
    it.effect.prop(
      `of a ${name} is how long it waits, whatever became of those before`,
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
          for (const act of acts) line.act(act)
          const { seen: now } = line.arrive(cost, 1)
          const { seen: later } = line.arrive(cost, day)
          line.world.runOut()
          if (now.waited === undefined) assert.strictEqual(later.waited, now.told)
        }),
      { arbitrary: { runs: 200 } }
    )
  }
})
