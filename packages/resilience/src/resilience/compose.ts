/**
 * From policies to a pipeline. A policy opens its own gate, so only the types of the gates are known here.
 */
import * as Effect from "effect/Effect"
import type * as Bulkhead from "../Bulkhead.ts"
import type * as CircuitBreaker from "../CircuitBreaker.ts"
import { assemble, type AssembleOptions, longestOf } from "../engine/assemble.ts"
import { run } from "../engine/run.ts"
import type { Classify, Pipeline } from "../engine/Pipeline.ts"
import { type Key, type ReadKey, readKey } from "../internal/key.ts"
import { memory } from "../internal/memoryStore.ts"
import { between, callback, millis, such } from "../Validate.ts"
import type { Outcome } from "../Outcome.ts"
import type { Policies } from "../Policies.ts"
import type { Env, Guarded, Local, Longest, Member, PolicyService } from "../Policy.ts"
import type * as RateLimiter from "../RateLimiter.ts"
import { InvalidPolicyError, type StoreError } from "../Rejection.ts"
import { type AnySpace, common, type StorePolicy } from "../StoreModel.ts"
import * as Timeout from "../Timeout.ts"

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

/** What is left of a configuration without the policies that keep state. */
interface Rest {
  readonly timers: ReadonlyArray<Member>
  readonly longest: Longest
  readonly assemble: AssembleOptions
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
  ) => Effect.Effect<A, unknown, R>
  readonly inspect: (key: Key) => Effect.Effect<Inspection, StoreError>
  /** Where the policies keep their state. */
  readonly spaces: ReadonlyArray<AnySpace>
}

const module = "Resilience"

const restOf = (policies: RestOptions): Rest => {
  const { admission = "call", attemptTimeout, timeout } = policies
  const classify = callback(module, "classify", policies.classify)
  such(module, "admission", admission, admission === "call" || admission === "attempt", '"call" or "attempt"')
  const timers = [
    ...(timeout === undefined ? [] : Timeout.ofCall(module, "timeout", timeout)),
    ...(attemptTimeout === undefined ? [] : Timeout.ofAttempt(module, "attemptTimeout", attemptTimeout))
  ]
  return {
    timers,
    longest: longestOf(timers),
    assemble: { perAttempt: admission === "attempt", classify }
  }
}

const policyOf = (parameter: string, value: { readonly _tag: string } | undefined, tags: ReadonlyArray<string>) => {
  const is = value === undefined || (value !== null && tags.includes(value._tag))
  return such(module, parameter, value, is, `made by its module: ${tags.join(", ")}`)
}

/** A share that would do nothing, or that a kernel cannot do, is refused where it is written. */
const shareable = (share: number, onError: string, members: ReadonlyArray<Member>): void => {
  const parameter = "store.localShare"
  between(module, parameter, share, { above: 0, max: 1 })
  if (share === 1) return
  const refuse = (reason: string) => {
    throw new InvalidPolicyError({ module, parameter, value: share, reason })
  }
  if (onError !== "local") refuse('does nothing unless store.onError is "local"')
  for (const space of members.flatMap(({ spaces = [] }) => spaces)) {
    if (space.isLimit !== true) continue
    if (space.scale === undefined) refuse(`needs a scale function for the kernel ${space.kernel.id}`)
    else space.scale(space.policy, share) // of this very policy: it throws where there is no such share
  }
}

/** The members of a configuration on a store. */
const membersOf = (id: string, policies: Policies, { longest, timers }: Rest, store: Local | Guarded) => {
  const { bulkhead, circuitBreaker, rateLimiter, retry } = policies
  const env = (label: string): Env => ({ service: id, label, store, longest })
  return [
    ...timers,
    ...(circuitBreaker === undefined ? [] : [circuitBreaker.open(env("circuitBreaker"))]),
    ...(rateLimiter === undefined || rateLimiter._tag === "Unlimited" ? [] : [rateLimiter.open(env("rateLimiter"))]),
    ...(bulkhead === undefined ? [] : [bulkhead.open(env("bulkhead"))]),
    ...(retry === undefined ? [] : [retry.open()])
  ]
}

export const fromPolicies = (id: string, policies: Policies): Parts => {
  such(module, "id", id, typeof id === "string" && id !== "", "a name")
  const limits = ["TokenBucket", "LeakyBucket", "FixedWindow", "SlidingWindow", "SlidingLog", "Kernel"]
  policyOf("rateLimiter", policies.rateLimiter, [...limits, "Every", "Unlimited"])
  policyOf("circuitBreaker", policies.circuitBreaker, ["CircuitBreaker"])
  policyOf("bulkhead", policies.bulkhead, ["Bulkhead"])
  const { retry } = policies
  const retries = retry === undefined || (typeof retry === "object" && retry !== null && "driver" in retry)
  such(module, "retry", retry, retries, "a Retry.policy or a Retry.fromSchedule")
  const { onError = "local", deadline = 1_000, localShare = 1 } = policies.store ?? {}
  const known = onError === "local" || onError === "allow" || onError === "fail"
  such(module, "store.onError", onError, known, '"local", "allow" or "fail"')
  const rest = restOf(policies)
  // what an opening refuses, such as a lease that is too short, is refused here, where it is written
  shareable(localShare, onError, membersOf(id, policies, rest, memory))
  return { id, policies, rest, store: { onError, deadline: millis(module, "store.deadline", deadline), localShare } }
}

/** A remote store comes with its guard, so that what needs none does not bundle it. */
export const compose = ({ id, policies, rest }: Parts, store: Local | Guarded): Composed => {
  const members = membersOf(id, policies, rest, store)
  spread(members)
  return composed(assemble(id, members, store, rest.assemble))
}

/** Where what is taken together looks at different parts of the key, a store may not spread it by the key. */
const spread = (members: ReadonlyArray<Member>): void => {
  const together = members.flatMap(({ by, spaces = [] }) =>
    spaces.flatMap((space) => (space.lease === undefined ? [{ by, space }] : []))
  )
  if (together.every(({ by }) => by !== undefined && by === together[0]!.by)) return
  for (const { space } of together) space.spread = false
}

/** Services that keep state of their own: two executors that are given the same one share it. */
export const composeServices = (id: string, services: ReadonlyArray<PolicyService>, options: RestOptions): Composed => {
  const refuse = (parameter: string, reason: string): never => {
    throw new InvalidPolicyError({ module: "Resilience.layerFrom", parameter, value: id, reason })
  }
  const members = services.flatMap((service) => service.members)
  members.forEach(({ kind }, i) => {
    if (members.findIndex((other) => other.kind === kind) < i) refuse(nameOf(kind), "is given twice")
  })
  const stores = services.flatMap(({ store }) => (store === undefined ? [] : [store]))
  const store = stores.length === 0 ? memory : common(stores, id)
  if (store === undefined) return refuse("store", "must be one: an admission is one step")
  const rest = restOf(options)
  const lease = Math.min(...members.map(({ lease = Infinity }) => lease))
  const longest = Math.min(rest.longest.call, rest.longest.attempt)
  if (longest !== Infinity && lease < longest) refuse("timeout", `is longer than a probe's lease of ${lease} ms`)
  return composed(assemble(id, [...members, ...rest.timers], store, rest.assemble))
}

const nameOf = (kind: string): string => kind.charAt(0).toUpperCase() + kind.slice(1)

const composed = (pipeline: Pipeline): Composed => {
  const { members } = pipeline
  const look = (kind: string, key: ReadKey) =>
    members.find((member) => member.kind === kind)?.inspect?.(key) ?? Effect.succeed(undefined)
  return {
    pipeline,
    spaces: members.flatMap(({ spaces = [] }) => spaces),
    run: (self, key, { classify, cost = 1 }) =>
      run(pipeline, self, key, { cost, maxWait: undefined, classify: classify as Classify | undefined }), // only called with exits of this effect
    inspect: (key) =>
      Effect.suspend(() => {
        const read = readKey(key)
        const kinds = ["rateLimiter", "circuitBreaker", "bulkhead"] as const
        return Effect.map(
          Effect.forEach(kinds, (kind) => look(kind, read)),
          ([rateLimiter, circuitBreaker, bulkhead]) => ({ rateLimiter, circuitBreaker, bulkhead }) as Inspection // of the members of these kinds
        )
      })
  }
}
