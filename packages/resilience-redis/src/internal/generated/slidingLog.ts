/** Compiled from packages/resilience/src/kernel/SlidingLog.ts by scripts/kernels.ts: not to be edited. */
import type { Compiled } from "../compiled.ts"

export const slidingLog: Compiled = {
  id: "sliding-log@2",
  policy: {"record":[["limit","number"],["window","number"]]},
  state: {"record":[["times",{"list":"number"}],["counts",{"list":"number"}],["total","number"]]},
  input: {"tag":"op","choices":[["take",[["cost","number"]]],["reset",[]],["refund",[["receipt",{"record":[["time","number"],["cost","number"]]}]]]]},
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
local function initial() return {times = {}, counts = {}, total = 0} end
local function span(policy) return policy.window end
local function entry(list, i) return list[i + 1] or 0 end
local function newest(state) return entry(state.times, #state.times - 1) end
local function expiresAt(policy, state) return #state.times == 0 and 0 or newest(state) + policy.window end
local function firstAt(policy, state, time)
 local first = 0
 while first < #state.times and entry(state.times, first) + policy.window <= time do
  first = first + 1
 end
 return first
end
local function totalFrom(state, first)
 local total = state.total
 do
  local i = 0
  while i < first do
   total = total - entry(state.counts, i)
   i = i + 1
  end
 end
 return total
end
local function decide(policy, state, now, retryAfter, receipt) return {allowed = retryAfter == 0, retryAfter = retryAfter, remaining = max(0, policy.limit - totalFrom(state, firstAt(policy, state, max(now, newest(state))))), resetAfter = max(0, expiresAt(policy, state) - now), receipt = receipt} end
local function stay(policy, state, now, retryAfter) return {decide(policy, state, now, retryAfter, {time = 0, cost = 0}), state} end
local function put(state, first, time, cost)
 local times = {}
 local counts = {}
 local found = false
 do
  local i = first
  while i < #state.times do
   local here = entry(state.times, i) == time
   local count = entry(state.counts, i) + (here and cost or 0)
   found = found or here
   if count > 0 then
    times[#times + 1] = entry(state.times, i)
    counts[#counts + 1] = count
   end
   i = i + 1
  end
 end
 if not found then
  times[#times + 1] = time
  counts[#counts + 1] = cost
 end
 return {times = times, counts = counts, total = totalFrom(state, first) + cost}
end
local function take(policy, state, cost, now)
 if cost == 0 then return stay(policy, state, now, 0) end
 if cost > policy.limit then return stay(policy, state, now, NEVER) end
 local time = max(now, newest(state))
 local first = firstAt(policy, state, time)
 local over = totalFrom(state, first) + cost - policy.limit
 local left = first
 do
  while over > 0 and left < #state.times do
   over = over - entry(state.counts, left)
   left = left + 1
  end
 end
 if left > first then return stay(policy, state, now, entry(state.times, left - 1) + policy.window - now) end
 local after = put(state, first, time, cost)
 return {decide(policy, after, now, 0, {time = time, cost = cost}), after}
end
local function refund(state, receipt)
 do
  local i = 0
  while i < #state.times do
   if entry(state.times, i) == receipt.time then return put(state, 0, receipt.time, -min(receipt.cost, entry(state.counts, i))) end
   i = i + 1
  end
 end
 return state
end
local function decided(policy, state, input, now)
 if input.op == "take" then return take(policy, state, input.cost, now) end
 return stay(policy, input.op == "refund" and refund(state, input.receipt) or initial(), now, 0)
end
return {id = "sliding-log@2", initial = initial, expiresAt = expiresAt, isPolicy = function(policy) return isWhole(policy.limit, 1) and isWhole(policy.window, 1) end, isState = function(_policy, state) return #state.times == #state.counts end, step = function(policy, state, input, now) return isFarAhead(newest(state), now, policy, span) and stepAnew(decided, policy, state, initial(), input, now) or decided(policy, state, input, now) end}`
}
