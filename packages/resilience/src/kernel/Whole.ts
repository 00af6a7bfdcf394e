/**
 * Numbers as policies have them.
 */

/** A whole number that is exact, and not below `least`. */
export const isWhole = (value: number, least: number): boolean =>
  value >= least && value <= 9007199254740991 && Math.floor(value) === value
