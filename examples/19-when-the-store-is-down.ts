/** A shared store can fail. What a call does then is a policy, and part of its type. */
import { Effect, Layer, pipe } from "effect"
import { RateLimiter, Rejection, RemoteStore, Resilience, Store } from "effect-resilience"

const rateLimiter = RateLimiter.tokenBucket({ limit: 1, window: "1 minute" })

/** Decides in this process while the store is away. */
class Local extends Resilience.Service<Local>()("app/Local", { rateLimiter, store: { onError: "local" } }) {}
/** Lets everything through. */
class Open extends Resilience.Service<Open>()("app/Open", { rateLimiter, store: { onError: "allow" } }) {}
/** Refuses everything: the only one whose type holds a StoreError. */
class Strict extends Resilience.Service<Strict>()("app/Strict", { rateLimiter, store: { onError: "fail" } }) {}

const unavailable = Effect.fail(new Rejection.StoreError({ reason: "unavailable" }))
const Down = Layer.sync(Store.Store, () =>
  RemoteStore.make({ commit: () => unavailable, read: () => unavailable, clear: () => unavailable })
)

const ok = Effect.succeed("ok")
const program = Effect.gen(function* () {
  const show = Effect.match({
    onFailure: (error: Rejection.Rejection) => error._tag,
    onSuccess: (answer: string) => answer
  })
  for (const call of [1, 2]) {
    console.log(`call ${call}, local:`, yield* pipe(ok, Local.resilient("ada"), show))
    console.log(`call ${call}, allow:`, yield* pipe(ok, Open.resilient("ada"), show))
    console.log(`call ${call}, fail: `, yield* pipe(ok, Strict.resilient("ada"), show))
  }
})

const Live = Layer.mergeAll(Local.layerFromStore, Open.layerFromStore, Strict.layerFromStore)

program.pipe(Effect.provide(Live.pipe(Layer.provide(Down))), Effect.runPromise)
