/**
 * Bad input: every argument of every constructor, tried with what should not be there.
 *
 * Whatever makes no sense is refused where it is written, with an `InvalidPolicyError` that names module and field, and
 * what makes sense is taken. Costs, waits and keys of calls are in badInputCalls.test.ts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Schedule } from "effect"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  EventStream,
  RateLimiter,
  Rejection,
  Resilience,
  Retry
} from "../src/index.ts"
import { fixedWindow } from "../src/kernel/FixedWindow.ts"
import {
  count,
  duration,
  type Field,
  type Make,
  nothings,
  oneOf,
  ratio,
  unbounded,
  required,
  show
} from "./badInputs.ts"

const rate = { limit: 10, window: "1 second" }
/** At 10 per second a unit is 100 ms, in lowest terms. */
const largest = Math.floor(2 ** 52 / 100)
const bounds = {
  maxWait: unbounded(duration(0)),
  maxKeys: count(1),
  overflow: oneOf("evict", "reject"),
  idleTimeToLive: duration(1)
}
const limitOf =
  (make: (options: never) => unknown, base: object = rate): Make =>
  (replaced) =>
    make({ ...base, ...("maxQueued" in replaced ? { maxWait: "1 second" } : {}), ...replaced } as never) // bad on purpose
const flat =
  (make: (options: never) => unknown, base: object): Make =>
  (replaced) =>
    make({ ...base, ...replaced } as never) // as above
/** The one argument that is not a field. */
const first =
  (make: (argument: never) => unknown): Make =>
  (replaced) =>
    make(Object.values(replaced)[0] as never) // as above

const consecutive = CircuitBreaker.consecutive(1)
const limit = RateLimiter.tokenBucket({ limit: 1, window: "1 second" })
const byRate = { threshold: 0.5, window: "1 second", minimumCalls: 5 }
const threshold = required(ratio([0, -0.1, 1.1, -1], [Number.MIN_VALUE, 0.5, 1]))
const rateFields: Record<string, Field> = {
  threshold,
  window: required(duration(1)),
  minimumCalls: count(1, 1_000_000)
}
/** What is no policy, trip policy, limit, backoff or schedule. */
const notValues = [NaN, 0, 5, "", "policy", {}, [], true, () => {}, { _tag: "Limit" }, { _tag: "Exponential" }]
const circuit = { tripPolicy: consecutive, openDuration: "1 second" }
const backoff = { base: 10, cap: "1 minute" }
const jitter = oneOf("none", "full", "equal")

const constructors: ReadonlyArray<readonly [module: string, make: Make, fields: Record<string, Field>]> = [
  [
    "RateLimiter.tokenBucket",
    limitOf(RateLimiter.tokenBucket),
    {
      ...bounds,
      limit: required(count(1)),
      window: required(duration(1)),
      burst: count(1, largest),
      maxQueued: unbounded(count(1))
    }
  ],
  [
    "RateLimiter.leakyBucket",
    limitOf(RateLimiter.leakyBucket, { ...rate, capacity: 5 }),
    {
      ...bounds,
      limit: required(count(1)),
      window: required(duration(1)),
      capacity: required(count(1, largest)),
      maxQueued: unbounded(count(1))
    }
  ],
  [
    "RateLimiter.fixedWindow",
    limitOf(RateLimiter.fixedWindow),
    { ...bounds, limit: required(count(1)), window: required(duration(1)), maxQueued: unbounded(count(1)) }
  ],
  [
    "RateLimiter.slidingWindow",
    limitOf(RateLimiter.slidingWindow),
    {
      ...bounds,
      limit: required(count(1)),
      window: required(duration(1)),
      slices: count(1, 1_000),
      maxQueued: unbounded(count(1))
    }
  ],
  [
    "RateLimiter.slidingLog",
    limitOf(RateLimiter.slidingLog),
    { ...bounds, limit: required(count(1, 1_000)), window: required(duration(1)), maxQueued: unbounded(count(1)) }
  ],
  [
    "RateLimiter.fromKernel",
    limitOf(RateLimiter.fromKernel, { ...rate, kernel: fixedWindow, policy: { limit: 10, window: 1_000 } }),
    {
      ...bounds,
      limit: required(count(1)),
      window: required(duration(1)),
      capacity: count(1),
      kernel: required({
        bad: [...notValues, { ...fixedWindow, id: "" }, { ...fixedWindow, id: 1 }, { ...fixedWindow, step: undefined }],
        good: [fixedWindow]
      }),
      scale: { bad: [0, "", "half", {}, [], true, null], good: [(policy: unknown) => policy] },
      maxQueued: unbounded(count(1))
    }
  ],
  [
    "RateLimiter.every",
    first(RateLimiter.every),
    { limits: { bad: [...notValues, ...nothings], good: [{ a: limit }] } }
  ],
  [
    "RateLimiter.every",
    first((value: never) => RateLimiter.every({ a: limit, users: value })),
    { "limits.users": { bad: [...notValues, ...nothings], good: [limit] } }
  ],
  [
    "RateLimiter.shared",
    first(RateLimiter.shared),
    { limit: { bad: [...notValues, ...nothings], good: [limit, RateLimiter.by("a", limit)] } }
  ],
  [
    "RateLimiter.by",
    first((name: never) => RateLimiter.by(name, limit)),
    { dimension: { bad: [NaN, 0, "", {}, [], true, null, undefined], good: ["a", "__proto__", ":", "\u0000"] } }
  ],
  [
    "RateLimiter.by",
    first((value: never) => RateLimiter.by("a", value)),
    { limit: { bad: [...notValues, ...nothings], good: [limit] } }
  ],
  ["CircuitBreaker.consecutive", first(CircuitBreaker.consecutive), { failures: required(count(1, 1_000)) }],
  [
    "CircuitBreaker.consecutive",
    flat((options: { within: never }) => CircuitBreaker.consecutive(1, options), {}),
    { within: duration(1) }
  ],
  ["CircuitBreaker.failureRate", flat(CircuitBreaker.failureRate, byRate), rateFields],
  [
    "CircuitBreaker.failureRate",
    first((calls: never) => CircuitBreaker.failureRate({ threshold: 0.5, window: { calls } })),
    { "window.calls": required(count(1, 10_000)) }
  ],
  [
    "CircuitBreaker.failureRate",
    flat(CircuitBreaker.failureRate, { ...byRate, window: { calls: 50 } }),
    { minimumCalls: count(1, 50) }
  ],
  [
    "CircuitBreaker.slowCallRate",
    flat(CircuitBreaker.slowCallRate, { ...byRate, slowAfter: "1 second" }),
    { ...rateFields, slowAfter: required(duration(1)) }
  ],
  [
    "CircuitBreaker.anyOf",
    (replaced) => CircuitBreaker.anyOf(...(replaced["policies"] as Array<never>)),
    {
      policies: {
        bad: [[], ...[...notValues, ...nothings].map((value) => [consecutive, value])],
        good: [[consecutive], [consecutive, consecutive]]
      }
    }
  ],
  [
    "CircuitBreaker.policy",
    flat(CircuitBreaker.policy, circuit),
    {
      tripPolicy: { bad: [...notValues, ...nothings], good: [consecutive] },
      openDuration: required({
        ...duration(1),
        good: [1, "1 second", Backoff.constant("1 second"), Backoff.decorrelated({ base: 1 })]
      }),
      maxOpenDuration: duration(1, ["1 second", "1 hour"]),
      idleTimeToLive: duration(1),
      by: { bad: ["", 0, NaN, {}, [], true, null], good: ["key", "user", "__proto__"] },
      retryAfter: { bad: [0, "", "1 second", {}, [], true], good: [() => ({ _tag: "None" })] }
    }
  ],
  [
    "CircuitBreaker.policy",
    flat((probes: never) => CircuitBreaker.policy({ ...circuit, probes } as never), {}),
    {
      "probes.permitted": count(1, 1_000),
      "probes.required": count(1, 1_000),
      "probes.lease": duration(1)
    }
  ],
  ["CircuitBreaker.policy", flat(CircuitBreaker.policy, { ...circuit, by: "key" }), { maxKeys: count(1) }],
  ["CircuitBreaker.policy", flat(CircuitBreaker.policy, circuit), { maxKeys: { bad: [NaN, 0, 5], good: [undefined] } }],
  [
    "Bulkhead.policy",
    limitOf(Bulkhead.policy, { maxConcurrent: 5 }),
    { maxConcurrent: required(count(1)), maxWait: unbounded(duration(0)), maxQueued: unbounded(count(1)) }
  ],
  [
    "Retry.policy",
    flat(Retry.policy, {}),
    {
      maxAttempts: unbounded(count(1)),
      maxRetryAfter: duration(1),
      onExhausted: oneOf("last", "wrap"),
      backoff: { bad: notValues, good: [Backoff.constant(0)] },
      while: { bad: [0, "", {}, [], true], good: [() => true] },
      retryAfter: { bad: [0, "", "1 second", {}, [], true], good: [() => ({ _tag: "None" })] }
    }
  ],
  [
    "Retry.fromSchedule",
    flat((options: never) => Retry.fromSchedule(Schedule.recurs(1), options), {}),
    { maxRetryAfter: duration(1), onExhausted: oneOf("last", "wrap") }
  ],
  [
    "Retry.fromSchedule",
    first((schedule: never) => Retry.fromSchedule(schedule)),
    { schedule: { bad: [...notValues, ...nothings], good: [Schedule.recurs(1)] } }
  ],
  [
    "Backoff.exponential",
    flat(Backoff.exponential, backoff),
    {
      base: required(duration(1)),
      cap: duration(1, ["1 second"]),
      jitter,
      factor: ratio([0, 0.9, -1, 1e10], [1, 1.5, 1e9])
    }
  ],
  [
    "Backoff.linear",
    flat(Backoff.linear, backoff),
    { base: required(duration(1)), cap: duration(1, ["1 second"]), jitter, increment: duration(1) }
  ],
  [
    "Backoff.fibonacci",
    flat(Backoff.fibonacci, backoff),
    { base: required(duration(1)), cap: duration(1, ["1 second"]), jitter }
  ],
  [
    "Backoff.decorrelated",
    flat(Backoff.decorrelated, backoff),
    { base: required(duration(1)), cap: duration(1, ["1 second"]) }
  ],
  ["Backoff.constant", flat(Backoff.constant, { delay: 1 }), { delay: required(duration(0)), jitter }],
  [
    "Resilience",
    flat((policies: never) => Resilience.make("id", policies), {}),
    {
      timeout: duration(1),
      attemptTimeout: duration(1),
      admission: oneOf("call", "attempt"),
      circuitBreaker: {
        bad: [...notValues, null],
        good: [CircuitBreaker.policy({ tripPolicy: consecutive, openDuration: 1 })]
      },
      rateLimiter: { bad: [...notValues, null], good: [limit, RateLimiter.unlimited, RateLimiter.every({ a: limit })] },
      bulkhead: { bad: [...notValues, null], good: [Bulkhead.policy({ maxConcurrent: 1 })] },
      retry: { bad: [...notValues, null], good: [Retry.policy()] },
      classify: { bad: [0, "", "failure", {}, [], true], good: [() => "success"] }
    }
  ],
  [
    "Resilience",
    flat((store: never) => Resilience.make("id", { store }), {}),
    {
      "store.onError": oneOf("local", "allow", "fail"),
      "store.deadline": duration(1),
      "store.localShare": ratio([0, -0.1, 1.1, 2, 2 ** 53], [Number.MIN_VALUE, 0.25, 1])
    }
  ],
  [
    "Resilience",
    first((id: never) => Resilience.make(id, {})),
    { id: { bad: ["", NaN, 0, {}, [], true, null, undefined], good: ["a", "__proto__", "a/b:c", "\u0000"] } }
  ],
  ["EventStream.make", flat(EventStream.make, {}), { capacity: count(1) }]
]

/** Nested fields are written where they stand: `probes.lease` as `{ lease }` of the object that the constructor is given. */
const asField = (name: string, value: unknown) => ({ [name.slice(name.indexOf(".") + 1)]: value })

describe("a constructor", () => {
  for (const [module, make, fields] of constructors) {
    for (const [name, { bad, good }] of Object.entries(fields)) {
      it(`${module} refuses what makes no sense as ${name}, by name`, () => {
        const wrong = bad.flatMap((value) => {
          try {
            make(asField(name, value))
            return [`accepted ${show(value)}`]
          } catch (error) {
            if (!(error instanceof Rejection.InvalidPolicyError)) return [`for ${show(value)} threw ${String(error)}`]
            const named =
              error.module === module &&
              error.parameter.startsWith(name) &&
              error.message.includes(module) &&
              error.message.includes(name)
            return named ? [] : [`for ${show(value)} said ${error.message}`]
          }
        })
        assert.deepStrictEqual(wrong, [])
      })

      it(`${module} takes what makes sense as ${name}`, () => {
        for (const value of good) make(asField(name, value))
      })
    }
  }

  it("takes from the burst of a leased limit what may be late, rounded against the caller", () => {
    const capacity = (limit: number, duration: number) =>
      RateLimiter.tokenBucket({ limit, window: 1_000, burst: 100, lease: { duration, share: 1 } }).capacity
    assert.deepStrictEqual(
      [capacity(100, 100), capacity(100, 990), capacity(1, 1), capacity(1, 1_001)],
      [90, 1, 99, 98]
    )
  })

  it("refuses numbers that are fine one by one and cannot be counted together", () => {
    const refused = (make: () => unknown, module: string, field: string) => {
      try {
        make()
      } catch (error) {
        assert.instanceOf(error, Rejection.InvalidPolicyError)
        return assert.deepStrictEqual([error.module, error.parameter], [module, field])
      }
      assert.fail(`${module} accepted ${field}`)
    }
    const day = "1 day"
    refused(
      () => RateLimiter.tokenBucket({ limit: 1, window: day, burst: 2 ** 40 }),
      "RateLimiter.tokenBucket",
      "burst"
    )
    refused(
      () => RateLimiter.leakyBucket({ limit: 1, window: day, capacity: 2 ** 40 }),
      "RateLimiter.leakyBucket",
      "capacity"
    )
    refused(
      () => RateLimiter.tokenBucket({ limit: 1_000_000_007, window: "40000 days" }),
      "RateLimiter.tokenBucket",
      "limit"
    )
    for (const part of ["span", "rank"]) {
      const kernel = { ...fixedWindow, [part]: 1_000 as never }
      const options = { limit: 10, window: 1_000, kernel, policy: { limit: 10, window: 1_000 } }
      refused(() => RateLimiter.fromKernel(options), "RateLimiter.fromKernel", `kernel.${part}`)
    }
    const withLease = (lease: object | null) => () =>
      RateLimiter.tokenBucket({ limit: 100, window: 1_000, lease: lease as never })
    for (const lease of [null, 3, "1 second"]) refused(withLease(lease as never), "RateLimiter.tokenBucket", "lease")
    for (const duration of [undefined, 0, -1, 0.5, NaN, "soon", Infinity, 2 ** 52, 991, 1_000]) {
      refused(withLease({ duration, share: 1 }), "RateLimiter.tokenBucket", "lease.duration")
    }
    for (const share of [undefined, 0, 0.5, NaN, "1", 91]) {
      refused(withLease({ duration: 100, share }), "RateLimiter.tokenBucket", "lease.share")
    }
    refused(() => RateLimiter.slidingWindow({ limit: 1, window: 5, slices: 6 }), "RateLimiter.slidingWindow", "slices")
    refused(
      () => CircuitBreaker.policy({ ...circuit, openDuration: "1 hour", maxOpenDuration: "1 minute" } as never),
      "CircuitBreaker.policy",
      "maxOpenDuration"
    )
    refused(
      () => CircuitBreaker.policy({ ...circuit, probes: { permitted: 2, required: 3 } } as never),
      "CircuitBreaker.policy",
      "probes.required"
    )
    refused(
      () => CircuitBreaker.failureRate({ threshold: 0.5, window: { calls: 5 }, minimumCalls: 6 }),
      "CircuitBreaker.failureRate",
      "minimumCalls"
    )
    refused(() => Backoff.exponential({ base: "1 minute", cap: "1 second" }), "Backoff.exponential", "cap")
    refused(() => Bulkhead.policy({ maxConcurrent: 1, maxQueued: 1 }), "Bulkhead.policy", "maxQueued")
    refused(
      () => RateLimiter.fixedWindow({ limit: 1, window: 1, maxQueued: 1 }),
      "RateLimiter.fixedWindow",
      "maxQueued"
    )
    const leased = CircuitBreaker.policy({ tripPolicy: consecutive, openDuration: 1, probes: { lease: "1 second" } })
    refused(
      () => Resilience.make("id", { circuitBreaker: leased, timeout: "1 minute" }),
      "CircuitBreaker.policy",
      "probes.lease"
    )
  })
})
