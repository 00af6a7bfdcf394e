/**
 * Many keys.
 */

/** Flat strings, hashed already: so that nothing of that is counted where the memory of a key is measured. */
export const makeKeys = (count: number): Array<string> => {
  const keys = Array.from({ length: count }, (_, i) => `user:${i}`)
  if (new Set(keys).size !== count) throw new Error("keys must differ")
  return keys
}

/** One after the other, and round again. */
export const around = (keys: ReadonlyArray<string>): (() => string) => {
  let next = 0
  return () => {
    if (next === keys.length) next = 0
    return keys[next++]!
  }
}
