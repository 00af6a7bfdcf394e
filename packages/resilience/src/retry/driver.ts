/** What decides the delays of one call. */
import type * as Effect from "effect/Effect"

/**
 * Tells the delays of one call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Driver<in E> {
  /**
   * Whole milliseconds from the failure of the `attempt`-th run to the next run, `undefined` when there is none. An
   * Effect only where a `Schedule` decides. `now` is monotonic; `draw` gives numbers in [0, 1).
   */
  readonly next: (
    error: E,
    attempt: number,
    now: number,
    draw: () => number
  ) => number | undefined | Effect.Effect<number | undefined>
}
