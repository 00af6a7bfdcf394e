/**
 * What each limit promises: at most so much, and at least so much. Written as the page says it, in plain sums over what
 * started, and in no arithmetic of the kernels.
 */
import { Arbitrary, Effect, Random } from "effect"
import { RateLimiter } from "../../src/index.ts"
import { int } from "../kernel/laws.ts"

/** A call that ran: when, in milliseconds of the monotonic clock, and what it cost. */
export interface Start {
  readonly at: number
  readonly cost: number
}

export interface Numbers {
  readonly limit: number
  readonly window: number
  readonly burst: number
  readonly slices: number
}

interface Waiting {
  readonly maxWait?: number
  readonly maxQueued?: number
}

export interface Definition {
  readonly make: (numbers: Numbers, waiting: Waiting) => RateLimiter.Limit
  readonly capacity: (numbers: Numbers) => number
  /** The bound: whether the last of these starts keeps to it. */
  readonly keeps: (numbers: Numbers, starts: ReadonlyArray<Start>) => boolean
  /** Whether one more may start after these: exactly where that would break no promise. */
  readonly fits: (numbers: Numbers, starts: ReadonlyArray<Start>, next: Start) => boolean
  /** How many of cost 1 start on a fresh key from `from` to `to`, both included, while somebody asks at every ms. */
  readonly least: (numbers: Numbers, from: number, to: number) => number
}

const sum = (starts: ReadonlyArray<Start>, from: number, to: number): number =>
  starts.reduce((total, { at, cost }) => (at >= from && at <= to ? total + cost : total), 0)

/** No span from a start to now may hold more than `burst + floor(limit * d / window)`. */
const bucketFits: Definition["fits"] = ({ burst, limit, window }, starts, { at, cost }) => {
  let total = cost
  if (total > burst) return false
  for (let i = starts.length - 1; i >= 0; i--) {
    total += starts[i]!.cost
    if (total > burst + Math.floor((limit * (at - starts[i]!.at)) / window)) return false
  }
  return true
}

const lastOf = (starts: ReadonlyArray<Start>) => [starts.slice(0, -1), starts.at(-1)!] as const

const bucket: Omit<Definition, "make"> = {
  capacity: ({ burst }) => burst,
  keeps: (numbers, starts) => bucketFits(numbers, ...lastOf(starts)),
  fits: bucketFits,
  // a bucket of one token is full again after whole milliseconds, and what drips in the rest of the last is lost
  least: ({ burst, limit, window }, from, to) =>
    burst === 1
      ? 1 + Math.floor((to - from) / Math.ceil(window / limit))
      : burst + Math.floor((limit * (to - from)) / window)
}

const startOf = (at: number, window: number): number => at - (at % window)
const sliceOf = ({ slices, window }: Numbers): number => Math.ceil(window / slices)

export const definitions: Record<string, Definition> = {
  tokenBucket: {
    ...bucket,
    make: ({ burst, limit, window }, waiting) => RateLimiter.tokenBucket({ limit, window, burst, ...waiting })
  },
  leakyBucket: {
    ...bucket,
    make: ({ burst, limit, window }, waiting) => RateLimiter.leakyBucket({ limit, window, capacity: burst, ...waiting })
  },
  fixedWindow: {
    make: ({ limit, window }, waiting) => RateLimiter.fixedWindow({ limit, window, ...waiting }),
    capacity: ({ limit }) => limit,
    keeps: ({ limit, window }, starts) => {
      const { at } = starts.at(-1)!
      return sum(starts, startOf(at, window), at) <= limit && sum(starts, at - window + 1, at) <= 2 * limit
    },
    fits: ({ limit, window }, starts, { at, cost }) => sum(starts, startOf(at, window), at) + cost <= limit,
    least: ({ limit, window }, from, to) => limit * (1 + (startOf(to, window) - startOf(from, window)) / window)
  },
  slidingWindow: {
    make: ({ limit, slices, window }, waiting) => RateLimiter.slidingWindow({ limit, window, slices, ...waiting }),
    capacity: ({ limit }) => limit,
    // both ends included: one millisecond more than promised
    keeps: ({ limit, window }, starts) => sum(starts, starts.at(-1)!.at - window, starts.at(-1)!.at) <= limit,
    fits: (numbers, starts, { at, cost }) => {
      const slice = sliceOf(numbers)
      return sum(starts, startOf(at, slice) - numbers.slices * slice, at) + cost <= numbers.limit
    },
    least: (numbers, from, to) => {
      const slice = sliceOf(numbers)
      const passed = (startOf(to, slice) - startOf(from, slice)) / slice
      return numbers.limit * (1 + Math.floor(passed / (numbers.slices + 1)))
    }
  },
  slidingLog: {
    make: ({ limit, window }, waiting) => RateLimiter.slidingLog({ limit, window, ...waiting }),
    capacity: ({ limit }) => limit,
    keeps: ({ limit, window }, starts) => sum(starts, starts.at(-1)!.at - window + 1, starts.at(-1)!.at) <= limit,
    fits: ({ limit, window }, starts, { at, cost }) => sum(starts, at - window + 1, at) + cost <= limit,
    least: ({ limit, window }, from, to) => limit * (1 + Math.floor((to - from) / window))
  }
}

/** At most one unit for each millisecond: faster buckets of 2 and more may be full between two milliseconds. */
export const numbers: Arbitrary.Arbitrary<Numbers> = Arbitrary.map(
  Arbitrary.all({ limit: int(1, 12), window: int(1, 60), burst: int(1, 8), slices: int(1, 8) }),
  ({ burst, limit, slices, window }) => ({
    limit: Math.min(limit, window),
    window,
    burst,
    slices: Math.min(slices, window)
  })
)

/** The first start that breaks the bound. */
export const broken = (
  { keeps }: Definition,
  numbers: Numbers,
  starts: ReadonlyArray<Start>
): ReadonlyArray<Start> | undefined => {
  for (let i = 1; i <= starts.length; i++) if (!keeps(numbers, starts.slice(0, i))) return starts.slice(0, i)
  return undefined
}

/** What an arbitrary generates. */
export type Of<A> = A extends Arbitrary.Arbitrary<infer T> ? T : never

/** `BOUNDS_SEED` repeats a run; each suite has its seed in its name. */
export const seed: number =
  process.env["BOUNDS_SEED"] === undefined ? Effect.runSync(Random.nextInt) : Number(process.env["BOUNDS_SEED"])
