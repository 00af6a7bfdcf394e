/** Who is let in: circuit, limits and slots, asked in one step. Nothing changes here. */
import type { CallModel } from "./call.ts"
import type { CircuitModel } from "./circuit.ts"
import type { Meter } from "./limits.ts"
import type { LimitNumbers, SlotNumbers } from "./numbers.ts"

export type Verdict =
  | { readonly is: "admitted" }
  | { readonly is: "rejected"; readonly rejection: Readonly<Record<string, unknown>> }
  | { readonly is: "timeout" }
  | { readonly is: "waits"; readonly queue: Line; readonly lines: ReadonlyArray<NamedLine>; readonly until: number }

type Line = "limit" | "shared" | "slots"
/** A line that the call may stand in, and what the service calls it. */
interface NamedLine {
  readonly queue: Line
  readonly name: string
}

export interface AskedLimit {
  readonly field: "limit" | "shared"
  readonly name: string
  readonly key: string
  readonly numbers: LimitNumbers
  readonly meter: Meter
  readonly hasRoom: boolean
}

export interface Asked {
  readonly call: CallModel
  readonly label: string
  readonly circuit: CircuitModel | undefined
  readonly circuitLabel: string
  readonly limits: ReadonlyArray<AskedLimit>
  readonly slots: SlotNumbers | undefined
  readonly running: number
  /** When a wait ends at the latest: an attempt that begins then has the time that attempts take. */
  readonly ends: number
  /** All who wait, oldest first. */
  readonly waiting: ReadonlyArray<CallModel>
}

/** When a call at the end of this line would go, if all before it, and it, go unit by unit and as early as they can. */
const waitBehind = (meter: Meter, line: ReadonlyArray<CallModel>, cost: number, now: number): number => {
  const copy = meter.copy()
  let at = now
  for (let units = line.reduce((sum, before) => sum + before.cost, cost); units > 0; units--) {
    at += copy.wait(1, at) ?? 0
    copy.take(1, at)
  }
  return at - now
}

/** Whether a call stands in this line, where another one would stand in it. */
export const standsWith = (call: CallModel, other: CallModel, queue: Line): boolean =>
  call.queue === queue && (queue !== "limit" || call.user === other.user)

const judgeLimit = (asked: Asked, limit: AskedLimit, now: number) => {
  const { call, waiting } = asked
  const { key, meter, name, numbers } = limit
  const refuse = (reason: string, retryAfterMillis: number | undefined, final: boolean, until = Infinity) => ({
    refused: { limit: name, key, reason, retryAfterMillis },
    final,
    until,
    field: limit.field
  })
  const own = meter.wait(call.cost, now)
  if (own === undefined) return refuse("cost-exceeds-capacity", undefined, true)
  if (!limit.hasRoom) return refuse("too-many-keys", undefined, true)
  const line = waiting.filter((other) => standsWith(other, call, limit.field))
  const older = line.filter(({ order }) => order < call.order)
  if (own === 0 && older.length === 0) return undefined
  const arrives = call.order === Infinity
  const wait = Math.max(1, own, arrives && older.length > 0 ? waitBehind(meter, older, call.cost, now) : 0)
  const maxWait = call.maxWait ?? numbers.maxWait
  const until = Math.min(call.arrivedAt + maxWait, asked.ends)
  if (maxWait === 0) return refuse("limit", wait, true)
  if (arrives && line.length >= numbers.maxQueued) return refuse("queue-full", wait, true)
  if (now + wait > until || (!arrives && now >= until)) return refuse("wait-too-long", wait, true)
  return refuse("limit", wait, false, until)
}

const judgeSlots = (asked: Asked, slots: SlotNumbers, now: number) => {
  const { call, running, waiting } = asked
  const line = waiting.filter(({ queue }) => queue === "slots")
  const older = line.filter(({ order }) => order < call.order)
  if (running < slots.maxConcurrent && older.length === 0) return undefined
  const arrives = call.order === Infinity
  const until = Math.min(call.arrivedAt + slots.maxWait, asked.ends)
  if (slots.maxWait === 0) return { reason: "full" }
  if (arrives && line.length >= slots.maxQueued) return { reason: "queue-full" }
  return now >= until ? { reason: "wait-too-long" } : { until }
}

export const judge = (asked: Asked, now: number): Verdict => {
  const { call, circuit, label } = asked
  const reject = (rejection: Readonly<Record<string, unknown>>): Verdict => ({ is: "rejected", rejection })
  const closedFor = call.whole ? circuit?.wait(now) : 0
  if (call.whole && circuit !== undefined && closedFor !== 0) {
    return reject({
      _tag: "CircuitOpen",
      key: asked.circuitLabel,
      state: circuit.phase,
      openedBy: circuit.openedBy,
      retryAfterMillis: closedFor
    })
  }
  const limits = call.whole ? asked.limits.flatMap((limit) => judgeLimit(asked, limit, now) ?? []) : []
  const slot = asked.slots === undefined ? undefined : judgeSlots(asked, asked.slots, now)
  if (limits.length === 0 && slot === undefined) return { is: "admitted" }
  if (call.order < Infinity && now >= call.deadline) return { is: "timeout" }
  if (limits.some(({ final }) => final)) {
    const refused = limits.map((limit) => limit.refused)
    const longest = refused.reduce((a, b) =>
      (b.retryAfterMillis ?? Infinity) > (a.retryAfterMillis ?? Infinity) ? b : a
    )
    const { reason, retryAfterMillis } = longest
    return reject({ _tag: "RateLimitExceeded", key: label, reason, retryAfterMillis, limits: refused })
  }
  if (slot?.reason !== undefined) return reject({ _tag: "BulkheadFull", key: label, reason: slot.reason })
  const until = Math.min(slot?.until ?? Infinity, ...limits.map((limit) => limit.until))
  /** Whether a call that would move there is younger than all in a full line. */
  const isFull = (queue: Line, maxQueued: number) => {
    if (call.queue === queue) return false
    const line = asked.waiting.filter((other) => other !== call && standsWith(other, call, queue))
    return line.length >= maxQueued && line.every(({ order }) => order < call.order)
  }
  if (limits.length === 0) {
    if (isFull("slots", asked.slots!.maxQueued)) {
      return reject({ _tag: "BulkheadFull", key: label, reason: "queue-full" })
    }
    return { is: "waits", queue: "slots", lines: [{ queue: "slots", name: "bulkhead" }], until }
  }
  const longest = limits.reduce((a, b) => (b.refused.retryAfterMillis! > a.refused.retryAfterMillis! ? b : a))
  const { field } = longest
  if (isFull(field, asked.limits.find((limit) => limit.field === field)!.numbers.maxQueued)) {
    const refused = limits.map((limit) =>
      limit === longest ? { ...limit.refused, reason: "queue-full" } : limit.refused
    )
    const { retryAfterMillis } = longest.refused
    return reject({ _tag: "RateLimitExceeded", key: label, reason: "queue-full", retryAfterMillis, limits: refused })
  }
  const lines = limits.map(({ field, refused }) => ({ queue: field, name: refused.limit }))
  return { is: "waits", queue: longest.field, lines, until }
}
