/**
 * A policy that is watched: each of its tickets is followed from the question to its end.
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Outcome } from "effect-resilience/Outcome"
import type { Policies } from "effect-resilience/Policies"
import type { AnyPolicy, Call, Env, Member, Refusal, Ticket } from "effect-resilience/Policy"

/** What went wrong, in words. */
export class Audit {
  readonly faults: Array<string> = []
  private readonly tickets: Array<AuditedTicket> = []

  /** Every ticket that was admitted has ended, and no other holds anything. */
  end(): void {
    for (const { kind, state } of this.tickets) {
      if (state !== "asked" && state !== "ended")
        this.faults.push(`a ticket of ${kind} is ${state} when all calls have ended`)
    }
  }

  follow(ticket: Ticket, kind: string): Ticket {
    const audited = new AuditedTicket(ticket, kind, this.faults)
    this.tickets.push(audited)
    return audited
  }
}

type State = "asked" | "reserved" | "admitted" | "recorded" | "ended"

class AuditedTicket implements Ticket {
  state: State = "asked"
  readonly kind: string
  private readonly ticket: Ticket
  private readonly faults: Array<string>
  readonly watch?: (onMove: () => void) => () => void

  constructor(ticket: Ticket, kind: string, faults: Array<string>) {
    this.ticket = ticket
    this.kind = kind
    this.faults = faults
    if (ticket.watch !== undefined) this.watch = (onMove) => ticket.watch!(onMove) // it has one
  }

  private move(what: string, from: ReadonlyArray<State>, to: State): void {
    if (!from.includes(this.state)) this.faults.push(`${what} of a ticket of ${this.kind} that is ${this.state}`)
    this.state = to
  }

  get steps(): Ticket["steps"] {
    return this.ticket.steps
  }

  get single(): boolean {
    return this.ticket.single === true
  }

  check(now: number): boolean {
    return this.ticket.check(now)
  }

  before(now: number): Effect.Effect<void> | undefined {
    return this.ticket.before?.(now)
  }

  reserve(): void {
    this.move("reserve", ["asked"], "reserved")
    this.ticket.reserve?.()
  }

  unreserve(): void {
    this.move("unreserve", ["reserved"], "asked")
    this.ticket.unreserve?.()
  }

  refusal(now: number, asked: boolean): Refusal | undefined {
    return this.ticket.refusal(now, asked)
  }

  admitted(now: number): void {
    this.move("admitted", ["reserved"], "admitted")
    this.ticket.admitted(now)
  }

  record(outcome: Outcome, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined {
    this.move("record", ["admitted"], "recorded")
    return this.ticket.record?.(outcome, exit)
  }

  release(started: boolean): Effect.Effect<void> | undefined {
    this.move("release", ["recorded"], "ended")
    return this.ticket.release?.(started)
  }

  left(now: number): boolean {
    return this.ticket.left?.(now) === true
  }
}

const auditedMember = (member: Member, audit: Audit): Member => {
  const { enter } = member
  if (enter === undefined) return member
  const follow = (call: Call, now: number) => audit.follow(enter.call(member, call, now), member.kind)
  return Object.create(member, { enter: { value: follow } }) as Member // the same member, but for what enters
}

const auditedPolicy = (policy: AnyPolicy, audit: Audit): AnyPolicy => ({
  ...policy,
  open: (env: Env) => [policy.open(env)].flat().map((member) => auditedMember(member, audit))
})

const isPolicy = (u: unknown): u is AnyPolicy => typeof u === "object" && u !== null && "open" in u && "kind" in u

/** The same policies, watched. */
export const audited = (policies: Policies, audit: Audit): Policies => {
  const watch = (record: object): object =>
    Object.fromEntries(
      Object.entries(record).map(([name, value]) => [name, isPolicy(value) ? auditedPolicy(value, audit) : value])
    )
  const own = policies.policies
  return { ...watch(policies), ...(own === undefined ? {} : { policies: watch(own) }) } as Policies // the same fields
}
