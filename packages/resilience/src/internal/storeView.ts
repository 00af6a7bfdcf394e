/**
 * A store as services and calls see it: in this process, or elsewhere.
 */
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { StoreError } from "../Rejection.ts"
import type { Committed, Step, Store, SyncStore } from "../Store.ts"

export type Reply = Committed<ReadonlyArray<Step>>

/** A store in this process: it cannot fail. */
export type Local = Store["Service"] & { readonly sync: SyncStore }

/** A store elsewhere, with a guard before it. */
export type Guarded = Store["Service"] & {
  readonly sync: undefined
  /**
   * A commit that begins in this very step, of steps that were not allowed before. `tell` hears its answer whenever it
   * comes; nobody leaves it behind.
   */
  readonly begin: (
    steps: ReadonlyArray<Step>,
    fiber: Fiber.Fiber<unknown, unknown>,
    tell: (exit: Exit.Exit<Reply, StoreError>) => void
  ) => void
}
