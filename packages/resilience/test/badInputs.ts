/** What should not be there, and what should, for the tests of bad input. */

/** A constructor with good arguments, but for those that are replaced. */
export type Make = (replaced: Record<string, unknown>) => unknown
export interface Field {
  readonly bad: ReadonlyArray<unknown>
  readonly good: ReadonlyArray<unknown>
}

export const notNumbers = [NaN, Infinity, -Infinity, "5", "", "NaN", {}, [], [5], true, 5n, () => 5, Symbol("five")]
export const hugeNumbers = [2 ** 53, 1e300, Number.MAX_VALUE]

/** A whole number. */
export const count = (min: number, max = 2 ** 52): Field => ({
  bad: [...notNumbers, ...hugeNumbers, min - 1, -1, -0.5, 0.5, 1.5, min + 0.1, max + 1, Number.MIN_VALUE],
  good: [min, min + 1, max].filter((n) => n <= max)
})
/** A number in (above, max] or [min, max]. */
export const ratio = (bad: ReadonlyArray<number>, good: ReadonlyArray<number>): Field => ({
  bad: [...notNumbers, ...bad],
  good
})
/** A duration in whole milliseconds. */
export const duration = (
  min: 0 | 1,
  good: ReadonlyArray<unknown> = [1, "1 second", { seconds: 2 }, [3, 0], 5_000_000n]
): Field => ({
  bad: [
    NaN,
    Infinity,
    -Infinity,
    -1,
    -0.5,
    0.5,
    1.5,
    Number.MIN_VALUE,
    ...hugeNumbers,
    "",
    "soon",
    "5",
    "1 parsec",
    "-1 second",
    "Infinity",
    "NaN millis",
    "0.5 millis",
    -5n,
    1n,
    true,
    {},
    { millis: NaN },
    { seconds: -1 },
    [NaN, 0],
    [0, NaN],
    [],
    () => 5,
    Symbol("five"),
    "__proto__",
    ...(min === 1 ? [0, "0 millis", -0] : [])
  ],
  good: min === 0 ? [0, "0 millis", ...good] : good
})
/** A field that takes `Infinity`, for no bound. */
export const unbounded = ({ bad, good }: Field): Field => ({
  bad: bad.filter((value) => value !== Infinity && value !== "Infinity"),
  good: [...good, Infinity]
})
export const oneOf = (...good: ReadonlyArray<string>): Field => ({
  bad: [
    "",
    "x",
    good[0]!.toUpperCase(),
    `${good[0]} `,
    0,
    1,
    true,
    {},
    [],
    [good[0]],
    NaN,
    "__proto__",
    "constructor",
    "toString"
  ],
  good
})
export const nothings = [undefined, null]
export const required = (field: Field): Field => ({ ...field, bad: [...field.bad, ...nothings] })

export const show = (value: unknown): string => {
  const text =
    typeof value === "symbol" || typeof value === "function" || typeof value === "bigint" || Object.is(value, -0)
      ? `${typeof value} ${String(value)}`
      : (JSON.stringify(value) ?? String(value))
  return `${text} (${typeof value})`
}
