/** A store elsewhere, for the tests of what its failures do. */
import { Effect, Layer } from "effect"
import { type Policies, Rejection, RemoteStore, Resilience } from "../../src/index.ts"
import { layerMemory, Store } from "../../src/Store.ts"

type Mode =
  | "up"
  | "slow"
  | "fails slowly"
  | "down"
  | "hangs"
  | "hangs and cannot be interrupted"
  | "answers and then hangs"

/** A store on another machine: a memory store behind a line that a test can cut. */
export const remote = Effect.gen(function* () {
  const { clear, commit, read } = yield* Store
  const line = { mode: "up" as Mode, asked: 0, committed: 0 }
  const over = <A>(self: Effect.Effect<A, Rejection.StoreError>): Effect.Effect<A, Rejection.StoreError> =>
    Effect.suspend(() => {
      line.asked++
      const counted = Effect.tap(self, () => Effect.sync(() => line.committed++))
      switch (line.mode) {
        case "up":
          return counted
        case "slow":
          return Effect.delay(counted, "70 millis")
        case "fails slowly":
          return Effect.delay(Effect.fail(new Rejection.StoreError({ reason: "unavailable" })), "70 millis")
        case "down":
          return Effect.fail(new Rejection.StoreError({ reason: "unavailable", cause: "ECONNREFUSED" }))
        case "hangs":
          return Effect.never
        case "hangs and cannot be interrupted":
          return Effect.uninterruptible(Effect.never)
        case "answers and then hangs":
          return Effect.andThen(counted, Effect.never)
      }
    })
  const store = RemoteStore.make({
    commit: (steps) => over(commit(steps)),
    read: (space, key) => over(read(space, key)),
    clear: (space) => over(clear(space))
  })
  return { line, store, layer: Layer.succeed(Store, store) }
}).pipe(Effect.provide(layerMemory))

export const serviceOn = <const P extends Policies.Policies>(
  layer: Layer.Layer<Store>,
  policies: P & Policies.Known<P>
) => Effect.provide(Resilience.makeFromStore<P>("app/orders", policies), layer)
