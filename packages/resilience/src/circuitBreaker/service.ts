/**
 * A circuit breaker in use: what `CircuitBreaker.make` and its layers build.
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Outcome } from "../Outcome.ts"
import type { CircuitOpen } from "../Rejection.ts"
import type { Store } from "../StoreModel.ts"
import { refuse } from "../Validate.ts"
import type { CircuitGate, CircuitSpec } from "./CircuitGate.ts"
import type { Control } from "./control.ts"
import type { Inspection } from "./inspection.ts"
import { type Key, readKey } from "../internal/key.ts"
import { transactionalMemory } from "../internal/memoryTransactions.ts"
import type { Classify } from "../engine/Pipeline.ts"
import { envOf, fromStore, isDataFirst, single } from "../engine/service.ts"
import type { Env, Guarded, Local, Longest, PolicyService } from "../Policy.ts"

/** @category models @since 0.1.0 */
export interface ExecuteOptions<in A = unknown, in E = unknown> {
  /** What an exit says about the dependency. Default: `Outcome.fromExit`. */
  readonly classify?: ((exit: Exit.Exit<A, E>) => Outcome | undefined) | undefined
}

/**
 * A circuit breaker in use. Where there is one circuit, the key only names the call. `state`, `isolate`, `close` and
 * `reset` may stand inside `Effect.tx`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CircuitBreakerService extends PolicyService, Control {
  readonly state: (key?: Key) => Effect.Effect<Inspection>
  readonly execute: {
    <A, E, R>(
      self: Effect.Effect<A, E, R>,
      key?: Key,
      options?: ExecuteOptions<A, E>
    ): Effect.Effect<A, E | CircuitOpen, R>
    <A, E, R>(
      key: Key,
      options: Required<ExecuteOptions<A, E>>
    ): (self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R>
    (key?: Key): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R>
  }
  /** @internal */
  readonly gate: CircuitGate
}

/** What opens into a gate. */
export interface OpensCircuit {
  readonly open: (env: Env) => CircuitGate
}

/** A probe must be able to end before its lease does. */
export const leased = (spec: CircuitSpec, { attempt, call }: Longest): CircuitSpec => {
  const longest = Math.min(call, attempt)
  if (longest === Infinity) return spec
  const { lease } = spec.policy
  if (lease === 0) return { ...spec, policy: { ...spec.policy, lease: call === Infinity ? attempt : call } }
  if (lease >= longest) return spec
  return refuse("CircuitBreaker.policy", "probes.lease", lease, `is shorter than the timeout of ${longest} ms`)
}

const build = (id: string, policy: OpensCircuit, store: Local | Guarded): CircuitBreakerService => {
  const gate = policy.open(envOf(id, "circuitBreaker", store))
  const run = single<CircuitOpen>(id, gate, store)

  const execute = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    key: Key = id,
    options?: ExecuteOptions<A, E>
  ): Effect.Effect<A, E | CircuitOpen, R> => run(self, key, { classify: options?.classify as Classify | undefined }) // it is only called with exits of this effect

  return {
    state: (key = id) => Effect.orDie(Effect.suspend(() => gate.inspect(readKey(key)))), // a guarded store that falls back does not fail
    ...gate.control,
    execute: dual(isDataFirst, execute),
    gate,
    members: [gate],
    store
  }
}

export const make = (id: string, policy: OpensCircuit): Effect.Effect<CircuitBreakerService> =>
  Effect.sync(() => build(id, policy, transactionalMemory))

export const makeFromStore = (
  id: string,
  policy: OpensCircuit
): Effect.Effect<CircuitBreakerService, never, Store | Scope.Scope> =>
  fromStore("CircuitBreaker", id, (store) => build(id, policy, store))
