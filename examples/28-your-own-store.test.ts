/** A store of your own, and the laws that it has to keep. */
import { it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { RemoteStore, Store } from "effect-resilience"
import { StoreLaws } from "effect-resilience-testing"

// #region store
/** Keeps what the kernels say as rows of JSON, all in one step of this process. Yours would keep them elsewhere. */
const make = (): Store.Store["Service"] => {
  const rows = new Map<string, string>()
  const spaceOf = ({ kernel, name }: Store.AnySpace) => JSON.stringify([name, kernel.id])
  const rowOf = (space: Store.AnySpace, key: string) => spaceOf(space) + JSON.stringify(key)
  const load = (space: Store.AnySpace, key: string) => {
    const row = rows.get(rowOf(space, key))
    return row === undefined ? undefined : JSON.parse(row)
  }

  const commit = (steps: ReadonlyArray<Store.Step>, now: number) => {
    const outcomes = steps.map(({ input, key, space }) => {
      const { initial, step } = space.kernel
      return step(space.policy, load(space, key) ?? initial(space.policy), input, now)
    })
    const answers = outcomes.map(([answer]) => answer)
    const allowed = answers.every((answer) => answer.allowed)
    if (allowed) steps.forEach(({ key, space }, i) => rows.set(rowOf(space, key), JSON.stringify(outcomes[i]?.[1])))
    return { now, allowed, answers }
  }

  const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))
  return RemoteStore.make({
    commit: (steps) => Effect.map(now, (now) => commit(steps, now) as never), // the answers of these very steps
    read: (space, key) => Effect.map(now, (now) => ({ now, state: load(space, key) })),
    clear: (space) =>
      Effect.sync(() => {
        for (const row of rows.keys()) if (row.startsWith(spaceOf(space))) rows.delete(row)
      })
  })
}
// #endregion

// #region laws
const MyStore = Layer.sync(Store.Store, make)

for (const { check, name } of StoreLaws.laws({ layer: MyStore })) it.effect(name, () => check)
// #endregion
