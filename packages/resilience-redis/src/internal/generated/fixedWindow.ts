/** Compiled from packages/resilience/src/kernel/FixedWindow.ts by scripts/kernels.ts: not to be edited. */
import type { Compiled } from "../compiled.ts"

export const fixedWindow: Compiled = {
  id: "fixed-window@2",
  policy: {"record":[["limit","number"],["window","number"]]},
  state: {"record":[["start","number"],["used","number"]]},
  input: {"tag":"op","choices":[["take",[["cost","number"]]],["reset",[]],["refund",[["receipt",{"record":[["start","number"],["cost","number"]]}]]]]},
  lua: `local max = math.max
local floor = math.floor
local LEAST_TOLERANCE = 1000
local function isFarAhead(time, now, policy, span) return time - now > LEAST_TOLERANCE and time - now > span(policy) end
local function stepAnew(step, policy, given, fresh, input, now)
 local result = step(policy, fresh, input, now)
 return result[2] == fresh and ({result[1], given}) or result
end
local NEVER = -1
local function isWhole(value, least) return value >= least and value <= 9007199254740991 and floor(value) == value end
local function initial() return {start = 0, used = 0} end
local function span(policy) return policy.window end
local function startOf(policy, time) return floor(time / policy.window) * policy.window end
local function windowAt(policy, state, now) return startOf(policy, (state.start > now and state.start or now)) end
local function usedIn(policy, state, start) return start == startOf(policy, state.start) and state.used or 0 end
local function expiresAt(policy, state) return state.used == 0 and state.start or startOf(policy, state.start) + policy.window end
local function decide(policy, used, resetAfter, retryAfter, receipt) return {allowed = retryAfter == 0, retryAfter = retryAfter, remaining = max(0, policy.limit - used), resetAfter = (resetAfter > 0 and resetAfter or 0), receipt = receipt} end
local function stay(policy, state, now, retryAfter) return {decide(policy, usedIn(policy, state, windowAt(policy, state, now)), expiresAt(policy, state) - now, retryAfter, {start = state.start, cost = 0}), state} end
local function take(policy, state, cost, now)
 if cost == 0 then return stay(policy, state, now, 0) end
 if cost > policy.limit then return stay(policy, state, now, NEVER) end
 local start = windowAt(policy, state, now)
 local used = usedIn(policy, state, start) + cost
 local left = start + policy.window - now
 if used > policy.limit then return stay(policy, state, now, left) end
 return {decide(policy, used, left, 0, {start = start, cost = cost}), {start = start, used = used}}
end
local function refund(state, receipt)
 local back = state.start == receipt.start and (state.used < receipt.cost and state.used or receipt.cost) or 0
 return back == 0 and state or ({start = state.start, used = state.used - back})
end
local function decided(policy, state, input, now)
 if input.op == "take" then return take(policy, state, input.cost, now) end
 return stay(policy, input.op == "refund" and refund(state, input.receipt) or initial(), now, 0)
end
return {id = "fixed-window@2", initial = initial, expiresAt = expiresAt, isPolicy = function(policy) return isWhole(policy.limit, 1) and isWhole(policy.window, 1) end, step = function(policy, state, input, now) return isFarAhead(state.start, now, policy, span) and stepAnew(decided, policy, state, initial(), input, now) or decided(policy, state, input, now) end}`
}
