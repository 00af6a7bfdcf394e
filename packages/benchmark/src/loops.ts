/**
 * The loops around the calls of a contestant. All contestants of a case go through the same one, and every outcome is
 * looked at: a wrong answer is an error, and not a fast time.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Contestant } from "./sample.ts"

const loop = <A, R>(calls: number, call: (i: number) => Effect.Effect<A, unknown, R>, right: (a: A) => boolean) =>
  Effect.suspend(() => {
    let i = 0
    let wrong = 0
    const all = Effect.whileLoop({
      while: () => i < calls,
      body: () => call(i++),
      step: (a) => {
        if (!right(a)) wrong++
      }
    })
    return Effect.flatMap(all, () => (wrong === 0 ? Effect.void : Effect.die(new Error(`${wrong} wrong outcomes`))))
  })

/** Calls inside one fiber that never waits. `call` is asked for each of them; what it returns may be prebuilt. */
export const inSyncFiber = <A>(
  name: string,
  call: (i: number) => Effect.Effect<A, unknown>,
  right: (a: A) => boolean
): Contestant => inSyncFiberWith(name, Context.empty(), call, right)

/** The same, in a context that the whole loop has. */
export const inSyncFiberWith = <A, R>(
  name: string,
  context: Context.Context<R>,
  call: (i: number) => Effect.Effect<A, unknown, R>,
  right: (a: A) => boolean
): Contestant => {
  const runSync = Effect.runSyncWith(context)
  return { name, batch: (calls) => runSync(loop(calls, call, right)) }
}

/** Calls inside one fiber that may wait. */
export const inFiber = <A>(
  name: string,
  call: (i: number) => Effect.Effect<A, unknown>,
  right: (a: A) => boolean
): Contestant => ({
  name,
  batch: (calls) => Effect.runPromise(loop(calls, call, right))
})

/** Calls of promises, each awaited before the next. */
export const awaited = <A>(name: string, call: (i: number) => Promise<A>, right: (a: A) => boolean): Contestant => ({
  name,
  batch: async (calls) => {
    let wrong = 0
    for (let i = 0; i < calls; i++) if (!right(await call(i))) wrong++
    if (wrong > 0) throw new Error(`${name}: ${wrong} wrong outcomes`)
  }
})
