/**
 * What a circuit is: its policy and its state. Times are whole milliseconds, and no number is below 0.
 *
 * @since 0.1.0
 */

/** `Closed` admits all, `Open` none, `HalfOpen` probes, `Isolated` none until told. @category models @since 0.1.0 */
export type Phase = "Closed" | "Open" | "HalfOpen" | "Isolated"

/**
 * What opened a circuit: a trip policy, or a probe that failed or whose lease ended. `none` while it is closed, and where it
 * was isolated by hand.
 *
 * @category models
 * @since 0.1.0
 */
export type Opener = "none" | "consecutive" | "failures" | "failureRate" | "slowCallRate" | "probe"

/**
 * When to open. `consecutive`: `failures` failures in a row, all younger than `within` ms (0: however old). `failures`: so
 * many younger than `within` ms (at least 1), whatever came between them.
 *
 * `rate`: `bad / calls >= threshold` for the counted calls, once `minimumCalls` are counted: the quotient as doubles have
 * it, so that k bad of n meet a threshold that was written as k / n. Bad means failed
 * (`slowAfter` 0), or not ended after `slowAfter` ms. Counted are the last `calls` calls or, if that is 0, those of the
 * current and the `slices - 1` slices before it, where slice n is [n * slice, (n + 1) * slice).
 *
 * @category models
 * @since 0.1.0
 */
export type Trip =
  | { readonly kind: "consecutive"; readonly failures: number; readonly within: number }
  | { readonly kind: "failures"; readonly failures: number; readonly within: number }
  | {
      readonly kind: "rate"
      readonly slowAfter: number
      readonly threshold: number
      readonly minimumCalls: number
      readonly calls: number
      readonly slice: number
      readonly slices: number
    }

/**
 * The numbers of a circuit, with 1 <= `required` <= `permitted`.
 *
 * The n-th opening in a row lasts between `openLow[n]` and `openHigh[n]`, both included; the last entry repeats. With
 * `openGrowth` above 0, every opening but the first lasts at most `openGrowth` * the one before, up to the last entry of
 * `openHigh`, instead of `openHigh[n]`. A failure's `retryAfter` makes an opening longer, up to `openCap`.
 *
 * While half-open, `permitted` probes are let through, and `required` successes close. A probe that is silent for
 * `lease` ms has failed; 0 means as long as the opening before, and at least a minute.
 *
 * @category models
 * @since 0.1.0
 */
export interface BreakerPolicy {
  /** The circuit opens when any of them says so. */
  readonly trips: ReadonlyArray<Trip>
  readonly openLow: ReadonlyArray<number>
  readonly openHigh: ReadonlyArray<number>
  readonly openGrowth: number
  readonly openCap: number
  readonly permitted: number
  readonly required: number
  readonly lease: number
}

/**
 * The outcomes that one trip policy still counts.
 *
 * | trip | calls, bad | head | cells |
 * |---|---|---|---|
 * | consecutive | failures in a row | time of the newest | their times, oldest first; none without `within` |
 * | failures | failures | time of the newest | their times, oldest first |
 * | rate, by calls | counted | position of the next outcome in the ring | the ring, 30 outcomes to a word, 1 is bad |
 * | rate, by time | counted when `head` was current | the newest slice | calls, bad of each slice, oldest first |
 *
 * @category models
 * @since 0.1.0
 */
export interface Window {
  readonly calls: number
  readonly bad: number
  readonly head: number
  readonly cells: ReadonlyArray<number>
}

/** A call let through while half-open; at `deadline` it counts as failed. @category models @since 0.1.0 */
export interface Probe {
  readonly id: number
  readonly deadline: number
}

/** One half-open period. `probes` are in flight, by ascending deadline. @category models @since 0.1.0 */
export interface Trial {
  readonly issued: number
  readonly successes: number
  readonly failures: number
  readonly probes: ReadonlyArray<Probe>
}

/**
 * A circuit. `since` is when the phase began. `ended` is the generation that an opening ended, 0 while not open. `openFor` is how long the opening lasts, while half-open the one before;
 * `openings` counts them since the circuit was closed. `openedBy` says what brought the last one. `draw` is for an opening that no report brings: a lapsed lease.
 *
 * @category models
 * @since 0.1.0
 */
export interface BreakerState {
  readonly phase: Phase
  readonly generation: number
  readonly ended: number
  readonly since: number
  readonly openFor: number
  readonly openings: number
  readonly openedBy: Opener
  readonly draw: number
  readonly windows: ReadonlyArray<Window>
  readonly trial: Trial
}

/**
 * Whether every call is let through and leaves the state as it is, whenever it comes. So all are told the same.
 *
 * @category getters
 * @since 0.1.0
 */
export const letsAll = (state: BreakerState): boolean => state.phase === "Closed"

/** The shortest lease of a probe where the policy names none, in milliseconds. @category models @since 0.1.0 */
export const LEAST_LEASE = 60000

/** How long a probe may be silent. @category getters @since 0.1.0 */
export const leaseOf = (policy: BreakerPolicy, state: BreakerState): number =>
  policy.lease > 0 ? policy.lease : Math.max(state.openFor, LEAST_LEASE)
