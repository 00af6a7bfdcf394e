/**
 * A ledger: what a store was asked to take, to give back and to record, by whom. It reads the steps and the answers of
 * each commit, and nothing else: what the engine believes is not its business.
 *
 * Every call has a key of its own in one limit (`TRACE`), so that each commit names the call that it was for.
 */
import { Effect } from "effect"
import type { BreakerDecision, BreakerInput } from "../../src/kernel/Breaker.ts"
import type { LimiterDecision, LimiterInput } from "../../src/kernel/Limiter.ts"
import { CircuitPass } from "../../src/circuitBreaker/CircuitPass.ts"
import { committed } from "../../src/internal/answers.ts"
import type { Guarded, Local } from "../../src/Policy.ts"
import type { Committed, Step } from "../../src/Store.ts"
import type { MemoryService, StoreService } from "../laws/harness.ts"

/** The limit whose key is the call's own name. */
export const TRACE = "call"

/** One admission: all that one commit took. */
export interface Taking {
  readonly call: string
  readonly at: number
  readonly receipts: ReadonlyArray<unknown>
  /** The probe slot that came with it, `undefined` for none. */
  readonly probe: string | undefined
  /** Given back: as the engine asked, and as it took place. */
  refundsSent: number
  refunds: number
  recordsSent: number
  records: number
  /** Whether the answer came back. */
  heard: boolean
}

type Steps = ReadonlyArray<Step>
type Answers = Committed<Steps>["answers"]
type Input = BreakerInput | LimiterInput<unknown>

const inputOf = (step: Step): Input => step.input as Input // all kernels here are limiters and breakers

const probeName = (circuit: string, generation: number, probe: number): string => `${circuit}/${generation}/${probe}`

/** An assertion for hot paths: after every turn there are dozens. */
export const must = (holds: boolean, what: string, ...figures: ReadonlyArray<number>): void => {
  if (!holds) throw new Error([what, ...figures].join(" "))
}

type Permit = Pick<CircuitPass, "generation" | "probe">

export class Ledger {
  readonly takings: Array<Taking> = []
  /** Probe slots of each circuit that were handed out, by name. */
  readonly probes = new Map<string, Map<string, Taking>>()
  /** Permits of circuits: handed out, and reported. */
  passes = 0
  records = 0
  private readonly alone: boolean
  private readonly byCall = new Map<string, Array<Taking>>()
  private readonly nets = new Map<string, number>()
  private readonly byReceipt = new Map<unknown, Taking>()
  private readonly byCommit = new WeakMap<object, Taking>()

  /** `alone`: no other store hands out permits that are reported here. */
  constructor(alone: boolean) {
    this.alone = alone
  }

  /** A store in this process, every commit of which is noted when it takes place. */
  around(memory: MemoryService, now: () => number): MemoryService {
    const { sync } = memory
    const commit = <const S extends Steps>(steps: S, now: number, write: boolean) => {
      const result = committed(steps, now, sync.commit(steps, now, write))
      if (result.allowed && write) this.note(steps, result, now)
      return result
    }
    return {
      ...memory,
      commit: (steps) => Effect.sync(() => commit(steps, now(), true)),
      sync: {
        ...sync,
        commit: (steps, now, write = true) => commit(steps, now, write).allowed,
        hold: (step, now) => {
          // a circuit that lets everybody through is not asked in the commit
          if (step instanceof CircuitPass && step.probe === 0) this.passes++
          sync.hold(step, now)
        },
        release: (step) => {
          // a success that its circuit need not be told
          if (step instanceof CircuitPass && step.input.op === "admit") this.noteRecord(step.key, step)
          sync.release(step)
        }
      }
    }
  }

  /** Notes what is sent to a store elsewhere, whatever becomes of it. */
  sending(store: StoreService): StoreService {
    return {
      ...store,
      commit: (steps) =>
        Effect.suspend(() => {
          for (const step of steps) this.noteSent(step)
          return store.commit(steps)
        })
    }
  }

  /** Notes whose answer came back. */
  hearing(store: Local | Guarded): Local | Guarded {
    if (store.sync !== undefined) return store
    const hear = (result: Committed<Steps>) => {
      const taking = this.byCommit.get(result)
      if (taking !== undefined) taking.heard = true
    }
    return {
      ...store,
      commit: (steps) =>
        Effect.map(store.commit(steps), (result) => {
          hear(result)
          return result
        }),
      begin: (steps, fiber, tell) =>
        store.begin(steps, fiber, (exit) => {
          if (exit._tag === "Success") hear(exit.value)
          tell(exit)
        })
    }
  }

  private note(steps: Steps, result: Committed<Steps>, now: number): void {
    const takes = steps.flatMap((step, i) => (inputOf(step).op === "take" ? [i] : []))
    if (takes.length > 0) return this.noteTaking(steps, takes, result, now)
    const given = steps.flatMap((step) => {
      const input = inputOf(step)
      return input.op === "refund" ? [input.receipt] : []
    })
    if (given.length > 0) this.noteRefund(given)
    for (const step of steps) {
      const input = inputOf(step)
      if (input.op === "admit") throw new Error("a circuit was asked alone")
      if (input.op !== "record") continue
      this.noteRecord(step.key, input)
    }
  }

  private noteRecord(circuit: string, permit: Permit): void {
    this.records++
    const taking = this.takingOf(circuit, permit)
    if (taking !== undefined) must(++taking.records === 1, `probe ${taking.probe} was recorded twice`)
  }

  private noteTaking(steps: Steps, takes: ReadonlyArray<number>, result: Committed<Steps>, now: number): void {
    const named = steps.find(({ space }) => space.name.endsWith(`/${TRACE}`))
    if (named === undefined) throw new Error("a commit for nobody")
    const taking: Taking = {
      call: named.key,
      at: now,
      receipts: takes.map((i) => (result.answers[i] as LimiterDecision<unknown>).receipt), // a limiter's answer
      probe: this.noteAdmission(steps, result.answers),
      refundsSent: 0,
      refunds: 0,
      recordsSent: 0,
      records: 0,
      heard: false
    }
    for (const receipt of taking.receipts) this.byReceipt.set(receipt, taking)
    if (taking.probe !== undefined) {
      const circuit = steps[0]!.key
      const probes = this.probes.get(circuit) ?? new Map<string, Taking>()
      must(!probes.has(taking.probe), `probe ${taking.probe} was handed out twice`)
      this.probes.set(circuit, probes.set(taking.probe, taking))
    }
    this.takings.push(taking)
    this.byCommit.set(result, taking)
    this.byCall.set(taking.call, [...this.of(taking.call), taking])
    this.nets.set(taking.call, this.net(taking.call) + 1)
  }

  private noteAdmission(steps: Steps, answers: Answers): string | undefined {
    const [first] = steps
    if (first === undefined || inputOf(first).op !== "admit") return undefined
    this.passes++
    const { generation, probe } = answers[0] as BreakerDecision // the answer to `admit`
    return probe === 0 ? undefined : probeName(first.key, generation, probe)
  }

  private noteRefund(receipts: ReadonlyArray<unknown>): void {
    const [taking, ...others] = new Set(receipts.map((receipt) => this.byReceipt.get(receipt)))
    if (taking === undefined || others.length > 0) throw new Error("a refund of what nobody took")
    must(receipts.length === taking.receipts.length, `call ${taking.call} gave back a part of what it took`)
    must(++taking.refunds === 1, `call ${taking.call} gave back twice`)
    this.nets.set(taking.call, this.net(taking.call) - 1)
  }

  /** Whose probe a record reports. Where others hand out permits too, a name may be given twice, and tells nothing. */
  private takingOf(circuit: string, { generation, probe }: Permit): Taking | undefined {
    if (!this.alone || probe === 0) return undefined
    const name = probeName(circuit, generation, probe)
    const taking = this.probes.get(circuit)?.get(name)
    if (taking === undefined) throw new Error(`probe ${name} was reported by somebody who never had it`)
    return taking
  }

  private noteSent(step: Step): void {
    const input = inputOf(step)
    const taking = input.op === "record" ? this.takingOf(step.key, input) : undefined
    if (taking !== undefined) must(++taking.recordsSent === 1, `probe ${taking.probe} was reported twice`)
    if (input.op !== "refund") return
    const refunded = this.byReceipt.get(input.receipt)
    // one step for each limit
    if (refunded !== undefined && refunded.receipts[0] === input.receipt) refunded.refundsSent++
  }

  of(call: string): ReadonlyArray<Taking> {
    return this.byCall.get(call) ?? []
  }

  /** Admissions of a call that are not given back. */
  net(call: string): number {
    return this.nets.get(call) ?? 0
  }
}
