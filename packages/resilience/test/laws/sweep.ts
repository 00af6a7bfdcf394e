/**
 * Interrupts a call at every point where it can be interrupted, and says what must hold then.
 */
import { assert } from "@effect/vitest"
import { Cause, Effect, type Exit, type Fiber } from "effect"
import type { Event } from "../../src/Event.ts"
import type { Key } from "../../src/internal/key.ts"
import type { Policies } from "../../src/Policies.ts"
import { clean, Stage, type StoreService } from "./harness.ts"

/** One call among others. */
export interface Scenario {
  readonly policies: Policies
  readonly key?: Key
  readonly cost?: number
  readonly store?: (memory: StoreService) => StoreService
  /** What others did before the call arrives, and do while it runs. */
  readonly others?: (stage: Stage) => void
  /** The effect of the call. */
  readonly self: (run: number) => Effect.Effect<unknown, unknown>
}

/** What was so when the interruption came. */
interface Before {
  /** What the circuit had counted. */
  readonly counted: unknown
  /** Attempts that had ended, and that ran. */
  readonly ended: number
  readonly active: number
}

const beforeOf = (stage: Stage): Before => {
  const { active, started } = stage.body
  return { counted: stage.counts(), ended: started - active, active }
}

interface Begun {
  readonly stage: Stage
  readonly call: Fiber.Fiber<unknown, unknown>
}

const begin = (
  scenario: Scenario,
  options: { readonly maxOps: number; readonly sink: ((event: Event) => void) | undefined },
  withCall = true
): Begun => {
  const stage = new Stage(scenario.policies, { ...options, key: scenario.key, store: scenario.store })
  scenario.others?.(stage)
  const self = stage.body.of(scenario.self)
  const call: Effect.Effect<unknown, unknown> = withCall
    ? stage.call(self, scenario.cost === undefined ? {} : { cost: scenario.cost })
    : Effect.void
  return { stage, call: stage.world.fork(Effect.andThen(Effect.yieldNow, call)) }
}

/** At 2 and below any fiber livelocks. */
const LEAST_OPS = 3
const NEVER_YIELDS = 2048

export interface Interrupted {
  readonly label: string
  readonly stage: Stage
  /** The same world at the same time, in which the call never came. */
  readonly control: Stage
  /** When the interruption came. */
  readonly before: Before
  readonly exit: Exit.Exit<unknown, unknown>
}

/**
 * Runs a scenario once for each `MaxOpsBeforeYield` and each turn after which it can be interrupted, then once for each
 * operation of the call's fiber in which an interruption can arrive. `check` sees the world when the call has ended and
 * nothing is left to run at its time.
 */
export const sweep = (
  scenario: Scenario,
  check: (run: Interrupted) => "started" | undefined,
  sink?: (event: Event) => void
): { readonly runs: number; readonly interrupted: number; readonly completed: number } => {
  const counts = { runs: 0, interrupted: 0, completed: 0 }
  let justStarted = 0
  let attempts = 1
  const finish = (label: string, { call, stage }: Begun, before: Before) => {
    counts.runs++
    const { world } = stage
    while (call.pollUnsafe() === undefined) {
      if (!world.turn()) throw new Error(`${label}: the call hangs`)
    }
    if (stage.body.active > 0) throw new Error(`${label}: the effect still runs after the call`)
    world.runTo(world.now)
    const exit = call.pollUnsafe()!
    if (wasInterrupted(exit)) counts.interrupted++
    else counts.completed++
    const control = begin(scenario, { maxOps: NEVER_YIELDS, sink: undefined }, false).stage
    control.world.runTo(world.now)
    try {
      if (check({ label, stage, control, exit, before }) === "started") justStarted++
    } catch (error) {
      throw new Error(`${label}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }
  const turnsOf = (maxOps: number): number => {
    const { call, stage } = begin(scenario, { maxOps, sink })
    let turns = 0
    while (call.pollUnsafe() === undefined) {
      if (!stage.world.turn()) throw new Error(`MaxOpsBeforeYield ${maxOps}: the call hangs`)
      turns++
    }
    attempts = Math.max(1, stage.body.started)
    return turns
  }
  const fewest = turnsOf(NEVER_YIELDS)
  // until nothing changes any more: as many turns as without a yield, and so again
  for (let maxOps = LEAST_OPS, same = 0; same < 3; maxOps++) {
    const turns = turnsOf(maxOps)
    same = turns === fewest ? same + 1 : 0
    justStarted = 0
    for (let k = 0; k <= turns; k++) {
      const run = begin(scenario, { maxOps, sink })
      for (let i = 0; i < k; i++) run.stage.world.turn()
      const before = beforeOf(run.stage)
      run.call.interruptUnsafe()
      finish(`MaxOpsBeforeYield ${maxOps}, interrupted after ${k} of ${turns} turns`, run, before)
    }
    if (justStarted > 0) throw new Error(`MaxOpsBeforeYield ${maxOps}: ${justStarted} calls paid without a start`)
  }
  justStarted = 0
  for (let op = 1; ; op++) {
    const run = begin(scenario, { maxOps: NEVER_YIELDS, sink })
    const before = interruptInOperation(run, op)
    if (before === undefined) break
    finish(`interrupted in operation ${op}`, run, before)
  }
  // an interruption from inside the very operation that starts an attempt comes too late to take it back
  if (justStarted > attempts) throw new Error(`${justStarted} calls paid without a start`)
  return counts
}

/** Interrupts a call from inside its own n-th operation; the fiber learns of it in the middle of a synchronous stretch. */
const interruptInOperation = ({ call, stage }: Begun, nth: number): Before | undefined => {
  const { world } = stage
  const seen: { ops: number; before: Before | undefined } = { ops: 0, before: undefined }
  world.onOp = (fiber) => {
    if (fiber === call && ++seen.ops === nth) {
      seen.before = beforeOf(stage)
      call.interruptUnsafe()
    }
  }
  while (seen.before === undefined && call.pollUnsafe() === undefined && world.turn());
  world.onOp = undefined
  return seen.before
}

export const wasInterrupted = (exit: Exit.Exit<unknown, unknown>): boolean =>
  exit._tag === "Failure" && Cause.hasInterruptsOnly(exit.cause)

/** What a circuit has counted, and one failed call more. */
const withFailure = (counts: unknown): unknown =>
  (counts as ReadonlyArray<{ readonly calls: number; readonly bad: number }>).map((window) => ({
    ...window,
    calls: window.calls + 1,
    bad: window.bad + 1
  }))

/** Units that a limit has given out. */
export const used = (stage: Stage, limit: string, key?: Key): number =>
  stage.inspect(key).rateLimiter?.limits[limit]?.used ?? 0

/**
 * What must hold however and wherever a call was interrupted. `quota` is a limit that never refills within a test, so
 * that it counts what was spent. Tells whether the interruption fell between the engine's "starts now" and the effect's
 * own first operation, which no program can tell apart from an attempt that had just started.
 */
export const conserved = (
  { control, exit, stage, before }: Interrupted,
  options: {
    /** Units spent by a call whose effect started so often. */
    readonly spends?: ((started: number) => number) | undefined
    /** Whether the replies of a store elsewhere must come in first. */
    readonly later?: boolean | undefined
  } = {}
): "started" | undefined => {
  const { spends = (started) => Math.min(1, started), later = false } = options
  const { body } = stage
  const cut = wasInterrupted(exit)
  const seen = stage.seen()
  const unseen = control.seen()
  const counts = [stage.counts(), control.counts()]

  stage.world.runOut()
  control.world.runTo(stage.world.now)
  stage.world.runTo(control.world.now)
  assert.deepStrictEqual(stage.debris(), clean)
  const spent = used(stage, "quota") - used(control, "quota")
  const justStarted = cut && spent !== spends(body.started) && spent === spends(body.started + 1)
  if (!justStarted) assert.strictEqual(spent, spends(body.started), "units spent")
  if (body.started === 0 && !justStarted) {
    if (!later) assert.deepStrictEqual(seen, unseen, "a call that never ran left a trace")
    // what others did a moment later, because of trips, is past by then
    for (const { world } of [stage, control]) world.advance(60_000)
    assert.deepStrictEqual(stage.seen(), control.seen(), "a call that never ran left a trace in the end")
  }
  if (cut && body.started === body.cut && !later) {
    // others may have ended since the interruption; what they count, they count in the other world too
    const [now, unaided] = counts
    const { active, counted, ended } = before
    const known = [counted, unaided]
    const failed = known.map(withFailure)
    // a call whose attempt has failed reports that; whether the call has seen the end of its only attempt, no test can tell
    const reports = ended > 0 && !stage.service.pipeline.perAttempt
    const allowed = !reports ? known : active > 0 ? failed : [...known, ...failed]
    assert.deepInclude(allowed, now, "an interruption was counted, or hid a failure")
  }
  return justStarted ? "started" : undefined
}
