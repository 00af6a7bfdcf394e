/**
 * A store as on another machine, in the memory of this process: it knows spaces by their names, and every question makes
 * a trip, which the caller of `make` describes.
 */
import { Effect } from "effect"
import { RemoteStore, Store } from "effect-resilience"

export type Trip = <A, E>(question: Effect.Effect<A, E>) => Effect.Effect<A, E>

export const make = (trip: Trip): Effect.Effect<Store.Store["Service"]> =>
  Effect.provide(
    Effect.map(Store.Store, (memory) => {
      const spaces = new Map<string, Store.AnySpace>()
      const spaceOf = <S extends Store.AnySpace>(space: S): S => {
        const known = spaces.get(space.name)
        if (known === undefined) spaces.set(space.name, space)
        return (known ?? space) as S // services of one name have one policy here
      }
      const copied = (step: Store.Step) => Store.copyStep(step, spaceOf(step.space), step.input)
      return RemoteStore.make({
        // the answers are those of the copied steps, in their order
        commit: (steps) => trip(memory.commit(steps.map(copied))) as ReturnType<typeof memory.commit<typeof steps>>,
        read: (space, key) => trip(memory.read(spaceOf(space), key)),
        clear: (space) => trip(memory.clear(spaceOf(space)))
      })
    }),
    Store.layerMemory
  )
