/**
 * The store in the memory of this process.
 *
 * Services bring one of their own. This one is for those built with `layerFromStore`, such as in a test of what runs on a
 * remote store in production. A decision made inside `Effect.tx` commits and rolls back with it.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import * as memoryStore from "./internal/memoryStore.ts"
import { transactions } from "./internal/memoryTransactions.ts"
import { Store } from "./StoreModel.ts"

/**
 * A memory that is empty at first.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Store> = /* @__PURE__ */ Layer.sync(Store, () => memoryStore.make(transactions))
