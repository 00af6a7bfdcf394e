/**
 * From members to a pipeline: sorted by stage, not by order given.
 */
import * as Effect from "effect/Effect"
import { builtSink } from "../internal/events.ts"
import { nowOf } from "../internal/time.ts"
import type { Guarded, Local } from "../Policy.ts"
import { type Longest, type Member, type Run, Stage } from "../Policy.ts"
import { CallAttempt } from "./Call.ts"
import { Expected } from "./Expected.ts"
import type { Classify, Pipeline } from "./Pipeline.ts"
import { attemptRun, bareRun, enter } from "./run.ts"

export interface AssembleOptions {
  readonly perAttempt?: boolean | undefined
  readonly classify?: Classify | undefined
}

/** The members of some stages as layers around a run. */
const around = (members: ReadonlyArray<Member>, from: number, to: number, inside: Run): Run =>
  members.reduceRight(
    (next, member) =>
      member.around !== undefined && member.stage >= from && member.stage < to ? member.around(next) : next,
    inside
  )

/** How long a call, and an attempt, may last at most. */
export const longestOf = (members: ReadonlyArray<Member>): Longest => {
  const longest = (isInside: boolean) =>
    members.reduce(
      (least, { longest = Infinity, stage }) => (stage >= Stage.retry === isInside ? Math.min(least, longest) : least),
      Infinity
    )
  return { call: longest(false), attempt: longest(true) }
}

/** From this stage on, what stands around an attempt is observed as a part of it. */
const OBSERVED = 85

export const assemble = (
  id: string,
  given: ReadonlyArray<Member>,
  store: Local | Guarded,
  { classify, perAttempt = false }: AssembleOptions = {}
): Pipeline => {
  const members = [...new Set(given)].sort((a, b) => a.stage - b.stage)
  const gates = members.filter(({ enter }) => enter !== undefined)
  const isInside = ({ around, stage }: Member) => around !== undefined && stage > Stage.retry
  const attempt = attemptRun(around(members, OBSERVED, Infinity, CallAttempt.begin))
  const clocked = members.some(({ clocksAttempts }) => clocksAttempts === true)
  const longest = longestOf(members)
  const cap = Math.min(longest.call, longest.attempt)
  const mayWait = members.some(({ waits }) => waits === true)
  return {
    id,
    store,
    members,
    gates,
    again: perAttempt ? gates : gates.filter(({ scope }) => scope === "attempt"),
    perAttempt,
    classify,
    sink: builtSink(),
    hints: members.flatMap(({ hint }) => (hint === undefined ? [] : [hint])),
    longest,
    expected: mayWait && longest.call !== Infinity ? new Expected(cap) : undefined,
    clocked,
    timed: members.some(({ around, stage }) => around !== undefined && stage < Stage.retry),
    // the admission is asked in the same step in which the first attempt may begin
    run: around(members, 0, Stage.retry + 1, (attempt) =>
      Effect.suspend(() => enter(attempt as CallAttempt, nowOf(attempt.call.fiber)))
    ),
    inside: clocked || members.some(isInside) ? around(members, Stage.retry + 1, OBSERVED, attempt) : bareRun(attempt)
  }
}
