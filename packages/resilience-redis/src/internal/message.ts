/**
 * Commits that go to Redis in one trip: the lines that ask for them, and what came of each.
 *
 * A reply says what the states were. What was made of them is the same in Redis and here, to the last bit, so the kernels
 * of this process say it again, and it need not be sent. Only whether each commit was allowed is, and is compared.
 */
import * as Exit from "effect/Exit"
import type { StoreError } from "effect-resilience/Rejection"
import type { Committed, Step } from "effect-resilience/Store"
import { Cell } from "./cell.ts"
import { wordsOf } from "./codec.ts"
import { decide } from "./decide.ts"
import type { Home } from "./home.ts"
import type { Script } from "./kernels.ts"
import type { CommitReply } from "./scripts.ts"

type Reply = Committed<ReadonlyArray<Step>>
type Answer = Exit.Exit<Reply, StoreError>

/** Of what a reply holds. */
export interface Errors {
  /** A value that cannot be read: of its key alone. */
  readonly damaged: (cause: unknown) => StoreError
  /** Anything else. */
  readonly unreadable: (cause: unknown) => StoreError
}

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

/** For the script: 1 of a limit, 2 a limit's refund, 3 a command, 4 a limit's command, and 0 of any other kernel. */
const isOf = ({ isLimit }: Home, { input, isCommand }: Step): number => {
  if (isCommand) return isLimit ? 4 : 3
  return isLimit ? (input.op === "refund" ? 2 : 1) : 0
}

export class Message {
  readonly keys: ReadonlyArray<string>
  readonly lines: ReadonlyArray<string>
  /** So many of the commits go in it, from the first on. */
  readonly size: number
  private readonly runs: ReadonlyArray<Run>

  /**
   * In one message, all that is asked of a key is asked for one policy. A commit that asks a key for another one, as the
   * first of a service that was built anew, and those behind it are left for the next message.
   */
  constructor(commits: ReadonlyArray<Commit>, { places }: Script) {
    const states = new Map<string, number>()
    const policyOf: Array<string> = []
    const policies = new Map<string, number>()
    const policyLines: Array<string> = []
    const kinds = new Map<string, number>()
    const runs: Array<Run> = []
    const asks: Array<string> = []
    const notes: Array<readonly [idle: number, cleared: number, space: number]> = []
    const cleared = new Map<string, number>()
    let last: Run | undefined
    let size = 0
    for (const commit of commits) {
      if (last !== undefined && isSame(commit, last)) {
        last.times++
        size++
        continue
      }
      const { homes, steps } = commit
      const where = steps.map(({ key }, i) => homes[i]!.places.of(key))
      const isForAnother = where.some(({ state }, i) => {
        const known = states.get(state)
        return known !== undefined && policyOf[known - 1] !== homes[i]!.policyWord
      })
      if (isForAnother) break // never the first
      size++
      const mine: Array<number> = []
      let ask = `${steps.length}`
      for (let i = 0; i < steps.length; i++) {
        const { coded, idle, policyWord } = homes[i]!
        const place = where[i]!
        let state = states.get(place.state)
        if (state === undefined) {
          states.set(place.state, (state = states.size + 1))
          policyOf.push(policyWord)
          let at = cleared.get(place.cleared)
          if (at === undefined) cleared.set(place.cleared, (at = cleared.size + 1))
          notes.push([idle, at, place.space])
        }
        const kernel = places.get(coded!.compiled.id)!
        const name = `${kernel} ${policyWord}` // its numbers alone do not say what they are
        let known = policies.get(name)
        if (known === undefined) {
          policies.set(name, (known = policies.size + 1))
          policyLines.push(policyWord)
        }
        const input = wordsOf(coded!.input, steps[i]!.input)
        const line = [idle < 0 ? kernel : -kernel, known, isOf(homes[i]!, steps[i]!), ...input].join(" ")
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
    this.size = size
    this.keys = [...states.keys(), ...cleared.keys()]
    this.lines = [`${policies.size} ${states.size} ${kinds.size}${commitWords}`, ...policyLines, ...kinds.keys(), end]
  }

  /** What came of each commit, in their order. One that asks a value that cannot be read fails, and no other. */
  read([time, allowed, ...held]: CommitReply, { damaged, unreadable }: Errors): ReadonlyArray<Answer> {
    const now = Number(time)
    const cells: Array<Cell | undefined> = []
    const answers: Array<Answer> = []
    const decided = ({ homes, states, steps }: Run) => {
      const mine = states.map((i, j) => (cells[i] ??= new Cell(homes[j]!, held[i]!, 0, now)))
      const { committed, damage, isStill } = decide(steps, homes, mine, now)
      if (committed.allowed !== (allowed[answers.length] === "1")) {
        const ids = homes.map(({ kernel }) => kernel.id).join(", ")
        throw new Error(`Redis and this process decide differently, though both run ${ids}`)
      }
      return { answer: damage === undefined ? Exit.succeed(committed) : Exit.fail(damaged(damage)), isStill }
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
