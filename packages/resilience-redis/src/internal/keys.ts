/**
 * Where a state lives in Redis.
 *
 *     shop:2:{service/Payments}:Payments/perUser:token-bucket@2:ada
 *     prefix layout  tag        space            kernel         key
 *
 * Each part is escaped so that it holds no colon and no brace: no two places are one key, and the tag is what Redis Cluster
 * chooses the slot by. A space that may be spread has one of `SHARDS` tags, by its key: `{key/417}`.
 */
import { createHash } from "node:crypto"
import type { AnySpace } from "effect-resilience/Store"
import { escape } from "./codec.ts"

/** So many places has a space that is spread. A power of 2; every process must have the same. */
export const SHARDS = 1024

/** Of what stands in keys and values. Another layout is another number: then what older versions wrote is not looked at. */
const LAYOUT = 2

/** A longer name is hashed: it would cost memory for as long as its state lives, and time in every call. */
const LONGEST = 1_000

/** No short name begins so: an escaped one holds no `~`. UTF-16 is hashed, since in UTF-8 all lone surrogates are one. */
const hashed = (text: string): string => `~${createHash("sha256").update(Buffer.from(text, "utf16le")).digest("hex")}`

const nameOf = (text: string): string => (text.length > LONGEST ? hashed(text) : escape(text))

/** A part without what divides parts. */
const part = (text: string): string => nameOf(text).replaceAll(":", "%3A")

/** FNV-1a over UTF-16. */
const shardOf = (key: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return (hash ^ (hash >>> 15)) & (SHARDS - 1)
}

/** What a space's name begins with, up to the last slash: the service, whose keys are committed together. */
const serviceOf = (name: string): string => {
  const slash = name.lastIndexOf("/")
  return slash < 0 ? name : name.slice(0, slash)
}

/** One tag of a space. */
export interface Head {
  /** What all keys of the space in this tag begin with. */
  readonly space: string
  /** The key that says of every space in this tag what was cleared. */
  readonly cleared: string
}

export class Places {
  private readonly prefix: string
  private readonly space: string
  /** One, or one for each shard. */
  private readonly heads: Array<Head | undefined>
  private readonly service: string

  constructor(prefix: string, space: AnySpace) {
    this.prefix = part(prefix)
    this.space = `:${part(space.name)}:${part(space.kernel.id)}:`
    this.service = part(serviceOf(space.name))
    this.heads = new Array<Head | undefined>(space.spread === true ? SHARDS : 1).fill(undefined)
  }

  private head(i: number): Head {
    const known = this.heads[i]
    if (known !== undefined) return known
    const tag = `${this.prefix}:${LAYOUT}:{${this.heads.length > 1 ? `key/${i}` : `service/${this.service}`}}`
    const head = { space: tag + this.space, cleared: `${tag}:cleared` }
    this.heads[i] = head
    return head
  }

  /** The key of the state; its first `space` characters are those of the space, the same for all its keys of one tag. */
  of(key: string): { readonly state: string; readonly space: number; readonly cleared: string } {
    const name = nameOf(key)
    const { cleared, space } = this.headOf(name)
    return { state: space + name, space: space.length, cleared }
  }

  /** The key that says what was cleared where this key is. */
  clearedOf(key: string): string {
    return this.heads.length > 1 ? this.headOf(nameOf(key)).cleared : this.head(0).cleared
  }

  private headOf(name: string): Head {
    return this.head(this.heads.length > 1 ? shardOf(name) : 0)
  }

  /** For every tag that the space has keys of: what `cleared` there calls the space. */
  all(): ReadonlyArray<Head> {
    return this.heads.map((_, i) => this.head(i))
  }
}
