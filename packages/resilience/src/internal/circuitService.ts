/**
 * A circuit breaker in use: what `CircuitBreaker.make` and its layers build.
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type { CircuitBreakerService, ExecuteOptions, Inspection } from "../CircuitBreaker.ts"
import { NEVER } from "../kernel/Limiter.ts"
import type { CircuitOpen } from "../Rejection.ts"
import { Step, Store } from "../Store.ts"
import { CircuitGate, type CircuitSpec } from "./CircuitGate.ts"
import { sinkOf } from "./events.ts"
import { guarded } from "./guardedStore.ts"
import type { Key } from "./key.ts"
import { memory } from "./memoryStore.ts"
import { bare, type Classify, type Pipeline, run } from "./pipeline/Call.ts"

/** What an executor takes from a breaker that it is composed with. */
export interface CircuitInternals {
  readonly circuit: CircuitGate
  readonly store: Store["Service"]
}

export const inspect = (gate: CircuitGate, key: Key): Effect.Effect<Inspection> =>
  Effect.map(
    Effect.orDie(gate.look(key)), // a guarded store that falls back does not fail
    ({ generation, openFor, phase, probesInFlight, retryAfter, windows }) => ({
      state: phase,
      generation,
      openForMillis: phase === "Open" ? openFor : 0,
      retryAfterMillis: retryAfter === NEVER ? undefined : retryAfter,
      probesInFlight,
      windows
    })
  )

const build = (id: string, spec: CircuitSpec, store: Store["Service"]): CircuitBreakerService => {
  const gate = new CircuitGate(spec, id, store)
  const pipeline: Pipeline = { ...bare(id, store), circuit: gate }

  const command = (op: "isolate" | "close" | "reset") => (key: Key = id): Effect.Effect<void> =>
    Effect.withFiber((fiber) => {
      const step = new Step(gate.space, gate.keyOf(key), { op })
      return Effect.flatMap(Effect.orDie(store.commit([step])), ({ answers: [answer] }) => { // as above
        const told = Effect.sync(() => {
          if (answer !== undefined) gate.observe(step.key, answer, sinkOf(fiber), fiber)
        })
        return store.sync === undefined ? told : store.sync.afterCommit(told)
      })
    })

  const execute = <A, E, R>(self: Effect.Effect<A, E, R>, key: Key = id, options?: ExecuteOptions<A, E>): Effect.Effect<A, E | CircuitOpen, R> =>
    run(pipeline, self, key, {
      cost: 1,
      maxWait: undefined,
      classify: options?.classify as Classify | undefined // it is only called with exits of this effect
    }) as Effect.Effect<A, E | CircuitOpen, R> // nothing else can refuse here

  return {
    state: (key = id) => inspect(gate, key),
    isolate: command("isolate"),
    close: command("close"),
    reset: command("reset"),
    execute: dual((args) => Effect.isEffect(args[0]), execute),
    gate: { circuit: gate, store }
  }
}

export const make = (id: string, spec: CircuitSpec): Effect.Effect<CircuitBreakerService> =>
  Effect.sync(() => build(id, spec, memory))

export const makeFromStore = (id: string, spec: CircuitSpec): Effect.Effect<CircuitBreakerService, never, Store> =>
  Effect.map(Store, (store) => build(id, spec, guarded(store, id)))
