/**
 * Policies with one mistake each, and the laws that it breaks. Each is a change of one that keeps them all: slots of this
 * process, and a budget in the store.
 */
import { Effect } from "effect"
import { Policy, Rejection, Store } from "effect-resilience"
import type { LimiterDecision } from "effect-resilience/kernel/Limiter"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"

class Full extends Rejection.Rejection {
  readonly _tag = "Full"
  readonly policy = "sound"
  readonly reason = "full"
}

/** What a policy's tickets share. */
class Gate {
  running = 0
  recorded = 0
  readonly space: Store.AnySpace
  readonly store: Policy.Env["store"]
  constructor({ label, service, store }: Policy.Env) {
    this.store = store
    this.space = {
      name: `${service}/${label}`,
      kernel: fixedWindow,
      policy: { limit: 6, window: 1_000 },
      keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity },
      isLimit: true
    }
  }
}

/** A ticket that keeps the laws. */
class Sound implements Policy.Ticket {
  readonly gate: Gate
  readonly call: Policy.Call
  readonly step: Store.Step
  steps: ReadonlyArray<Store.Step>
  constructor(gate: Gate, call: Policy.Call) {
    this.gate = gate
    this.call = call
    this.step = new Store.Step(gate.space, call.name, { op: "take", cost: call.cost })
    this.steps = [this.step]
  }
  check(_now: number): boolean {
    return this.gate.running < 2
  }
  reserve(): void {
    this.gate.running++
  }
  unreserve(): void {
    this.gate.running--
  }
  refusal(_now: number, asked: boolean): Policy.Refusal | undefined {
    const answer = this.step.result?.[0]
    const refuses = this.gate.running >= 2 || (asked && answer?.allowed === false)
    return refuses ? { error: new Full({ service: this.call.service, key: this.call.name }) } : undefined
  }
  admitted(_now: number): void {}
  record(..._: Parameters<NonNullable<Policy.Ticket["record"]>>): Effect.Effect<void> | undefined {
    return undefined
  }
  release(started: boolean): Effect.Effect<void> | undefined {
    this.gate.running--
    return started ? undefined : this.refund()
  }
  refund(): Effect.Effect<void> {
    const { receipt } = this.step.result![0] as LimiterDecision<unknown> // it was admitted
    this.step.input = { op: "refund", receipt }
    return Effect.ignore(this.gate.store.commit([this.step]))
  }
}

const policyOf = (Ticket: new (gate: Gate, call: Policy.Call) => Policy.Ticket, more: Partial<Policy.Member> = {}) =>
  Policy.make<Policy.Policy<Full>>({
    kind: "sound",
    options: {},
    open(env) {
      const gate = new Gate(env)
      return {
        kind: "sound",
        stage: Policy.Stage.limit,
        enter: (call) => new Ticket(gate, call),
        spaces: [gate.space],
        inspect: (key) =>
          Effect.map(gate.store.read(gate.space, String(key)), ({ now, state }) => {
            const { kernel, policy } = gate.space
            const ask = { op: "take", cost: 0 }
            const [answer] = kernel.step(policy, state ?? kernel.initial(policy), ask, now)
            return { running: gate.running, remaining: (answer as LimiterDecision<unknown>).remaining }
          }),
        ...more
      }
    }
  })

export const sound = policyOf(Sound)

const once = "each admission is recorded and released once, and nothing is left when all calls have ended"
const asNew = "after calls that succeeded or were interrupted, and a long rest, all is as at first"
const refused = "whatever refuses, nothing is spent"
const interrupted = "interrupted at any point, a call that did not start has changed nothing"

export interface Broken {
  readonly mistake: string
  readonly breaks: string
  /** Absent: in this process, and on a remote store. */
  readonly where?: "in this process" | "on a remote store"
  readonly policy: Policy.AnyPolicy
}

export const brokenPolicies: ReadonlyArray<Broken> = [
  {
    mistake: "does not refund",
    breaks: interrupted,
    policy: policyOf(
      class extends Sound {
        override refund() {
          return Effect.void
        }
      }
    )
  },
  {
    mistake: "refunds also what was used",
    breaks: asNew,
    policy: policyOf(
      class extends Sound {
        override release() {
          super.release(true)
          this.gate.running -= this.call.attempts // counts what it was not given
          return this.refund()
        }
      }
    )
  },
  {
    mistake: "keeps its slot when the call is interrupted",
    breaks: asNew,
    policy: policyOf(
      class extends Sound {
        private outcome: string | undefined
        override record(outcome: string) {
          this.outcome = outcome
          return undefined
        }
        override release(started: boolean) {
          if (started && this.outcome === "ignored") return undefined
          return super.release(started)
        }
      }
    )
  },
  {
    mistake: "takes its slot in check",
    breaks: refused,
    policy: policyOf(
      class extends Sound {
        private taken = false
        override check(now: number) {
          if (this.taken || !super.check(now)) return this.taken
          this.taken = true
          this.gate.running++
          return true
        }
        override reserve() {}
        override unreserve() {}
        override refusal(now: number, asked: boolean) {
          return this.taken && this.step.result?.[0].allowed !== false ? undefined : super.refusal(now, asked)
        }
      }
    )
  },
  {
    mistake: "spends from the store by itself, where it should ask",
    breaks: refused,
    policy: policyOf(
      class extends Sound {
        override steps = []
        override check(now: number) {
          Effect.runForkWith(this.call.fiber.context)(this.gate.store.commit([this.step]))
          return super.check(now)
        }
      }
    )
  },
  {
    mistake: "throws in record",
    breaks: once,
    policy: policyOf(
      class extends Sound {
        override record(): undefined {
          throw new Error("no such outcome")
        }
      }
    )
  },
  {
    mistake: "runs an effect that dies, when it is released",
    breaks: once,
    policy: policyOf(
      class extends Sound {
        override release(started: boolean) {
          return Effect.andThen(super.release(started) ?? Effect.void, Effect.die("no"))
        }
      }
    )
  },
  {
    mistake: "gives its slot back twice",
    breaks: asNew,
    policy: policyOf(
      class extends Sound {
        override release(started: boolean) {
          this.gate.running--
          return super.release(started)
        }
      }
    )
  },
  {
    mistake: "does not undo what it reserved",
    breaks: refused,
    where: "on a remote store",
    policy: policyOf(
      class extends Sound {
        override unreserve() {}
      }
    )
  },
  {
    mistake: "refuses, and does not say why",
    breaks: once,
    policy: policyOf(
      class extends Sound {
        override refusal() {
          return undefined
        }
      }
    )
  },
  {
    mistake: "refuses with what is no Rejection",
    breaks: once,
    policy: policyOf(
      class extends Sound {
        override refusal(now: number, asked: boolean) {
          return super.refusal(now, asked) && { error: "full" }
        }
      }
    )
  },
  {
    mistake: "repeats what is inside it, where it is no loop",
    breaks: once,
    policy: policyOf(Sound, {
      stage: Policy.Stage.chaos,
      around: (next) => (attempt, now) => Effect.catch(next(attempt, now), () => next(attempt, now))
    })
  },
  {
    mistake: "leaves a timer behind",
    breaks: once,
    policy: policyOf(Sound, {
      around: (next) => (attempt, now) => Effect.andThen(Effect.forkDetach(Effect.sleep(5)), next(attempt, now))
    })
  }
]
