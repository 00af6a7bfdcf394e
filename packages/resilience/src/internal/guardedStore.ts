/**
 * What a store that may fail looks like to a pipeline: bounded in time, and with an answer for an outage.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { StoreError } from "../Rejection.ts"
import { type Committed, Step, type Store } from "../Store.ts"
import { emit, sinkOf } from "./events.ts"
import * as memoryStore from "./memoryStore.ts"
import { startTimer } from "./time.ts"

export interface StorePolicy {
  readonly onError: "local" | "allow" | "fail"
  /** Milliseconds. */
  readonly deadline: number
}

/** In a fiber of its own: a question that cannot be interrupted is left behind when its time is over. */
const within = <A>(deadline: number, remote: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> =>
  Effect.withFiber((fiber) =>
    Effect.callback<A, StoreError>((resume) => {
      const asked = Effect.runForkWith(fiber.context)(remote)
      const done = asked.pollUnsafe()
      if (done !== undefined) return resume(done)
      const cancel = startTimer(fiber, deadline, () => {
        resume(Effect.fail(new StoreError({ reason: "deadline" })))
        asked.interruptUnsafe()
      })
      asked.addObserver((exit) => {
        cancel()
        resume(exit)
      })
      return Effect.sync(() => {
        cancel()
        asked.interruptUnsafe()
      })
    })
  )

/** Of an answer, what a refund needs; of a refund, whose it is. */
const receiptOf = (u: unknown): object | undefined =>
  typeof u === "object" && u !== null && "receipt" in u && typeof u.receipt === "object" && u.receipt !== null
    ? u.receipt
    : undefined

const defaults: StorePolicy = { onError: "local", deadline: 1_000 }

/**
 * A store in this process cannot fail and is left alone. Another one gets a deadline, and while it fails: the same
 * kernels in this process (`local`), kernels that remember nothing (`allow`), or a typed error (`fail`).
 */
export const guarded = (store: Store["Service"], service: string, policy: StorePolicy = defaults): Store["Service"] => {
  if (store.sync !== undefined) return store
  const fallback = memoryStore.make()
  /** Who answered for what was taken while the store failed. Given back to anybody else, it would free what others took. */
  const takenFrom = new WeakMap<object, Store["Service"]>()
  let available = true

  const flip = (to: boolean) => {
    if (available === to) return
    available = to
    const fiber = Fiber.getCurrent()
    const sink = fiber === undefined ? undefined : sinkOf(fiber)
    if (sink !== undefined) emit(sink, { _tag: "StoreFlipped", service, key: service, available }, fiber!)
  }

  const guard = <A>(
    remote: Effect.Effect<A, StoreError>,
    local: (store: Store["Service"], error: StoreError) => Effect.Effect<A, StoreError>
  ) =>
    within(policy.deadline, remote).pipe(
      Effect.tap(() => Effect.sync(() => flip(true))),
      Effect.catch((error: StoreError) => {
        flip(false)
        return policy.onError === "fail"
          ? Effect.fail(error)
          : local(policy.onError === "local" ? fallback : memoryStore.make(), error)
      })
    )

  const commitIn = <const Steps extends ReadonlyArray<Step>>(other: Store["Service"], steps: Steps) => {
    // a step remembers its place in one store only
    const copies = steps.map(({ input, key, space }) => new Step(space, key, input))
    return Effect.map(other.commit(copies), (committed) => {
      for (const answer of committed.answers) {
        const receipt = receiptOf(answer)
        if (receipt !== undefined) takenFrom.set(receipt, other)
      }
      return committed as Committed<Steps> // the same steps, the same answers
    })
  }

  return {
    sync: undefined,
    commit: (steps) => {
      const receipt = receiptOf(steps[0]?.input)
      const origin = receipt === undefined ? undefined : takenFrom.get(receipt)
      if (origin !== undefined) return commitIn(origin, steps)
      return guard(store.commit(steps), (other, error) =>
        receipt === undefined ? commitIn(other, steps) : Effect.fail(error)
      )
    },
    read: (space, key) => guard(store.read(space, key), (other) => other.read(space, key)),
    clear: (space) => guard(store.clear(space), (other) => other.clear(space))
  }
}
