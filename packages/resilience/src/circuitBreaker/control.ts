/**
 * What one does to a circuit by hand.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Sink } from "../Event.ts"
import { type Key, type ReadKey, readKey } from "../internal/key.ts"
import type { BreakerDecision } from "../kernel/Breaker.ts"
import type { Guarded, Local } from "../Policy.ts"
import type { StoreError } from "../Rejection.ts"
import { Command } from "../StoreModel.ts"
import type { CircuitSpace } from "./spec.ts"

/**
 * Commands to a circuit. Each fails where a shared store did not do it: it is away, it refuses to write, or it was too
 * slow. In memory they never fail. Where there is one circuit, the key means nothing.
 *
 * @category models
 * @since 0.1.0
 */
export interface Control {
  /** Refuses everything, until `close` or `reset`. */
  readonly isolate: (key?: Key) => Effect.Effect<void, StoreError>
  /** Closes the circuit, whatever it was. A closed one keeps its counts. */
  readonly close: (key?: Key) => Effect.Effect<void, StoreError>
  /** Closes the circuit and forgets what it counted. */
  readonly reset: (key?: Key) => Effect.Effect<void, StoreError>
}

/** What a command needs of a gate. */
interface Circuits {
  readonly service: string
  readonly space: CircuitSpace
  readonly store: Local | Guarded
  readonly keyOf: (key: ReadKey) => string
  readonly moved: (circuit: string) => void
  readonly sinkFor: (fiber: Fiber.Fiber<unknown, unknown>) => Sink | undefined
  readonly observe: (
    circuit: string,
    answer: BreakerDecision,
    sink: Sink | undefined,
    fiber: Fiber.Fiber<unknown, unknown>
  ) => void
}

export const controlOf = (gate: Circuits): Control => {
  const command =
    (op: "isolate" | "close" | "reset") =>
    (key: Key = gate.service): Effect.Effect<void, StoreError> =>
      Effect.suspend(() => {
        const { store } = gate
        const step = new Command(gate.space, gate.keyOf(readKey(key)), { op }, op === "reset")
        return Effect.flatMap(store.commit([step]), ({ answers: [answer] }) => {
          const told = Effect.withFiber((fiber) => {
            if (op === "reset") gate.moved(step.key) // of a closed circuit, too: no transition tells of that
            if (answer !== undefined) gate.observe(step.key, answer, gate.sinkFor(fiber), fiber)
            return Effect.void
          })
          return store.sync === undefined ? told : store.sync.afterCommit(told)
        })
      })
  return { isolate: command("isolate"), close: command("close"), reset: command("reset") }
}
