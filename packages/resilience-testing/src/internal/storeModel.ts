/**
 * What a store must hold and answer: the kernels, replayed at the times that it tells.
 *
 * A state that may be forgotten may be there or not, so a key has a set of states that are all right; each answer
 * narrows it.
 */
import type { AnySpace, Committed, Step } from "effect-resilience/Store"
import type { Decision } from "effect-resilience/kernel/Kernel"

/** Equal as plain data: what a store brings back has the same fields, and may be of another making. */
export const same = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  // `keys` are of both, or the counts differ
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && same(a[key as never], b[key as never]))
  )
}

export const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "undefined"
  return text.length > 600 ? `${text.slice(0, 600)}…` : text
}

export const must = (holds: boolean, message: () => string): void => {
  if (!holds) throw new Error(message())
}

export const mustEqual = (seen: unknown, right: unknown, what: string): void =>
  must(same(seen, right), () => `${what}: ${show(seen)}, and not ${show(right)}`)

const nameOf = (space: AnySpace, key: string): string => `${show(key)} in ${space.name} (${space.kernel.id})`

const distinct = (states: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  states.filter((state, i) => states.findIndex((other) => same(state, other)) === i)

export class Model {
  private readonly possible = new Map<AnySpace, Map<string, ReadonlyArray<unknown>>>()

  private keysOf(space: AnySpace): Map<string, ReadonlyArray<unknown>> {
    let keys = this.possible.get(space)
    if (keys === undefined) this.possible.set(space, (keys = new Map()))
    return keys
  }

  private statesAt(space: AnySpace, key: string, now: number): ReadonlyArray<unknown> {
    const initial: unknown = space.kernel.initial(space.policy)
    const states = this.keysOf(space).get(key) ?? [initial]
    const mayBeForgotten = states.some((state) => (space.kernel.expiresAt(space.policy, state) ?? Infinity) <= now)
    return mayBeForgotten ? distinct([...states, initial]) : states
  }

  commit(steps: ReadonlyArray<Step>, { allowed, answers, now }: Committed<ReadonlyArray<Step>>): void {
    mustEqual(answers.length, steps.length, "the number of answers")
    const outcomes = steps.map((step, i) => {
      const { input, key, space } = step
      const all = this.statesAt(space, key, now).map((before) => {
        const [answer, after]: readonly [Decision, unknown] = space.kernel.step(space.policy, before, input, now)
        return { before, answer, after }
      })
      const right = all.filter(({ answer }) => same(answer, answers[i]))
      must(
        right.length > 0,
        () =>
          `step ${i}, ${show(input)} to ${nameOf(space, key)} at ${now}: the store answers ${show(answers[i])}, and the kernel ${all
            .map(({ answer, before }) => `${show(answer)} (from ${show(before)})`)
            .join(" or ")}`
      )
      return right
    })
    mustEqual(
      allowed,
      outcomes.every((right) => right[0]!.answer.allowed),
      "whether the commit is allowed"
    )
    steps.forEach(({ key, space }, i) => {
      const states = outcomes[i]!.map(({ after, before }) => (allowed ? after : before))
      this.keysOf(space).set(key, distinct(states))
    })
  }

  read(space: AnySpace, key: string, { now, state }: { readonly now: number; readonly state: unknown }): void {
    const states = this.statesAt(space, key, now)
    const seen: unknown = state === undefined ? space.kernel.initial(space.policy) : state
    must(
      states.some((right) => same(right, seen)),
      () => `${nameOf(space, key)} at ${now}: the store holds ${show(state)}, and not ${states.map(show).join(" or ")}`
    )
    this.keysOf(space).set(key, [seen])
  }
}
