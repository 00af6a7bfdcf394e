/**
 * Random traffic for the laws of the limiters.
 *
 * A history is generated as dice (plain numbers, which shrink well) and read against the policy at hand, so that times
 * and costs gather around its edges: the same instant, one token's time, the window, one past it, years of idleness.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"

export type Event =
  | { readonly op: "take"; readonly now: number; readonly cost: number }
  | { readonly op: "refund"; readonly now: number; readonly pick: number }

/** What the traffic needs to know of a policy. */
export interface Scale<Policy> {
  /** The largest cost that can ever pass. */
  readonly capacity: (policy: Policy) => number
  /** How long a full state takes to be fresh again, at most. */
  readonly span: (policy: Policy) => number
}

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

export const int = (minimum: number, maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(between(minimum, maximum))

const Dice = Schema.Struct({
  gap: between(0, 99),
  size: between(0, 999),
  cost: between(0, 99),
  what: between(0, 99),
  pick: between(0, 999)
})
export type Dice = typeof Dice.Type

export const rolls: Arbitrary.Arbitrary<ReadonlyArray<Dice>> = Arbitrary.array(Arbitrary.schema(Dice), {
  maxLength: 40
})

/** A random case of a law. */
export interface Given<Policy> {
  readonly policy: Policy
  readonly from: number
  readonly history: ReadonlyArray<Dice>
  readonly future: ReadonlyArray<Dice>
  readonly size: number
}

/** The time of the first event: the beginning, soon after it, or any. */
export const start: Arbitrary.Arbitrary<number> = Arbitrary.map(
  Arbitrary.all({ kind: int(0, 3), small: int(0, 500), any: int(0, 2 ** 42) }),
  ({ any, kind, small }) => (kind === 0 ? 0 : kind === 3 ? any : small)
)

const LATEST = 2 ** 43
export const YEAR = 31_536_000_000

const gapOf = <Policy>({ capacity, span }: Scale<Policy>, policy: Policy, { gap, size }: Dice): number => {
  const whole = span(policy)
  if (gap < 30) return 0
  if (gap < 50) return 1 + (size % 3)
  if (gap < 70) return Math.floor((whole * size) / 3000)
  if (gap < 82) return Math.ceil(whole / capacity(policy)) * (size % 4)
  if (gap < 92) return Math.max(0, whole - 1 + (size % 3))
  return gap < 97 ? whole * (size % 4) : YEAR * (1 + (size % 9))
}

/** A key that is never idle: most gaps are a part of one unit's time. */
const busyGapOf = <Policy>({ capacity, span }: Scale<Policy>, policy: Policy, { gap, size }: Dice): number => {
  const unit = Math.ceil(span(policy) / capacity(policy))
  return gap < 40 ? 0 : gap < 55 ? unit * (size % 3) : Math.floor((unit * size) / 800)
}

export const costOf = <Policy>({ capacity }: Scale<Policy>, policy: Policy, { cost, size }: Dice): number => {
  const most = capacity(policy)
  if (cost < 45) return 1
  if (cost < 65) return Math.min(most, 1 + (size % 4))
  if (cost < 85) return 1 + Math.floor(((most - 1) * size) / 1999)
  return cost < 92 ? most : cost < 96 ? 0 : most + 1 + (size % 3)
}

/** What the dice mean, `refunds` of a hundred being refunds. Time only moves forward. */
export const read = <Policy>(
  scale: Scale<Policy>,
  policy: Policy,
  from: number,
  history: ReadonlyArray<Dice>,
  refunds = 25,
  busy = false
): ReadonlyArray<Event> => {
  let now = from
  return history.map((roll) => {
    now = Math.max(now, Math.min(LATEST, now + (busy ? busyGapOf : gapOf)(scale, policy, roll)))
    return roll.what < refunds
      ? { op: "refund", now, pick: roll.pick }
      : { op: "take", now, cost: costOf(scale, policy, roll) }
  })
}

/** Freezes a value all the way down. */
export const freeze = <A>(value: A): A => {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) freeze(inner)
  }
  return value
}

/** Every number in a plain value. */
export const numbersIn = (value: unknown): ReadonlyArray<number> =>
  typeof value === "number"
    ? [value]
    : typeof value === "object" && value !== null
      ? Object.values(value).flatMap(numbersIn)
      : []
