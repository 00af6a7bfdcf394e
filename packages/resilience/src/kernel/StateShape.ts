/**
 * Whether what a shared store found under a key can be a kernel's state.
 *
 * A kernel believes every state that it is given. One that something else wrote makes it throw, or count with what is no
 * number; so a state is first compared with the one that the kernel begins with, as far as that tells, and then the kernel
 * is asked (`isState`).
 */
/** Our own kernels keep whole numbers, and the same fields from the first state on. */
const ours = /^(token-bucket|token-bucket-lease|fixed-window|sliding-window|sliding-log|circuit-breaker)@\d+$/

type Fields = Readonly<Record<string, unknown>>

/** What stands in those lists of our kernels that are empty at first, and hold no numbers. */
const records: Fields = { probes: { id: 0, deadline: 0 } }

const isRecord = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A whole number that is exact, and not below 0. */
export const isWhole = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0

/** Any JSON whose numbers can be counted with: it may hold 1e999. */
const isData = (value: unknown): boolean => {
  if (typeof value === "number") return Number.isFinite(value)
  return typeof value !== "object" || value === null || Object.values(value).every(isData)
}

const hasFields = (shape: Fields, value: Fields, strict: boolean): boolean => {
  const told = Object.entries(shape).every(([name, field]) =>
    // JSON leaves out what is undefined
    Object.hasOwn(value, name) ? isField(name, field, value[name], strict) : field === undefined
  )
  const more = Object.keys(value).filter((name) => !Object.hasOwn(shape, name))
  return told && (strict ? more.length === 0 : more.every((name) => isData(value[name])))
}

const isField = (name: string, shape: unknown, value: unknown, strict: boolean): boolean =>
  isLike(strict && Object.hasOwn(records, name) ? [records[name]] : shape, value, strict)

const isItemOf = (shape: ReadonlyArray<unknown>, item: unknown, strict: boolean): boolean => {
  if (shape.length > 0) return shape.some((like) => isLike(like, item, strict))
  return strict ? isWhole(item) : isData(item)
}

const isLike = (shape: unknown, value: unknown, strict: boolean): boolean => {
  if (shape === undefined || shape === null) return isData(value)
  if (typeof shape === "number") return strict ? isWhole(value) : Number.isFinite(value)
  if (Array.isArray(shape)) return Array.isArray(value) && value.every((item) => isItemOf(shape, item, strict))
  if (isRecord(shape)) return isRecord(value) && hasFields(shape, value, strict)
  return typeof value === typeof shape
}

/**
 * Whether `state` has the fields of `initial`, with values of the same types, down to what `initial` tells: where that has
 * an empty list, an item may be anything. A state of our own kernels has no other fields, and its numbers are whole
 * and exact; one of another kernel may have more fields, and any finite numbers.
 */
export const hasShapeOf = (kernelId: string, initial: unknown, state: unknown): boolean =>
  isLike(initial, state, ours.test(kernelId))

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)

/** For `JSON.stringify`: the fields of records in the order of their names, so that equal policies have one text. */
export const sorted = (_name: string, value: unknown): unknown =>
  isRecord(value) ? Object.fromEntries(Object.entries(value).toSorted(byName)) : value
