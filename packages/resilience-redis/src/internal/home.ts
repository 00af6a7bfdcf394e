/**
 * What steps come to in Redis: which keys, and what is written there.
 */
import { hasShapeOf, sorted } from "effect-resilience/kernel/StateShape"
import type { AnySpace, Step } from "effect-resilience/Store"
import { escape, LARGEST, unescape, Words, wordsOf } from "./codec.ts"
import type { Coded } from "./kernels.ts"
import { Places } from "./keys.ts"

/** The one word of what is kept as JSON: of kernels that only this process knows. */
const jsonWord = (value: unknown): string => escape(JSON.stringify(value ?? null, sorted))

/** What is known of a space before it is asked. */
export class Home {
  readonly space: AnySpace
  readonly kernel: AnySpace["kernel"]
  readonly policy: AnySpace["policy"]
  readonly places: Places
  readonly coded: Coded | undefined
  /** How long an endless state is kept; below 0: for ever. */
  readonly idle: number
  readonly isLimit: boolean
  /** Whether the policy can take over what another one left; one that cannot begins with `initial`. */
  readonly adopts: boolean
  /** What entries of this policy are known by. */
  readonly policyWord: string

  constructor(space: AnySpace, prefix: string, coded: Coded | undefined, kernel = space.kernel) {
    this.space = space
    this.kernel = kernel
    this.policy = space.policy
    this.places = new Places(prefix, space)
    this.coded = coded
    const { idleTimeToLive } = space.keys
    this.idle = idleTimeToLive === Infinity ? -1 : idleTimeToLive
    this.isLimit = space.isLimit === true
    this.adopts = this.isLimit || kernel.adopt !== undefined
    this.policyWord =
      coded === undefined ? jsonWord(space.policy) : wordsOf(coded.policy, space.policy).join(",") || "-"
  }

  get initial(): unknown {
    return this.kernel.initial(this.policy)
  }

  /** An endless state is kept a quarter longer than it must, so that not every use of it is a write. */
  endOf(end: number | undefined, now: number): number {
    const ends = end ?? (this.idle < 0 ? Infinity : now + Math.floor(this.idle * 1.25))
    return ends === Infinity ? ends : Math.max(0, Math.min(ends, LARGEST))
  }

  /** With a space before each word. */
  writeState(state: unknown): string {
    if (this.coded === undefined) return ` ${jsonWord(state)}`
    return wordsOf(this.coded.state, state)
      .map((word) => ` ${word}`)
      .join("")
  }

  /** Throws where they are not the words of a state of this kernel. */
  readState(words: string, policy = this.policy): unknown {
    const state = this.stateIn(words)
    if (this.coded === undefined && !hasShapeOf(this.kernel.id, this.kernel.initial(policy), state)) {
      throw new Error("it has other fields than the kernel's initial state")
    }
    return state
  }

  /** Throws where they are not the words of a state of this very policy. */
  readOwn(words: string): unknown {
    const state = this.readState(words)
    if (this.kernel.isState?.(this.policy, state) === false) throw new Error("it is no state of its policy")
    return state
  }

  private stateIn(words: string): unknown {
    const all = words === "" ? [] : words.split(" ")
    if (all.length > 0 && all.shift() !== "") throw new Error("it does not begin with a space")
    const { coded } = this
    return readAll(new Words(all, coded?.isWhole), (words) =>
      coded === undefined ? JSON.parse(unescape(words.word())) : coded.state.read(words)
    )
  }

  /** Throws where it is not the word of a policy. */
  readPolicy(word: string): unknown {
    const { coded } = this
    if (coded === undefined) return JSON.parse(unescape(word))
    return readAll(new Words(word === "-" ? [] : word.split(",")), (words) => coded.policy.read(words))
  }
}

const readAll = (words: Words, read: (words: Words) => unknown): unknown => {
  const value = read(words)
  words.end()
  return value
}

/** The keys of a commit: those of its steps, and behind them those that say what was cleared. */
export class Keys {
  readonly all: Array<string> = []
  /** For each step: how much of its key names the space. */
  readonly spaces: Array<number> = []
  /** For each step: where among all keys is the one that says what was cleared. */
  readonly cleared: Array<number> = []

  constructor(homes: ReadonlyArray<Home>, steps: ReadonlyArray<Step>) {
    const cleared: Array<string> = []
    for (let i = 0; i < steps.length; i++) {
      const place = homes[i]!.places.of(steps[i]!.key)
      this.all.push(place.state)
      this.spaces.push(place.space)
      let at = cleared.indexOf(place.cleared)
      if (at < 0) at = cleared.push(place.cleared) - 1
      this.cleared.push(steps.length + at)
    }
    this.all.push(...cleared)
  }
}
