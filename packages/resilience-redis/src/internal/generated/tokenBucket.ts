/** Compiled from packages/resilience/src/kernel/TokenBucket.ts by scripts/kernels.ts: not to be edited. */
import type { Compiled } from "../compiled.ts"

export const tokenBucket: Compiled = {
  id: "token-bucket@2",
  policy: {"record":[["limit","number"],["window","number"],["burst","number"]]},
  state: {"record":[["at","number"],["debt","number"],["since","number"],["refunded","number"]]},
  input: {"tag":"op","choices":[["take",[["cost","number"]]],["reset",[]],["refund",[["receipt",{"record":[["cost","number"],["before",{"record":[["at","number"],["debt","number"],["since","number"],["refunded","number"]]}],["after",{"record":[["at","number"],["debt","number"],["since","number"],["refunded","number"]]}]]}]]]]},
  lua: `local min = math.min
local max = math.max
local floor = math.floor
local ceil = math.ceil
local LEAST_TOLERANCE = 1000
local function isFarAhead(time, now, policy, span) return time - now > LEAST_TOLERANCE and time - now > span(policy) end
local function stepAnew(step, policy, given, fresh, input, now)
 local result = step(policy, fresh, input, now)
 return result[2] == fresh and ({result[1], given}) or result
end
local NEVER = -1
local function isWhole(value, least) return value >= least and value <= 9007199254740991 and floor(value) == value end
local function initial() return {at = 0, debt = 0, since = 0, refunded = 0} end
local function capacity(policy) return policy.burst * policy.window end
local function span(policy) return ceil(capacity(policy) / policy.limit) end
local function expiresAt(policy, state) return max(state.at + ceil(min(state.debt, capacity(policy)) / policy.limit), state.since) end
local function debtAt(policy, state, time) return max(0, min(state.debt, capacity(policy)) - (time - state.at) * policy.limit) end
local function decide(policy, state, debt, now, retryAfter, receipt) return {allowed = retryAfter == 0, retryAfter = retryAfter, remaining = floor((capacity(policy) - debt) / policy.window), resetAfter = max(0, expiresAt(policy, state) - now), receipt = receipt} end
local function stay(policy, state, now, retryAfter) return {decide(policy, state, debtAt(policy, state, (state.at > now and state.at or now)), now, retryAfter, {cost = 0, before = state, after = state}), state} end
local function take(policy, state, cost, now)
 if cost == 0 then return stay(policy, state, now, 0) end
 if cost > policy.burst then return stay(policy, state, now, NEVER) end
 local time = (state.at > now and state.at or now)
 local owed = debtAt(policy, state, time)
 local debt = owed + cost * policy.window
 local over = debt - capacity(policy)
 if over > 0 then return stay(policy, state, now, time - now + ceil(over / policy.limit)) end
 local fresh = owed == 0
 local after = {at = time, debt = debt, since = fresh and (state.since > time and state.since or time) or state.since, refunded = fresh and 0 or state.refunded}
 return {decide(policy, after, debt, now, 0, {cost = cost, before = state, after = after}), after}
end
local function same(a, b) return a.at == b.at and a.debt == b.debt and a.since == b.since and a.refunded == b.refunded end
local function refund(policy, state, receipt, now)
 local left = receipt.after
 if same(state, left) then return receipt.before end
 if left.at > state.at then return state end
 local time = (state.at > now and state.at or now)
 local back = min(receipt.cost * policy.window, debtAt(policy, state, time))
 if left.at < state.at then
  if left.at < state.since then return state end
  back = min(back, left.debt - (state.refunded - left.refunded) - (time - left.at) * policy.limit)
 end
 if back <= 0 then return state end
 local refunded = state.refunded + back
 local full = refunded > capacity(policy)
 return {at = state.at, debt = state.debt - back, since = full and (state.since > time and state.since or time) + 1 or state.since, refunded = full and 0 or refunded}
end
local function decided(policy, state, input, now)
 if input.op == "take" then return take(policy, state, input.cost, now) end
 return stay(policy, input.op == "refund" and refund(policy, state, input.receipt, now) or initial(), now, 0)
end
return {id = "token-bucket@2", initial = initial, expiresAt = expiresAt, isPolicy = function(____bindingPattern0)
  local window
  local limit
  local burst
  burst = ____bindingPattern0.burst
  limit = ____bindingPattern0.limit
  window = ____bindingPattern0.window
  return isWhole(limit, 1) and isWhole(window, 1) and isWhole(burst, 1)
 end, step = function(policy, state, input, now) return isFarAhead(state.at, now, policy, span) and stepAnew(decided, policy, state, initial(), input, now) or decided(policy, state, input, now) end}`
}
