/**
 * The memory store behind trips: what a question finds, and where its answer is lost, depends on when it arrives.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RemoteStore from "effect-resilience/RemoteStore"
import { copyStep, layerMemory, type Step, Store } from "effect-resilience/Store"

/** Turns of the scheduler, so that a trip takes no time, and other calls run meanwhile. */
const trip: Effect.Effect<void> = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

const distant = (memory: Store["Service"]): Store["Service"] =>
  RemoteStore.make({
    commit: (steps) =>
      Effect.suspend(() => {
        const sent = steps.map((step: Step) => copyStep(step, step.space, step.input)) // as they are when they are sent
        const commit = Effect.tap(memory.commit(sent), () => trip)
        return Effect.andThen(trip, commit) as never // the same steps, the same answers
      }),
    read: (space, key) => memory.read(space, key),
    clear: (space) => Effect.andThen(trip, memory.clear(space))
  })

export const layer: Layer.Layer<Store> = Layer.effect(Store, Effect.map(Store, distant)).pipe(
  Layer.provide(Layer.fresh(layerMemory))
)
