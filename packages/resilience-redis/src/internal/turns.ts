/**
 * Who is told when, of trips that were answered at once.
 */
import type { SchedulerDispatcher } from "effect/Scheduler"

/** So many turns of the scheduler later than the next one. */
export const later = (dispatcher: SchedulerDispatcher, turns: number, task: () => void): void =>
  dispatcher.scheduleTask(() => (turns === 0 ? task() : later(dispatcher, turns - 1, task)), 0)

/**
 * What a caller's callback throws reaches the process (`uncaughtException`), and no other call: not those whose answers come
 * after it, and not those that are sent by the same task.
 */
export const isolated = (callback: () => void): void => {
  try {
    callback()
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown
    })
  }
}

interface Heard {
  readonly size: number
  /** Does not throw. */
  readonly tell: () => void
}

/**
 * Of replies that came together, no more commits than `most` are told at a time, and what that brings about is sent before
 * the others are told: sent together it would be answered together again, and this process and Redis would wait for each
 * other.
 */
export class Turns {
  private readonly most: number
  /** Commits that were told lately, and replies that wait for their turn. */
  private told = 0
  private readonly waiting: Array<Heard> = []

  constructor(most: number) {
    this.most = most
  }

  hear(size: number, tell: () => void, dispatcher: SchedulerDispatcher): void {
    if (this.waiting.length === 0 && this.fits(size)) this.tell({ size, tell }, dispatcher)
    else this.waiting.push({ size, tell })
  }

  private fits(size: number): boolean {
    return this.told === 0 || this.told + size <= this.most
  }

  private tell({ size, tell }: Heard, dispatcher: SchedulerDispatcher): void {
    const isFirst = this.told === 0
    this.told += size
    tell()
    // in the next turn, what this brings about is handed to the client, which sends it in the one after that
    if (isFirst) later(dispatcher, 1, () => this.tellOthers(dispatcher))
  }

  private tellOthers(dispatcher: SchedulerDispatcher): void {
    this.told = 0
    for (let next = this.waiting[0]; next !== undefined && this.fits(next.size); next = this.waiting[0]) {
      this.waiting.shift()
      this.tell(next, dispatcher)
    }
  }
}
