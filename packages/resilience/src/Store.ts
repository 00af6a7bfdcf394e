/**
 * Where keyed state lives.
 *
 * A store commits several steps at one `now`, all or nothing: if any step is not allowed, none leaves a trace. The
 * algorithms are not its business: it loads a state, asks the kernel, and keeps what the kernel answers. So a new
 * algorithm needs no change in any store, and a new store runs every algorithm.
 *
 * There are two kinds: `MemoryStore`, in this process, and what `RemoteStore.make` makes of a few functions.
 *
 * @since 0.1.0
 */
import type * as Layer from "effect/Layer"
import * as MemoryStore from "./MemoryStore.ts"
import type { Store } from "./StoreModel.ts"

export {
  type AnswerOf,
  type AnySpace,
  type Begin,
  Command,
  type Commit,
  type Committed,
  copyStep,
  type InputOf,
  type KeyBounds,
  type Lease,
  type Space,
  type StateOf,
  Step,
  Store
} from "./StoreModel.ts"

/**
 * A store in the memory of this process: `MemoryStore.layer`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<Store> = MemoryStore.layer
