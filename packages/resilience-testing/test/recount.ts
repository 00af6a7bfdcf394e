/**
 * A second look at the same calls, that shares nothing with the simulation but the pipeline and the world: the times are
 * given, the dependency sleeps in the fiber of the call, and the seconds are counted from a plain list of what happened.
 */
import { Cause, Context, Effect } from "effect"
import { Event, type Policies, Rejection, Resilience } from "effect-resilience"
import { World } from "../src/index.ts"

export interface Plan {
  readonly times: ReadonlyArray<number>
  readonly latency: number
  readonly fails: { readonly from: number; readonly to: number }
  readonly patience: number
  readonly seconds: number
}

type Entry = readonly [at: number, what: string, time?: number]

/** For each second: how often everything happened, and how long what ended took. */
export const recount = (plan: Plan, policies: Policies.Policies): ReadonlyArray<Record<string, unknown>> => {
  const log: Array<Entry> = []
  const sink = (event: Event.Event) => {
    if (event._tag === "Admitted") log.push([world.elapsed, "admitted"])
    if (event._tag === "Rejected") log.push([world.elapsed, event.rejection._tag])
  }
  const world = new World.World({ context: Context.make(Event.EventSink, sink) })
  // whatever they are, their key is a text and they judge any error
  const service = world.get(Resilience.make("recount", policies)) as never as Resilience.ResilienceService<{}>
  const request = () => {
    let runs = 0
    return Effect.suspend(() => {
      const failing = world.elapsed >= plan.fails.from && world.elapsed < plan.fails.to
      log.push([world.elapsed, "attempts"])
      if (++runs > 1) log.push([world.elapsed, "retries"])
      return Effect.andThen(Effect.sleep(plan.latency), failing ? Effect.fail("down") : Effect.void)
    })
  }
  for (const at of plan.times) {
    world.fork(
      Effect.delay(
        Effect.suspend(() => {
          log.push([at, "offered"])
          return service.resilient(request(), "caller").pipe(
            Effect.timeoutOption(plan.patience),
            Effect.matchCause({
              onSuccess: (value) => (value._tag === "None" ? "gaveUp" : "succeeded"),
              onFailure: (cause) => {
                const error: unknown = cause.reasons.find(Cause.isFailReason)?.error
                if (Rejection.isRejection(error)) return "refused"
                return error instanceof Rejection.TimeoutExceeded ? "timedOut" : "failed"
              }
            }),
            Effect.map((ending) => log.push([world.elapsed, ending, world.elapsed - at]))
          )
        }),
        at
      )
    )
  }
  world.advance(plan.seconds * 1000 - 1)
  return Array.from({ length: plan.seconds }, (_, second) => {
    const entries = log.filter(([at]) => Math.floor(at / 1000) === second)
    const count = (what: string) => entries.filter((entry) => entry[1] === what).length
    const took = entries.filter(([, what, time]) => time !== undefined && what !== "refused").map(([, , time]) => time!)
    return {
      second,
      ...Object.fromEntries(
        ["offered", "admitted", "attempts", "retries", "succeeded", "failed", "timedOut", "refused", "gaveUp"].map(
          (what) => [what, count(what)]
        )
      ),
      circuitOpen: count("CircuitOpen"),
      rateLimitExceeded: count("RateLimitExceeded"),
      slowest: took.length === 0 ? undefined : Math.max(...took)
    }
  })
}
