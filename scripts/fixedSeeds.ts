/**
 * Makes every seed of a test file the same in each run: all draws of Effect's default `Random` come from `Math.random`.
 *
 * `npx pnpm@12 test` loads it, so that a test that fails does so again; `npx pnpm@12 test:deep` does not, and finds what these
 * seeds do not come to.
 */
let state = 0x9e3779b9

Math.random = () => {
  state = (state + 0x6d2b79f5) | 0
  let x = Math.imul(state ^ (state >>> 15), 1 | state)
  x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
  return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
}
