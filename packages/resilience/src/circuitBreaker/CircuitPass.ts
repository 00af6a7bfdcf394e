/**
 * A call's permit: its part in the admission, and the report of what became of it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { CircuitState, Sink } from "../Event.ts"
import { nowOf } from "../internal/time.ts"
import { type BreakerDecision, type BreakerInput, indifferent, view } from "../kernel/Breaker.ts"
import { NEVER } from "../kernel/Limiter.ts"
import type { Outcome } from "../Outcome.ts"
import type { Call, Guarded, Local, Refusal, Ticket } from "../Policy.ts"
import { CircuitOpen } from "../Rejection.ts"
import { Step } from "../StoreModel.ts"
import { ProbeOf, type Probing } from "./Probing.ts"
import type { CircuitSpace, CircuitSpec } from "./spec.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

const NONE: ReadonlyArray<never> = []

/** What a permit asks of the circuits of its service. */
export interface Circuits {
  readonly service: string
  readonly spec: CircuitSpec
  readonly space: CircuitSpace
  readonly store: Local | Guarded
  labelOf(circuit: string): string
  /** Whether a circuit in this process lets everybody through. Then the pass has its answer, and need not be committed. */
  welcomes(pass: CircuitPass, now: number): boolean
  feedSync(circuit: string, now: number, sink: Sink | undefined, fiber: AnyFiber): void
  feed(circuit: string, now: number, sink: Sink | undefined, fiber: AnyFiber): Effect.Effect<void> | undefined
  started(pass: CircuitPass): void
  ended(pass: CircuitPass): void
  observe(circuit: string, answer: BreakerDecision, sink: Sink | undefined, fiber: AnyFiber): void
  watch(step: Step<CircuitSpace>, onMove: () => void, now: number): () => void
  recordOf(pass: CircuitPass, outcome: Outcome, retryAfter: number): BreakerInput
  tell(
    step: Step<CircuitSpace>,
    now: number,
    sink: Sink | undefined,
    fiber: AnyFiber,
    exit?: Exit.Exit<unknown, unknown>
  ): void
  send(
    store: Guarded,
    step: Step<CircuitSpace>,
    sink: Sink | undefined,
    onEnd: () => void,
    exit?: Exit.Exit<unknown, unknown>
  ): Effect.Effect<void>
}

/** One call's permit, from the question to the report: its step in the store, asked and then told. */
export class CircuitPass extends Step<CircuitSpace> implements Ticket {
  declare readonly gate: Circuits
  declare readonly call: Call | undefined
  declare steps: ReadonlyArray<Step>
  declare generation: number
  declare probe: number
  /** When the attempt in flight began. */
  declare startedAt: number
  /** How long the longest attempt took. */
  declare duration: number
  /** Whether the call runs under the probe of a call around it: then the circuit is asked nothing, and told nothing. */
  declare private under: boolean
  /** Whether the probe has not reported yet. */
  declare private inFlight: boolean
  /** How many slow-call thresholds have counted this call already. */
  declare slowFed: number
  /** On a remote store: whether a reply to a call of this process has said that the circuit moved. */
  declare private moved: boolean
  private unwatch: (() => void) | undefined = undefined

  constructor(gate: Circuits, key: string, input: BreakerInput, call: Call | undefined) {
    super(gate.space, key, input)
    this.gate = gate
    this.call = call
    this.steps = NONE
    this.generation = 0
    this.probe = 0
    this.startedAt = 0
    this.duration = 0
    this.under = this.inFlight = false
    this.slowFed = 0
    this.moved = false
  }

  /** A circuit of this process that lets everybody through has answered with its state, and need not be asked. */
  check(now: number): boolean {
    const { gate } = this
    const isRemote = gate.store.sync === undefined
    if (!isRemote) gate.feedSync(this.key, now, this.call!.sink, this.call!.fiber)
    const isWelcome = !isRemote && gate.welcomes(this, now)
    this.under = !isWelcome && this.isUnderProbe()
    this.steps = isWelcome || this.under ? NONE : [this]
    return true
  }

  private isUnderProbe(): boolean {
    const probe = this.call!.fiber.getRef(ProbeOf)
    return probe !== undefined && probe.gate === this.gate && probe.circuit === this.key && probe.lasts()
  }

  /** What the effect of a probe finds in its context. */
  get context(): Context.Context<never> | undefined {
    if (this.probe === 0) return undefined
    const lasts = () => this.inFlight && !this.left(nowOf(this.call!.fiber))
    const probing: Probing = { gate: this.gate, circuit: this.key, lasts }
    return Context.make(ProbeOf, probing) as Context.Context<never> // a reference needs no provider, so it is in no type
  }

  before(now: number): Effect.Effect<void> | undefined {
    const { fiber, sink } = this.call!
    return this.gate.feed(this.key, now, sink, fiber)
  }

  get single(): boolean {
    return this.probe !== 0 || this.under
  }

  attemptBegan(now: number): void {
    if (this.under) return
    this.startedAt = now
    this.gate.started(this)
  }

  attemptEnded(now: number): void {
    if (this.under) return
    this.duration = Math.max(this.duration, now - this.startedAt)
    this.gate.ended(this)
  }

  admitted(now: number): void {
    if (this.under) return
    const { gate } = this
    const { fiber, sink } = this.call!
    const [answer] = this.result! // whoever calls this has read it
    this.generation = answer.generation
    this.probe = answer.probe
    this.inFlight = true
    gate.store.sync?.hold(this, now)
    gate.observe(this.key, answer, sink, fiber)
    if (gate.store.sync === undefined) {
      const onMove = () => {
        this.moved = true
      }
      this.unwatch = gate.watch(this, onMove, now)
    }
  }

  refusal(_now: number, asked: boolean): Refusal | undefined {
    const answer = asked && !this.under ? this.result?.[0] : undefined
    if (answer?.allowed !== false) return undefined
    const error = new CircuitOpen({
      service: this.gate.service,
      key: this.gate.labelOf(this.key),
      state: answer.phase as Exclude<CircuitState, "Closed">, // a closed circuit refuses nobody
      openedBy: answer.openedBy === "none" ? undefined : answer.openedBy,
      retryAfterMillis: answer.retryAfter === NEVER ? undefined : answer.retryAfter
    })
    return { error }
  }

  watch(onMove: () => void): () => void {
    return this.gate.watch(this, onMove, nowOf(this.call!.fiber))
  }

  /** Whether the circuit has left the generation that admitted the call. */
  left(now: number): boolean {
    if (this.under) return false
    const { gate } = this
    const sync = gate.store.sync
    if (sync === undefined) return this.moved
    gate.feedSync(this.key, now, this.call!.sink, this.call!.fiber)
    const state = sync.read(gate.space, this.key)
    return (
      view(gate.spec.policy, state ?? gate.spec.kernel.initial(gate.spec.policy), now).generation !== this.generation
    )
  }

  /** Reports the outcome. Where the user's `retryAfter` throws, the call says nothing about the dependency. */
  record(outcome: Outcome, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined {
    if (this.under) return undefined
    this.inFlight = false
    if (outcome !== "failure" && outcome !== "throttled") return this.report(outcome, 0, exit)
    let hint: number
    try {
      hint = this.call!.hintOf(exit)
    } catch (defect) {
      const reported = this.report("ignored", 0, exit)
      return reported === undefined ? Effect.die(defect) : Effect.andThen(reported, Effect.die(defect))
    }
    return this.report(outcome, hint, exit)
  }

  private report(
    outcome: Outcome,
    retryAfter: number,
    exit: Exit.Exit<unknown, unknown>
  ): Effect.Effect<void> | undefined {
    const { fiber, sink } = this.call!
    const { gate } = this
    const { store } = gate
    const { sync } = store
    // most calls succeed, and most circuits have nothing to forget by it: then there is nothing to tell, nor a time to ask for
    const { own, policy } = gate.spec
    const isMoot = outcome === "success" && own.length === 0
    if (sync !== undefined && isMoot && indifferent(policy, sync.held(this))) {
      sync.release(this)
      return undefined
    }
    const now = nowOf(fiber)
    // a call that was told "not now" is not counted as slow by its own report: how long it took says nothing
    if (outcome === "throttled") gate.ended(this)
    const fed = gate.feed(this.key, now, sink, fiber)
    gate.ended(this)
    this.input = gate.recordOf(this, outcome, retryAfter)
    if (store.sync === undefined) {
      const sent = gate.send(store, this, sink, () => this.unwatch!(), exit)
      return fed === undefined ? sent : Effect.andThen(fed, sent)
    }
    try {
      gate.tell(this, now, sink, fiber, exit)
    } finally {
      store.sync.release(this) // also where a trip policy of the user's own throws
    }
    return undefined
  }
}
