/** What the regression tests share. */
import { Cause, Clock, Deferred, Effect, type Exit, Fiber } from "effect"
import { Event, RateLimiter } from "../../src/index.ts"

/** The limits that take a rate and nothing else, by name. */
export const kinds = {
  tokenBucket: RateLimiter.tokenBucket,
  fixedWindow: RateLimiter.fixedWindow,
  slidingWindow: RateLimiter.slidingWindow,
  slidingLog: RateLimiter.slidingLog
}

/** Lets every fiber that can run do so, without time passing. */
export const settle: Effect.Effect<void> = Effect.repeat(Effect.yieldNow, { times: 20 })

export const times = <A, E, R>(n: number, effect: Effect.Effect<A, E, R>): Effect.Effect<Array<A>, E, R> =>
  Effect.all(Array.from({ length: n }, () => effect))

/** A call that stays in flight until the test ends it. */
export const inFlight = <A, E>(
  run: <E2>(self: Effect.Effect<void, E2>) => Effect.Effect<A, E | E2>
): Effect.Effect<{
  readonly succeed: Effect.Effect<Exit.Exit<A, E | string>>
  readonly fail: Effect.Effect<Exit.Exit<A, E | string>>
  readonly interrupt: Effect.Effect<void>
  readonly ended: () => Exit.Exit<A, E | string> | undefined
}> =>
  Effect.gen(function* () {
    const end = yield* Deferred.make<void, string>()
    const fiber = yield* Effect.forkDetach(run(Deferred.await(end)), { startImmediately: true })
    return {
      succeed: Effect.andThen(Deferred.succeed(end, undefined), Fiber.await(fiber)),
      fail: Effect.andThen(Deferred.fail(end, "late"), Fiber.await(fiber)),
      interrupt: Fiber.interrupt(fiber),
      ended: () => fiber.pollUnsafe()
    }
  })

/** An effect, and how often it has begun and how often at the same time. */
export const counted = <A, E, R>(self: Effect.Effect<A, E, R>) => {
  const counts = { begun: 0, running: 0, peak: 0 }
  const effect = Effect.suspend(() => {
    counts.begun++
    counts.peak = Math.max(counts.peak, ++counts.running)
    return Effect.onExit(self, () => Effect.sync(() => counts.running--))
  })
  return { counts, effect }
}

/** The tag of the error of an exit: what became of a call, in one word. */
export const outcomeOf = <A, E>(exit: Exit.Exit<A, E> | undefined): string => {
  if (exit === undefined) return "running"
  if (exit._tag === "Success") return "success"
  if (Cause.hasInterruptsOnly(exit.cause)) return "interrupted"
  const error: unknown = exit.cause.reasons.find(Cause.isFailReason)?.error
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : "failure"
}

/** Runs with a sink that keeps every event. */
export const recorded = () => {
  const events: Array<Event.Event> = []
  return { events, record: Effect.provideService(Event.EventSink, (event) => void events.push(event)) }
}

/** The clock in force, which counts its sleepers. */
export const countedTimers = Effect.map(Clock.Clock, (clock) => {
  const timers = { pending: 0, begun: 0 }
  const counting: Clock.Clock = {
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanos: clock.monotonicTimeNanos,
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    sleep: (duration) =>
      Effect.suspend(() => {
        timers.pending++
        timers.begun++
        return Effect.onExit(clock.sleep(duration), () => Effect.sync(() => timers.pending--))
      })
  }
  return { timers, counting: Effect.provideService(Clock.Clock, counting) }
})
