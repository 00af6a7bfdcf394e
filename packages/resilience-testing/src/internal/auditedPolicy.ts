/**
 * A policy that is watched: each of its tickets is followed from the question to its end, each of its layers from attempt
 * to attempt, and what it asks of the store is noted.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Outcome } from "effect-resilience/Outcome"
import type { Policies } from "effect-resilience/Policies"
import type { AnyPolicy, Attempt, Call, Env, Member, Refusal, Run, Ticket } from "effect-resilience/Policy"
import { isPolicy } from "effect-resilience/Policy"
import { isRejection } from "effect-resilience/Rejection"
import type { AnySpace } from "effect-resilience/Store"

/** What went wrong, in words, and what was asked. */
export class Audit {
  readonly faults: Array<string> = []
  /** The labels of the policies that take part in an admission, and of those that refused a call. */
  readonly gates = new Set<string>()
  readonly refused = new Set<string>()
  private readonly asked = new Map<AnySpace, Set<string>>()
  private readonly tickets: Array<AuditedTicket> = []

  /** Every ticket that was admitted has ended, and no other holds anything. */
  end(): void {
    for (const { kind, state } of this.tickets) {
      if (state !== "asked" && state !== "ended") this.faults.push(`a ticket of ${kind} is ${state} at the end`)
    }
  }

  ask(space: AnySpace, key: string): void {
    const keys = this.asked.get(space)
    if (keys === undefined) this.asked.set(space, new Set([key]))
    else keys.add(key)
  }

  /** The keys that the policies asked for until now, with their spaces. */
  get known(): ReadonlyArray<readonly [space: AnySpace, key: string]> {
    return [...this.asked].flatMap(([space, keys]) => [...keys].map((key) => [space, key] as const))
  }

  follow(ticket: Ticket, kind: string, label: string): Ticket {
    const audited = new AuditedTicket(ticket, kind, label, this)
    this.tickets.push(audited)
    return audited
  }

  /** A member may not throw: what the others were to be told would be late, and the call dies. */
  run<A>(what: string, f: () => A): A {
    try {
      return f()
    } catch (defect) {
      this.faults.push(`${what} threw ${String(defect)}`)
      throw defect
    }
  }

  /** Nor may what it asks the engine to run. */
  effect(what: string, f: () => Effect.Effect<void> | undefined): Effect.Effect<void> | undefined {
    const effect = this.run(what, f)
    if (effect === undefined) return undefined
    return Effect.onExit(effect, (exit) =>
      Effect.sync(() => {
        if (exit._tag === "Failure") this.faults.push(`${what} failed: ${Cause.pretty(exit.cause)}`)
      })
    )
  }
}

type State = "asked" | "reserved" | "admitted" | "recorded" | "ended"

class AuditedTicket implements Ticket {
  state: State = "asked"
  readonly kind: string
  private readonly label: string
  private readonly ticket: Ticket
  private readonly audit: Audit
  private free = true
  readonly watch?: (onMove: () => void) => () => void

  constructor(ticket: Ticket, kind: string, label: string, audit: Audit) {
    this.ticket = ticket
    this.kind = kind
    this.label = label
    this.audit = audit
    if (ticket.watch !== undefined) this.watch = (onMove) => ticket.watch!(onMove) // it has one
  }

  private move(what: string, from: State, to: State): void {
    if (this.state !== from) this.audit.faults.push(`${what} of a ticket of ${this.kind} that is ${this.state}`)
    this.state = to
  }

  private run<A>(what: string, f: () => A): A {
    return this.audit.run(`${what} of ${this.kind}`, f)
  }

  get steps(): Ticket["steps"] {
    const { steps } = this.ticket
    for (const { key, space } of steps) this.audit.ask(space, key)
    return steps
  }

  get single(): boolean {
    return this.ticket.single === true
  }

  check(now: number): boolean {
    this.free = this.run("check", () => this.ticket.check(now))
    return this.free
  }

  before(now: number): Effect.Effect<void> | undefined {
    return this.audit.effect(`before of ${this.kind}`, () => this.ticket.before?.(now))
  }

  reserve(): void {
    this.move("reserve", "asked", "reserved")
    this.run("reserve", () => this.ticket.reserve?.())
  }

  unreserve(): void {
    this.move("unreserve", "reserved", "asked")
    this.run("unreserve", () => this.ticket.unreserve?.())
  }

  refusal(now: number, asked: boolean): Refusal | undefined {
    const refusal = this.run("refusal", () => this.ticket.refusal(now, asked))
    if (refusal === undefined && !this.free) this.audit.faults.push(`${this.kind} refuses, and does not say why`)
    if (refusal !== undefined && !isRejection(refusal.error))
      this.audit.faults.push(`${this.kind} refuses with what is no Rejection`)
    if (refusal !== undefined) this.audit.refused.add(this.label)
    return refusal
  }

  admitted(now: number): void {
    this.move("admitted", "reserved", "admitted")
    this.run("admitted", () => this.ticket.admitted(now))
  }

  record(outcome: Outcome, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined {
    this.move("record", "admitted", "recorded")
    return this.audit.effect(`record of ${this.kind}`, () => this.ticket.record?.(outcome, exit))
  }

  release(started: boolean): Effect.Effect<void> | undefined {
    this.move("release", "recorded", "ended")
    return this.audit.effect(`release of ${this.kind}`, () => this.ticket.release?.(started))
  }

  left(now: number): boolean {
    return this.ticket.left?.(now) === true
  }
}

/** A layer runs each attempt once: a second run would not be admitted. */
const auditedLayer = (around: NonNullable<Member["around"]>, kind: string, audit: Audit): Member["around"] => {
  return (next) => {
    const ran = new WeakSet<Attempt>()
    const once: Run = (attempt, now) => {
      if (ran.has(attempt)) audit.faults.push(`the layer of ${kind} ran one attempt twice`)
      ran.add(attempt)
      return next(attempt, now)
    }
    return around(once)
  }
}

const auditedMember = (member: Member, label: string, audit: Audit): Member => {
  const { around, enter, kind } = member
  if (enter !== undefined) audit.gates.add(label)
  // the same member, but for what enters and what runs
  return Object.create(member, {
    ...(enter === undefined
      ? {}
      : { enter: { value: (call: Call, now: number) => audit.follow(enter.call(member, call, now), kind, label) } }),
    ...(around === undefined ? {} : { around: { value: auditedLayer(around.bind(member), kind, audit) } })
  }) as Member
}

const auditedPolicy = (policy: AnyPolicy, audit: Audit): AnyPolicy => ({
  ...policy,
  open: (env: Env) => [policy.open(env)].flat().map((member) => auditedMember(member, env.label, audit))
})

/** The same policies, watched. */
export const audited = (policies: Policies, audit: Audit): Policies => {
  const watch = (record: object): object =>
    Object.fromEntries(
      Object.entries(record).map(([name, value]) => [name, isPolicy(value) ? auditedPolicy(value, audit) : value])
    )
  const own = policies.policies
  return { ...watch(policies), ...(own === undefined ? {} : { policies: watch(own) }) } as Policies // the same fields
}
