/**
 * Which key of a limit is forgotten first where keys are bounded (`Kernel.rank`).
 *
 * A bucket repays what it owes evenly, so its `expiresAt` is its rank, and it names none. A sliding window counts the
 * oldest slice whole, so a drained one repays nothing for one slice longer than its window.
 */

/**
 * When `used` of `limit` units, taken at `at`, would be repaid if a `window` repaid the limit evenly. A window that is
 * drained ranks behind every one with less in it, and never behind its own `end`, when it forgets all at once.
 */
export const evenly = (at: number, used: number, limit: number, window: number, end: number): number =>
  Math.min(end, at + Math.ceil((window * used) / limit))
