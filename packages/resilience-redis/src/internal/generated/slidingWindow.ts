/** Compiled from packages/resilience/src/kernel/SlidingWindow.ts by scripts/kernels.ts: not to be edited. */
import type { Compiled } from "../compiled.ts"

export const slidingWindow: Compiled = {
  id: "sliding-window@2",
  policy: {"record":[["limit","number"],["slice","number"],["slices","number"]]},
  state: {"record":[["start","number"],["counts",{"list":"number"}]]},
  input: {"tag":"op","choices":[["take",[["cost","number"]]],["reset",[]],["refund",[["receipt",{"record":[["start","number"],["cost","number"]]}]]]]},
  lua: `local min = math.min
local max = math.max
local floor = math.floor
local LEAST_TOLERANCE = 1000
local function isFarAhead(time, now, policy, span) return time - now > LEAST_TOLERANCE and time - now > span(policy) end
local function stepAnew(step, policy, given, fresh, input, now)
 local result = step(policy, fresh, input, now)
 return result[2] == fresh and ({result[1], given}) or result
end
local NEVER = -1
local function isWhole(value, least) return value >= least and value <= 9007199254740991 and floor(value) == value end
local function initial() return {start = 0, counts = {}} end
local function span(policy) return (policy.slices + 1) * policy.slice end
local function sliceOf(policy, time) return floor(time / policy.slice) end
local function sliceAt(policy, state, now) return sliceOf(policy, (state.start > now and state.start or now)) end
local function countOf(state, k) return state.counts[k + 1] or 0 end
local function totalAt(policy, state, age)
 local last = min(policy.slices - age, #state.counts - 1)
 local total = 0
 do
  local k = 0
  while k <= last do
   total = total + countOf(state, k)
   k = k + 1
  end
 end
 return total
end
local function gone(policy, slice) return (slice + policy.slices + 1) * policy.slice end
local function expiresAt(policy, state)
 local last = min(policy.slices, #state.counts - 1)
 do
  local k = 0
  while k <= last do
   if countOf(state, k) > 0 then return gone(policy, sliceOf(policy, state.start) - k) end
   k = k + 1
  end
 end
 return state.start
end
local function decide(policy, state, now, retryAfter, receipt) return {allowed = retryAfter == 0, retryAfter = retryAfter, remaining = max(0, policy.limit - totalAt(policy, state, sliceAt(policy, state, now) - sliceOf(policy, state.start))), resetAfter = max(0, expiresAt(policy, state) - now), receipt = receipt} end
local function stay(policy, state, now, retryAfter) return {decide(policy, state, now, retryAfter, {start = state.start, cost = 0}), state} end
local function put(policy, state, age, k, cost)
 local counts = {}
 do
  local i = 0
  while i <= policy.slices do
   counts[i + 1] = countOf(state, i - age) + (i == k and cost or 0)
   i = i + 1
  end
 end
 return {start = (sliceOf(policy, state.start) + age) * policy.slice, counts = counts}
end
local function take(policy, state, cost, now)
 if cost == 0 then return stay(policy, state, now, 0) end
 if cost > policy.limit then return stay(policy, state, now, NEVER) end
 local slice = sliceAt(policy, state, now)
 local age = slice - sliceOf(policy, state.start)
 local over = totalAt(policy, state, age) + cost - policy.limit
 local left = policy.slices
 do
  while over > 0 do
   over = over - countOf(state, left - age)
   left = left - 1
  end
 end
 if left < policy.slices then return stay(policy, state, now, gone(policy, slice - left - 1) - now) end
 local after = put(policy, state, age, 0, cost)
 return {decide(policy, after, now, 0, {start = after.start, cost = cost}), after}
end
local function refund(policy, state, receipt)
 local k = sliceOf(policy, state.start) - sliceOf(policy, receipt.start)
 local back = min(receipt.cost, countOf(state, k))
 return back == 0 and state or put(policy, state, 0, k, -back)
end
local function decided(policy, state, input, now)
 if input.op == "take" then return take(policy, state, input.cost, now) end
 return stay(policy, input.op == "refund" and refund(policy, state, input.receipt) or initial(), now, 0)
end
return {id = "sliding-window@2", initial = initial, expiresAt = expiresAt, isPolicy = function(policy) return isWhole(policy.limit, 1) and isWhole(policy.slice, 1) and isWhole(policy.slices, 1) end, isState = function(policy, state) return #state.counts == policy.slices + 1 or #state.counts == 0 and state.start == 0 end, step = function(policy, state, input, now) return isFarAhead(state.start, now, policy, span) and stepAnew(decided, policy, state, initial(), input, now) or decided(policy, state, input, now) end}`
}
