/**
 * What an error says that it was caused by.
 */

/** `undefined` where it has no `cause`, or a getter that throws. */
export const causeOf = (error: object): unknown => {
  try {
    return (error as { readonly cause?: unknown }).cause
  } catch {
    return undefined
  }
}
