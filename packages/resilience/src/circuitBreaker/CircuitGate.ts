/**
 * A circuit breaker's part in an admission: the permit it hands out, and what becomes of it.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type { Sink } from "../Event.ts"
import {
  type BreakerDecision,
  type BreakerInput,
  type BreakerRecord,
  type BreakerState,
  LEAST_LEASE,
  letsAll,
  type Phase
} from "../kernel/Breaker.ts"
import type { Outcome } from "../Outcome.ts"
import type { StoreError } from "../Rejection.ts"
import { Command, Step } from "../StoreModel.ts"
import { builtSink, emit, sinkOf } from "../internal/events.ts"
import { partOf, type ReadKey } from "../internal/key.ts"
import { spaceIn } from "../internal/spaces.ts"
import { nowOf } from "../internal/time.ts"
import { type Call, type Guarded, type Local, type Member, Stage } from "../Policy.ts"
import { CircuitPass, type Circuits } from "./CircuitPass.ts"
import { controlOf } from "./control.ts"
import { type Inspection, inspectionOf } from "./inspection.ts"
import type { CircuitSpace, CircuitSpec } from "./spec.ts"

export type { CircuitSpace, CircuitSpec } from "./spec.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>
const NONE: ReadonlyArray<never> = []
/** What this process knows of one circuit beside its state. */
interface Noted {
  /** Calls that want to know at once when the circuit moves. */
  readonly watchers: Set<() => void>
  /** For each slow-call threshold: the calls in flight that have not passed it, oldest first. */
  readonly inFlight: ReadonlyArray<Set<CircuitPass>>
  /** Keeps the key while somebody watches. */
  held: Step<CircuitSpace> | undefined
}

interface Forgotten {
  readonly circuit: string
  readonly from: Exclude<Phase, "Closed">
  readonly generation: number
}

export class CircuitGate implements Member, Circuits {
  readonly kind = "circuitBreaker"
  readonly stage = Stage.circuit
  readonly service: string
  readonly spec: CircuitSpec
  readonly space: CircuitSpace & { spread: boolean }
  readonly store: Local | Guarded
  /** Thresholds of slow calls, ascending. */
  readonly slowAfter: ReadonlyArray<number>
  readonly locals = new Map<string, Noted>()
  private readonly jittered: boolean
  /** What most calls ask, made once. */
  private readonly admit: BreakerInput = { op: "admit", draw: 0 }
  private readonly initial: BreakerState
  /** How the last call ended. */
  private last: BreakerRecord | undefined
  /** What a circuit that lets everybody through said last: the same to all, as long as its state is this very one. */
  private welcome: readonly [answer: BreakerDecision, state: BreakerState] | undefined

  /** Circuits that were not closed when the store forgot them, and of which no event tells yet. */
  private forgotten: Array<Forgotten> = []
  /** The sink in force where the service was built. */
  private readonly built = builtSink()

  readonly control = controlOf(this)

  constructor(spec: CircuitSpec, service: string, store: Local | Guarded, label: string) {
    this.spec = spec
    this.service = service
    this.store = store
    const name = spaceIn(service, label, this.kind, this.kind)
    const forgotten = (key: string, state: BreakerState) => this.forget(key, state)
    this.space = { name, kernel: spec.kernel, policy: spec.policy, keys: spec.keys, spread: true, forgotten }
    this.slowAfter = spec.policy.trips
      .flatMap((trip) => (trip.kind === "rate" && trip.slowAfter > 0 ? [trip.slowAfter] : []))
      .sort((a, b) => a - b)
    this.initial = spec.kernel.initial(spec.policy)
    this.jittered = spec.policy.openLow.some((low, i) => low !== spec.policy.openHigh[i])
  }

  /** Which part of a call's key it looks at, in one word: `""` for none, `"key"` for all of it. */
  get by(): string {
    const { by = "" } = this.spec
    return by === "" || by === "key" ? by : `.${by}`
  }

  /** To count slow attempts, and to tell trip policies of the user how long an attempt took. */
  get clocksAttempts(): boolean {
    return this.slowAfter.length > 0 || this.spec.own.length > 0
  }

  get spaces(): ReadonlyArray<CircuitGate["space"]> {
    return [this.space]
  }

  /** The circuit's key in the store. */
  keyOf(key: ReadKey): string {
    const { by } = this.spec
    return by === undefined ? "" : partOf(key, by === "key" ? undefined : by)
  }

  /** The circuit's name for people. */
  labelOf(circuit: string): string {
    return this.spec.by === undefined ? this.service : circuit
  }

  /** No probe's lease is shorter. */
  get lease(): number {
    return this.spec.policy.lease > 0 ? this.spec.policy.lease : LEAST_LEASE
  }

  get hint(): Member["hint"] {
    return this.spec.hintOf
  }

  draw(fiber: AnyFiber): number {
    return this.jittered ? Math.floor(fiber.getRef(Random.Random).nextDoubleUnsafe() * 2 ** 30) : 0
  }

  enter(call: Call): CircuitPass {
    return this.pass(call.key, call.fiber, call)
  }

  pass(key: ReadKey, fiber: AnyFiber, call?: Call): CircuitPass {
    const input = this.jittered ? ({ op: "admit", draw: this.draw(fiber) } as const) : this.admit
    return new CircuitPass(this, this.keyOf(key), input, call)
  }

  /**
   * How a call ended. Where nothing tells two calls apart, it is the same for both. A draw does: circuits that open together
   * are not to be asked again together.
   */
  recordOf(pass: CircuitPass, outcome: Outcome, retryAfter: number): BreakerInput {
    const { generation, probe, slowFed } = pass
    const { last } = this
    const isTimed = this.slowAfter.length > 0 || this.spec.own.length > 0
    if (
      !isTimed &&
      !this.jittered &&
      last?.generation === generation &&
      last.probe === probe &&
      last.outcome === outcome &&
      last.retryAfter === retryAfter
    ) {
      return last
    }
    const duration = isTimed ? pass.duration : 0 // it is read only where calls are timed
    const draw = this.draw(pass.call!.fiber) // what is reported was admitted, for a call
    return (this.last = { op: "record", generation, probe, outcome, duration, slowFed, retryAfter, draw })
  }

  /** Whether a circuit in this process lets everybody through. Then the pass has its answer, and need not be committed. */
  welcomes(pass: CircuitPass, now: number): boolean {
    const state = this.store.sync!.look(pass, now) ?? this.initial
    if (!letsAll(state)) return false
    if (this.welcome?.[1] !== state) this.welcome = this.spec.kernel.step(this.spec.policy, state, pass.input, now)
    pass.result = this.welcome
    return true
  }

  local(circuit: string): Noted {
    let local = this.locals.get(circuit)
    if (local === undefined) {
      local = { watchers: new Set(), inFlight: this.slowAfter.map(() => new Set()), held: undefined }
      this.locals.set(circuit, local)
    }
    return local
  }

  private forgetLocal(circuit: string, local: Noted): void {
    if (local.watchers.size > 0 || local.inFlight.some((calls) => calls.size > 0)) return
    if (local.held !== undefined) this.store.sync?.release(local.held)
    local.held = undefined
    // who leaves twice, or late, must not take along those who came after
    if (this.locals.get(circuit) === local) this.locals.delete(circuit)
  }

  sinkFor(fiber: AnyFiber): Sink | undefined {
    return sinkOf(fiber) ?? this.built
  }

  /** Wakes the calls that wait or back off, and reports the moves. `exit`: how the call ended whose report brought them. */
  observe(
    circuit: string,
    answer: BreakerDecision,
    sink: Sink | undefined,
    fiber: AnyFiber,
    exit?: Exit.Exit<unknown, unknown>
  ): void {
    if (this.forgotten.length > 0) this.reportForgotten(sink, fiber)
    const { transitions } = answer
    if (transitions.length === 0) return
    this.moved(circuit)
    if (sink === undefined) return
    for (let i = 0; i < transitions.length; i++) {
      const { from, generation, openFor, openedBy, to } = transitions[i]!
      const opens = to === "Open"
      emit(
        sink,
        {
          _tag: "CircuitTransition",
          service: this.service,
          key: this.labelOf(circuit),
          from,
          to,
          generation,
          openFor,
          openedBy: opens ? openedBy : undefined,
          exit: opens && i === transitions.length - 1 ? exit : undefined // those before it were due by time
        },
        fiber
      )
    }
  }

  /** The store is in the middle of a step, so the event follows with the next move or permit. */
  private forget(circuit: string, { generation, phase: from }: BreakerState): void {
    if (from !== "Closed") this.forgotten.push({ circuit, from, generation })
  }

  private reportForgotten(sink: Sink | undefined, fiber: AnyFiber): void {
    const { forgotten, service } = this
    this.forgotten = []
    if (sink === undefined) return
    for (const { circuit, from, generation } of forgotten) {
      const key = this.labelOf(circuit)
      const more = { openFor: 0, openedBy: undefined, exit: undefined }
      emit(sink, { _tag: "CircuitTransition", service, key, from, to: "Forgotten", generation, ...more }, fiber)
    }
  }

  /**
   * Circuits in this process begin anew, with a generation of which no call in flight is: so a call that outlives the layer
   * moves none of them. Circuits on a remote store live on there.
   */
  close(fiber: AnyFiber): void {
    const { sync } = this.store
    if (sync === undefined) return
    const circuits = [...sync.entries(this.space)]
    for (const [circuit, state] of circuits) this.forget(circuit, state)
    const { forgotten } = this
    this.forgotten = []
    for (const [circuit] of circuits) {
      sync.commit([new Command(this.space, circuit, { op: "reset" })], nowOf(fiber))
      this.moved(circuit)
    }
    this.forgotten = forgotten // what these steps have swept is among them
    this.reportForgotten(this.sinkFor(fiber), fiber)
  }

  /** A new generation began: nobody who waits or backs off belongs to it. */
  moved(circuit: string): void {
    const local = this.locals.get(circuit)
    if (local !== undefined) for (const watcher of Array.from(local.watchers)) watcher()
  }

  /** Calls back when a call or a command of this process moves the circuit. */
  watch(step: Step<CircuitSpace>, onMove: () => void, now: number): () => void {
    const local = this.local(step.key)
    local.watchers.add(onMove)
    if (local.held === undefined) {
      local.held = new Step(this.space, step.key, step.input)
      this.store.sync?.hold(local.held, now)
    }
    return () => {
      local.watchers.delete(onMove)
      this.forgetLocal(step.key, local)
    }
  }

  started(pass: CircuitPass): void {
    if (this.slowAfter.length === 0) return
    // a threshold counts a call once, however many of its attempts pass it
    this.local(pass.key).inFlight.forEach((calls, rank) => {
      if (rank >= pass.slowFed) calls.add(pass)
    })
  }

  ended(pass: CircuitPass): void {
    if (this.slowAfter.length === 0) return
    const local = this.locals.get(pass.key)
    if (local === undefined) return
    for (const calls of local.inFlight) calls.delete(pass)
    this.forgetLocal(pass.key, local)
  }

  /** Calls in flight that have passed a threshold, each reported once for each threshold. Oldest first, so this ends at the first that has not. */
  overdue(circuit: string, now: number, fiber: AnyFiber): ReadonlyArray<Step<CircuitSpace>> {
    const local = this.slowAfter.length === 0 ? undefined : this.locals.get(circuit)
    if (local === undefined) return NONE
    const steps: Array<Step<CircuitSpace>> = []
    this.slowAfter.forEach((threshold, rank) => {
      const calls = local.inFlight[rank]!
      for (const pass of calls) {
        if (pass.startedAt + threshold > now) break
        calls.delete(pass)
        pass.slowFed = rank + 1
        const step = new Step(this.space, circuit, {
          op: "slow",
          generation: pass.generation,
          probe: pass.probe,
          rank,
          draw: this.draw(fiber)
        })
        step.place = pass.place
        steps.push(step)
      }
    })
    return steps
  }

  /** Feeds the overdue calls to the kernel, each in a commit of its own: they count whatever is decided next. */
  feedSync(circuit: string, now: number, sink: Sink | undefined, fiber: AnyFiber): void {
    if (this.slowAfter.length === 0) return
    for (const step of this.overdue(circuit, now, fiber)) this.tell(step, now, sink, fiber)
  }

  /** A report to the store of this process. */
  tell(
    step: Step<CircuitSpace>,
    now: number,
    sink: Sink | undefined,
    fiber: AnyFiber,
    exit?: Exit.Exit<unknown, unknown>
  ): void {
    this.store.sync!.commit([step], now)
    this.observe(step.key, step.result![0], sink, fiber, exit) // a circuit always has room: its keys evict each other
  }

  feed(circuit: string, now: number, sink: Sink | undefined, fiber: AnyFiber): Effect.Effect<void> | undefined {
    const { store } = this
    if (store.sync !== undefined) {
      this.feedSync(circuit, now, sink, fiber)
      return undefined
    }
    const steps = this.overdue(circuit, now, fiber)
    if (steps.length === 0) return undefined
    return Effect.forEach(steps, (step) => this.send(store, step, sink, () => {}), { discard: true })
  }

  /**
   * A report to a store elsewhere. What cannot be delivered is dropped: leases heal. It goes on where nobody waits for it, for
   * what it tells is true.
   */
  send(
    store: Guarded,
    step: Step<CircuitSpace>,
    sink: Sink | undefined,
    onEnd: () => void,
    ended?: Exit.Exit<unknown, unknown>
  ): Effect.Effect<void> {
    return Effect.withFiber((fiber) =>
      Effect.callback<void>((resume) => {
        store.begin([step], fiber, (exit) => {
          // what the reply tells of the circuit is still for whoever reports to hear
          if (exit._tag === "Success") {
            const [answer] = exit.value.answers as ReadonlyArray<BreakerDecision | undefined> // of this step
            if (answer !== undefined) this.observe(step.key, answer, sink, fiber, ended)
          }
          onEnd()
          resume(Effect.ignore(exit))
        })
      })
    )
  }

  /** The circuit as it stands, without asking it for anything. */
  inspect(key: ReadKey): Effect.Effect<Inspection, StoreError> {
    return Effect.withFiber<Inspection, StoreError>((fiber) => {
      const circuit = this.keyOf(key)
      const fed = this.feed(circuit, nowOf(fiber), this.sinkFor(fiber), fiber)
      const read = Effect.map(this.store.read(this.space, circuit), ({ now, state }) =>
        inspectionOf(this.spec, state, now)
      )
      return fed === undefined ? read : Effect.andThen(fed, read)
    })
  }
}
