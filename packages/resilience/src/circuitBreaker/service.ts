/**
 * A circuit breaker in use: what `CircuitBreaker.make` and its layers build.
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Outcome } from "../Outcome.ts"
import { type CircuitOpen, InvalidPolicyError, type StoreError } from "../Rejection.ts"
import { Command, Store } from "../StoreModel.ts"
import type { CircuitGate, CircuitSpec } from "./CircuitGate.ts"
import type { Inspection } from "./inspection.ts"
import { sinkOf } from "../internal/events.ts"
import { openStore } from "../internal/openStore.ts"
import { type Key, readKey } from "../internal/key.ts"
import { transactionalMemory } from "../internal/memoryTransactions.ts"
import * as openServices from "../internal/openServices.ts"
import { run } from "../engine/run.ts"
import { assemble } from "../engine/assemble.ts"
import type { Classify } from "../engine/Pipeline.ts"
import { type Env, type Guarded, type Local, type Longest, type PolicyService, unbounded } from "../Policy.ts"

/** @category models @since 0.1.0 */
export interface ExecuteOptions<in A = unknown, in E = unknown> {
  /** What an exit says about the dependency. Default: `Outcome.fromExit`. */
  readonly classify?: ((exit: Exit.Exit<A, E>) => Outcome) | undefined
}

/**
 * A circuit breaker in use. Where there is one circuit, the key only names the call. `state`, `isolate`, `close` and
 * `reset` may stand inside `Effect.tx`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CircuitBreakerService extends PolicyService {
  readonly state: (key?: Key) => Effect.Effect<Inspection>
  /**
   * Refuses everything, until `close` or `reset`. This and the next two fail where a shared store did not do it: it is away,
   * it refuses to write, or it was too slow. A breaker in memory never fails.
   */
  readonly isolate: (key?: Key) => Effect.Effect<void, StoreError>
  /** Closes the circuit, whatever it was. A closed one keeps its counts. */
  readonly close: (key?: Key) => Effect.Effect<void, StoreError>
  /** Closes the circuit and forgets what it counted. */
  readonly reset: (key?: Key) => Effect.Effect<void, StoreError>
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

/** Makes a policy's gate on a store. */
export type OpenCircuit = (env: Env) => CircuitGate

/** A probe must be able to end before its lease does. */
export const leased = (spec: CircuitSpec, { attempt, call }: Longest): CircuitSpec => {
  const longest = Math.min(call, attempt)
  if (longest === Infinity) return spec
  const { lease } = spec.policy
  if (lease === 0) return { ...spec, policy: { ...spec.policy, lease: call === Infinity ? attempt : call } }
  if (lease >= longest) return spec
  throw new InvalidPolicyError({
    module: "CircuitBreaker.policy",
    parameter: "probes.lease",
    value: lease,
    reason: `is shorter than the timeout of ${longest} ms`
  })
}

const build = (id: string, open: OpenCircuit, store: Local | Guarded): CircuitBreakerService => {
  const gate = open({ service: id, label: "circuitBreaker", store, longest: unbounded })
  const pipeline = assemble(id, [gate], store)

  const command =
    (op: "isolate" | "close" | "reset") =>
    (key: Key = id): Effect.Effect<void, StoreError> =>
      Effect.suspend(() => {
        const step = new Command(gate.space, gate.keyOf(readKey(key)), { op })
        return Effect.flatMap(store.commit([step]), ({ answers: [answer] }) => {
          const told = Effect.withFiber((fiber) => {
            if (op === "reset") gate.moved(step.key) // of a closed circuit, too: no transition tells of that
            if (answer !== undefined) gate.observe(step.key, answer, sinkOf(fiber), fiber)
            return Effect.void
          })
          return store.sync === undefined ? told : store.sync.afterCommit(told)
        })
      })

  const execute = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    key: Key = id,
    options?: ExecuteOptions<A, E>
  ): Effect.Effect<A, E | CircuitOpen, R> =>
    run(pipeline, self, key, {
      cost: 1,
      maxWait: undefined,
      classify: options?.classify as Classify | undefined // it is only called with exits of this effect
    }) as Effect.Effect<A, E | CircuitOpen, R> // nothing else can refuse here

  return {
    state: (key = id) => Effect.orDie(Effect.suspend(() => gate.inspect(readKey(key)))), // a guarded store that falls back does not fail
    isolate: command("isolate"),
    close: command("close"),
    reset: command("reset"),
    execute: dual((args) => Effect.isEffect(args[0]), execute),
    gate,
    members: [gate],
    store
  }
}

export const make = (id: string, open: OpenCircuit): Effect.Effect<CircuitBreakerService> =>
  Effect.sync(() => build(id, open, transactionalMemory))

export const makeFromStore = (
  id: string,
  open: OpenCircuit
): Effect.Effect<CircuitBreakerService, never, Store | Scope.Scope> =>
  Effect.flatMap(Store, (store) => {
    const service = build(id, open, openStore(store, id))
    return Effect.as(openServices.open(store, "CircuitBreaker", id, [service.gate.space]), service)
  })
