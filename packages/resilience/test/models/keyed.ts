/** What is kept for each key, where the number of keys is bounded. Absent means as good as new. */
export class Keyed<V> {
  private readonly kept = new Map<string, V>()
  private readonly make: (key: string) => V
  private readonly maxKeys: number
  /** When a key may be forgotten; a key in use never is. */
  private readonly endsAt: (value: V, now: number) => number
  /** Of those that may not be forgotten yet, the lowest goes first, and `Infinity` never. */
  private readonly rankOf: (value: V) => number
  private readonly inUse: (key: string) => boolean
  /** Among keys of one rank, any may have gone. */
  private readonly hasGone: (key: string) => boolean
  private readonly onEvict: () => void
  /** Once more keys than the bound were in use, one that is as good as new may still be there in place of another. */
  private crowded = false

  constructor(options: {
    readonly make: (key: string) => V
    readonly maxKeys: number | undefined
    readonly endsAt: (value: V, now: number) => number
    readonly rankOf: (value: V) => number
    readonly inUse: (key: string) => boolean
    readonly hasGone: (key: string) => boolean
    readonly onEvict: () => void
  }) {
    this.make = options.make
    this.maxKeys = options.maxKeys ?? Infinity
    this.endsAt = options.endsAt
    this.rankOf = options.rankOf
    this.inUse = options.inUse
    this.hasGone = options.hasGone
    this.onEvict = options.onEvict
  }

  private others(key: string, now: number): ReadonlyArray<readonly [key: string, end: number]> {
    const all = Array.from(this.kept, ([name, value]) => [name, this.endsAt(value, now)] as const)
    return all.filter(([name, end]) => name !== key && (end > now || this.inUse(name)))
  }

  /** As it is, or as good as new. */
  get(key: string): V {
    return this.kept.get(key) ?? this.make(key)
  }

  isThere(key: string, now: number): boolean {
    const value = this.kept.get(key)
    return value !== undefined && (this.endsAt(value, now) > now || this.inUse(key))
  }

  hasRoom(key: string, now: number): boolean {
    return this.isThere(key, now) || this.others(key, now).length < this.maxKeys
  }

  /** To be remembered from now on: where there are too many, the one of the lowest rank goes. */
  keep(key: string, now: number, value: V = this.get(key), there = this.isThere(key, now)): V {
    if (!there) {
      for (;;) {
        const others = this.others(key, now)
        if (others.length < this.maxKeys) break
        const idle = others
          .filter(([name]) => !this.inUse(name))
          .map(([name]) => [name, this.rankOf(this.kept.get(name)!)] as const)
          .filter(([, rank]) => rank < Infinity)
        const first = Math.min(...idle.map(([, rank]) => rank))
        const nearest = idle.filter(([, rank]) => rank === first).map(([name]) => name)
        const gone = nearest.find((name) => this.hasGone(name))
        if (gone === undefined) {
          if (idle.length > 0 && !this.crowded) throw new Error(`of ${nearest.join()} none was forgotten for ${key}`)
          this.crowded = true
          break
        }
        this.kept.delete(gone)
        this.onEvict()
      }
    }
    this.kept.set(key, value)
    return value
  }

  forget(key: string): void {
    this.kept.delete(key)
  }

  renew(key: string): void {
    if (this.kept.has(key)) this.kept.set(key, this.make(key))
  }

  keys(): ReadonlyArray<string> {
    return Array.from(this.kept.keys())
  }
}
