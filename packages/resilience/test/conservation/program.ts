/**
 * Random programs: calls with every policy on, of all kinds, and what others do to them meanwhile.
 *
 * A program is generated as dice (plain numbers, which shrink well): one list says what the service is, the other what
 * happens.
 */
import { Arbitrary, Effect, Random, Schema } from "effect"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Rejection, Retry } from "../../src/index.ts"
import type { Policies } from "../../src/Policies.ts"
import type { Trip } from "../laws/harness.ts"
import { TRACE } from "./ledger.ts"

const die = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 99 }))

const Setting = Schema.Struct({
  maxOps: die,
  timeout: die,
  attemptTimeout: die,
  trips: die,
  circuit: die,
  limits: die,
  pace: die,
  waits: die,
  slots: die,
  retry: die
})
type Setting = typeof Setting.Type

/** One thing that happens: after `gap`, and after so many `turns` of what is under way. */
const Act = Schema.Struct({ gap: die, turns: die, what: die, kind: die, size: die, pick: die })
export type Act = typeof Act.Type

const TripDice = Schema.Struct({ there: die, back: die })

export const program = Arbitrary.all({
  setting: Arbitrary.schema(Setting),
  acts: Arbitrary.array(Arbitrary.schema(Act), { minLength: 1, maxLength: 60 }),
  trips: Arbitrary.array(Arbitrary.schema(TripDice), { minLength: 1, maxLength: 12 })
})
export interface Program {
  readonly setting: Setting
  readonly acts: ReadonlyArray<Act>
  readonly trips: ReadonlyArray<typeof TripDice.Type>
}

/** `CONSERVATION_SEED` repeats a run; each suite has its seed in its name. */
export const seed: number =
  process.env["CONSERVATION_SEED"] === undefined
    ? Effect.runSync(Random.nextInt)
    : Number(process.env["CONSERVATION_SEED"])

export const runs = (times: number): number => Math.ceil(times * Number(process.env["LAWS_RUNS"] ?? 1))

const oneOf = <A>(die: number, ...list: ReadonlyArray<A>): A => list[die % list.length]!

/** At 2 and below any fiber livelocks. */
export const maxOpsOf = ({ setting }: Program): number =>
  3 + (setting.maxOps < 60 ? setting.maxOps % 5 : setting.maxOps < 85 ? setting.maxOps % 25 : 2045)

export const CONCURRENT = [1, 2, 3, 5] as const
const day = 86_400_000

/** Every policy, with numbers small enough that each of them refuses, and waits, now and then. */
export const policiesOf = (
  { setting }: Program,
  { fallsBack, perAttempt }: { readonly perAttempt: boolean; readonly fallsBack: boolean }
): Policies => {
  const { attemptTimeout, circuit, limits, pace, retry, slots, timeout, trips, waits } = setting
  const call = oneOf(timeout, undefined, 40, 150, 1_000)
  const attempt = oneOf(attemptTimeout, undefined, 15, 60)
  const shortest = Math.min(call ?? Infinity, attempt ?? Infinity)
  const wait = oneOf(waits, 0, 30, 200, day)
  const queued = wait === 0 ? undefined : oneOf(waits >> 2, 1, 3, 1_000)
  const window = { calls: 8 }
  const permitted = oneOf(circuit, 1, 2, 3)
  return {
    timeout: call,
    attemptTimeout: attempt,
    circuitBreaker: CircuitBreaker.policy({
      tripPolicy: oneOf(
        trips,
        CircuitBreaker.consecutive(1),
        CircuitBreaker.consecutive(3, { within: "1 second" }),
        CircuitBreaker.failureRate({ threshold: 0.5, window, minimumCalls: 3 }),
        CircuitBreaker.anyOf(
          CircuitBreaker.slowCallRate({ threshold: 0.4, window, minimumCalls: 2, slowAfter: 12 }),
          CircuitBreaker.consecutive(2)
        )
      ),
      openDuration: oneOf(circuit >> 2, 5, 25, 120),
      probes: {
        permitted,
        required: oneOf(circuit >> 3, 1, permitted),
        lease: shortest === Infinity ? 35 : undefined // with a timeout it is that
      },
      ...(circuit % 2 === 0 ? { by: "user" } : {})
    }),
    rateLimiter: RateLimiter.every({
      [TRACE]: RateLimiter.fixedWindow({ limit: 10_000, window: "30 days" }),
      // counts what is spent, and gives nothing back within a program
      quota: RateLimiter.by(
        "user",
        RateLimiter.fixedWindow({ limit: oneOf(limits, 25, 10_000, 10_000), window: "30 days" })
      ),
      pace: RateLimiter.by(
        "user",
        RateLimiter.tokenBucket({
          limit: oneOf(pace, 1, 3, 20),
          window: 50,
          burst: oneOf(pace >> 2, 1, 3, 8),
          maxWait: wait,
          maxQueued: queued
        })
      ),
      all: RateLimiter.shared(
        oneOf(
          limits >> 1,
          RateLimiter.slidingWindow({ limit: 20, window: 80, slices: 4, maxWait: wait }),
          RateLimiter.slidingLog({ limit: 10, window: 40 }),
          RateLimiter.leakyBucket({ limit: 1, window: 3, capacity: 10, maxWait: 60, maxQueued: 4 })
        )
      )
    }),
    bulkhead: Bulkhead.policy({
      maxConcurrent: oneOf(slots, ...CONCURRENT),
      ...oneOf(slots >> 2, {}, { maxWait: 40, maxQueued: 2 }, { maxWait: day })
    }),
    retry: Retry.policy({
      maxAttempts: oneOf(retry, 1, 2, 3),
      backoff: Backoff.constant(oneOf(retry >> 2, 1, 10, 30)),
      retryRejections: retry % 5 === 0,
      onExhausted: oneOf(retry >> 1, "last", "wrap")
    }),
    admission: perAttempt ? "attempt" : "call",
    store: { onError: fallsBack ? oneOf(trips >> 2, "local", "allow") : "fail", deadline: 30 }
  }
}

export const USERS = ["ada", "bob"] as const
export const userOf = ({ pick }: Act): (typeof USERS)[number] => oneOf(pick, ...USERS)
export const costOf = ({ size }: Act): number => (size < 60 ? 1 : size < 97 ? 1 + (size % 4) : 10)
export const gapOf = ({ gap }: Act): number => (gap < 55 ? 0 : gap < 80 ? gap % 5 : gap < 97 ? gap % 50 : gap * 7)
export const turnsOf = ({ turns }: Act): number => (turns < 20 ? Infinity : turns < 75 ? turns % 8 : turns % 50)

export type Deed = "call" | "interrupt" | "command" | "reset" | "skew"
export const deedOf = ({ what }: Act): Deed =>
  what < 58 ? "call" : what < 86 ? "interrupt" : what < 91 ? "command" : what < 95 ? "reset" : "skew"

export const NO = "no"
export const BOOM = "boom"

/** What a call does: end at once or later, well or not, hang, refuse to stop, or take its time to stop. */
export const effectOf = ({ kind, size }: Act): ((run: number) => Effect.Effect<unknown, unknown>) => {
  const sleep = Effect.sleep(1 + (size % 30))
  const fail = Effect.fail(NO)
  const boom = Effect.die(BOOM)
  return oneOf<(run: number) => Effect.Effect<unknown, unknown>>(
    kind,
    () => Effect.void,
    () => fail,
    () => boom,
    () => sleep,
    () => Effect.never,
    () => Effect.uninterruptible(sleep),
    () => Effect.ensuring(sleep, Effect.sleep(9)),
    () => Effect.andThen(sleep, fail),
    () => Effect.andThen(Effect.yieldNow, Effect.void),
    () => Effect.andThen(sleep, boom),
    (run) => (run === 1 ? fail : sleep),
    () => Effect.andThen(sleep, Effect.interrupt),
    () => Effect.ensuring(sleep, boom),
    () => Effect.uninterruptible(Effect.andThen(sleep, fail))
  )
}

/** Now and then a function of the user throws. */
export const classifyOf = ({ kind, pick }: Act) =>
  kind % 11 === 0
    ? () => {
        throw BOOM
      }
    : pick % 7 === 0
      ? () => "ignored" as const
      : undefined

const lost = Effect.fail(new Rejection.StoreError({ reason: "unavailable" }))
const way = (die: number): Effect.Effect<void, Rejection.StoreError> | undefined =>
  die < 40
    ? undefined
    : die < 55
      ? Effect.yieldNow
      : die < 82
        ? Effect.sleep(1 + (die % 12))
        : die < 95
          ? lost
          : Effect.never

/** The way to a store elsewhere and back: at once, slow, failing, or without an end. */
export const tripOf =
  ({ trips }: Program) =>
  (_: unknown, nth: number): Trip => {
    const { back, there } = trips[nth % trips.length]!
    return { before: way(there), after: way(back) }
  }
