/**
 * Run by `cutKeys.test.ts` in a process of its own, with `--expose-gc`: uses keys that were cut out of large strings, and
 * prints how many bytes are reachable afterwards.
 */
import { Effect } from "effect"
import { CircuitBreaker, RateLimiter } from "effect-resilience"

const limit = { limit: 10, window: "1 hour" } as const
const collect = async (): Promise<number> => {
  for (let i = 0; i < 4; i++) {
    globalThis.gc!()
    await Effect.runPromise(Effect.yieldNow)
  }
  return process.memoryUsage().heapUsed
}

/** The last 20 characters of half a megabyte, as of a header or a body that was read whole. */
const cut = (i: number): string => {
  const whole = Buffer.alloc(500_000, "x").toString("latin1") + `user:${String(i).padStart(15, "0")}`
  Reflect.get([whole.charCodeAt(500_001)], 0) // which makes it one flat string
  return whole.slice(-20)
}

const limiter = (options: object = {}) => RateLimiter.make(RateLimiter.tokenBucket({ ...limit, ...options }))
const circuit = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.consecutive(5),
  openDuration: "1 hour",
  by: "key"
})

/** What keeps a key. */
const users: Record<string, Effect.Effect<(key: string) => Effect.Effect<unknown>>> = {
  nothing: Effect.succeed((key) => Effect.sync(() => key.length)),
  "a list": Effect.sync(() => {
    const list: Array<string> = []
    return (key) => Effect.sync(() => list.push(key))
  }),
  "a limiter": Effect.map(limiter(), (limiter) => (key) => limiter.allow(key)),
  "a limiter with maxKeys": Effect.map(limiter({ maxKeys: 100 }), (limiter) => (key) => limiter.allow(key)),
  "a limiter in a transaction": Effect.map(limiter(), (limiter) => (key) => Effect.tx(limiter.allow(key))),
  "a limiter of a dimension": Effect.map(
    RateLimiter.make(RateLimiter.every({ user: RateLimiter.tokenBucket(limit) })),
    (limiter) => (user) => limiter.allow({ user })
  ),
  "a circuit": Effect.map(
    CircuitBreaker.make(circuit),
    (breaker) => (key) => Effect.exit(breaker.execute(Effect.fail("503"), key))
  )
}

const grown: Record<string, number> = {}
const kept: Array<unknown> = []
for (const [name, make] of Object.entries(users)) {
  const use = await Effect.runPromise(make)
  kept.push(use)
  await Effect.runPromise(use(cut(999))) // what is made with the first key does not count
  const before = await collect()
  for (let i = 0; i < 60; i++) await Effect.runPromise(use(cut(i)))
  await Effect.runPromise(use(cut(999)))
  grown[name] = (await collect()) - before
}
if (kept.length === 0) throw new Error("nothing was kept")
console.log(JSON.stringify(grown))
