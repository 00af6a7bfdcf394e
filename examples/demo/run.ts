/**
 * One run: a fresh upstream, the traffic of the scenario, and a record of every call.
 */
import { Cause, Effect, Exit, Fiber, FiberSet, Option } from "effect"
import { Rejection } from "effect-resilience"
import type { Api } from "./api.ts"
import { arrivals, RUN_ENDS } from "./scenario.ts"
import { type Hit, Upstream } from "./upstream.ts"

/**
 * What became of a call. `failed` means that the upstream was asked and did not deliver; `refused` means that we said no
 * ourselves and asked nobody.
 */
export interface Call {
  readonly user: string
  readonly at: number
  readonly state: "waiting" | "ok" | "failed" | "refused"
  readonly reason: string
  readonly took: number
}

/** What can be read from the policies while they work. */
export interface Gauges {
  readonly circuit: string
  readonly tokens: ReadonlyMap<string, number>
}

export interface Run {
  readonly number: 1 | 2
  readonly name: string
  readonly elapsed: () => number
  readonly hits: ReadonlyArray<Hit>
  readonly calls: ReadonlyArray<Call>
  /** `undefined` where there are no policies. */
  readonly gauges: Effect.Effect<Gauges | undefined>
}

export interface Contender<E, R> {
  readonly number: 1 | 2
  readonly name: string
  readonly fetchProfile: (user: string) => Effect.Effect<string, E, Api | R>
  readonly gauges: Effect.Effect<Gauges | undefined, never, R>
}

/** Drives one contender through the scenario, while `watch` looks on. */
export const drive = <E, R, R2>(contender: Contender<E, R>, watch: (run: Run) => Effect.Effect<void, never, R2>) =>
  Effect.gen(function* () {
    const { elapsed, hits } = yield* Upstream
    const plan = yield* arrivals
    const calls: Array<Call> = []
    const context = yield* Effect.context<R>()
    const run: Run = {
      number: contender.number,
      name: contender.name,
      elapsed,
      hits,
      calls,
      gauges: Effect.provideContext(contender.gauges, context)
    }

    const call = (user: string) =>
      Effect.suspend(() => {
        const at = elapsed()
        const index = calls.push({ user, at, state: "waiting", reason: "", took: 0 }) - 1
        return Effect.onExit(contender.fetchProfile(user), (exit) =>
          Effect.sync(() => {
            calls[index] = { user, at, ...verdict(exit), took: elapsed() - at }
          })
        )
      })

    const watching = yield* Effect.forkChild(watch(run))
    const underway = yield* FiberSet.make<unknown, unknown>()
    for (const arrival of plan) {
      // A sleep of 0 still lets others run, so a burst of arrivals does not hold up the server.
      yield* Effect.sleep(Math.max(0, arrival.at - elapsed()))
      yield* FiberSet.run(underway, Effect.exit(call(arrival.user)), { startImmediately: true })
    }
    yield* Effect.timeoutOption(FiberSet.awaitEmpty(underway), Math.max(0, RUN_ENDS - elapsed()))
    yield* Effect.sleep(Math.max(0, RUN_ENDS - elapsed()))
    yield* FiberSet.clear(underway)
    yield* Fiber.interrupt(watching)
    return run
  }).pipe(Effect.scoped)

/** Of the policies that the demo uses; another one goes by its own name. */
const refusals: Readonly<Record<string, string>> = {
  rateLimiter: "rate limit",
  circuitBreaker: "circuit open",
  bulkhead: "bulkhead full"
}

/** Reads what became of a call from how it ended. */
const verdict = (exit: Exit.Exit<unknown, unknown>): Pick<Call, "state" | "reason"> => {
  if (Exit.isSuccess(exit)) return { state: "ok", reason: "" }
  if (Cause.hasDies(exit.cause)) return { state: "failed", reason: `bug: ${Cause.pretty(exit.cause)}` }
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error === undefined) return { state: "failed", reason: "still waiting when the run ended" }
  if (Rejection.isRejection(error)) return { state: "refused", reason: refusals[error.policy] ?? error.policy }
  return { state: "failed", reason: "" }
}
