/**
 * A store that is not in this process, and may fail: Redis, a database, one of your own.
 *
 * `make` puts a guard before it. A question has a deadline, and while the store is away, each service does what its
 * `policies.store` says: the same kernels in this process (`"local"`), everything is let through (`"allow"`), or the call
 * fails (`"fail"`).
 *
 * **Example** (A store that is always away)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Rejection, RemoteStore, Store } from "effect-resilience"
 *
 * const unavailable = Effect.fail(new Rejection.StoreError({ reason: "unavailable" }))
 * const Down = Layer.sync(Store.Store, () =>
 *   RemoteStore.make({ commit: () => unavailable, read: () => unavailable, clear: () => unavailable })
 * )
 * ```
 *
 * @since 0.1.0
 */
import { guarded } from "./remote/guard.ts"
import { opening, type Store } from "./StoreModel.ts"

/**
 * What a remote store can do. See `Store` for what each must keep.
 *
 * @category models
 * @since 0.1.0
 */
export type Options = Pick<Store["Service"], "begin" | "clear" | "commit" | "read">

/**
 * Makes a store of its questions.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ begin, clear, commit, read }: Options): Store["Service"] => ({
  begin,
  clear,
  commit,
  read,
  [opening](service, policy) {
    return guarded(this, service, policy)
  }
})
