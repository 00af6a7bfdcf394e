/**
 * One way to run a call under a limit: the limiter's own service, or a pipeline around it.
 */
import { Effect, type Fiber } from "effect"
import { World } from "effect-resilience-testing/World"
import { Bulkhead, CircuitBreaker, RateLimiter, Retry } from "../../src/index.ts"
import { clean, elsewhere, Stage } from "../laws/harness.ts"

export interface Door {
  readonly world: World
  readonly run: <A, E>(
    self: Effect.Effect<A, E>,
    key: string,
    options: { readonly cost: number; readonly maxWait: number }
  ) => Effect.Effect<A, unknown>
  /** Only a service of its own has these. */
  readonly service: RateLimiter.RateLimiterService<string, unknown> | undefined
  /** What a door may not have left behind once nobody calls any more. */
  readonly debris: () => unknown
  readonly clean: unknown
}

export type MakeDoor = (limit: RateLimiter.Limit, maxOps: number) => Door

const service: MakeDoor = (limit, maxOps) => {
  const world = new World({ maxOpsBeforeYield: maxOps })
  const limiter = world.get(RateLimiter.make(limit))
  return {
    world,
    run: (self, key, options) => limiter.execute(self, key, options),
    service: limiter,
    debris: () => ({ timers: world.sleeping, places: limiter.gate.members[0]!.places.size }),
    clean: { timers: 0, places: 0 }
  }
}

/** Everything beside the limit lets everybody through. */
const pipeline =
  (distant: boolean): MakeDoor =>
  (limit, maxOps) => {
    const stage = new Stage(
      {
        timeout: "1 day",
        attemptTimeout: "1 hour",
        circuitBreaker: CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.consecutive(1_000),
          openDuration: "1 second"
        }),
        rateLimiter: limit,
        bulkhead: Bulkhead.policy({ maxConcurrent: 10_000 }),
        retry: Retry.policy({ maxAttempts: 2, while: () => false })
      },
      {
        maxOps,
        store: distant
          ? (memory) =>
              elsewhere(memory, (_, nth) => (nth % 3 === 0 ? {} : { before: Effect.yieldNow, after: Effect.yieldNow }))
          : undefined
      }
    )
    return {
      world: stage.world,
      run: (self, key, options) => stage.call(self, { key, ...options }),
      service: undefined,
      debris: () => stage.debris(),
      clean
    }
  }

export const doors: Record<string, MakeDoor> = {
  "its own service": service,
  "a pipeline": pipeline(false),
  "a pipeline on a store elsewhere": pipeline(true)
}

/** At 2 and below any fiber livelocks. */
export const maxOpsOf = (die: number): number => 3 + (die < 50 ? die % 8 : die < 70 ? die : 2_045)

/** Calls under way, in the order of their arrival. */
export class Crowd {
  readonly live = new Set<Fiber.Fiber<unknown, unknown>>()
  private readonly door: Door
  constructor(door: Door) {
    this.door = door
  }

  fork(self: Effect.Effect<unknown, unknown>): Fiber.Fiber<unknown, unknown> {
    const fiber = this.door.world.fork(self)
    this.live.add(fiber)
    fiber.addObserver(() => this.live.delete(fiber))
    return fiber
  }

  /** Interrupts one of them. */
  interrupt(pick: number): void {
    const fibers = Array.from(this.live)
    fibers[pick % Math.max(1, fibers.length)]?.interruptUnsafe()
  }
}
