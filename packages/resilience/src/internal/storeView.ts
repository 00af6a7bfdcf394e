/**
 * A store as services and calls see it: in this process, or elsewhere.
 */
import type { Committed, Step, Store, SyncStore } from "../StoreModel.ts"

export type Reply = Committed<ReadonlyArray<Step>>

/** A store in this process: it cannot fail. */
export type Local = Store["Service"] & { readonly sync: SyncStore }

/** A store elsewhere, with a guard before it. */
export type Guarded = Store["Service"] & {
  readonly sync: undefined
  readonly begin: NonNullable<Store["Service"]["begin"]>
}
