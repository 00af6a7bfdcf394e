/**
 * Simulation: what would these policies have done, with this traffic, when the dependency behaves like that?
 *
 * The pipeline is the real one, in virtual time: an hour takes seconds. Everything random comes from one seed, so the
 * same options give the same report, byte for byte. The same calls are also sent to the same dependency without the
 * policies (or through others), and both stand in the report.
 *
 * **Example** (Two minutes of outage)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker, Retry } from "effect-resilience"
 * import { Dependency, Report, Simulation, Traffic } from "effect-resilience-testing"
 *
 * const program = Simulation.run({
 *   seed: 1,
 *   duration: "10 minutes",
 *   traffic: Traffic.poisson({ perSecond: 50 }),
 *   dependency: Dependency.make({
 *     latency: Dependency.lognormal({ median: "80 millis", p99: "400 millis" }),
 *     outages: [{ from: "3 minutes", to: "5 minutes", mode: "fails" }]
 *   }),
 *   policies: {
 *     attemptTimeout: "1 second",
 *     circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "10 seconds" }),
 *     retry: Retry.policy({ maxAttempts: 3 })
 *   }
 * })
 *
 * Effect.runPromise(program).then((report) => {
 *   console.log(report.with.totals.goodput, report.without?.totals.goodput)
 *   console.log(Report.toJson(report))
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Known, KeyOf, Policies, RetriedBy } from "effect-resilience/Policies"
import * as Resilience from "effect-resilience/Resilience"
import { type Dependency, isDependency } from "./Dependency.ts"
import { describePolicies } from "./internal/describe.ts"
import { nameOf, Play, type Scenario } from "./internal/Play.ts"
import { streamsOf } from "./internal/streams.ts"
import { millis, refuse, such } from "./internal/validate.ts"
import type { Report, Run } from "./Report.ts"
import { isTraffic, type Key, type Traffic } from "./Traffic.ts"

/**
 * A service class, as `Resilience.Service` makes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface HasPolicies<P> {
  readonly policies: P
  readonly layer: unknown
}

/**
 * Everything but the policies. `P` are the policies: traffic must have keys that they understand, and the dependency
 * errors that their retry policy can judge.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scene<P> extends Frame {
  readonly traffic: Traffic<KeyOf<P>>
  readonly dependency: Dependency<RetriedBy<P>>
  /** The key whose circuit and tokens are looked at, each second. Default: the key of the first call. */
  readonly watch?: KeyOf<P> | undefined
}

interface Frame {
  /** Everything random comes from it: another seed is another day. `1` and `"1"` are the same. */
  readonly seed: string | number
  readonly duration: Duration.Input
  /** How long a caller waits before it gives up and leaves. Default: for ever. */
  readonly patience?: Duration.Input | undefined
  /**
   * What to compare with: other policies, or a service. Default: `{}`, no policies at all. `false`: nothing, which is
   * twice as fast.
   */
  readonly without?: Policies | HasPolicies<Policies> | false | undefined
  /** Of the picture. Default: "Simulation". */
  readonly title?: string | undefined
}

/** So many turns of a world take a few milliseconds: then others have theirs. */
const TURNS = 5_000

const played = (scenario: Scenario, policies: Policies): Effect.Effect<Run> =>
  Effect.gen(function* () {
    const play = new Play(scenario, policies)
    let yieldedAt = 0
    for (let n = 0; n * 1000 < scenario.duration; n++) {
      play.second(n)
      if (play.world.turns - yieldedAt < TURNS) continue
      yieldedAt = play.world.turns
      yield* Effect.yieldNow
    }
    return play.result(describePolicies(policies))
  })

const policiesOf = (parameter: string, value: Policies | HasPolicies<Policies>): Policies => {
  const something = (typeof value === "object" && value !== null) || typeof value === "function"
  such(module, parameter, value, something, "policies, or a service made of them")
  const policies = "layer" in value ? value.policies : value
  // what makes no sense is refused here, and not in the middle of a run
  Resilience.make("simulation", policies as {})
  return policies
}

const module = "Simulation.run"

/** That the key and the errors suit the policies is what the overloads check. */
interface AnyScene extends Frame {
  readonly traffic: Traffic<Key>
  readonly dependency: Dependency<unknown>
  readonly watch?: Key | undefined
  readonly policies: Policies | HasPolicies<Policies>
}

/**
 * Plays the traffic through the policies, and through those to compare with. The effect gives way to other fibers now
 * and then, and can be interrupted.
 *
 * Fails with nothing: options that make no sense are refused with an `InvalidPolicyError` that names the field, thrown at
 * once. What a function of the policies throws while the simulation runs, such as a `classify`, is a defect of the effect.
 *
 * @category running
 * @since 0.1.0
 */
export const run: {
  <P extends Policies>(
    options: Scene<NoInfer<P>> & {
      /** The service to try. */
      readonly policies: HasPolicies<P>
    }
  ): Effect.Effect<Report>
  <const P extends Policies>(
    options: Scene<NoInfer<P>> & {
      /** The policies to try. */
      readonly policies: P & Known<P>
    }
  ): Effect.Effect<Report>
} = (options: AnyScene): Effect.Effect<Report> => {
  const { patience, title = "Simulation", without = {} } = options
  const seed = String(options.seed)
  if (typeof options.seed !== "string" && !Number.isFinite(options.seed)) {
    refuse(module, "seed", options.seed, "must be a text or a finite number")
  }
  such(module, "title", title, typeof title === "string", "a text")
  such(module, "traffic", options.traffic, isTraffic(options.traffic), "a traffic")
  such(module, "dependency", options.dependency, isDependency(options.dependency), "made by Dependency.make")
  const duration = millis(module, "duration", options.duration)
  const { traffic } = options
  const watched = options.watch ?? traffic.begin(streamsOf(seed))()?.key
  const scenario: Scenario = {
    seed,
    duration,
    traffic,
    dependency: options.dependency,
    patience: patience === undefined ? Infinity : millis(module, "patience", patience),
    watched
  }
  const policies = policiesOf("policies", options.policies)
  const others = without === false ? undefined : policiesOf("without", without)
  return Effect.gen(function* () {
    return {
      title,
      seed,
      duration,
      patience: scenario.patience === Infinity ? undefined : scenario.patience,
      traffic: traffic.description,
      dependency: scenario.dependency.description,
      outages: scenario.dependency.outages,
      watched: watched === undefined ? "" : nameOf(watched),
      with: yield* played(scenario, policies),
      without: others === undefined ? undefined : yield* played(scenario, others)
    }
  })
}
