/**
 * What a limiter remembers of its resets.
 */

/**
 * Which keys were reset lately: what a call took before that is not its to give back any more. Where there were too
 * many, whoever came before is taken to be one of them, which errs on the side of the limit.
 */
export class Resets {
  count = 0
  private floor = 0
  private readonly of = new Map<string, number>()

  note(keys: ReadonlyArray<string>): void {
    if (this.of.size >= 1_024) this.noteAll()
    this.count++
    keys.forEach((key, i) => this.of.set(`${i}/${key}`, this.count))
  }

  noteAll(): void {
    this.of.clear()
    this.floor = ++this.count
  }

  /** Whether the key of the `i`-th limit was reset after `count`. */
  since(count: number, key: string, i: number): boolean {
    return this.floor > count || (this.of.get(`${i}/${key}`) ?? 0) > count
  }
}
