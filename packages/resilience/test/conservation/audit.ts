/**
 * Plays a program and audits it: after each turn of the scheduler, where one fiber has done one stretch of its work,
 * what the service says it holds must be what the ledger and the calls themselves say that they have.
 */
import { assert } from "@effect/vitest"
import { Cause, Effect, Exit, type Fiber } from "effect"
import type { Event } from "../../src/Event.ts"
import { normalise } from "../../src/kernel/Breaker.ts"
import { readKey } from "../../src/internal/key.ts"
import { run } from "../../src/engine/run.ts"
import { Step } from "../../src/Store.ts"
import { Body, clean, elsewhere, Stage, tell } from "../laws/harness.ts"
import { Ledger, must, TRACE } from "./ledger.ts"
import {
  type Act,
  classifyOf,
  costOf,
  deedOf,
  effectOf,
  gapOf,
  maxOpsOf,
  policiesOf,
  type Program,
  tripOf,
  turnsOf,
  userOf,
  USERS
} from "./program.ts"

export interface Kind {
  readonly perAttempt: boolean
  readonly distant: boolean
  /** Whether calls go on while the store does not answer. What such calls take is not in the ledger. */
  readonly fallsBack: boolean
}

/** What can be seen of a call from outside. */
class Offered {
  readonly body = new Body()
  readonly name: string
  readonly user: string
  readonly cost: number
  /** Events. */
  admitted = 0
  traces = 0
  callEnded = 0
  /** Its place among all that ever began to wait. */
  age = 0
  /** From the failure of an attempt to the admission of the next, nothing is held. */
  backingOff = false
  exit: Exit.Exit<unknown, unknown> | undefined
  constructor(name: string, act: Act) {
    this.name = name
    this.user = userOf(act)
    this.cost = costOf(act)
  }
}

const MINUTE = 60_000

/** What happened in programs: a suite that never sees a probe proves nothing about them. */
export class Tally {
  calls = 0
  turns = 0
  queued = 0
  refused = 0
  timedOut = 0
  retried = 0
  interrupted = 0
  died = 0
  started = 0
  gaveBack = 0
  probes = 0
  lostReplies = 0
}

export class Audit {
  private readonly program: Program
  private readonly kind: Kind
  private readonly ledger: Ledger
  private readonly stage: Stage
  private readonly calls: Array<Offered> = []
  private readonly live = new Map<Fiber.Fiber<unknown, unknown>, Offered>()
  private readonly callOf = new Map<unknown, Offered>()
  /** What a key's quota had counted when it was reset. */
  private readonly forgotten = new Map<string, number>()
  private readonly tally: Tally

  constructor(program: Program, kind: Kind, tally: Tally) {
    this.program = program
    this.kind = kind
    this.tally = tally
    this.ledger = new Ledger(!kind.fallsBack)
    this.stage = new Stage(policiesOf(program, kind), {
      key: { user: USERS[0], [TRACE]: "nobody" },
      maxOps: maxOpsOf(program),
      sink: (event, fiber) => this.see(event, fiber),
      store: (memory) => {
        const noted = this.ledger.around(memory, () => this.stage.world.now)
        return kind.distant ? this.ledger.sending(elsewhere(noted, tripOf(program))) : noted
      }
    })
  }

  private get world() {
    return this.stage.world
  }

  play(): void {
    for (const act of this.program.acts) {
      this.pass(gapOf(act), turnsOf(act))
      this.perform(act)
      this.check()
    }
    this.pass(10 * MINUTE, Infinity)
    for (const fiber of Array.from(this.live.keys())) fiber.interruptUnsafe()
    this.pass(Infinity, Infinity)
    this.end()
  }

  /** So much time, or so many turns. */
  private pass(millis: number, turns: number): void {
    const { world } = this
    const until = world.now + millis
    for (let i = 0; i < turns; i++) {
      if (!world.turn(until)) {
        if (millis < Infinity) world.runTo(until)
        return
      }
      this.tally.turns++
      this.check()
    }
  }

  private perform(act: Act): void {
    switch (deedOf(act)) {
      case "call":
        return this.offer(act)
      case "interrupt": {
        const fibers = Array.from(this.live.keys())
        return fibers[act.pick % Math.max(1, fibers.length)]?.interruptUnsafe()
      }
      case "command":
        return this.command(act)
      case "reset":
        return this.reset(userOf(act))
      case "skew":
        this.world.skew = (act.size - 50) * MINUTE
    }
  }

  private offer(act: Act): void {
    const { pipeline } = this.stage.service
    const call = new Offered(`${this.calls.length}`, act)
    this.calls.push(call)
    const self = call.body.of(effectOf(act))
    const key = { user: call.user, [TRACE]: call.name }
    const heard = { ...pipeline, store: this.ledger.hearing(pipeline.store) }
    const whole = run(heard, self, key, { cost: call.cost, maxWait: undefined, classify: classifyOf(act) })
    const offered: Effect.Effect<unknown, unknown> = act.pick % 3 === 0 ? Effect.andThen(Effect.yieldNow, whole) : whole
    const fiber = this.world.fork(
      Effect.withFiber<unknown, unknown>((fiber) => {
        this.live.set(fiber, call)
        this.callOf.set(fiber, call)
        return offered
      })
    )
    fiber.addObserver((exit) => {
      this.live.delete(fiber)
      call.exit = exit
      assert.strictEqual(call.body.active, 0, `call ${call.name} ended, and its effect runs`)
      if (!this.kind.distant) this.settled(call)
    })
  }

  /** Somebody tells the circuit by hand. */
  private command(act: Act): void {
    const gate = this.stage.service.pipeline.circuit!
    const op = (["isolate", "close", "reset"] as const)[act.pick % 3]!
    this.world.fork(tell(gate, gate.keyOf(readKey({ user: userOf(act), [TRACE]: "nobody" })), { op }))
  }

  /** Forgets what a user spent. While a call might still give back what it took before, the ledger could not follow. */
  private reset(user: string): void {
    const open = Array.from(this.live.values(), (call) => this.ledger.net(call.name) - this.kept(call))
    if (this.kind.distant || open.some((admissions) => admissions > 0)) return
    const key = { user, [TRACE]: "nobody" }
    for (const member of this.stage.service.pipeline.limits!.members) {
      if (member.spec.dimension !== "user") continue
      const step = new Step(member.space, member.keyOf(readKey(key)), { op: "reset" })
      this.stage.counted.store.sync!.commit([step], this.world.now)
      member.improved(step.key)
    }
    this.forgotten.set(user, this.spent(user))
  }

  private see(event: Event, fiber: unknown): void {
    const call = this.callOf.get(fiber)
    if (call === undefined || event._tag === "CircuitTransition" || event._tag === "StoreFlipped") return
    call.traces++
    if (event._tag === "Queued") call.age = ++this.tally.queued
    if (event._tag === "Rejected") this.tally.refused++
    if (event._tag === "RetryScheduled") {
      this.tally.retried++
      call.backingOff = true
    }
    if (event._tag === "CallEnded") {
      call.callEnded++
      if (event.timedOut) this.tally.timedOut++
    }
    if (event._tag !== "Admitted") return
    call.admitted++
    call.backingOff = false
  }

  /** Admissions that a call may keep: those of what started. */
  private kept({ body }: Offered): number {
    return this.kind.perAttempt ? body.started : Math.min(1, body.started)
  }

  private spent(user: string): number {
    return this.calls.reduce((sum, call) => sum + (call.user === user ? call.cost * this.ledger.net(call.name) : 0), 0)
  }

  private check(): void {
    const { kind, ledger, live } = this
    for (const call of kind.fallsBack ? [] : live.values()) {
      const open = ledger.net(call.name) - this.kept(call)
      must(open >= 0, "a call runs, and has not paid", +call.name)
      must(kind.distant || open <= 1, "a call paid twice", +call.name)
    }
    this.checkQuotas()
    if (!kind.fallsBack) this.checkProbes()
    const standing = this.checkQueues()
    this.checkSlots(standing)
    if (!kind.distant) this.checkHolds()
  }

  private checkQuotas(): void {
    const { limits } = this.stage.service.pipeline
    const quota = limits!.members.find(({ spec }) => spec.name === "quota")!
    for (const user of USERS) {
      const state = this.stage.counted.store.sync!.read(quota.space, user) as { readonly used: number } | undefined // a fixed window
      const forgotten = this.forgotten.get(user) ?? 0
      const used = state?.used ?? 0
      const spent = this.spent(user) - forgotten
      must(used === spent, "what a user's quota has counted, and what was spent", used, spent)
    }
  }

  private checkProbes(): void {
    const { circuit } = this.stage.service.pipeline
    const { lease } = circuit!.spec.policy
    for (const [name, probes] of this.ledger.probes) {
      const kept = this.stage.counted.store.sync!.read(circuit!.space, name)
      const state = kept === undefined ? undefined : normalise(circuit!.spec.policy, kept, this.world.now)
      const here = new Set(state?.trial.probes.map(({ id }) => `${name}/${state.generation}/${id}`))
      must(here.size <= circuit!.spec.policy.permitted, "more probes than are permitted", here.size)
      for (const [probe, { at, records }] of probes) {
        if (here.delete(probe)) must(records === 0, "a probe was reported, and is still out")
        else if (records === 0 && probe.startsWith(`${name}/${state?.generation ?? 0}/`)) {
          const slow = circuit!.slowAfter.some((threshold) => at + threshold <= this.world.now)
          must(slow || at + lease <= this.world.now, "a probe is out, and its slot is free")
        }
      }
      must(here.size === 0, "a probe slot is taken by nobody")
    }
  }

  /** Everybody who waits, each in one queue, each a call that holds nothing. */
  private checkQueues(): ReadonlySet<unknown> {
    const { limits, slots } = this.stage.service.pipeline
    const places = limits!.members.flatMap((member) => Array.from(member.places.values()))
    const standing = new Set<unknown>()
    for (const { queue } of [...places, slots!]) {
      let size = 0
      let older = 0
      for (let waiter = queue.head; waiter !== undefined; waiter = waiter.next) {
        size++
        const call = this.live.get(waiter.fiber)
        if (call === undefined) throw new Error("somebody waits who has left")
        must(!standing.has(waiter.fiber), "a call waits in two queues", +call.name)
        must(call.body.active === 0, "a call waits, and runs", +call.name)
        must(call.admitted === 0 || call.backingOff, "a call waits, and is admitted", +call.name)
        must(call.age > older, "a call stands before one that came first", +call.name)
        older = call.age
        standing.add(waiter.fiber)
      }
      must(queue.size === size, "the size of a queue", queue.size, size)
    }
    for (const { queue } of places) must(queue.size > 0, "a place where nobody waits")
    return standing
  }

  private checkSlots(standing: ReadonlySet<unknown>): void {
    const { slots } = this.stage.service.pipeline
    const { free, queued, running } = slots!.inspect()
    must(running >= 0 && running + free === slots!.spec.maxConcurrent, "running and free", running, free)
    must(queued === slots!.queue.size, "queued", queued)
    let active = 0
    let may = 0
    let backing = 0
    for (const [fiber, call] of this.live) {
      if (call.body.active > 0) active++
      // on a trip a call has its slot already, and still its place in the line
      if (this.kind.distant) may++
      if (this.kind.distant || standing.has(fiber)) continue
      if (call.backingOff) backing++
      else if (call.admitted > 0) may++
    }
    must(running >= active, "more effects run than slots are taken", active, running)
    must(running <= may, "a slot is taken by nobody", running, may)
    if (this.kind.distant || !this.world.idle) return
    must(running === active, "who runs", running, active)
    const inside = running + standing.size + backing
    must(this.live.size === inside, "every call runs, waits or backs off", this.live.size, inside)
  }

  private checkHolds(): void {
    const { circuit, limits } = this.stage.service.pipeline
    const places = limits!.members.reduce((sum, { places }) => sum + places.size, 0)
    const watched = Array.from(circuit!.locals.values()).filter(({ held }) => held !== undefined).length
    const { counted } = this.stage
    must(counted.watches === places, "watches", counted.watches, places)
    const open = this.ledger.passes - this.ledger.records
    must(counted.holds === open + places + watched, "holds", counted.holds, open, places, watched)
  }

  /** A call that has ended keeps what it started, and nothing else. */
  private settled(call: Offered): void {
    if (!this.kind.fallsBack) this.settledWithStore(call)
    const { exit } = call
    const untouched = exit !== undefined && call.traces === 0 && isInterrupted(exit)
    assert.strictEqual(call.callEnded, untouched ? 0 : 1, `how often call ${call.name} ended`)
    if (exit?._tag !== "Failure") return
    // where a finalizer dies, Effect makes defects of the failures beside it
    const defects = exit.cause.reasons.filter(Cause.isDieReason)
    for (const { defect } of defects) assert.isTrue(typeof defect === "string" || isTagged(defect), `${String(defect)}`)
  }

  private settledWithStore(call: Offered): void {
    const { distant, perAttempt } = this.kind
    const takings = this.ledger.of(call.name)
    const kept = takings.filter(({ refundsSent, refunds }) => refunds + refundsSent === 0)
    const lost = kept.filter(({ heard }) => distant && !heard)
    assert.strictEqual(kept.length - lost.length, this.kept(call), `what call ${call.name} keeps`)
    if (!distant) {
      const admissions = perAttempt ? call.admitted : Math.min(1, call.admitted)
      assert.strictEqual(takings.length, admissions, `admissions of call ${call.name}`)
    }
    for (const taking of takings) {
      const { heard, probe, records, recordsSent } = taking
      if (probe !== undefined && (!distant || heard)) assert.strictEqual(distant ? recordsSent : records, 1, probe)
    }
  }

  private end(): void {
    const { stage } = this
    assert.strictEqual(this.live.size, 0)
    // what was lost on the way to a store elsewhere, the leases heal
    if (this.kind.distant) this.world.advance(10 * MINUTE)
    for (const call of this.calls) {
      this.settled(call)
      this.count(call)
    }
    this.check()
    assert.deepStrictEqual(stage.debris(), clean)
    for (const user of USERS) {
      const key = { user, [TRACE]: "nobody" }
      assert.strictEqual(stage.inspect(key).circuitBreaker!.probesInFlight, 0)
    }
    if (!this.kind.distant) assert.strictEqual(this.ledger.records, this.ledger.passes, "permits handed out, reported")
  }

  private count({ body, exit, name }: Offered): void {
    const { ledger, tally } = this
    tally.calls++
    if (body.started > 0) tally.started++
    if (exit?._tag === "Failure" && Cause.hasInterrupts(exit.cause)) tally.interrupted++
    if (exit?._tag === "Failure" && Cause.hasDies(exit.cause)) tally.died++
    for (const { heard, probe, refunds } of ledger.of(name)) {
      tally.gaveBack += refunds
      if (probe !== undefined) tally.probes++
      if (this.kind.distant && !heard) tally.lostReplies++
    }
  }
}

const isTagged = (u: unknown): boolean => typeof u === "object" && u !== null && "_tag" in u

const isInterrupted = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
