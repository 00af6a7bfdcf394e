/**
 * Commits that go to Redis in one trip: the lines that ask for them, and what came of each.
 *
 * A reply says what the states were. What was made of them is the same in Redis and here, to the last bit, so the kernels
 * of this process say it again, and it need not be sent. Only whether each commit was allowed is, and is compared.
 */
import * as Exit from "effect/Exit"
import type { StoreError } from "effect-resilience/Rejection"
import type { Committed, Step } from "effect-resilience/Store"
import { encode } from "./codec.ts"
import { decide } from "./decide.ts"
import type { Home } from "./home.ts"
import type { Script } from "./kernels.ts"
import type { CommitReply } from "./scripts.ts"

type Reply = Committed<ReadonlyArray<Step>>
type Answer = Exit.Exit<Reply, StoreError>

export interface Commit {
  readonly steps: ReadonlyArray<Step>
  readonly homes: ReadonlyArray<Home>
}

/** Commits in a row that ask the same. */
interface Run extends Commit {
  /** Which state each step asks. */
  readonly states: ReadonlyArray<number>
  times: number
}

/** Most calls of one moment ask the same: that is seen without writing it out. */
export const isSame = (one: Commit, other: Commit): boolean => {
  if (one.steps.length !== other.steps.length) return false
  for (let i = 0; i < one.steps.length; i++) {
    const step = one.steps[i]!
    const that = other.steps[i]!
    if (step.input !== that.input || step.key !== that.key || step.space !== that.space) return false
  }
  return true
}

export class Message {
  readonly keys: ReadonlyArray<string>
  readonly lines: ReadonlyArray<string>
  private readonly runs: ReadonlyArray<Run>

  constructor(commits: ReadonlyArray<Commit>, { places }: Script) {
    const states = new Map<string, number>()
    const policies = new Map<string, number>()
    const policyLines: Array<string> = []
    const kinds = new Map<string, number>()
    const runs: Array<Run> = []
    const asks: Array<string> = []
    const notes: Array<readonly [idle: number, cleared: number, space: number]> = []
    const cleared = new Map<string, number>()
    let last: Run | undefined
    for (const commit of commits) {
      if (last !== undefined && isSame(commit, last)) {
        last.times++
        continue
      }
      const { homes, steps } = commit
      const mine: Array<number> = []
      let ask = `${steps.length}`
      for (let i = 0; i < steps.length; i++) {
        const { coded, idle, policyWords } = homes[i]!
        const place = homes[i]!.places.of(steps[i]!.key)
        let state = states.get(place.state)
        if (state === undefined) {
          states.set(place.state, (state = states.size + 1))
          let at = cleared.get(place.cleared)
          if (at === undefined) cleared.set(place.cleared, (at = cleared.size + 1))
          notes.push([idle, at, place.space])
        }
        const kernel = places.get(coded!.compiled.id)!
        const name = `${kernel} ${policyWords}` // words alone do not say what they are
        let known = policies.get(name)
        if (known === undefined) {
          policies.set(name, (known = policies.size + 1))
          policyLines.push(policyWords)
        }
        const line = `${idle < 0 ? kernel : -kernel} ${known} ${encode(coded!.input, steps[i]!.input)}`
        let kind = kinds.get(line)
        if (kind === undefined) kinds.set(line, (kind = kinds.size + 1))
        mine.push(state - 1)
        ask += ` ${state} ${kind}`
      }
      last = { homes, steps, states: mine, times: 1 }
      runs.push(last)
      asks.push(ask)
    }
    const commitWords = runs.map(({ times }, i) => ` ${times} ${asks[i]}`).join("")
    const end = notes.map(([idle, cleared, space]) => `${idle} ${states.size + cleared} ${space}`).join(" ")
    this.runs = runs
    this.keys = [...states.keys(), ...cleared.keys()]
    this.lines = [`${policies.size} ${states.size} ${kinds.size}${commitWords}`, ...policyLines, ...kinds.keys(), end]
  }

  /** What came of each commit, in their order. One whose state is not to be read fails, and no other. */
  read([time, allowed, ...held]: CommitReply, unreadable: (cause: unknown) => StoreError): ReadonlyArray<Answer> {
    const now = Number(time)
    const states: Array<unknown> = []
    const answers: Array<Answer> = []
    const decided = ({ homes, states: which, steps }: Run) => {
      const before = which.map((i, j) => (states[i] ??= homes[j]!.read(held[i]!, 0) ?? homes[j]!.initial))
      const { after, committed } = decide(steps, homes, before, now)
      if (committed.allowed !== (allowed[answers.length] === "1")) {
        const ids = homes.map(({ kernel }) => kernel.id).join(", ")
        throw new Error(`Redis and this process decide differently, though both run ${ids}`)
      }
      which.forEach((i, j) => (states[i] = after[j]))
      return { answer: Exit.succeed(committed), isStill: after.every((state, j) => state === before[j]) }
    }
    let end = 0
    for (const run of this.runs) {
      end += run.times
      try {
        while (answers.length < end) {
          const { answer, isStill } = decided(run)
          // what changed nothing is answered the same the next time
          const times = isStill ? end - answers.length : 1
          for (let i = 0; i < times; i++) answers.push(answer)
        }
      } catch (cause) {
        const failed = Exit.fail(unreadable(cause))
        while (answers.length < end) answers.push(failed)
      }
    }
    return answers
  }
}
