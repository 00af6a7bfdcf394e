/**
 * Commits of one moment go in one trip: those that begin in one turn of the scheduler and run the same script. Where keys are
 * spread over several machines, they must lie in one place, too. Each is all or nothing by itself, in the order in which
 * they came.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { SchedulerDispatcher } from "effect/Scheduler"
import type * as Redis from "effect/persistence/Redis"
import type { StoreError } from "effect-resilience/Rejection"
import type { Committed, Step } from "effect-resilience/Store"
import type { Home } from "./home.ts"
import type { Kernels, Script } from "./kernels.ts"
import type { Machines } from "./machines.ts"
import { type Commit, type Errors, isSame, Message } from "./message.ts"
import { isolated, later, Turns } from "./turns.ts"

type Reply = Committed<ReadonlyArray<Step>>

/**
 * While a script runs, Redis does nothing else: so many commits take it half a millisecond, unless their states are long.
 * Of more that come at once, Redis decides some while this process tells the others. What is written at once is answered
 * at once, so no more than this is sent in one turn either.
 */
const MOST = 32

/** The server is there, and takes no write now: it would refuse each of a batch, and is busy enough. */
const isRefusal = /\b(?:OOM|READONLY|NOREPLICAS|MISCONF|LOADING|MASTERDOWN)\b/

export interface Trips {
  readonly redis: Redis.Redis["Service"]
  readonly ask: <A>(answer: Effect.Effect<A, Redis.RedisError>) => Effect.Effect<A, StoreError>
  readonly errors: Errors
  readonly kernels: Kernels
  readonly machines: Machines
  readonly fork: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown>
}

interface Waiter extends Commit {
  readonly tell: (answer: Exit.Exit<Reply, StoreError>) => void
}

class Batch {
  readonly waiting = new Set<Waiter>()
  /** Those who left before it was sent are counted, too. */
  size = 0
  isOpen = true
}

/** Where the steps lie, in one word. */
const placeOf = (steps: ReadonlyArray<Step>, homes: ReadonlyArray<Home>): string => {
  const first = homes[0]!.places.clearedOf(steps[0]!.key)
  let place = first
  for (let i = 1; i < steps.length; i++) {
    const cleared = homes[i]!.places.clearedOf(steps[i]!.key)
    if (cleared !== first) place += ` ${cleared}`
  }
  return place
}

export class Batches {
  private readonly trips: Trips
  /** Commits that are not yet sent, of all batches. */
  private unsent = 0
  private readonly turns = new Turns(MOST)
  private readonly batches = new Map<Script, Map<string, Batch>>()
  /** Whoever comes next often asks the same, and then need not look for its batch. */
  private latest: { readonly batch: Batch; readonly waiter: Waiter } | undefined

  constructor(trips: Trips) {
    this.trips = trips
  }

  commit(steps: ReadonlyArray<Step>, homes: ReadonlyArray<Home>): Effect.Effect<Reply, StoreError> {
    return Effect.withFiber((fiber) =>
      Effect.callback<Reply, StoreError>((resume) => Effect.sync(this.begin(steps, homes, fiber, resume)))
    )
  }

  /** Begins at once; what is returned takes it back, as long as it is not sent. */
  begin(
    steps: ReadonlyArray<Step>,
    homes: ReadonlyArray<Home>,
    fiber: Fiber.Fiber<unknown, unknown>,
    tell: (answer: Exit.Exit<Reply, StoreError>) => void
  ): () => void {
    const waiter: Waiter = { steps, homes, tell }
    const { latest } = this
    const batch =
      latest?.batch.isOpen === true && isSame(latest.waiter, waiter) ? latest.batch : this.batchFor(waiter, fiber)
    this.latest = { batch, waiter }
    batch.waiting.add(waiter)
    this.unsent++
    if (++batch.size === MOST) batch.isOpen = false
    return () => batch.waiting.delete(waiter)
  }

  /** One that is not yet sent, and not full. */
  private batchFor({ homes, steps }: Commit, fiber: Fiber.Fiber<unknown, unknown>): Batch {
    const script = this.trips.kernels.script(homes.map(({ coded }) => coded!.compiled.id))
    const place = this.trips.machines.areSeveral ? placeOf(steps, homes) : ""
    let places = this.batches.get(script)
    if (places === undefined) this.batches.set(script, (places = new Map()))
    const known = places.get(place)
    if (known?.isOpen === true) return known
    const batch = new Batch()
    places.set(place, batch)
    const dispatcher = fiber.currentDispatcher
    const all = places
    later(dispatcher, Math.floor(this.unsent / MOST), () => {
      batch.isOpen = false
      this.latest = undefined
      if (all.get(place) === batch) all.delete(place)
      this.unsent -= batch.size
      this.send([...batch.waiting], script, dispatcher)
    })
    return batch
  }

  private send(waiters: ReadonlyArray<Waiter>, script: Script, dispatcher: SchedulerDispatcher): void {
    for (let rest = waiters; rest.length > 0;) {
      const message = new Message(rest, script)
      this.sendOne(message, rest.slice(0, message.size), script, dispatcher)
      rest = rest.slice(message.size)
    }
  }

  private sendOne(
    message: Message,
    waiters: ReadonlyArray<Waiter>,
    script: Script,
    dispatcher: SchedulerDispatcher
  ): void {
    const { ask, errors, fork, machines, redis } = this.trips
    fork(
      Effect.matchCause(ask(redis.eval(script.commit)(message.keys, message.lines)), {
        onFailure: (cause) => {
          const what = Cause.pretty(cause)
          const lieApart = what.includes("several slots")
          const isRefused = isRefusal.test(what)
          if (lieApart && waiters.length > 1) machines.found()
          if (isRefused) machines.answered(redis, fork)
          // nothing was written: of one that a kernel fails on, or that is not with the others, all of them would fail
          if (waiters.length > 1 && (lieApart || (what.includes("user_script") && !isRefused))) {
            for (const waiter of waiters) this.send([waiter], script, dispatcher)
          } else for (const { tell } of waiters) isolated(() => tell(Exit.failCause(cause)))
        },
        onSuccess: (reply) => {
          machines.answered(redis, fork)
          const answers = message.read(reply, errors)
          const tell = () => waiters.forEach(({ tell }, i) => isolated(() => tell(answers[i]!)))
          this.turns.hear(waiters.length, tell, dispatcher)
        }
      })
    )
  }
}
