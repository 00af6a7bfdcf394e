/**
 * The laws of a store, to run on one of your own.
 *
 * A store that keeps them runs every policy of effect-resilience: the laws replay the kernels at the times that the store
 * tells, so they hold on whatever clock it has, on this machine or another. They use spaces that nobody else has and
 * clear them, so parallel tests may share a server.
 *
 * **Example** (The laws of a store of your own)
 *
 * ```ts
 * import { it } from "@effect/vitest"
 * import { Store } from "effect-resilience"
 * import { StoreLaws } from "effect-resilience-testing"
 *
 * const MyStore = Store.layerMemory // yours
 * for (const { check, name } of StoreLaws.laws({ layer: MyStore })) it.effect(name, () => check)
 * ```
 *
 * Use `it.live` for a store that has a clock of its own, such as a server's: then time passes as it does, some
 * milliseconds at a time.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { TestClock } from "effect/testing"
import type { Store } from "effect-resilience/Store"
import { lawsOfAnswers } from "./internal/storeAnswers.ts"
import { lawsOfCrowds, saysWhenDown } from "./internal/storeCrowd.ts"
import { boundedKeys, lawsOfKeys } from "./internal/storeKeys.ts"
import { lawsOfPolicies } from "./internal/storePolicies.ts"
import type * as Law from "./Law.ts"

/**
 * A store, and what its laws need to know of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R = never> extends Law.SearchOptions {
  /** Built anew for each law. An error of it is a defect of the check: the store is not there to be tested. */
  readonly layer: Layer.Layer<Store, unknown, R>
  /** What the names of all spaces begin with. A random part follows, so tests in parallel are apart in any case. Default: "laws/". */
  readonly prefix?: string | undefined
  /**
   * Lets time pass on the store's clock. Default: moves the `TestClock` where there is one, and sleeps where there is none.
   */
  readonly advance?: ((millis: number) => Effect.Effect<void>) | undefined
  /** How long one case of a law may take, on this machine's clock, before the store is said to hang. Default: "10 seconds". */
  readonly patience?: Duration.Input | undefined
  /** Whether the store keeps to `maxKeys` and `overflow`. Default: false, and the law about it is left out. */
  readonly boundsKeys?: boolean | undefined
  /**
   * Whether processes share the store, so that two versions of a policy may meet on one key during a deployment. Default:
   * false, and the laws about that are left out.
   */
  readonly shared?: boolean | undefined
  /** The same store where it cannot be reached (a port that nobody listens on). Without it, the law about that is left out. */
  readonly unreachable?: Layer.Layer<Store, unknown, R> | undefined
}

/** The test clock, if it is the one in use. */
const letPass = (millis: number): Effect.Effect<void> =>
  Effect.clockWith((clock) =>
    "adjust" in clock ? (clock as TestClock.TestClock).adjust(millis) : Effect.sleep(Duration.millis(millis))
  )

/**
 * The laws of a store.
 *
 * Each fails with a `LawViolation` that tells the smallest counter-example found and the seed to find it again. A store
 * that fails, dies or hangs violates the law that asked it.
 *
 * @category laws
 * @since 0.1.0
 */
export const laws = <R = never>(options: Options<R>): ReadonlyArray<Law.Law<R>> => {
  const settings = {
    layer: Layer.orDie(options.layer),
    prefix: options.prefix ?? "laws/",
    advance: options.advance ?? letPass,
    patience: Duration.toMillis(Duration.fromInputUnsafe(options.patience ?? "10 seconds")),
    search: { seed: options.seed, effort: options.effort }
  }
  const all = [
    ...lawsOfAnswers,
    ...lawsOfKeys,
    ...lawsOfCrowds,
    ...(options.shared === true ? lawsOfPolicies : []),
    ...(options.boundsKeys === true ? [boundedKeys] : [])
  ]
  const { unreachable } = options
  return [
    ...all.map((law) => law(settings)),
    ...(unreachable === undefined ? [] : [saysWhenDown({ ...settings, layer: Layer.orDie(unreachable) })])
  ]
}
