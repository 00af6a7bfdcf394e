/**
 * Metrics, spans and logs for every pipeline: the only module that knows them.
 *
 * Provide `layer` to the program, beside or around its services. An application that does not import this module
 * neither bundles it nor pays for it.
 *
 * Metrics, in milliseconds where they measure time. Labels are bounded: by the services of the application, and by
 * closed sets of words. The key of a call is on spans and logs only.
 *
 * | Metric | Type | Labels beside `service` |
 * |---|---|---|
 * | `resilience_calls_total` | counter | `outcome`: `success`, `failure`, `ignored`, `timeout`, `rejected` |
 * | `resilience_call_duration_ms` | histogram, without rejected calls | |
 * | `resilience_attempts_total` | counter | `result`: `success`, `failure`, `timeout`, `interrupt` |
 * | `resilience_attempt_duration_ms` | histogram | |
 * | `resilience_retries_total` | counter | |
 * | `resilience_rejections_total` | counter | `policy`; `reason`: as the rejection says, or the circuit's state |
 * | `resilience_queued_total` | counter | `policy`: `rateLimiter`, `bulkhead` |
 * | `resilience_wait_ms` | histogram of the admissions that had to wait | |
 * | `resilience_circuit_transitions_total` | counter | `from`, `to` |
 * | `resilience_circuits` | gauge: circuits that are not closed | `state`: `Open`, `HalfOpen`, `Isolated` |
 * | `resilience_policy_events_total` | counter | `policy`, `name`: of a `PolicyEvent` |
 * | `resilience_store_available` | gauge: 0 or 1, from the first outage on | |
 *
 * A call is counted once, however many attempts it makes.
 *
 * **Gotchas**
 *
 * `resilience_circuits` goes up and down with the transitions that this process makes. Where a store is shared, only the
 * sum over all processes tells how many circuits are open. A circuit that this process forgets (`maxKeys`, `idleTimeToLive`,
 * the end of its layer) is counted no longer, and its transition says `to="Forgotten"`.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import type * as Tracer from "effect/Tracer"
import * as Event from "./Event.ts"

/**
 * What `layer` turns events into. All are on unless they are `false`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Metrics in the registry of the fiber that makes the call. */
  readonly metrics?: boolean | undefined
  /**
   * Attributes `resilience.service`, `.key`, `.waited_ms`, `.attempts` and `.outcome` on the span around a call, which
   * tell of the last call in it, and an event for what went wrong or had to wait. No span is made.
   */
  readonly spans?: boolean | undefined
  /** A line for each move of a circuit (an opening is a warning, with the cause of the call that brought it) and for each outage of a store and its end. */
  readonly logs?: boolean | undefined
}

/**
 * Turns events into metrics, span events and logs.
 *
 * Sinks that are in force where it is built get their events as well. See `Event.layer` for how to combine several.
 *
 * **Example** (A service with telemetry, and the metrics it leaves)
 *
 * ```ts
 * import { Effect, Layer, Metric } from "effect"
 * import { RateLimiter, Resilience, Telemetry } from "effect-resilience"
 *
 * class Mail extends Resilience.Service<Mail>()("app/Mail", {
 *   rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 minute" })
 * }) {}
 *
 * const program = Effect.gen(function*() {
 *   yield* Mail.resilient(Effect.succeed("sent"), "user:1")
 *   console.log(yield* Metric.dump)
 * })
 *
 * Effect.runPromise(program.pipe(Effect.provide(Layer.merge(Mail.layer, Telemetry.layer()))))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never> => {
  const { logs = true, metrics = true, spans = true } = options
  const sinks: Array<Event.Sink> = []
  if (metrics) sinks.push(makeMetrics())
  if (logs) sinks.push(toLog)
  if (spans) sinks.push(toSpan) // last: a tracer is somebody else's, and what it throws ends the row
  if (sinks.length === 0) return Layer.empty
  return Event.layer((event, fiber) => {
    for (const sink of sinks) sink(event, fiber)
  })
}

/** The series of one metric, each made once. Keeps as many as there are combinations of a service and its labels. */
const family = <M>(build: (attributes: Metric.Metric.AttributeSet) => M, ...labels: ReadonlyArray<string>) => {
  const services = new Map<string, Map<string, M>>()
  // calls of one service come in a row, and end alike
  let service = ""
  let series = new Map<string, M>()
  return (of: string, first = "", second = ""): M => {
    if (of !== service) {
      service = of
      series = services.get(of) ?? new Map<string, M>()
      services.set(of, series)
    }
    const id = second === "" ? first : `${first} ${second}`
    let metric = series.get(id)
    if (metric === undefined) {
      const attributes: Record<string, string> = { service }
      labels.forEach((label, i) => (attributes[label] = i === 0 ? first : second))
      series.set(id, (metric = build(attributes)))
    }
    return metric
  }
}

const counter = (name: string, description: string, ...labels: ReadonlyArray<string>) =>
  family(
    (attributes) => Metric.counter(`resilience_${name}`, { description, attributes, incremental: true }),
    ...labels
  )

const gauge = (name: string, description: string, ...labels: ReadonlyArray<string>) =>
  family((attributes) => Metric.gauge(`resilience_${name}`, { description, attributes }), ...labels)

const boundaries = Metric.boundariesFromIterable([
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000
])

const histogram = (name: string, description: string) =>
  family((attributes) => Metric.histogram(`resilience_${name}`, { description, attributes, boundaries }))

let known: Context.Context<never> | undefined
let narrowed: Context.Context<never>

/** What a metric asks of a context, for one that it asks often: a reference that is not there takes two looks. */
const metricContext = (context: Context.Context<never>): Context.Context<never> => {
  if (context !== known) {
    known = context
    narrowed = Context.make(Metric.MetricRegistry, Context.get(context, Metric.MetricRegistry)).pipe(
      Context.add(Metric.CurrentMetricAttributes, Context.get(context, Metric.CurrentMetricAttributes))
    )
  }
  return narrowed
}

const makeMetrics = (): Event.Sink => {
  const calls = counter("calls_total", "Calls that ended", "outcome")
  const callDuration = histogram("call_duration_ms", "How long a call took, waits and backoff included")
  const attempts = counter("attempts_total", "Runs of the wrapped effect", "result")
  const attemptDuration = histogram("attempt_duration_ms", "How long one run of the wrapped effect took")
  const retries = counter("retries_total", "Further attempts that were scheduled")
  const rejections = counter("rejections_total", "Admissions that were refused", "policy", "reason")
  const queued = counter("queued_total", "Calls that began to wait", "policy")
  const wait = histogram("wait_ms", "How long a call waited for its admission")
  const transitions = counter("circuit_transitions_total", "Moves of circuits", "from", "to")
  const circuits = gauge("circuits", "Circuits that are not closed", "state")
  const policyEvents = counter("policy_events_total", "What happened in policies, by name", "policy", "name")
  const available = gauge("store_available", "Whether the store answers")
  return (event, fiber) => {
    const { service } = event
    const context = metricContext(fiber.context)
    switch (event._tag) {
      case "Admitted":
        if (event.waited > 0) wait(service).updateUnsafe(event.waited, context)
        return
      case "Rejected": {
        const { policy, reason } = event.rejection
        return rejections(service, policy, reason).updateUnsafe(1, context)
      }
      case "Queued":
        return queued(service, event.policy).updateUnsafe(1, context)
      case "AttemptEnded":
        attempts(service, event.result).updateUnsafe(1, context)
        return attemptDuration(service).updateUnsafe(event.duration, context)
      case "RetryScheduled":
        return retries(service).updateUnsafe(1, context)
      case "CallEnded":
        calls(service, ending(event)).updateUnsafe(1, context)
        if (!event.rejected) callDuration(service).updateUnsafe(event.duration, context)
        return
      case "CircuitTransition":
        // A circuit is born closed without an event, so closed ones cannot be counted.
        if (event.from !== "Closed") circuits(service, event.from).modifyUnsafe(-1, context)
        if (event.to !== "Closed" && event.to !== "Forgotten") circuits(service, event.to).modifyUnsafe(1, context)
        return transitions(service, event.from, event.to).updateUnsafe(1, context)
      case "PolicyEvent":
        return policyEvents(service, event.policy, event.name).updateUnsafe(1, context)
      case "StoreFlipped":
        return available(service).updateUnsafe(event.available ? 1 : 0, context)
    }
  }
}

/** How a call ended for its caller, where `outcome` is what it told the circuit. */
const ending = (event: Event.CallEnded): string =>
  event.rejected ? "rejected" : event.timedOut ? "timeout" : event.outcome

type AnyFiber = Fiber.Fiber<unknown, unknown>

const toSpan: Event.Sink = (event, fiber) => {
  const span = fiber.cache.span
  if (span?._tag !== "Span" || span.status._tag === "Ended") return
  const { service } = event
  switch (event._tag) {
    case "Admitted": {
      describe(span, event)
      const before = event.attempt === 1 ? 0 : Number(span.attributes.get(WAITED) ?? 0)
      span.attribute(WAITED, before + event.waited)
      if (event.waited === 0) return
      return note(span, fiber, "admitted", { service, attempt: event.attempt, waited_ms: event.waited })
    }
    case "Rejected": {
      describe(span, event)
      const { policy, reason, retryAfterMillis } = event.rejection
      const detail: Record<string, unknown> = { service, attempt: event.attempt, policy, reason }
      if (retryAfterMillis !== undefined) detail["retry_after_ms"] = retryAfterMillis
      return note(span, fiber, "rejected", detail)
    }
    case "Queued":
      return
    case "AttemptEnded":
      if (event.result !== "failure" && event.result !== "timeout") return
      return note(span, fiber, `attempt_${event.result}`, {
        service,
        attempt: event.attempt,
        duration_ms: event.duration
      })
    case "RetryScheduled":
      return note(span, fiber, "retry", { service, attempt: event.attempt, delay_ms: event.delay })
    case "CallEnded":
      describe(span, event)
      span.attribute("resilience.attempts", event.attempts)
      return span.attribute("resilience.outcome", ending(event))
    case "CircuitTransition":
      return note(span, fiber, "circuit", moved(event))
    case "PolicyEvent":
      return note(span, fiber, "policy", { ...event.detail, service, policy: event.policy, name: event.name })
    case "StoreFlipped":
      return note(span, fiber, "store", { service, available: event.available })
  }
}

const WAITED = "resilience.waited_ms"

const describe = (span: Tracer.Span, event: Event.Event): void => {
  span.attribute("resilience.service", event.service)
  span.attribute("resilience.key", event.key)
}

const note = (span: Tracer.Span, fiber: AnyFiber, name: string, attributes: Record<string, unknown>): void =>
  span.event(`resilience.${name}`, fiber.getRef(Clock.Clock).currentTimeNanosUnsafe(), attributes)

const moved = (event: Event.CircuitTransition): Record<string, unknown> => {
  const { from, generation, key, openFor, openedBy, service, to } = event
  const move = { service, circuit: key, from, to, generation }
  return to === "Open" ? { ...move, open_for_ms: openFor, opened_by: openedBy } : move
}

const toLog: Event.Sink = (event, fiber) => {
  if (event._tag === "CircuitTransition") {
    const { exit, key, openFor, to } = event
    if (to === "Open") {
      const cause = exit?._tag === "Failure" ? exit.cause : undefined
      return log(fiber, "Warn", `Circuit ${key} opened for ${openFor} ms`, moved(event), cause)
    }
    const now = { Closed: "closed", HalfOpen: "is half-open", Isolated: "is isolated", Forgotten: "is forgotten" }[to]
    return log(fiber, "Info", `Circuit ${key} ${now}`, moved(event))
  }
  if (event._tag === "StoreFlipped") {
    const { available, service } = event
    const message = available ? `The store of ${service} answers again` : `The store of ${service} does not answer`
    return log(fiber, available ? "Info" : "Warn", message, { service, available })
  }
}

/** Logs as the fiber would: with its loggers, levels, annotations and span. */
const log = (
  fiber: AnyFiber,
  level: LogLevel.Severity,
  message: string,
  annotations: Record<string, unknown>,
  cause?: Cause.Cause<unknown>
): void => {
  const line = Effect.logWithLevel(level)
  Effect.runForkWith(fiber.context)(
    Effect.annotateLogs(cause === undefined ? line(message) : line(message, cause), annotations)
  )
}
