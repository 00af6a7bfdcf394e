/**
 * Opening a store for a service.
 */
import { opening, type Store, type StorePolicy, type StoreView } from "../StoreModel.ts"

/** The types say it; what JavaScript provides as a `Store` is refused here, in words, and not by the first call. */
export const openStore = (store: Store["Service"], service: string, policy?: StorePolicy): StoreView => {
  if (typeof store[opening] !== "function") {
    throw new TypeError(`The Store of ${service} must be a MemoryStore, or made by RemoteStore.make`)
  }
  return store[opening](service, policy)
}
