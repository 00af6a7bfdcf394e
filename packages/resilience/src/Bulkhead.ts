/**
 * A bulkhead: how many calls of a service, or of each key, may run at the same time, in this process.
 *
 * One slow dependency cannot then take every connection and fiber of the application. A call that finds no slot is
 * refused with `BulkheadFull`, or with `maxWait` waits its turn in a bounded queue, first come first served.
 *
 * **Example** (At most ten at once, and fifty in line)
 *
 * ```ts
 * import { Bulkhead } from "effect-resilience"
 *
 * const reports = Bulkhead.policy({ maxConcurrent: 10, maxQueued: 50, maxWait: "2 seconds" })
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import { memory } from "./internal/memoryStore.ts"
import { envOf, isDataFirst, single } from "./engine/service.ts"
import { KeyedSlots } from "./bulkhead/KeyedSlots.ts"
import { SlotGate, type SlotSpec } from "./bulkhead/SlotGate.ts"
import { type Key, readKey } from "./internal/key.ts"
import { count, such, waiting } from "./Validate.ts"
import * as Policies from "./Policy.ts"
import type { BulkheadFull } from "./Rejection.ts"

/** @category models @since 0.1.0 */
export interface Options {
  readonly maxConcurrent: number
  /** How many may wait at the same time. Default: 1,000. */
  readonly maxQueued?: number | undefined
  /** How long a call may wait for a slot. Default: 0, refuse at once. */
  readonly maxWait?: Duration.Input | undefined
}

/**
 * A bulkhead, as a policy. `By` is the dimension that has slots each; `never` for one set of slots in all.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy<out By extends string = never> extends Policies.Policy<
  BulkheadFull,
  unknown,
  Exclude<By, "key">,
  Inspection
> {
  readonly kind: "bulkhead"
  readonly options: Options & { readonly by?: string | undefined }
  readonly open: (env: Policies.Env) => SlotGate | KeyedSlots
}

/**
 * `maxConcurrent` calls run at once. `maxWait` (default 0: refuse at once) is how long one may wait for a slot, and
 * `maxQueued` (default 1,000) how many may wait at the same time. Both take `Infinity`, for no bound.
 *
 * By default the service has one set of slots. `by: "key"` keeps slots and a queue for each key, and the name of a
 * dimension for each value of it. A key that nothing runs or waits for takes no memory.
 *
 * @category constructors
 * @since 0.1.0
 */
export const policy: {
  <const By extends string>(options: Options & { readonly by: By }): Policy<By>
  (options: Options): Policy<never>
} = (options: Policy<string>["options"]): Policy<never> => {
  validated(options) // refuses here what makes no sense
  return Policies.make<Policy<never>>({
    kind: "bulkhead",
    options,
    open({ service }) {
      const { by, spec } = validated(this.options)
      return by === undefined ? new SlotGate(spec, service) : new KeyedSlots(spec, by, service)
    }
  })
}

const validated = (
  options: Policy<string>["options"]
): { readonly spec: SlotSpec; readonly by: string | undefined } => {
  const module = "Bulkhead.policy"
  const { by } = options
  const spec = { maxConcurrent: count(module, "maxConcurrent", options.maxConcurrent), ...waiting(module, options) }
  const named = by === undefined || (typeof by === "string" && by !== "")
  return { spec, by: such(module, "by", by, named, '"key" or the name of a dimension') }
}

/** @category models @since 0.1.0 */
export interface Inspection {
  readonly running: number
  readonly queued: number
  readonly free: number
}

/**
 * A bulkhead in use.
 *
 * @category models
 * @since 0.1.0
 */
export interface BulkheadService extends Policies.PolicyService {
  /** All calls. Where each key has slots, `free` is `Infinity`: the next key finds slots of its own. */
  readonly inspect: Effect.Effect<Inspection>
  /** The slots that calls of this key take. Without `by` all keys share them. */
  readonly inspectKey: (key?: Key) => Effect.Effect<Inspection>
  /** Runs an effect in a slot. Without `by`, the key only names the call, in the error and in events. */
  readonly execute: {
    (key?: Key): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | BulkheadFull, R>
    <A, E, R>(self: Effect.Effect<A, E, R>, key?: Key): Effect.Effect<A, E | BulkheadFull, R>
  }
}

/**
 * The default bulkhead of an application. Where there are several, make named ones with `Service`.
 *
 * @category services
 * @since 0.1.0
 */
export class Bulkhead extends Context.Service<Bulkhead, BulkheadService>()("effect-resilience/Bulkhead") {}

/**
 * A bulkhead with slots of its own.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (policy: Policy<string>, id = "effect-resilience/Bulkhead"): Effect.Effect<BulkheadService> =>
  Effect.sync(() => {
    const gate = policy.open(envOf(id, "bulkhead", memory))
    const run = single<BulkheadFull>(id, gate, memory)
    const execute = <A, E, R>(self: Effect.Effect<A, E, R>, key: Key = id) => run(self, key)
    return {
      inspect: Effect.sync(() => gate.look()),
      inspectKey: (key = id) => Effect.suspend(() => gate.inspect(readKey(key))),
      execute: dual(isDataFirst, execute),
      members: [gate],
      store: undefined
    }
  })

/**
 * Provides the default bulkhead.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (policy: Policy<string>): Layer.Layer<Bulkhead> => Layer.effect(Bulkhead, make(policy))

/** @category models @since 0.1.0 */
export interface ServiceClass<Self, Id extends string> extends Context.ServiceClass<Self, Id, BulkheadService> {
  readonly policy: Policy<string>
  readonly layer: Layer.Layer<Self>
}

/**
 * Makes a named bulkhead: a tag, a type and its layer in one declaration.
 *
 * @category constructors
 * @since 0.1.0
 */
export const Service =
  <Self>() =>
  <const Id extends string>(id: Id, policy: Policy<string>): ServiceClass<Self, Id> => {
    const tag = Context.Service<Self, BulkheadService>()(id)
    return Object.assign(tag, { policy, layer: Layer.effect(tag, make(policy, id)) })
  }
