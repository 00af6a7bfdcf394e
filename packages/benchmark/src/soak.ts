/**
 * Keeps one pipeline under random traffic, and looks at what is left: `npx pnpm@12 soak [--seconds 60]`.
 *
 * Many fibers call with random keys, more than are remembered; effects succeed, fail, die, hang, now or later; calls are
 * interrupted anywhere. In a pause after a quarter of the time, and again at the end, the heap is measured: it may not
 * have grown. At the end no slot, probe, waiter or token may be missing.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Backoff from "effect-resilience/Backoff"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as RateLimiter from "effect-resilience/RateLimiter"
import * as Resilience from "effect-resilience/Resilience"
import * as Retry from "effect-resilience/Retry"
import { settledHeap } from "./heap.ts"
import { seeded } from "./random.ts"

const [flag, given, ...rest] = process.argv.slice(2)
const seconds = flag === undefined ? 60 : flag === "--seconds" ? Number(given) : NaN
if (!(seconds >= 4) || rest.length > 0) {
  console.error("soak [--seconds 60], at least 4")
  process.exit(1)
}

const KEYS = 20_000
const HOT_KEYS = 20
const WORKERS = 200
const SLOTS = 64
const BURST = 20

const api = Effect.runSync(
  Resilience.make("soak", {
    timeout: 300,
    attemptTimeout: 20,
    rateLimiter: RateLimiter.tokenBucket({
      limit: 100,
      window: "1 second",
      burst: BURST,
      maxWait: 50,
      maxQueued: 20,
      maxKeys: 2_000
    }),
    circuitBreaker: CircuitBreaker.policy({
      by: "key",
      tripPolicy: CircuitBreaker.anyOf(
        CircuitBreaker.consecutive(5, { within: "1 second" }),
        CircuitBreaker.failureRate({ threshold: 0.6, window: "1 second", minimumCalls: 20 })
      ),
      openDuration: 30,
      probes: { lease: 300 },
      maxKeys: 2_000,
      idleTimeToLive: 500
    }),
    bulkhead: Bulkhead.policy({ maxConcurrent: SLOTS, maxQueued: 100, maxWait: 20 }),
    retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.exponential({ base: 2 }) })
  })
)

const problems: Array<string> = []
const tally = new Map<string, number>()
const count = (what: string): void => void tally.set(what, (tally.get(what) ?? 0) + 1)

let inside = 0
let tooMany = 0

const effectOf = (random: () => number): Effect.Effect<number, string> => {
  const drawn = random()
  if (drawn < 0.35) return Effect.succeed(1)
  if (drawn < 0.6) return Effect.as(Effect.sleep(1 + Math.floor(random() * 4)), 1)
  if (drawn < 0.8) return Effect.fail("503")
  if (drawn < 0.9) return Effect.andThen(Effect.sleep(1), Effect.fail("503"))
  if (drawn < 0.95) return Effect.die("bug")
  return Effect.never
}

/** Counts who is inside, whatever happens to it. */
const counted = (self: Effect.Effect<number, string>): Effect.Effect<number, string> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      inside++
      if (inside > SLOTS) tooMany++
    }),
    () => self,
    () =>
      Effect.sync(() => {
        inside--
      })
  )

const nameOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (exit._tag === "Success") return "success"
  if (Cause.hasInterruptsOnly(exit.cause)) return "interrupt"
  const reason = exit.cause.reasons.find(Cause.isFailReason)
  if (reason === undefined) return "defect"
  const { error } = reason
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : "failure"
}

const worker = (seed: number, until: number) =>
  Effect.gen(function* () {
    const random = seeded(seed)
    while (performance.now() < until) {
      const key = `user:${Math.floor(random() * (random() < 0.5 ? HOT_KEYS : KEYS))}`
      const cost = random() < 0.9 ? 1 : 3
      const fiber = yield* Effect.forkChild(api.resilient(counted(effectOf(random)), key, { cost }), {
        startImmediately: true
      })
      if (random() < 0.2) {
        yield* Effect.sleep(Math.floor(random() * 8))
        fiber.interruptUnsafe()
      }
      const what = nameOf(yield* Fiber.await(fiber))
      count(what)
      // who is refused comes back a little later, or nobody else would get to run
      if (what === "BulkheadFull" || what === "RateLimitExceeded" || what === "CircuitOpen") yield* Effect.sleep(1)
    }
  })

const traffic = (from: number, millis: number) =>
  Effect.forEach(
    Array.from({ length: WORKERS }, (_, i) => worker(from + i, performance.now() + millis)),
    (one) => one,
    { concurrency: "unbounded", discard: true }
  )

/** Nobody calls for so long that windows are over and buckets full; then what is forgotten is swept. */
const pause = Effect.gen(function* () {
  yield* Effect.sleep("1500 millis")
  for (let i = 0; i < 2_000; i++) {
    yield* Effect.exit(api.resilient(Effect.void, `sweeper:${i % 200}`))
    if (i % 20 === 0) yield* Effect.sleep(1)
  }
  yield* Effect.sleep("1500 millis")
})

const expect = (what: string, found: unknown, wanted: unknown): void => {
  if (found !== wanted) problems.push(`${what}: ${String(found)}, and not ${String(wanted)}`)
}

/** Every slot can be taken, and no more than that. */
const slots = Effect.gen(function* () {
  const held = yield* Effect.forEach(Array.from({ length: SLOTS + 1 }), (_, i) =>
    Effect.forkChild(api.resilient(Effect.sleep(15), `slot:${i}`), { startImmediately: true })
  )
  const { bulkhead } = yield* api.inspect("slot:0")
  expect("slots in use", bulkhead?.running, SLOTS)
  expect("calls that wait for a slot", bulkhead?.queued, 1)
  for (const fiber of held) expect("a call with a slot", (yield* Fiber.await(fiber))._tag, "Success")
})

const whole = Effect.gen(function* () {
  expect("effects that run", inside, 0)
  for (let i = 0; i < KEYS; i += i < HOT_KEYS ? 1 : 97) {
    const key = `user:${i}`
    const { bulkhead, circuitBreaker, rateLimiter } = yield* api.inspect(key)
    expect("slots in use", bulkhead?.running, 0)
    expect("calls that wait for a slot", bulkhead?.queued, 0)
    expect(`probes of ${key}`, circuitBreaker?.probesInFlight, 0)
    expect(`calls that wait for ${key}`, rateLimiter?.queued, 0)
    expect(`tokens of ${key}`, rateLimiter?.remaining, BURST)
    const exit = yield* Effect.exit(api.resilient(Effect.succeed(1), key))
    expect(`a call with ${key}`, nameOf(exit), "success")
  }
  yield* slots
})

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`

await Effect.runPromise(traffic(1, (seconds * 1_000) / 4))
await Effect.runPromise(pause)
const before = await settledHeap()
await Effect.runPromise(traffic(WORKERS + 1, (seconds * 3_000) / 4))
await Effect.runPromise(pause)
const after = await settledHeap()
await Effect.runPromise(whole)

const wanted = [
  "success",
  "failure",
  "defect",
  "interrupt",
  "RateLimitExceeded",
  "CircuitOpen",
  "BulkheadFull",
  "TimeoutExceeded"
]
for (const what of wanted) if (!tally.has(what)) problems.push(`it never came to: ${what}`)
expect("times that more were inside than have a slot", tooMany, 0)
// what the compiler and Effect's caches keep grows a little in any process
if (after > before * 1.05 + 2 ** 19) problems.push(`the heap grew from ${megabytes(before)} to ${megabytes(after)}`)

const total = Array.from(tally.values()).reduce((a, b) => a + b, 0)
console.log(
  `${total.toLocaleString("en-US")} calls in ${seconds} s, heap ${megabytes(before)}, then ${megabytes(after)}`
)
for (const [what, calls] of Array.from(tally).sort(([, a], [, b]) => b - a)) {
  console.log(`${calls.toLocaleString("en-US").padStart(12)}  ${what}`)
}
for (const problem of problems.slice(0, 20)) console.error(`soak: ${problem}`)
if (problems.length > 20) console.error(`soak: and ${problems.length - 20} more`)
process.exit(problems.length === 0 ? 0 : 1)
