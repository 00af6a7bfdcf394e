/**
 * The numbers of a pipeline as plain data: the service and its model are both made of them, and a counter-example is
 * kept as them.
 */
export interface LimitNumbers {
  readonly kind: "tokenBucket" | "fixedWindow" | "slidingWindow" | "slidingLog"
  readonly limit: number
  readonly window: number
  readonly burst: number
  readonly slices: number
  readonly maxWait: number
  readonly maxQueued: number
  readonly maxKeys?: number | undefined
  readonly overflow: "evict" | "reject"
}

export type TripNumbers =
  | { readonly kind: "consecutive"; readonly failures: number; readonly within: number }
  | { readonly kind: "failures"; readonly failures: number; readonly within: number }
  | {
      readonly kind: "rate"
      /** 0: the rate of failures. */
      readonly slowAfter: number
      readonly threshold: number
      readonly minimumCalls: number
      /** 0: a window by time. */
      readonly calls: number
      readonly window: number
    }

export interface CircuitNumbers {
  readonly trips: ReadonlyArray<TripNumbers>
  readonly open: number
  /** Each opening in a row is so many times the one before. */
  readonly growth: number
  readonly cap: number
  readonly permitted: number
  readonly required: number
  /** 0: the default. */
  readonly lease: number
  readonly byUser: boolean
  readonly maxKeys?: number | undefined
  readonly idle?: number | undefined
}

export interface SlotNumbers {
  readonly maxConcurrent: number
  readonly maxWait: number
  readonly maxQueued: number
}

export interface RetryNumbers {
  readonly maxAttempts: number
  readonly delay: number
  readonly growth: number
}

/** What is left out is not configured. */
export interface Numbers {
  readonly limit?: LimitNumbers | undefined
  /** A second one, for all users together. */
  readonly shared?: LimitNumbers | undefined
  readonly circuit?: CircuitNumbers | undefined
  readonly slots?: SlotNumbers | undefined
  readonly retry?: RetryNumbers | undefined
  readonly timeout?: number | undefined
  readonly attemptTimeout?: number | undefined
  readonly perAttempt?: boolean | undefined
}

export const CAP = 1_000

/** How long the n-th of growing delays is. */
export const grown = (first: number, growth: number, n: number, cap: number): number => {
  let delay = first
  for (let i = 1; i < n; i++) delay *= growth
  return Math.min(cap, delay)
}
