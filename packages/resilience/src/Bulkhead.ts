/**
 * A bulkhead: how many calls of a service may run at the same time, in this process.
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
import { run } from "./engine/run.ts"
import { assemble } from "./engine/assemble.ts"
import { SlotGate, type SlotSpec } from "./bulkhead/SlotGate.ts"
import { count, waiting } from "./Validate.ts"
import * as Policies from "./Policy.ts"
import type { BulkheadFull } from "./Rejection.ts"

/** @category models @since 0.1.0 */
export interface Options {
  readonly maxConcurrent: number
  readonly maxQueued?: number | undefined
  readonly maxWait?: Duration.Input | undefined
}

/**
 * A bulkhead, as a policy.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy extends Policies.Policy<BulkheadFull, unknown, never, Inspection> {
  readonly kind: "bulkhead"
  readonly options: Options
  readonly open: (env: Policies.Env) => SlotGate
}

/**
 * `maxConcurrent` calls run at once. `maxWait` (default 0: refuse at once) is how long one may wait for a slot, and
 * `maxQueued` (default 1,000) how many may wait at the same time. Both take `Infinity`, for no bound.
 *
 * @category constructors
 * @since 0.1.0
 */
export const policy = (options: Options): Policy => {
  specOf(options) // refuses here what makes no sense
  return Policies.make<Policy>({
    kind: "bulkhead",
    options,
    open({ service }) {
      return new SlotGate(specOf(this.options), service)
    }
  })
}

const specOf = (options: Options): SlotSpec => {
  const module = "Bulkhead.policy"
  return { maxConcurrent: count(module, "maxConcurrent", options.maxConcurrent), ...waiting(module, options) }
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
  readonly inspect: Effect.Effect<Inspection>
  /** Runs an effect in a slot. The key only names the call, in the error and in events. */
  readonly execute: {
    (key?: string): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | BulkheadFull, R>
    <A, E, R>(self: Effect.Effect<A, E, R>, key?: string): Effect.Effect<A, E | BulkheadFull, R>
  }
  /** @internal */
  readonly gate: SlotGate
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
export const make = (policy: Policy, id = "effect-resilience/Bulkhead"): Effect.Effect<BulkheadService> =>
  Effect.sync(() => {
    const gate = policy.open({ service: id, label: "bulkhead", store: memory, longest: Policies.unbounded })
    const pipeline = assemble(id, [gate], memory)
    const execute = <A, E, R>(self: Effect.Effect<A, E, R>, key: string = id): Effect.Effect<A, E | BulkheadFull, R> =>
      run(pipeline, self, key, { cost: 1, maxWait: undefined, classify: undefined }) as Effect.Effect<
        A,
        E | BulkheadFull,
        R
      > // nothing else can refuse here
    return {
      inspect: gate.inspect(),
      execute: dual((args) => Effect.isEffect(args[0]), execute),
      gate,
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
export const layer = (policy: Policy): Layer.Layer<Bulkhead> => Layer.effect(Bulkhead, make(policy))

/** @category models @since 0.1.0 */
export interface ServiceClass<Self, Id extends string> extends Context.ServiceClass<Self, Id, BulkheadService> {
  readonly policy: Policy
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
  <const Id extends string>(id: Id, policy: Policy): ServiceClass<Self, Id> => {
    const tag = Context.Service<Self, BulkheadService>()(id)
    return Object.assign(tag, { policy, layer: Layer.effect(tag, make(policy, id)) })
  }
