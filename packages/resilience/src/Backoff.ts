/**
 * How long to wait before the next attempt, as plain data.
 *
 * A `Backoff` is a record of whole milliseconds: it can be compared, logged and sent elsewhere. It is read by two pure
 * functions, `delay` (one draw) and `range` (the bounds of every draw), so that a retry loop, a circuit breaker and a
 * test all see the same numbers. Jitter is applied after the cap and so survives it: callers that failed together do
 * not come back together, however long the outage.
 *
 * **Example** (Five growing delays, without their jitter)
 *
 * ```ts
 * import { Backoff } from "effect-resilience"
 *
 * const backoff = Backoff.exponential({ base: "500 millis", cap: "5 seconds", jitter: "none" })
 *
 * console.log([1, 2, 3, 4, 5].map((n) => Backoff.delay(backoff, n, 0))) // [ 500, 1000, 2000, 4000, 5000 ]
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Schedule } from "effect/Schedule"
import { between, MAX_EXACT, millis, refuse } from "./Validate.ts"
import * as RetrySchedule from "./retry/RetrySchedule.ts"

/**
 * How much of a delay is left to chance: `none` of it, `full` (anything from 0 to all of it) or the second half
 * (`equal`).
 *
 * `full` spreads a crowd best and is the default of everything that grows.
 *
 * @category models
 * @since 0.1.0
 */
export type Jitter = "none" | "full" | "equal"

/**
 * `base * factor^(n - 1)`, at most `cap`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Exponential {
  readonly _tag: "Exponential"
  readonly base: number
  readonly factor: number
  readonly cap: number
  readonly jitter: Jitter
}

/**
 * Always `delay`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Constant {
  readonly _tag: "Constant"
  readonly delay: number
  readonly jitter: Jitter
}

/**
 * `base + increment * (n - 1)`, at most `cap`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Linear {
  readonly _tag: "Linear"
  readonly base: number
  readonly increment: number
  readonly cap: number
  readonly jitter: Jitter
}

/**
 * `base` times 1, 1, 2, 3, 5, 8 and so on, at most `cap`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fibonacci {
  readonly _tag: "Fibonacci"
  readonly base: number
  readonly cap: number
  readonly jitter: Jitter
}

/**
 * Anything from `base` to three times the delay before, at most `cap`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decorrelated {
  readonly _tag: "Decorrelated"
  readonly base: number
  readonly cap: number
}

/**
 * All numbers are whole milliseconds, except `factor`. A value read from elsewhere is checked by `isBackoff`.
 *
 * @category models
 * @since 0.1.0
 */
export type Backoff = Exponential | Constant | Linear | Fibonacci | Decorrelated

const isJitter = (u: unknown): u is Jitter => u === "none" || u === "full" || u === "equal"

const jitterOf = (module: string, input: Jitter): Jitter => {
  if (isJitter(input)) return input
  return refuse(module, "jitter", input, 'must be "none", "full" or "equal"')
}

/** A cap below the base is a mistake, and a silent one if the base were cut to it. */
const capOf = (module: string, input: Duration.Input, base: number): number => {
  const cap = millis(module, "cap", input)
  if (cap >= base) return cap
  return refuse(module, "cap", input, `must be at least base, ${base} ms`)
}

/**
 * Delays that double (or grow by another `factor`) after each attempt.
 *
 * When: nearly always. It leaves a struggling dependency alone for longer the longer it struggles.
 *
 * Defaults: `factor` 2 (1 to 1e9, fractions allowed), `cap` "30 seconds", `jitter` "full". Throws `InvalidPolicyError`,
 * also for a cap below the base.
 *
 * **Example** (Up to 0.5, 1, 2, 4 seconds and so on)
 *
 * ```ts
 * import { Backoff } from "effect-resilience"
 *
 * const backoff = Backoff.exponential({ base: "500 millis", cap: "20 seconds" })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const exponential = (options: {
  readonly base: Duration.Input
  readonly factor?: number | undefined
  readonly cap?: Duration.Input | undefined
  readonly jitter?: Jitter | undefined
}): Exponential => {
  const module = "Backoff.exponential"
  const base = millis(module, "base", options.base)
  return {
    _tag: "Exponential",
    base,
    factor: between(module, "factor", options.factor ?? 2, { min: 1, max: 1e9 }),
    cap: capOf(module, options.cap ?? "30 seconds", base),
    jitter: jitterOf(module, options.jitter ?? "full")
  }
}

/**
 * The same delay each time; 0 tries again at once.
 *
 * When: the time the dependency needs is known, such as the poll of a job.
 *
 * Defaults: `jitter` "none", since a delay that is told is one that is wanted. Throws `InvalidPolicyError`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const constant = (
  options: Duration.Input | { readonly delay: Duration.Input; readonly jitter?: Jitter | undefined }
): Constant => {
  const module = "Backoff.constant"
  const { delay, jitter } =
    typeof options === "object" && options !== null && "delay" in options ? options : { delay: options }
  return { _tag: "Constant", delay: millis(module, "delay", delay, 0), jitter: jitterOf(module, jitter ?? "none") }
}

/**
 * Delays that grow by the same `increment`.
 *
 * When: exponential growth is too steep, with many attempts over a short time.
 *
 * Defaults: `increment` the base, `cap` "30 seconds", `jitter` "full". Throws `InvalidPolicyError`, also for a cap below
 * the base.
 *
 * @category constructors
 * @since 0.1.0
 */
export const linear = (options: {
  readonly base: Duration.Input
  readonly increment?: Duration.Input | undefined
  readonly cap?: Duration.Input | undefined
  readonly jitter?: Jitter | undefined
}): Linear => {
  const module = "Backoff.linear"
  const base = millis(module, "base", options.base)
  return {
    _tag: "Linear",
    base,
    increment: options.increment === undefined ? base : millis(module, "increment", options.increment),
    cap: capOf(module, options.cap ?? "30 seconds", base),
    jitter: jitterOf(module, options.jitter ?? "full")
  }
}

/**
 * Delays that grow by a factor of about 1.6, with the first two alike.
 *
 * When: doubling is a little too steep.
 *
 * Defaults: `cap` "30 seconds", `jitter` "full". Throws `InvalidPolicyError`, also for a cap below the base.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fibonacci = (options: {
  readonly base: Duration.Input
  readonly cap?: Duration.Input | undefined
  readonly jitter?: Jitter | undefined
}): Fibonacci => {
  const module = "Backoff.fibonacci"
  const base = millis(module, "base", options.base)
  return {
    _tag: "Fibonacci",
    base,
    cap: capOf(module, options.cap ?? "30 seconds", base),
    jitter: jitterOf(module, options.jitter ?? "full")
  }
}

/**
 * Delays drawn between `base` and three times the delay before: they grow by chance, and never below `base`.
 *
 * When: no attempt may follow at once, as one may with full jitter, and a crowd must spread all the same.
 *
 * Defaults: `cap` "30 seconds". Throws `InvalidPolicyError`, also for a cap below the base.
 *
 * @category constructors
 * @since 0.1.0
 */
export const decorrelated = (options: {
  readonly base: Duration.Input
  readonly cap?: Duration.Input | undefined
}): Decorrelated => {
  const module = "Backoff.decorrelated"
  const base = millis(module, "base", options.base)
  return { _tag: "Decorrelated", base, cap: capOf(module, options.cap ?? "30 seconds", base) }
}

/** `value * factor^times`, or `cap` once that is reached: square and multiply, so neither many steps nor an overflow. */
const grown = (value: number, factor: number, times: number, cap: number): number => {
  let square = factor
  for (let rest = times; rest > 0; rest = Math.floor(rest / 2)) {
    // The highest bit still to come multiplies by this square or by a larger one.
    if (value * square >= cap) return cap
    if (rest % 2 === 1) value *= square
    square *= square
  }
  return Math.min(cap, value)
}

const fibonacciOf = (base: number, n: number, cap: number): number => {
  let previous = 0
  let value = base
  for (let i = 1; i < n && value < cap; i++) {
    const next = previous + value
    previous = value
    value = next
  }
  return Math.min(cap, value)
}

const jittered = (delay: number, jitter: Jitter): readonly [low: number, high: number] => {
  const high = Math.floor(delay)
  if (jitter === "none") return [high, high]
  return [jitter === "full" ? 0 : Math.ceil(high / 2), high]
}

/**
 * The shortest and the longest delay that may follow the `n`-th attempt, in whole milliseconds; both can be drawn.
 *
 * `previous` matters to `decorrelated` only: without it, the range covers whatever was drawn before.
 *
 * @category getters
 * @since 0.1.0
 */
export const range = (self: Backoff, n: number, previous?: number): readonly [low: number, high: number] => {
  switch (self._tag) {
    case "Exponential":
      return jittered(grown(self.base, self.factor, n - 1, self.cap), self.jitter)
    case "Constant":
      return jittered(self.delay, self.jitter)
    case "Linear":
      return jittered(Math.min(self.cap, self.base + self.increment * (n - 1)), self.jitter)
    case "Fibonacci":
      return jittered(fibonacciOf(self.base, n, self.cap), self.jitter)
    case "Decorrelated": {
      // Before the first delay there was `base`; a value below it can only come from elsewhere.
      const most = previous === undefined ? grown(self.base, 3, n, self.cap) : 3 * Math.max(self.base, previous)
      return [self.base, Math.min(self.cap, most)]
    }
  }
}

/**
 * The delay after the `n`-th attempt, in whole milliseconds.
 *
 * `n` counts from 1; any `n` that can be counted exactly is answered, without overflow. `u` is the draw, in [0, 1): each
 * millisecond of `range` is equally likely. `previous` is the delay before this one, 0 when there was none, and
 * matters to `decorrelated` only.
 *
 * @category getters
 * @since 0.1.0
 */
export const delay = (self: Backoff, n: number, u: number, previous = 0): number => {
  const [low, high] = range(self, n, previous)
  return low + Math.floor(u * (high - low + 1))
}

const whole = (u: unknown, min: number): u is number =>
  Number.isSafeInteger(u) && Number(u) >= min && Number(u) <= MAX_EXACT

/**
 * Whether a value is a `Backoff` with lawful numbers, built here or read from elsewhere.
 *
 * @category guards
 * @since 0.1.0
 */
export const isBackoff = (u: unknown): u is Backoff => {
  if (typeof u !== "object" || u === null) return false
  const self = u as Readonly<Record<string, unknown>> // every field read below is checked
  if (self["_tag"] === "Constant") return whole(self["delay"], 0) && isJitter(self["jitter"])
  if (!whole(self["base"], 1) || !whole(self["cap"], self["base"])) return false
  if (self["_tag"] === "Decorrelated") return true
  if (!isJitter(self["jitter"])) return false
  if (self["_tag"] === "Exponential") {
    return typeof self["factor"] === "number" && self["factor"] >= 1 && self["factor"] <= 1e9
  }
  return self["_tag"] === "Fibonacci" || (self["_tag"] === "Linear" && whole(self["increment"], 1))
}

/**
 * The same delays as an Effect `Schedule`, drawn from Effect's `Random`. The output is the delay.
 *
 * It does not end: bound it with `Schedule.upTo`.
 *
 * **Example** (Polling with a backoff)
 *
 * ```ts
 * import { Effect, Schedule } from "effect"
 * import { Backoff } from "effect-resilience"
 *
 * const schedule = Backoff.toSchedule(Backoff.fibonacci({ base: "200 millis" })).pipe(Schedule.upTo({ times: 5 }))
 *
 * declare const poll: Effect.Effect<string, "pending">
 * const polled = Effect.retry(poll, schedule)
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const toSchedule = (self: Backoff): Schedule<Duration.Duration> =>
  RetrySchedule.fromDelays((n, u, previous) => delay(self, n, u, previous))
