/**
 * From policies to a pipeline. A policy opens its own members, so only the type `Member` is known here.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { assemble, type AssembleOptions, longestOf } from "../engine/assemble.ts"
import { run } from "../engine/run.ts"
import type { CallOptions, Pipeline } from "../engine/Pipeline.ts"
import { buildContext } from "../internal/buildContext.ts"
import { type Key, readKey } from "../internal/key.ts"
import { memory } from "../internal/memoryStore.ts"
import { between, callback, millis, refuse, such } from "../Validate.ts"
import type { Inspection, Policies } from "../Policies.ts"
import {
  type AnyPolicy,
  type Guarded,
  isPolicy,
  type Local,
  type Longest,
  type Member,
  type PolicyService,
  Stage
} from "../Policy.ts"
import type { StoreError } from "../Rejection.ts"
import { type AnySpace, common, type StorePolicy } from "../StoreModel.ts"
import * as Timeout from "../Timeout.ts"

type RestOptions = Pick<Policies, "timeout" | "attemptTimeout" | "admission" | "classify">

/** Validated policies, before there is a store to keep their state. */
export interface Parts {
  readonly id: string
  readonly policies: Labelled
  readonly rest: Rest
  readonly store: StorePolicy
}

/** Policies by their labels. */
type Labelled = ReadonlyArray<readonly [label: string, policy: AnyPolicy]>

/** The members of a service; those of policies with their labels. */
type LabelledMembers = ReadonlyArray<readonly [label: string | undefined, member: Member]>

/** What is left of a configuration without the policies that keep state. */
interface Rest {
  readonly timers: ReadonlyArray<Member>
  readonly longest: Longest
  readonly assemble: AssembleOptions
}

export interface Composed {
  readonly pipeline: Pipeline
  readonly run: <A, E, R>(self: Effect.Effect<A, E, R>, key: Key, options: CallOptions) => Effect.Effect<A, unknown, R>
  readonly inspect: (key: Key) => Effect.Effect<Inspection, StoreError>
  readonly control: Readonly<Record<string, object>>
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

/** The policies that have a field of their own, which is their kind as well, and what may stand there. */
const named = {
  circuitBreaker: "made by its module: CircuitBreaker",
  rateLimiter:
    "made by its module: TokenBucket, LeakyBucket, FixedWindow, SlidingWindow, SlidingLog, Kernel, Every, Unlimited",
  bulkhead: "made by its module: Bulkhead",
  retry: "a Retry.policy or a Retry.fromSchedule"
} as const

/** What an inspection has in any case. */
const inspected = { rateLimiter: undefined, circuitBreaker: undefined, bulkhead: undefined }

/** The fields that are no policies. */
const options: ReadonlyArray<string> = ["timeout", "attemptTimeout", "admission", "classify", "store", "policies"]

/** The policies of a configuration, each checked to be of its field's kind. */
const policiesOf = (policies: Policies): Labelled => {
  const { policies: own = {} } = policies
  const isRecord = typeof own === "object" && own !== null && !Array.isArray(own)
  such(module, "policies", own, isRecord, "a record of policies")
  const labelled: Array<readonly [string, AnyPolicy]> = []
  for (const [kind, what] of Object.entries(named)) {
    const policy = policies[kind as keyof typeof named] // its own keys
    if (policy !== undefined) labelled.push([kind, such(module, kind, policy, isPolicy(policy, kind), what)])
  }
  for (const [label, policy] of Object.entries(own)) {
    const parameter = `policies.${label}`
    const free = !Object.hasOwn(named, label) && !options.includes(label)
    if (!free) refuse(module, parameter, policy, "has a field of its own")
    labelled.push([
      label,
      such(module, parameter, policy, isPolicy(policy), "a policy: of a module, or of Policy.make")
    ])
  }
  return labelled
}

/** Where a service has one layer at most. */
const once: ReadonlyArray<number> = [Stage.timeout, Stage.retry, Stage.hedge, Stage.attemptTimeout]

/** Two loops of attempts would multiply them, and of two timeouts only one could be meant. */
const refuseSecond = (from: string, parameterOf: (label: string) => string, members: LabelledMembers): void => {
  const first = new Map<number, string>()
  for (const [label, { around, kind, longest, stage }] of members) {
    if ((around === undefined && longest === undefined) || !once.includes(stage)) continue
    const before = first.get(stage)
    if (before !== undefined)
      refuse(from, parameterOf(label ?? kind), kind, `cannot stand beside ${before}: one is the most`)
    first.set(stage, label ?? kind)
  }
}

/** A share that would do nothing, or that a kernel cannot do, is refused where it is written. */
const shareable = (share: number, onError: string, members: ReadonlyArray<Member>): void => {
  const parameter = "store.localShare"
  between(module, parameter, share, { above: 0, max: 1 })
  if (share === 1) return
  if (onError !== "local") refuse(module, parameter, share, 'does nothing unless store.onError is "local"')
  for (const space of members.flatMap(({ spaces = [] }) => spaces)) {
    if (space.isLimit !== true) continue
    if (space.scale === undefined)
      refuse(module, parameter, share, `needs a scale function for the kernel ${space.kernel.id}`)
    else space.scale(space.policy, share) // of this very policy: it throws where there is no such share
  }
}

/** The members of a configuration on a store. */
const membersOf = (
  id: string,
  policies: Labelled,
  { longest, timers }: Rest,
  store: Local | Guarded,
  context?: Context.Context<never>
): LabelledMembers => [
  ...timers.map((member) => [undefined, member] as const),
  ...policies.flatMap(([label, policy]) =>
    [policy.open({ service: id, label, store, longest, context })].flat().map((member) => [label, member] as const)
  )
]

const plain = (members: LabelledMembers): ReadonlyArray<Member> => members.map(([, member]) => member)

export const fromPolicies = (id: string, policies: Policies): Parts => {
  such(module, "id", id, typeof id === "string" && id !== "", "a name")
  const labelled = policiesOf(policies)
  const { onError = "local", deadline = 1_000, localShare = 1 } = policies.store ?? {}
  const known = onError === "local" || onError === "allow" || onError === "fail"
  such(module, "store.onError", onError, known, '"local", "allow" or "fail"')
  const rest = restOf(policies)
  // what an opening refuses, such as a lease that is too short, is refused here, where it is written
  const members = membersOf(id, labelled, rest, memory)
  refuseSecond(module, (label) => `policies.${label}`, members)
  shareable(localShare, onError, plain(members))
  return {
    id,
    policies: labelled,
    rest,
    store: { onError, deadline: millis(module, "store.deadline", deadline), localShare }
  }
}

/** A remote store comes with its guard, so programs without a remote store do not bundle it. */
export const compose = ({ id, policies, rest }: Parts, store: Local | Guarded): Composed => {
  const members = membersOf(id, policies, rest, store, buildContext())
  spread(plain(members))
  return composed(assemble(id, plain(members), store, rest.assemble), members)
}

/** If limits taken in one commit use different parts of the key, the store must not shard by key. */
const spread = (members: ReadonlyArray<Member>): void => {
  const together = members.flatMap(({ by, spaces = [] }) =>
    spaces.flatMap((space) => (space.lease === undefined ? [{ by, space }] : []))
  )
  if (together.every(({ by }) => by !== undefined && by === together[0]!.by)) return
  for (const { space } of together) space.spread = false
}

/** Services that keep state of their own: two executors that are given the same one share it. */
export const composeServices = (id: string, services: ReadonlyArray<PolicyService>, options: RestOptions): Composed => {
  const from = "Resilience.layerFrom"
  const members = services.flatMap((service) => service.members)
  services.forEach(({ members: own }, i) => {
    const before = services.slice(0, i).flatMap((service) => service.members)
    const again = own.find(({ kind }) => before.some((other) => other.kind === kind))
    if (again !== undefined) refuse(from, nameOf(again.kind), id, "is given twice")
  })
  const stores = services.flatMap(({ store }) => (store === undefined ? [] : [store]))
  const store = stores.length === 0 ? memory : common(stores, id)
  if (store === undefined) return refuse(from, "store", id, "must be one: an admission is one step")
  const rest = restOf(options)
  const lease = Math.min(...members.map(({ lease = Infinity }) => lease))
  const longest = Math.min(rest.longest.call, rest.longest.attempt)
  if (longest !== Infinity && lease < longest)
    refuse(from, "timeout", id, `is longer than a probe's lease of ${lease} ms`)
  const labelled = members.map((member) => [member.kind, member] as const)
  refuseSecond(from, nameOf, [...rest.timers.map((member) => [undefined, member] as const), ...labelled])
  return composed(assemble(id, [...members, ...rest.timers], store, rest.assemble), labelled)
}

const nameOf = (kind: string): string => kind.charAt(0).toUpperCase() + kind.slice(1)

const composed = (pipeline: Pipeline, labelled: LabelledMembers): Composed => {
  const labels = [...new Set(labelled.flatMap(([label]) => (label === undefined ? [] : [label])))]
  const of = (label: string) => labelled.flatMap(([other, member]) => (other === label ? [member] : []))
  const looks = labels.flatMap((label) => {
    const inspect = of(label).find((member) => member.inspect !== undefined)
    return inspect === undefined ? [] : [[label, inspect] as const]
  })
  return {
    pipeline,
    spaces: pipeline.members.flatMap(({ spaces = [] }) => spaces),
    control: Object.fromEntries(
      labels.flatMap((label) => {
        const controls = of(label).flatMap(({ control }) => (control === undefined ? [] : [control]))
        if (controls.length === 0) return []
        // as the policy made it: a copy would have none of the methods of a class, and a getter would be read once
        return [[label, controls.length === 1 ? controls[0]! : (Object.assign({}, ...controls) as object)]]
      })
    ),
    run: (self, key, options) => run(pipeline, self, key, options),
    inspect: (key) =>
      Effect.suspend(() => {
        const read = readKey(key)
        const seen = Effect.forEach(looks, ([label, member]) =>
          Effect.map(member.inspect!(read), (view) => [label, view] as const)
        )
        return Effect.map(seen, (views) => ({ ...inspected, ...Object.fromEntries(views) }) as Inspection) // by the policies' types
      })
  }
}
