/**
 * From policies to a pipeline. A policy opens its own gate, so only the types of the gates are known here.
 */
import * as Effect from "effect/Effect"
import type * as Bulkhead from "../../Bulkhead.ts"
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import type { Outcome } from "../../Outcome.ts"
import type { Policies } from "../../Policies.ts"
import type * as RateLimiter from "../../RateLimiter.ts"
import { InvalidPolicyError, type StoreError } from "../../Rejection.ts"
import type * as Retry from "../../Retry.ts"
import type { AnySpace, Store } from "../../StoreModel.ts"
import { common, type StorePolicy } from "../guardedStore.ts"
import { type Key, readKey } from "../key.ts"
import type { LimitGate } from "../LimitGate.ts"
import { memory } from "../memoryStore.ts"
import type { Guarded, Local } from "../storeView.ts"
import { between, callback, millis, such } from "../../Validate.ts"
import { run } from "./Call.ts"
import { bare, type Classify, type Pipeline, type PipelineError } from "./Pipeline.ts"

type Rest = Pick<Pipeline, "retry" | "timeout" | "attemptTimeout" | "perAttempt" | "classify">
type RestOptions = Pick<Policies, "timeout" | "attemptTimeout" | "admission" | "classify">

/**
 * What a service's policies know of a key. A policy that is not configured is `undefined`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Inspection {
  readonly rateLimiter: RateLimiter.Peek | undefined
  readonly circuitBreaker: CircuitBreaker.Inspection | undefined
  readonly bulkhead: Bulkhead.Inspection | undefined
}

/** Validated policies, before there is a store to keep their state. */
export interface Parts {
  readonly id: string
  readonly policies: Policies
  readonly rest: Rest
  readonly store: StorePolicy
}

export interface Composed {
  readonly pipeline: Pipeline
  readonly run: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    key: Key,
    options: {
      readonly cost?: number | undefined
      readonly classify?: ((exit: never) => Outcome) | undefined
    }
  ) => Effect.Effect<A, E | PipelineError, R>
  readonly inspect: (key: Key) => Effect.Effect<Inspection, StoreError>
  /** Where the policies keep their state. */
  readonly spaces: ReadonlyArray<AnySpace>
}

const module = "Resilience"

const restOf = (policies: RestOptions, retry: Retry.Policy<never, Retry.OnExhausted> | undefined): Rest => {
  const { admission = "call", attemptTimeout, timeout } = policies
  const classify = callback(module, "classify", policies.classify)
  if (admission !== "call" && admission !== "attempt") {
    throw new InvalidPolicyError({
      module,
      parameter: "admission",
      value: admission,
      reason: 'must be "call" or "attempt"'
    })
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

const policyOf = (parameter: string, value: { readonly _tag: string } | undefined, tags: ReadonlyArray<string>) => {
  const is = value === undefined || (value !== null && tags.includes(value._tag))
  return such(module, parameter, value, is, `made by its module: ${tags.join(", ")}`)
}

/** A share that would do nothing, or that a kernel cannot do, is refused where it is written. */
const shareable = (share: number, onError: string, limits: LimitGate | undefined): void => {
  const parameter = "store.localShare"
  between(module, parameter, share, { above: 0, max: 1 })
  if (share === 1) return
  const refuse = (reason: string) => {
    throw new InvalidPolicyError({ module, parameter, value: share, reason })
  }
  if (onError !== "local") refuse('does nothing unless store.onError is "local"')
  for (const { spec } of limits?.members ?? []) {
    if (spec.scale === undefined) refuse(`needs a scale function for the kernel ${spec.kernel.id}`)
    else spec.scale(spec.policy as never, share) // of this very policy: it throws where there is no such share
  }
}

export const fromPolicies = (id: string, policies: Policies): Parts => {
  if (typeof id !== "string" || id === "") {
    throw new InvalidPolicyError({ module, parameter: "id", value: id, reason: "must be a name" })
  }
  const limits = ["TokenBucket", "LeakyBucket", "FixedWindow", "SlidingWindow", "SlidingLog", "Kernel"]
  policyOf("rateLimiter", policies.rateLimiter, [...limits, "Every", "Unlimited"])
  policyOf("circuitBreaker", policies.circuitBreaker, ["CircuitBreaker"])
  policyOf("bulkhead", policies.bulkhead, ["Bulkhead"])
  const { retry } = policies
  const retries = retry === undefined || (typeof retry === "object" && retry !== null && "driver" in retry)
  such(module, "retry", retry, retries, "a Retry.policy or a Retry.fromSchedule")
  const { onError = "local", deadline = 1_000, localShare = 1 } = policies.store ?? {}
  if (onError !== "local" && onError !== "allow" && onError !== "fail") {
    throw new InvalidPolicyError({
      module,
      parameter: "store.onError",
      value: onError,
      reason: 'must be "local", "allow" or "fail"'
    })
  }
  shareable(localShare, onError, policies.rateLimiter?.open(id, memory))
  const rest = restOf(policies, policies.retry)
  policies.circuitBreaker?.open(id, memory, rest) // a lease that is too short is refused here, where it is written
  return { id, policies, rest, store: { onError, deadline: millis(module, "store.deadline", deadline), localShare } }
}

/** A store elsewhere comes with its guard, so that who needs none does not bundle it. */
export const compose = ({ id, policies, rest }: Parts, store: Local | Guarded): Composed => {
  const { bulkhead, circuitBreaker, rateLimiter } = policies
  const circuit = circuitBreaker?.open(id, store, rest)
  const limits = rateLimiter === undefined || rateLimiter._tag === "Unlimited" ? undefined : rateLimiter.open(id, store)
  if (circuit !== undefined && limits !== undefined && !limits.looksAt(circuit.by)) {
    circuit.spread(false)
    limits.spread(false)
  }
  return composed({ id, store, circuit, limits, slots: bulkhead?.open(id), ...rest })
}

type AnyService =
  | RateLimiter.RateLimiterService<never>
  | CircuitBreaker.CircuitBreakerService
  | Bulkhead.BulkheadService
  | Retry.RetryService<never, Retry.OnExhausted>

/** Services that keep state of their own: two executors that are given the same one share it. */
export const composeServices = (id: string, services: ReadonlyArray<AnyService>, options: RestOptions): Composed => {
  let pipeline: Pipeline = bare(id, memory)
  let retry: Retry.Policy<never, Retry.OnExhausted> | undefined
  const stores: Array<Store["Service"]> = []
  const refuse = (parameter: string, reason: string): never => {
    throw new InvalidPolicyError({ module: "Resilience.layerFrom", parameter, value: id, reason })
  }
  const once = (kind: string, known: unknown) => known === undefined || refuse(kind, "is given twice")
  for (const service of services) {
    if (!("gate" in service)) {
      once("Retry", retry)
      retry = service.policy
      continue
    }
    const { gate } = service
    if (gate.kind === "slots") {
      once("Bulkhead", pipeline.slots)
      pipeline = { ...pipeline, slots: gate }
      continue
    }
    stores.push(gate.store)
    if (gate.kind === "circuit") {
      once("CircuitBreaker", pipeline.circuit)
      pipeline = { ...pipeline, circuit: gate }
    } else {
      once("RateLimiter", pipeline.limits)
      pipeline = { ...pipeline, limits: gate }
    }
  }
  const store = stores.length === 0 ? memory : common(stores, id)
  if (store === undefined) return refuse("store", "must be one: an admission is one step")
  const rest = restOf(options, retry)
  const lease = pipeline.circuit?.leastLease ?? Infinity
  const longest = Math.min(rest.timeout, rest.attemptTimeout)
  if (longest !== Infinity && lease < longest) refuse("timeout", `is longer than a probe's lease of ${lease} ms`)
  return composed({ ...pipeline, store, ...rest })
}

const composed = (pipeline: Pipeline): Composed => {
  const { circuit, limits, slots } = pipeline
  return {
    pipeline,
    spaces: [...(limits?.members ?? []).map(({ space }) => space), ...(circuit === undefined ? [] : [circuit.space])],
    run: (self, key, { classify, cost = 1 }) =>
      run(pipeline, self, key, { cost, maxWait: undefined, classify: classify as Classify | undefined }), // only called with exits of this effect
    inspect: (key) =>
      Effect.gen(function* () {
        const read = readKey(key)
        return {
          rateLimiter: limits === undefined ? undefined : yield* limits.peek(read),
          circuitBreaker: circuit === undefined ? undefined : yield* circuit.inspect(read),
          bulkhead: slots?.inspect()
        }
      })
  }
}
