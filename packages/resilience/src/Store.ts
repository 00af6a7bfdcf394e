/**
 * Where keyed state lives.
 *
 * A store commits several steps at one `now`, all or nothing: if any step is not allowed, none leaves a trace. The
 * algorithms are not its business: it loads a state, asks the kernel, and keeps what the kernel answers. So a new
 * algorithm needs no change in any store, and a new store runs every algorithm.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import * as memoryStore from "./internal/memoryStore.ts"
import { Store } from "./StoreModel.ts"

export * from "./StoreModel.ts"

/**
 * A store in the memory of this process. Services bring one of their own; this is for those built with `layerFromStore`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<Store> = Layer.sync(Store, memoryStore.make)
