/**
 * A kernel as a user may write one, with one of everything that plain data may hold: a list of guests, by name.
 */
import type { Decision, Kernel } from "effect-resilience/kernel/Kernel"

export interface GuestsPolicy {
  readonly seats: number
  readonly host: string
}

export interface Guest {
  readonly name: string
  readonly child: boolean
  readonly since: number
}

export interface GuestsState {
  readonly guests: ReadonlyArray<Guest>
  readonly told: ReadonlyArray<string>
  readonly mood: "calm" | "full"
}

export type GuestsInput =
  | { readonly op: "come"; readonly name: string; readonly child: boolean }
  | { readonly op: "leave"; readonly name: string }

export interface GuestsAnswer extends Decision {
  readonly host: string
  readonly guests: ReadonlyArray<Guest>
  readonly told: ReadonlyArray<string>
}

type Step = readonly [answer: GuestsAnswer, state: GuestsState]

const answer = (policy: GuestsPolicy, state: GuestsState, allowed: boolean): Step => [
  { allowed, host: policy.host, guests: state.guests, told: state.told },
  state
]

const come = (policy: GuestsPolicy, state: GuestsState, name: string, child: boolean, now: number): Step => {
  if (state.guests.length >= policy.seats) return answer(policy, state, false)
  const guests: Array<Guest> = []
  for (const guest of state.guests) guests.push(guest)
  guests.push({ name, child, since: now })
  return answer(policy, { guests, told: [name], mood: guests.length === policy.seats ? "full" : "calm" }, true)
}

const leave = (policy: GuestsPolicy, state: GuestsState, name: string): Step => {
  const guests: Array<Guest> = []
  const told: Array<string> = []
  for (const guest of state.guests) {
    if (guest.name !== name) {
      guests.push(guest)
      told.push(guest.name)
    }
  }
  return answer(policy, { guests, told, mood: "calm" }, true)
}

/** Of no use to a store that runs the compiled kernel: neither it nor what only it needs is in the script. */
const longest = 1_000
const lastOf = (state: GuestsState): number => {
  let last = 0
  for (const guest of state.guests) last = Math.max(last, guest.since)
  return last
}

export const guests: Kernel<GuestsPolicy, GuestsState, GuestsInput, GuestsAnswer> = {
  id: "guests@1",
  initial: () => ({ guests: [], told: [], mood: "calm" }),
  step: (policy, state, input, now) =>
    input.op === "come" ? come(policy, state, input.name, input.child, now) : leave(policy, state, input.name),
  span: (policy) => longest * policy.seats,
  rank: (_policy, state) => lastOf(state),
  expiresAt: (_policy, state) => (state.guests.length === 0 && state.told.length === 0 ? 0 : undefined)
}
