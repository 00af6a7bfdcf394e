/**
 * A dependency at work, in virtual time. It knows requests, not callers: one that was given up is worked on all the same.
 */
import type { Dependency, Reason } from "../Dependency.ts"
import type { World } from "../World.ts"
import type { Draw } from "./streams.ts"

/** What chance has in store for a request, drawn before anything is known about its time. */
export interface Fate {
  readonly latency: number
  readonly error: number
  readonly outage: number
}

export const fateOf = (dependency: Dependency<unknown>, draw: Draw): Fate => ({
  latency: dependency.latency.draw(draw),
  error: draw(),
  outage: draw()
})

/** A request, from its arrival at the dependency to its answer. */
export class Request {
  readonly fate: Fate
  /** `undefined` once the caller has gone. */
  answer: ((failure: Reason | undefined) => void) | undefined
  constructor(fate: Fate, answer: (failure: Reason | undefined) => void) {
    this.fate = fate
    this.answer = answer
  }
}

export class Upstream {
  /** Requests that ever arrived. */
  requests = 0
  /** Requests that were worked on to the end for a caller that had gone. */
  wasted = 0
  running = 0
  private readonly dependency: Dependency<unknown>
  private readonly world: World
  private readonly begun: number
  private readonly concurrency: number
  private readonly places: number
  private line: Array<Request> = []
  private head = 0

  constructor(dependency: Dependency<unknown>, world: World) {
    this.dependency = dependency
    this.world = world
    this.begun = world.now
    this.concurrency = dependency.capacity?.concurrency ?? Infinity
    this.places = dependency.capacity?.queue ?? 0
  }

  get queued(): number {
    return this.line.length - this.head
  }

  arrive(request: Request): void {
    this.requests++
    if (this.running < this.concurrency) this.work(request)
    else if (this.queued < this.places) this.line.push(request)
    else request.answer?.("full")
  }

  private work(request: Request): void {
    this.running++
    const { error, latency, outage } = request.fate
    let failure: Reason | undefined = error < this.dependency.errorRate ? "error" : undefined
    let duration = latency
    const now = this.world.now - this.begun
    for (const { after, factor, from, mode, recovery, share, to } of this.dependency.outages) {
      // among those that meet it, `outage / share` is uniform again: it says when it is over for this one
      const over = to + (recovery * outage) / share
      if (now < from || now >= over || outage >= share) continue
      if (mode === "fails") {
        failure = "outage"
        duration = after ?? latency
      } else {
        duration = mode === "slow" ? latency * factor : over - now + latency
      }
      break
    }
    this.world.at(this.world.now + Math.round(duration), () => this.finish(request, failure))
  }

  private finish(request: Request, failure: Reason | undefined): void {
    this.running--
    if (request.answer === undefined) this.wasted++
    // who waits in line is next, before the answer can bring anybody else
    const next = this.next()
    if (next !== undefined) this.work(next)
    request.answer?.(failure)
  }

  private next(): Request | undefined {
    const next = this.line[this.head]
    if (next === undefined) return undefined
    if (++this.head * 2 > this.line.length) {
      this.line = this.line.slice(this.head)
      this.head = 0
    }
    return next
  }
}
