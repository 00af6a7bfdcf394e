/**
 * Commits of one moment go in one trip: those that begin in one turn of the scheduler, run the same script and lie in one
 * place. Each is all or nothing by itself, in the order in which they came.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { SchedulerDispatcher } from "effect/Scheduler"
import type * as Redis from "effect/persistence/Redis"
import type { Decision } from "effect-resilience/kernel/Kernel"
import type { StoreError } from "effect-resilience/Rejection"
import type { Committed, Step } from "effect-resilience/Store"
import { encode, Words } from "./codec.ts"
import { type Home, Keys } from "./home.ts"
import type { Kernels, Script } from "./kernels.ts"

type Reply = Committed<ReadonlyArray<Step>>

/**
 * While a script runs, Redis does nothing else: so many commits take it less than half a millisecond. Of more that come at
 * once, Redis decides some while this process tells the others. What is written at once is answered at once, so no more
 * than this is sent in one turn either.
 */
const MOST = 32

export interface Trips {
  readonly redis: Redis.Redis["Service"]
  readonly ask: <A>(answer: Effect.Effect<A, Redis.RedisError>) => Effect.Effect<A, StoreError>
  readonly unreadable: (cause: unknown) => StoreError
  readonly kernels: Kernels
  readonly fork: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown>
}

interface Waiter {
  readonly steps: ReadonlyArray<Step>
  readonly homes: ReadonlyArray<Home>
  readonly resume: (reply: Effect.Effect<Reply, StoreError>) => void
}

class Batch {
  readonly script: Script
  readonly waiting = new Set<Waiter>()
  /** Those who left before it was sent are counted, too. */
  size = 0
  constructor(script: Script) {
    this.script = script
  }
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

/** Most calls of one moment ask the same: that is seen without writing it out. */
const isSame = (one: Waiter, other: Waiter): boolean => {
  if (one.steps.length !== other.steps.length) return false
  for (let i = 0; i < one.steps.length; i++) {
    const step = one.steps[i]!
    const that = other.steps[i]!
    if (step.input !== that.input || step.key !== that.key || step.space !== that.space) return false
  }
  return true
}

/** The keys and lines of the script. */
const linesOf = (waiters: ReadonlyArray<Waiter>, { places }: Script) => {
  const states = new Map<string, number>()
  const policies = new Map<string, number>()
  const policyLines: Array<string> = []
  const questions = new Map<string, number>()
  let commits = ""
  let times = 0
  let asks = ""
  let cleared: ReadonlyArray<string> = []
  const notes: Array<readonly [idle: number, cleared: number, space: number]> = []
  let last: Waiter | undefined
  for (const waiter of waiters) {
    if (last !== undefined && isSame(waiter, last)) {
      times++
      continue
    }
    last = waiter
    const { homes, steps } = waiter
    const keys = new Keys(homes, steps)
    cleared = keys.all.slice(steps.length) // the same for all that are in one place
    let mine = `${steps.length}`
    for (let i = 0; i < steps.length; i++) {
      const { coded, idle, policy } = homes[i]!
      const key = keys.all[i]!
      let state = states.get(key)
      if (state === undefined) {
        states.set(key, (state = states.size + 1))
        notes.push([idle, keys.cleared[i]! - steps.length, keys.spaces[i]!])
      }
      const place = places.get(coded!.compiled.id)!
      const name = `${place} ${policy}` // words alone do not say what they are
      let known = policies.get(name)
      if (known === undefined) {
        policies.set(name, (known = policies.size + 1))
        policyLines.push(policy)
      }
      const line = `${state} ${idle < 0 ? place : -place} ${known} ${encode(coded!.input, steps[i]!.input)}`
      let question = questions.get(line)
      if (question === undefined) questions.set(line, (question = questions.size + 1))
      mine += ` ${question}`
    }
    if (mine === asks) {
      times++
      continue
    }
    if (times > 0) commits += ` ${times} ${asks}`
    asks = mine
    times = 1
  }
  commits += ` ${times} ${asks}`
  const end = notes.map(([idle, cleared, space]) => `${idle} ${states.size + cleared + 1} ${space}`).join(" ")
  return {
    keys: [...states.keys(), ...cleared],
    lines: [`${policies.size} ${states.size} ${questions.size}${commits}`, ...policyLines, ...questions.keys(), end]
  }
}

/** So many turns of the scheduler later than the next one. */
const later = (dispatcher: SchedulerDispatcher, turns: number, task: () => void): void =>
  dispatcher.scheduleTask(() => (turns === 0 ? task() : later(dispatcher, turns - 1, task)), 0)

export class Batches {
  private readonly trips: Trips
  /** Commits that are not yet sent, of all batches. */
  private unsent = 0
  private readonly batches = new Map<Script, Map<string, Batch>>()

  constructor(trips: Trips) {
    this.trips = trips
  }

  commit(steps: ReadonlyArray<Step>, homes: ReadonlyArray<Home>): Effect.Effect<Reply, StoreError> {
    return Effect.withFiber((fiber) =>
      Effect.callback<Reply, StoreError>((resume) => {
        const script = this.trips.kernels.script(homes.map(({ coded }) => coded!.compiled.id))
        const place = placeOf(steps, homes)
        let places = this.batches.get(script)
        if (places === undefined) this.batches.set(script, (places = new Map()))
        let batch = places.get(place)
        if (batch === undefined) {
          const mine = (batch = new Batch(script))
          places.set(place, mine)
          const known = places
          later(fiber.currentDispatcher, Math.floor(this.unsent / MOST), () => {
            if (known.get(place) === mine) known.delete(place)
            this.unsent -= mine.size
            this.send([...mine.waiting], script)
            mine.waiting.clear()
          })
        }
        const { waiting } = batch
        const waiter: Waiter = { steps, homes, resume }
        waiting.add(waiter)
        this.unsent++
        if (++batch.size === MOST) places.delete(place) // who comes now begins another
        return Effect.sync(() => waiting.delete(waiter))
      })
    )
  }

  private send(waiters: ReadonlyArray<Waiter>, script: Script): void {
    if (waiters.length === 0) return
    const { ask, fork, redis, unreadable } = this.trips
    const { keys, lines } = linesOf(waiters, script)
    fork(
      Effect.matchCause(ask(redis.eval(script.commit)(keys, lines)), {
        onFailure: (cause) => {
          // one that is not to be read would fail all of them, and nothing was written
          if (waiters.length > 1 && /user_script/.test(Cause.pretty(cause))) {
            for (const waiter of waiters) this.send([waiter], script)
          } else for (const { resume } of waiters) resume(Effect.failCause(cause))
        },
        onSuccess: (reply) => {
          const words = new Words(reply)
          const replies: Array<Effect.Effect<Reply, StoreError>> = []
          try {
            const now = words.number()
            for (const { homes } of waiters) {
              const allowed = words.number() === 1
              // what kernels answer
              const answers = homes.map(({ coded }) => coded!.answer.read(words) as Decision)
              replies.push(Effect.succeed({ now, allowed, answers }))
            }
          } catch (cause) {
            for (const { resume } of waiters) resume(Effect.fail(unreadable(cause)))
            return
          }
          waiters.forEach(({ resume }, i) => resume(replies[i]!))
        }
      })
    )
  }
}
