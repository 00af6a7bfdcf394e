/**
 * The laws of many fibers at one store, of those that leave, and of a store that is not there.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { isRejection } from "effect-resilience/Rejection"
import { type AnySpace, Step } from "effect-resilience/Store"
import { int } from "./limiterTraffic.ts"
import { AGES, ledger, limiters } from "./storeKernels.ts"
import { type Draft, draft, type Lab } from "./storeLab.ts"
import { must, mustEqual, show } from "./storeModel.ts"

/** Ours and the laws' own, since a store may run them in different ways. */
const spaceOf = (lab: Lab, kind: number, limit: number, name: string): AnySpace => {
  const limiter = limiters[kind]
  return limiter === undefined
    ? lab.space(ledger, { initial: 0, limit }, name)
    : lab.space(limiter.kernel, limiter.policy(limit, AGES), name)
}
const kinds = int(0, limiters.length)

const take = (space: AnySpace, key: string, cost = 1): Step =>
  new Step(space, key, (space.kernel.id === ledger.id ? { add: cost } : { op: "take", cost }) as never) // its kernel's input

/** How much is taken, by an answer that took nothing. */
const takenOf = (answer: unknown, limit: number): number => {
  const { count, remaining } = answer as { readonly count?: number; readonly remaining?: number } // a ledger's or a limiter's
  return count ?? limit - (remaining ?? 0)
}

const noneLost = draft(
  "calls at the same time are admitted up to the limit, and not one more or fewer",
  Arbitrary.all({ kind: kinds, limit: int(1, 30), calls: int(1, 40) }),
  25,
  Effect.fnUntraced(function* (lab: Lab, { calls, kind, limit }) {
    const space = spaceOf(lab, kind, limit, "limit")
    const all = Array.from({ length: calls }, () => lab.commit([take(space, "ada")]))
    const admitted = (yield* Effect.all(all, { concurrency: "unbounded" })).filter(({ allowed }) => allowed).length
    mustEqual(admitted, Math.min(calls, limit), `admitted of ${calls} calls at once, with a limit of ${limit}`)
    const { answers } = yield* lab.commit([take(space, "ada", 0)])
    mustEqual(takenOf(answers[0], limit), admitted, `taken by ${admitted} admitted calls`)
  })
)

const noDeadlock = draft(
  "calls that take the same keys in different orders let each other through",
  Arbitrary.all({
    kind: kinds,
    limit: int(1, 30),
    orders: Arbitrary.array(int(0, 5), { minLength: 2, maxLength: 30 })
  }),
  25,
  Effect.fnUntraced(function* (lab: Lab, { kind, limit, orders }) {
    const spaces = ["user", "tenant", "global"].map((name) => spaceOf(lab, kind, limit, name))
    const steps = (order: number) => {
      const turned = [0, 1, 2].map((i) => take(spaces[(i + order) % 3]!, "ada"))
      return order < 3 ? turned : turned.reverse()
    }
    const all = orders.map((order) => Effect.suspend(() => lab.commit(steps(order))))
    const admitted = (yield* Effect.all(all, { concurrency: "unbounded" })).filter(({ allowed }) => allowed).length
    mustEqual(admitted, Math.min(orders.length, limit), `admitted of ${orders.length} calls, with limits of ${limit}`)
    const { answers } = yield* lab.commit(spaces.map((space) => take(space, "ada", 0)))
    for (const answer of answers) mustEqual(takenOf(answer, limit), admitted, `taken by ${admitted} admitted calls`)
  })
)

const interrupted = draft(
  "an interrupted commit took place as a whole or not at all, and is in nobody's way",
  Arbitrary.all({ kind: kinds, patience: Arbitrary.array(int(0, 12), { minLength: 1, maxLength: 12 }) }),
  50,
  Effect.fnUntraced(function* (lab: Lab, { kind, patience }) {
    const spaces = ["user", "tenant"].map((name) => spaceOf(lab, kind, 100, name))
    const commit = (cost: number) => lab.commit(spaces.map((space) => take(space, "ada", cost)))
    let replied = 0
    for (const turns of patience) {
      const fiber = yield* Effect.forkChild(commit(1), { startImmediately: true })
      for (let i = 0; i < turns; i++) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      if (Exit.isSuccess(yield* Fiber.await(fiber))) replied++
    }
    const { answers } = yield* commit(0)
    const taken = answers.map((answer) => takenOf(answer, 100))
    mustEqual(taken[1], taken[0], "taken of the second key, which every commit takes with the first")
    const least = taken[0]!
    const range = `${replied} of ${patience.length} commits were not interrupted`
    must(replied <= least && least <= patience.length, () => `${range}, and ${least} took place`)
    mustEqual((yield* commit(1)).allowed, true, "whether a later commit is allowed")
  })
)

export const lawsOfCrowds: ReadonlyArray<Draft> = [noneLost, noDeadlock, interrupted]

/** For the layer of a store that cannot be reached. */
export const saysWhenDown: Draft = draft(
  "a store that cannot be reached fails with StoreError, and with nothing else",
  int(0, 2),
  6,
  Effect.fnUntraced(function* (lab: Lab, question) {
    const { store } = lab
    const space = lab.space(ledger, { initial: 0, limit: 1 }, "down")
    const questions = [store.commit([take(space, "ada")]), store.read(space, "ada"), store.clear(space)] as const
    const exit = yield* Effect.exit<unknown, unknown, never>(questions[question]!)
    const errors = Exit.isSuccess(exit)
      ? []
      : exit.cause.reasons.map((reason) => Cause.isFailReason(reason) && reason.error)
    must(
      errors.length === 1 && isRejection(errors[0]) && errors[0]._tag === "StoreError",
      () => `${["commit", "read", "clear"][question]} ends with ${show(exit)}, and not with a StoreError`
    )
  })
)
