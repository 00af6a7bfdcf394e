/** Plays commands against the service and its model, which is told everything in the order in which it happens. */
import { Effect, type Fiber } from "effect"
import type { Event } from "../../src/Event.ts"
import type { CircuitPass } from "../../src/circuitBreaker/CircuitPass.ts"
import type { Step } from "../../src/Store.ts"
import type { CallModel } from "./call.ts"
import type { Move } from "./circuit.ts"
import { type Command, ended, endingOf, plain, type Sequence, USERS } from "./commands.ts"
import { PipelineModel } from "./pipeline.ts"
import { must, same } from "./policies.ts"
import { Subject } from "./subject.ts"
import { Tally } from "./tally.ts"

export class Play {
  private readonly subject: Subject
  private readonly model: PipelineModel
  private readonly callOf = new Map<Fiber.Fiber<unknown, unknown>, CallModel>()
  private readonly fiberOf = new Map<CallModel, Fiber.Fiber<unknown, unknown>>()
  private readonly resumeOf = new Map<CallModel, (exit: Effect.Effect<string, unknown>) => void>()
  private readonly told = new Map<string, ReadonlyArray<Move>>()
  private current: CallModel | undefined
  private readonly sequence: Sequence
  /** What the service's own fibers would swallow. */
  private broken: { readonly error: unknown } | undefined

  private readonly tally: Tally

  constructor(sequence: Sequence, tally: Tally) {
    this.tally = tally
    const { maxOps = 2048, numbers } = sequence
    this.sequence = sequence
    this.subject = new Subject(numbers, maxOps, {
      event: (event, fiber) => this.guard(() => this.hear(event, fiber)),
      commit: (step, fiber) => this.guard(() => this.hearCommit(step, fiber)),
      untold: (pass, fiber) => this.guard(() => this.hearSuccess(pass, fiber)),
      slow: (circuit) => this.guard(() => this.model.feeds(circuit, this.now)),
      release: (fiber) => this.guard(() => this.model.releases(this.callOf.get(fiber)!))
    })
    const exact = sequence.maxOps === undefined
    this.model = new PipelineModel(
      numbers,
      { ...this.subject.oracle, stands: (call) => this.subject.stands(this.fiberOf.get(call)) },
      "effect-resilience/CircuitBreaker",
      exact,
      (what) => tally.add(what)
    )
  }

  private get now(): number {
    return this.subject.world.now
  }

  private guard(f: () => void): void {
    if (this.broken !== undefined) return
    try {
      f()
    } catch (error) {
      this.broken = { error }
    }
  }

  private throwBroken(): void {
    if (this.broken !== undefined) throw this.broken.error
  }

  /** Only what was known to be other than closed is reported, once no circuit of that name is kept. */
  private forgets(label: string, from: string): void {
    must(from !== "Closed", "a closed circuit is forgotten silently", label)
    this.tally.add("circuit forgotten")
  }

  private hear(event: Event, fiber: Fiber.Fiber<unknown, unknown>): void {
    const { model, now } = this
    this.tally.event(event)
    if (event._tag === "CircuitTransition") {
      const { from, generation, key, openFor, to } = event
      if (to === "Forgotten") return this.forgets(key, from)
      const told = this.told.get(key) ?? []
      this.told.set(key, [...told, { from, to, generation, openFor }])
      return
    }
    const call = this.current ?? this.callOf.get(fiber)
    must(call !== undefined, "an event of nobody", event)
    must(event._tag === "StoreFlipped" || event.key === model.labelOf(call.user), "an event's key", event)
    if (event._tag === "Queued") model.queued(call, event.policy, event.limit, now)
    if (event._tag === "Admitted") model.admitted(call, event.attempt, event.waited, now)
    if (event._tag === "Rejected") model.rejected(call, event.attempt, plain(event.rejection), now)
    if (event._tag === "AttemptEnded") model.attemptEnded(call, event.attempt, event.result, event.duration, now)
    if (event._tag === "RetryScheduled") model.retries(call, event.attempt, event.delay, now)
    if (event._tag === "CallEnded") call.final = model.ends(call, event, now)
  }

  private hearCommit({ input }: Step, fiber: Fiber.Fiber<unknown, unknown>): void {
    const call = this.callOf.get(fiber)
    if (input.op === "take") return call === undefined ? undefined : this.model.asksAgain(call, this.now)
    must(call !== undefined, "a report of nobody")
    if (input.op === "record") {
      const { duration, generation, outcome, probe, retryAfter, slowFed } = input
      this.checkPermit(call, { generation, probe })
      must(duration === this.model.durationOf(call), "the duration of a call", duration)
      this.model.records(call, outcome, retryAfter, this.now, slowFed)
    } else if (call.taken !== undefined) {
      this.model.givesBack(call, this.now)
      this.tally.add("given back")
    }
  }

  private hearSuccess(pass: CircuitPass, fiber: Fiber.Fiber<unknown, unknown>): void {
    const call = this.callOf.get(fiber)
    must(call !== undefined, "a success of nobody")
    this.checkPermit(call, pass)
    this.model.records(call, "success", 0, this.now, 0)
    this.tally.add("untold")
  }

  private checkPermit({ permit }: CallModel, of: { readonly generation: number; readonly probe: number }): void {
    must(of.generation === permit?.generation && of.probe === permit?.probe, "a report with another permit")
  }

  play(): void {
    this.check()
    for (const command of this.sequence.commands) {
      this.perform(command)
      this.throwBroken()
      if (this.sequence.maxOps === undefined || command.do === "advance" || command.do === "due") this.rest()
    }
    this.rest()
    for (const fiber of this.callOf.keys()) this.interrupt(fiber)
    this.rest()
    must(
      this.model.calls.every(({ live }) => !live),
      "a call is left"
    )
    must(this.subject.world.sleeping === 0, "a timer is left")
  }

  private rest(): void {
    this.subject.world.settle()
    this.check()
  }

  private perform(command: Command): void {
    const { model, subject, now } = this
    const { world } = subject
    if (command.do === "call") return this.call(command)
    if (command.do === "rush") return this.rush(command.user, command.calls)
    if (command.do === "allow") return this.allow(USERS[command.user]!, command.cost ?? 1)
    if (command.do === "end") {
      const running = model.calls.filter((call) => call.phase === "running" && call.told === undefined)
      const call = running[command.pick % Math.max(1, running.length)]
      const resume = call === undefined ? undefined : this.resumeOf.get(call)
      if (call === undefined || resume === undefined) return
      const [ending, exit] = endingOf(command.how, command.hint, subject.classifies)
      call.told = ending
      resume(exit)
    } else if (command.do === "interrupt") {
      const live = Array.from(this.callOf).filter(([, { live }]) => live)
      const [fiber] = live[command.pick % Math.max(1, live.length)] ?? []
      if (fiber !== undefined) this.interrupt(fiber)
    } else if (command.do === "advance") this.pass(now + command.millis)
    else if (command.do === "due") {
      const dues = model.dues(now)
      this.pass(Math.max(now, (dues[command.pick % Math.max(1, dues.length)] ?? now + 1) + command.off))
    } else if (command.do === "skew") world.skew = command.millis
    else if (command.do === "reset") this.reset(command.user)
    else if (command.do === "turns") for (let i = 0; i < command.turns && !world.idle; i++) world.turn(now)
    else this.circuit(command.do, USERS[command.user]!)
  }

  /** Time stops wherever anything happens, and is looked at. */
  private pass(until: number): void {
    const { world } = this.subject
    this.rest()
    while (world.turn(until)) {
      while (world.turn(world.now));
      this.rest()
    }
    world.now = Math.max(world.now, until)
  }

  private call({ cost = 1, ends, user, ...own }: Command & { readonly do: "call" }): void {
    const { model, subject } = this
    const maxWait = subject.asksLimiterAlone ? own.maxWait : undefined
    const name = USERS[user]!
    const call = model.call(name, cost, maxWait, this.now)
    const body = Effect.suspend(() => {
      this.resumeOf.delete(call) // that of the attempt before
      this.guard(() => model.begins(call, this.now))
      if (ends !== undefined) {
        const [ending, exit] = endingOf(ends, undefined, subject.classifies)
        call.told = ending
        return exit
      }
      return Effect.callback<string, unknown>((resume) => {
        this.resumeOf.set(call, resume)
      })
    })
    const offered = subject.run(body, name, cost, maxWait)
    const fiber = subject.world.fork(
      Effect.withFiber<unknown, unknown>((fiber) => {
        this.callOf.set(fiber, call)
        this.fiberOf.set(call, fiber)
        return offered
      })
    )
    fiber.addObserver((exit) =>
      this.guard(() => {
        const endings = call.final ?? []
        // interrupted before it asked for anything, it was never there
        if (call.interrupted && call.phase === "asking" && call.attempt === 1) call.phase = "ended"
        if (endings.length === 0 && call.phase === "ended" && ended(exit, { is: "interrupt" })) return
        must(
          !call.live && endings.some((ending) => ended(exit, ending)),
          "a call ended with",
          exit,
          "and should with",
          endings
        )
        this.callOf.delete(fiber)
      })
    )
  }

  private rush(user: number, calls: number): void {
    for (let i = 0; i < calls && this.callOf.size < 50; i++) this.call({ do: "call", user: (user + i) % USERS.length })
    if (this.callOf.size === 50) this.tally.add("50 fibers")
  }

  private interrupt(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.callOf.get(fiber)!.interrupted = true
    fiber.interruptUnsafe()
  }

  private allow(user: string, cost: number): void {
    const { model, now, subject } = this
    const { circuit, slots } = this.sequence.numbers
    if (subject.limiter === undefined || circuit !== undefined || slots !== undefined) return
    const call = (this.current = model.call(user, cost, 0, now))
    const allowed = subject.now(subject.limiter.allow({ user }, { cost }))
    this.current = undefined
    must(allowed === (call.phase === "admitted"), "allow", allowed, call.phase)
    call.phase = "ended"
  }

  private reset(user: number | undefined): void {
    const { model, subject } = this
    const name = user === undefined ? undefined : USERS[user]
    if (subject.limiter === undefined) return
    model.resetLimits(name)
    subject.now(Effect.orDie(subject.limiter.reset(name === undefined ? undefined : { user: name })))
  }

  private circuit(what: "isolate" | "close" | "resetCircuit", user: string): void {
    const { breaker } = this.subject
    if (breaker === undefined) return
    const op = what === "resetCircuit" ? "reset" : what
    const label = this.sequence.numbers.circuit!.byUser ? user : "effect-resilience/CircuitBreaker"
    const before = this.told.get(label)?.length ?? 0
    this.subject.now(Effect.orDie(breaker[op]({ user })))
    const move = this.told.get(label)?.[before]
    // whether it was forgotten just before, which a sweep may do or not, shows in what it came from
    const empty = this.subject.look(user).circuit?.windows.every(({ calls }) => calls === 0) === true
    const forgotten =
      op === "isolate"
        ? move?.from === "Closed" && empty
        : move === undefined && (op === "reset" || this.subject.oracle.isFresh(this.model.circuitOf(user)))
    this.model.command(op, user, this.now, forgotten)
  }

  /** Both sides, wherever everything is at rest. */
  private check(): void {
    this.throwBroken()
    for (const user of this.model.users()) {
      const seen = this.subject.look(user)
      const expected = this.model.look(user, this.now)
      must(same(seen, expected), "seen for", user, seen, "and should be", expected)
    }
    const [is, expected] = [this.subject.oracle.expects(this.now), this.model.estimate?.at(this.now)]
    if (this.sequence.maxOps === undefined) must(is === expected, "expects an attempt to take", is, expected)
    this.subject.world.settle() // what was seen to be slow may have moved a circuit
    this.throwBroken()
    this.model.checkAtRest(this.now)
    this.model.checkMoves(this.told)
  }
}

export const play = (sequence: Sequence, tally = new Tally()): void => new Play(sequence, tally).play()
