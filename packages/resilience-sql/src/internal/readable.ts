/**
 * Whether what was found in a row can be a kernel's state.
 *
 * A kernel believes every state that it is given. One that something else wrote makes it throw, or count with what is no
 * number; so a state is first compared with the one that the kernel begins with, as far as that tells.
 */

/** Our own kernels keep whole numbers, and the same fields from the first state on. */
const ours = /^(token-bucket|token-bucket-lease|fixed-window|sliding-window|sliding-log|circuit-breaker)@\d+$/

type Fields = Readonly<Record<string, unknown>>

const isRecord = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** What of a state the initial one does not tell: any JSON, as far as numbers can be counted with. */
const isData = (value: unknown, strict: boolean): boolean => {
  if (typeof value === "number") return strict ? isTime(value) : Number.isFinite(value) // JSON has 1e999
  if (Array.isArray(value)) return value.every((item) => isData(item, strict))
  if (isRecord(value)) return Object.values(value).every((item) => isData(item, strict))
  return !strict
}

const hasFields = (shape: Fields, value: Fields, strict: boolean): boolean => {
  for (const [name, field] of Object.entries(shape)) {
    if (!Object.hasOwn(value, name)) {
      if (field === undefined) continue // JSON has no such field
      return false
    }
    if (!isLike(field, value[name], strict)) return false
  }
  const more = Object.entries(value).filter(([name]) => !Object.hasOwn(shape, name))
  return strict ? more.length === 0 : more.every(([, field]) => isData(field, strict))
}

const isLike = (shape: unknown, value: unknown, strict: boolean): boolean => {
  if (shape === undefined || shape === null) return isData(value, strict)
  if (typeof shape === "number") return typeof value === "number" && isData(value, strict)
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return false
    return value.every((item) =>
      shape.length === 0 ? isData(item, strict) : shape.some((like) => isLike(like, item, strict))
    )
  }
  if (isRecord(shape)) return isRecord(value) && hasFields(shape, value, strict)
  return typeof value === typeof shape
}

/** A whole number that is exact, and not below 0. */
export const isTime = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0

/**
 * Whether `state` has the fields of `initial`, with values of the same types, down to what `initial` tells: where that has
 * an empty list, an item may be anything. A state of our own kernels has no other fields, and its numbers are whole
 * and exact; one of another kernel may have more fields, and any finite numbers.
 */
export const isStateOf = (kernelId: string, initial: unknown, state: unknown): boolean =>
  isLike(initial, state, ours.test(kernelId))
