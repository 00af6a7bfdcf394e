/**
 * From policies to a pipeline.
 */
import * as Effect from "effect/Effect"
import type * as Bulkhead from "../../Bulkhead.ts"
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import type { Policies } from "../../Policies.ts"
import type * as RateLimiter from "../../RateLimiter.ts"
import { InvalidPolicyError } from "../../Rejection.ts"
import type { Inspection } from "../../Resilience.ts"
import type * as Retry from "../../Retry.ts"
import type { Store } from "../../Store.ts"
import { CircuitGate, type CircuitSpec } from "../CircuitGate.ts"
import { inspect as inspectCircuit } from "../circuitService.ts"
import { guarded, type StorePolicy } from "../guardedStore.ts"
import type { Key } from "../key.ts"
import { LimitGate, type LimitSpec } from "../LimitGate.ts"
import { peek } from "../peek.ts"
import { SlotGate } from "../SlotGate.ts"
import { millis } from "../validate.ts"
import { memory } from "../memoryStore.ts"
import { bare, type Classify, type Pipeline, type PipelineError, run } from "./Call.ts"

/** Validated policies, before there is a store to keep their state. */
export interface Parts {
  readonly id: string
  readonly circuit: CircuitSpec | undefined
  readonly limits: ReadonlyArray<LimitSpec> | undefined
  readonly bulkhead: Bulkhead.Policy | undefined
  readonly rest: Pick<Pipeline, "retry" | "timeout" | "attemptTimeout" | "perAttempt" | "classify">
  readonly store: StorePolicy
}

export interface Composed {
  readonly pipeline: Pipeline
  readonly run: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    key: Key,
    options: { readonly cost?: number | undefined; readonly classify?: ((exit: never) => "success" | "failure" | "ignored") | undefined }
  ) => Effect.Effect<A, E | PipelineError, R>
  readonly inspect: (key: Key) => Effect.Effect<Inspection>
}

const module = "Resilience"

const restOf = (policies: Pick<Policies, "timeout" | "attemptTimeout" | "admission" | "classify">, retry: Retry.Policy<never, Retry.OnExhausted> | undefined): Parts["rest"] => {
  const { admission = "call", attemptTimeout, classify, timeout } = policies
  if (admission !== "call" && admission !== "attempt") {
    throw new InvalidPolicyError({ module, parameter: "admission", value: admission, reason: "must be \"call\" or \"attempt\"" })
  }
  return {
    timeout: timeout === undefined ? Infinity : millis(module, "timeout", timeout),
    attemptTimeout: attemptTimeout === undefined ? Infinity : millis(module, "attemptTimeout", attemptTimeout),
    perAttempt: admission === "attempt",
    classify,
    // `resilient` takes only effects whose errors the policy knows
    retry: retry as Retry.Policy<unknown, Retry.OnExhausted> | undefined
  }
}

/** A probe must be able to end before its lease does. */
const leased = (spec: CircuitSpec, { attemptTimeout, timeout }: Parts["rest"]): CircuitSpec => {
  const longest = Math.min(timeout, attemptTimeout)
  if (longest === Infinity) return spec
  const { lease } = spec.policy
  if (lease === 0) return { ...spec, policy: { ...spec.policy, lease: timeout === Infinity ? attemptTimeout : timeout } }
  if (lease < longest) {
    throw new InvalidPolicyError({ module, parameter: "circuitBreaker.probes.lease", value: lease, reason: `is shorter than the timeout of ${longest} ms` })
  }
  return spec
}

export const fromPolicies = (id: string, policies: Policies): Parts => {
  if (typeof id !== "string" || id === "") {
    throw new InvalidPolicyError({ module, parameter: "id", value: id, reason: "must be a name" })
  }
  const { bulkhead, circuitBreaker, rateLimiter, retry, store } = policies
  const { onError = "local" } = store ?? {}
  if (onError !== "local" && onError !== "allow" && onError !== "fail") {
    throw new InvalidPolicyError({ module, parameter: "store.onError", value: onError, reason: "must be \"local\", \"allow\" or \"fail\"" })
  }
  const rest = restOf(policies, retry)
  return {
    id,
    circuit: circuitBreaker === undefined ? undefined : leased(circuitBreaker.spec, rest),
    limits: rateLimiter === undefined || rateLimiter._tag === "Unlimited" ? undefined : rateLimiter.specs,
    bulkhead,
    rest,
    store: { onError, deadline: millis(module, "store.deadline", store?.deadline ?? 1_000) }
  }
}

export const compose = (parts: Parts, shared: Store["Service"]): Composed => {
  const { bulkhead, circuit, id, limits, rest } = parts
  const store = guarded(shared, id, parts.store)
  return composed({
    id,
    store,
    circuit: circuit === undefined ? undefined : new CircuitGate(circuit, id, store),
    limits: limits === undefined ? undefined : new LimitGate(limits, id, store),
    slots: bulkhead === undefined ? undefined : new SlotGate(bulkhead),
    ...rest
  })
}

type AnyService =
  | RateLimiter.RateLimiterService<never>
  | CircuitBreaker.CircuitBreakerService
  | Bulkhead.BulkheadService
  | Retry.RetryService<never, Retry.OnExhausted>

/** Services that keep state of their own: two executors that are given the same one share it. */
export const composeServices = (
  id: string,
  services: ReadonlyArray<AnyService>,
  options: Pick<Policies, "timeout" | "attemptTimeout" | "admission" | "classify">
): Composed => {
  let pipeline: Pipeline = bare(id, memory)
  let retry: Retry.Policy<never, Retry.OnExhausted> | undefined
  const stores = new Set<Store["Service"]>()
  const once = (kind: string, known: unknown) => {
    if (known !== undefined) throw new InvalidPolicyError({ module: "Resilience.layerFrom", parameter: kind, value: id, reason: "is given twice" })
  }
  for (const service of services) {
    if (!("gate" in service)) {
      once("Retry", retry)
      retry = service.policy
    } else if (service.gate instanceof SlotGate) {
      once("Bulkhead", pipeline.slots)
      pipeline = { ...pipeline, slots: service.gate }
    } else if ("circuit" in service.gate) {
      once("CircuitBreaker", pipeline.circuit)
      stores.add(service.gate.store)
      pipeline = { ...pipeline, store: service.gate.store, circuit: service.gate.circuit }
    } else {
      once("RateLimiter", pipeline.limits)
      stores.add(service.gate.store)
      pipeline = { ...pipeline, store: service.gate.store, limits: service.gate.limits }
    }
  }
  if (stores.size > 1) {
    throw new InvalidPolicyError({ module: "Resilience.layerFrom", parameter: "store", value: id, reason: "must be one: an admission is one step" })
  }
  const rest = restOf(options, retry)
  if (pipeline.circuit !== undefined) leased(pipeline.circuit.spec, rest)
  return composed({ ...pipeline, ...rest })
}

const composed = (pipeline: Pipeline): Composed => {
  const { circuit, limits, slots } = pipeline
  return {
    pipeline,
    run: (self, key, { classify, cost = 1 }) =>
      run(pipeline, self, key, { cost, maxWait: undefined, classify: classify as Classify | undefined }), // only called with exits of this effect
    inspect: (key) =>
      Effect.gen(function*() {
        return {
          rateLimiter: limits === undefined ? undefined : yield* peek(limits, key),
          circuitBreaker: circuit === undefined ? undefined : yield* inspectCircuit(circuit, key),
          bulkhead: slots?.inspect()
        }
      })
  }
}
