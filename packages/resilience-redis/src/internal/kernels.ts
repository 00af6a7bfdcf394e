/**
 * The kernels that run in Redis, and how what they are told and hold is written.
 */
import type * as Redis from "effect/persistence/Redis"
import { type Codec, codecOf } from "./codec.ts"
import type { Compiled } from "./compiled.ts"
import { breaker } from "./generated/breaker.ts"
import { fixedWindow } from "./generated/fixedWindow.ts"
import { lease } from "./generated/lease.ts"
import { slidingLog } from "./generated/slidingLog.ts"
import { slidingWindow } from "./generated/slidingWindow.ts"
import { tokenBucket } from "./generated/tokenBucket.ts"
import { makeCommit } from "./scripts.ts"

export interface Coded {
  readonly compiled: Compiled
  /** Whether every number of a state is a whole one, as in all of our own kernels. */
  readonly isWhole: boolean
  readonly policy: Codec
  readonly state: Codec
  readonly input: Codec
}

type Commit = ReturnType<typeof makeCommit>

/** A script for several kernels, and the place of each in it. */
export interface Script {
  readonly commit: Commit extends Redis.Script<infer Config> ? Redis.Script<Config> : never
  readonly places: ReadonlyMap<string, number>
}

const ours: ReadonlyArray<Compiled> = [tokenBucket, lease, fixedWindow, slidingWindow, slidingLog, breaker]

export class Kernels {
  private readonly coded: ReadonlyMap<string, Coded>
  private readonly scripts = new Map<string, Script>()

  constructor(more: ReadonlyArray<Compiled>) {
    this.coded = new Map(
      [...ours, ...more].map((compiled): readonly [string, Coded] => {
        const { id, input, policy, state } = compiled
        const isWhole = ours.includes(compiled)
        return [id, { compiled, isWhole, policy: codecOf(policy), state: codecOf(state), input: codecOf(input) }]
      })
    )
  }

  /** `undefined` for a kernel that only this process knows. */
  find(id: string): Coded | undefined {
    return this.coded.get(id)
  }

  /** The script for these kernels. Their order means nothing, so there are few scripts. */
  script(ids: ReadonlyArray<string>): Script {
    const known = this.scripts.get(ids.length === 1 ? ids[0]! : ids.join(" "))
    if (known !== undefined) return known
    const distinct = [...new Set(ids)].sort()
    const name = distinct.join(" ")
    let script = this.scripts.get(name)
    if (script === undefined) {
      script = {
        commit: makeCommit(distinct.map((id) => this.coded.get(id)!)),
        places: new Map(distinct.map((id, i) => [id, i + 1]))
      }
      this.scripts.set(name, script)
    }
    this.scripts.set(ids.join(" "), script)
    return script
  }
}
