/**
 * Ten thousand calls that wait: until all are through, and until one of them gives up.
 */
import Bottleneck from "bottleneck"
import { bulkhead as cockatielBulkhead } from "cockatiel"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Semaphore from "effect/Semaphore"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { compare, OURS, resultOf, YARDSTICK } from "../compare.ts"
import type { Case, Effort, Result } from "../model.ts"
import { key } from "../peers/numbers.ts"
import { seeded } from "../random.ts"
import { type Contestant, sample, samplingOf } from "../sample.ts"

const WAITERS = 10_000
const SEMAPHORE = "Semaphore, one permit"

/** Few and long: a sample lets all of them through. */
const sampling = ({ short }: Effort) => ({ samples: short ? 2 : 11, warmUpMillis: short ? 1 : 1_000 })

type Guard = <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, unknown>

const counted = () => {
  const count = { served: 0 }
  const work = Effect.sync(() => {
    count.served++
  })
  const check = () => {
    if (count.served !== WAITERS) throw new Error(`${count.served} of ${WAITERS} were served`)
  }
  return { work, check }
}

/** One call is inside until all others wait; then each lets the next one in. */
const handedOn = (name: string, guard: Guard): Contestant => ({
  name,
  calls: WAITERS,
  batch: async () => {
    const { check, work } = counted()
    const opens = Deferred.makeUnsafe<void>()
    const first = Effect.runFork(guard(Deferred.await(opens)))
    const waiting = Array.from({ length: WAITERS }, () => Effect.runFork(guard(work)))
    Deferred.doneUnsafe(opens, Effect.void)
    await Effect.runPromise(Effect.andThen(Fiber.join(first), Fiber.joinAll(waiting)))
    check()
  }
})

/** Nobody gets anything until all wait; then there is enough for all. */
const freed = (
  name: string,
  take: Effect.Effect<unknown, unknown>,
  exhaust: Effect.Effect<unknown, unknown>,
  free: Effect.Effect<unknown>
): Contestant => ({
  name,
  calls: WAITERS,
  batch: async () => {
    const { check, work } = counted()
    await Effect.runPromise(exhaust)
    const waiting = Array.from({ length: WAITERS }, () => Effect.runFork(Effect.andThen(take, work)))
    await Effect.runPromise(Effect.andThen(free, Fiber.joinAll(waiting)))
    check()
  }
})

/** The same, with promises. */
const promised = (name: string, calls: number, make: () => (work: () => void) => Promise<void>): Contestant => ({
  name,
  calls,
  batch: async () => {
    const guard = make()
    let served = 0
    await Promise.all(Array.from({ length: calls }, () => guard(() => void served++)))
    if (served !== calls) throw new Error(`${name}: ${served} of ${calls} were served`)
  }
})

const makeLimiter = () =>
  Effect.runSync(
    RateLimiter.make(
      // a token comes back every three minutes: nobody gets one before all wait
      RateLimiter.tokenBucket({ limit: WAITERS, window: "20 days", maxWait: "24 days", maxQueued: 2 * WAITERS })
    )
  )

const makeBulkhead = () =>
  Effect.runSync(Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, maxQueued: 2 * WAITERS, maxWait: "1 day" })))

const promisedPeers = [
  // it waits for a timer of Node's between two jobs, so ten thousand would take half a minute
  promised("bottleneck, maxConcurrent 1, 300 waiters", 300, () => {
    const limiter = new Bottleneck({ maxConcurrent: 1 })
    return (work) => limiter.schedule(async () => work())
  }),
  promised("cockatiel's bulkhead, 1", WAITERS, () => {
    const policy = cockatielBulkhead(1, WAITERS)
    return (work) => policy.execute(async () => work())
  })
]

export const waiters: Case = {
  id: "waiters",
  run: async (effort) => {
    const permit = Semaphore.makeUnsafe(1)
    const many = Semaphore.makeUnsafe(WAITERS)
    const limiter = makeLimiter()
    const reset = Effect.orDie(limiter.reset(key)) // in memory it does not fail
    const slots = makeBulkhead()
    const LIMITER = "our limiter"
    const BULKHEAD = "our bulkhead"
    const FREED = "Semaphore, all permits released at once"
    const figures = await sample(
      [
        handedOn(SEMAPHORE, permit.withPermits(1)),
        freed(LIMITER, limiter.acquire(key), Effect.andThen(reset, limiter.acquire(key, { cost: WAITERS })), reset),
        freed(FREED, many.take(1), Effect.andThen(many.releaseAll, many.take(WAITERS)), many.release(WAITERS)),
        handedOn(BULKHEAD, (self) => slots.execute(self)),
        ...promisedPeers
      ],
      { ...samplingOf(effort), ...sampling(effort) }
    )
    const bars = { [SEMAPHORE]: 0.2 }
    const said = `${WAITERS.toLocaleString("en-US")} waiters on one`
    const peers = promisedPeers.map(({ name }) => name)
    return [
      resultOf(`${said} limiter, drained, each`, figures, LIMITER, [SEMAPHORE, FREED], bars),
      resultOf(`${said} bulkhead, drained, each`, figures, BULKHEAD, [SEMAPHORE, ...peers], bars)
    ]
  }
}

/**
 * "Does not grow": with ten times as many waiters it may take twice as long. What grows is the memory in which they lie,
 * which the caches do not hold any more; it is the same for `Semaphore`, whose line is a `Set`.
 *
 * A line of so many waiters, filled up before each batch, of whom some are interrupted one by one.
 */
const interrupted = (name: string, size: number, wait: Effect.Effect<unknown, unknown>): Contestant => {
  const random = seeded(size)
  const line: Array<Fiber.Fiber<unknown, unknown>> = []
  return {
    name,
    calls: 50,
    prepare: () => {
      while (line.length < size) line.push(Effect.runFork(wait))
    },
    batch: async (calls) => {
      for (let i = 0; i < calls; i++) {
        const at = Math.floor(random() * line.length)
        const one = line[at]!
        line[at] = line.at(-1)! // not `splice`, which would grow with the line
        line.pop()
        one.interruptUnsafe()
        const exit = one.pollUnsafe() ?? (await Effect.runPromise(Fiber.await(one)))
        if (exit._tag === "Success") throw new Error(`${name}: it did not wait`)
      }
    }
  }
}

export const interrupts: Case = {
  id: "interrupts",
  run: async (effort) => {
    const among = (waiters: number) => `among ${waiters.toLocaleString("en-US")}`
    const ours = (waiters: number) => `${OURS}, ${among(waiters)}`
    const sizes = [WAITERS, 1_000, 100]
    const sampling = { samples: effort.short ? 20 : 100, warmUpMillis: 300 }
    const results: Array<Result> = []

    const measure = async (title: string, make: () => Effect.Effect<unknown, unknown>) => {
      const contestants = sizes.flatMap((size) => [
        interrupted(ours(size), size, make()),
        interrupted(
          `${size === WAITERS ? "" : YARDSTICK}Semaphore, ${among(size)}`,
          size,
          Semaphore.makeUnsafe(0).take(1)
        )
      ])
      results.push(await compare(title, effort, contestants, { [ours(1_000)]: 2 }, { ours: ours(WAITERS), sampling }))
    }
    await measure(`interrupting one of ${WAITERS.toLocaleString("en-US")} waiters on a limiter`, () => {
      const limiter = makeLimiter()
      Effect.runSync(limiter.acquire(key, { cost: WAITERS }))
      return limiter.acquire(key)
    })
    await measure(`interrupting one of ${WAITERS.toLocaleString("en-US")} waiters on a bulkhead`, () => {
      const slots = makeBulkhead()
      Effect.runFork(slots.execute(Effect.never))
      return slots.execute(Effect.void)
    })
    return results
  }
}
