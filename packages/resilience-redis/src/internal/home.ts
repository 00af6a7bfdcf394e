/**
 * What steps come to in Redis: which keys, and what is written there.
 */
import type { AnySpace, Step } from "effect-resilience/Store"
import { encode, Words } from "./codec.ts"
import type { Coded } from "./kernels.ts"
import { Places } from "./keys.ts"

/** What is known of a space before it is asked. */
export class Home {
  readonly space: AnySpace
  readonly kernel: AnySpace["kernel"]
  readonly policy: AnySpace["policy"]
  readonly places: Places
  readonly coded: Coded | undefined
  /** How long an endless state is kept; below 0: for ever. */
  readonly idle: number
  readonly policyWords: string

  constructor(space: AnySpace, prefix: string, coded: Coded | undefined, kernel = space.kernel) {
    this.space = space
    this.kernel = kernel
    this.policy = space.policy
    this.places = new Places(prefix, space)
    this.coded = coded
    const { idleTimeToLive } = space.keys
    this.idle = idleTimeToLive === Infinity ? -1 : idleTimeToLive
    this.policyWords = coded === undefined ? "" : encode(coded.policy, space.policy)
  }

  /** A state is kept as words where Redis is to read it, and else as JSON. */
  write(epoch: number, state: unknown): string {
    return `${epoch} ${this.coded === undefined ? JSON.stringify(state) : encode(this.coded.state, state)}`
  }

  get initial(): unknown {
    return this.kernel.initial(this.policy)
  }

  /** The state in a value that was held, `undefined` if it is of an epoch before this one. */
  read(held: string | null, epoch: number): unknown {
    if (held === null) return undefined
    const end = held.indexOf(" ")
    if (!(Number(held.slice(0, end)) >= epoch)) return undefined
    const text = held.slice(end + 1)
    return this.coded === undefined ? JSON.parse(text) : this.coded.state.read(new Words(text))
  }
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
