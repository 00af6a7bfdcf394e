/**
 * One run: a traffic, through one pipeline, to one dependency, in a world of its own.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import { EventSink } from "effect-resilience/Event"
import type { Policies } from "effect-resilience/Policies"
import { isRejection, TimeoutExceeded } from "effect-resilience/Rejection"
import * as Resilience from "effect-resilience/Resilience"
import type { Dependency } from "../Dependency.ts"
import type { Endings, Run } from "./findings.ts"
import type { Arrival, Key, Traffic } from "../Traffic.ts"
import { World } from "../World.ts"
import { Recorder } from "./Recorder.ts"
import { type Draw, randomOf, streamsOf } from "./streams.ts"
import { fateOf, Request, Upstream } from "./Upstream.ts"

/** What two runs have in common. */
export interface Scenario {
  readonly seed: string
  /** Milliseconds. */
  readonly duration: number
  readonly traffic: Traffic<Key>
  readonly dependency: Dependency<unknown>
  /** Milliseconds; `Infinity`: callers wait for ever. */
  readonly patience: number
  readonly watched: Key | undefined
}

/** A key in words, as the events have it. */
export const nameOf = (key: Key): string =>
  typeof key === "string" ? key : JSON.stringify(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1)))

/** How a call ended, by what its caller saw. */
const endingOf = (exit: Exit.Exit<unknown, unknown>): keyof Endings => {
  if (exit._tag === "Success") return "succeeded"
  const { reasons } = exit.cause
  const defect = reasons.find(Cause.isDieReason)
  // a function of the user threw, or the key does not suit the policies: no result would mean anything
  if (defect !== undefined) throw defect.defect
  const fail = reasons.find(Cause.isFailReason)
  if (fail === undefined) return "gaveUp"
  return isRejection(fail.error) ? "refused" : fail.error instanceof TimeoutExceeded ? "timedOut" : "failed"
}

/** Some midnight: windows that follow the clock have their edges where the simulation has its seconds and hours. */
const MIDNIGHT = 20_000 * 86_400_000

type AnyService = Resilience.ResilienceService<unknown>

export class Play {
  readonly world: World
  private readonly scenario: Scenario
  private readonly recorder = new Recorder()
  private readonly upstream: Upstream
  private readonly service: AnyService
  private readonly begun: number
  private readonly first: Draw
  private readonly later: Draw
  private readonly next: () => Arrival<Key> | undefined
  private broken: { readonly defect: unknown } | undefined

  constructor(scenario: Scenario, policies: Policies) {
    const { dependency, seed, traffic } = scenario
    const streams = streamsOf(seed)
    this.scenario = scenario
    this.world = new World({
      epoch: MIDNIGHT,
      maxTurns: Infinity,
      context: Context.make(EventSink, this.recorder.sink).pipe(
        Context.add(Random.Random, randomOf(`${seed}/policies`))
      )
    })
    this.begun = this.world.now
    this.upstream = new Upstream(dependency, this.world)
    this.service = this.world.get(Resilience.make("simulation", policies as {}) as Effect.Effect<AnyService>)
    // first requests draw from a stream of their own, one for each call: they meet the same fate under all policies
    this.first = streams("first requests")
    this.later = streams("later requests")
    this.next = traffic.begin(streams)
    this.expect(this.next())
  }

  private expect(arrival: Arrival<Key> | undefined): void {
    if (arrival !== undefined && arrival.at < this.scenario.duration) {
      this.world.at(this.begun + arrival.at, () => this.arrive(arrival))
    }
  }

  private arrive({ key }: Arrival<Key>): void {
    const { recorder, world } = this
    const at = world.now
    const count = recorder.offered(nameOf(key))
    const fiber = world.fork(this.service.resilient(this.call(), key as never))
    const leave = this.scenario.patience === Infinity ? undefined : this.losesPatience(fiber)
    fiber.addObserver((exit) => {
      leave?.()
      try {
        recorder.ended(endingOf(exit), world.now - at, count)
      } catch (defect) {
        this.broken ??= { defect }
      }
    })
    this.expect(this.next())
  }

  private losesPatience(fiber: { readonly interruptUnsafe: () => void }): () => void {
    return this.world.at(this.world.now + this.scenario.patience, () => fiber.interruptUnsafe())
  }

  /** What a caller wraps: each run of it is a request. */
  private call(): Effect.Effect<void, unknown> {
    const { dependency } = this.scenario
    const fate = fateOf(dependency, this.first)
    let attempts = 0
    return Effect.callback<void, unknown>((resume) => {
      const retry = attempts++ > 0
      this.recorder.attempted(retry)
      const request = new Request(retry ? fateOf(dependency, this.later) : fate, (failure) =>
        resume(failure === undefined ? Effect.void : Effect.fail(dependency.error(failure)))
      )
      this.upstream.arrive(request)
      return Effect.sync(() => {
        request.answer = undefined
      })
    })
  }

  /** Plays one second more, the `n`-th from 0. */
  second(n: number): void {
    const { recorder, scenario, service, upstream, world } = this
    // what happens at the very end belongs to the next second
    world.runTo(this.begun + Math.min((n + 1) * 1000, scenario.duration) - 1)
    if (this.broken !== undefined) throw this.broken.defect
    recorder.second(
      upstream,
      scenario.watched === undefined ? undefined : world.get(service.inspect(scenario.watched as never))
    )
  }

  result(policies: string): Run {
    return this.recorder.run(policies, this.scenario.duration / 1000, this.upstream)
  }
}
