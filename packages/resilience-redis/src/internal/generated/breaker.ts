/** Compiled from packages/resilience/src/kernel/Breaker.ts by scripts/kernels.ts: not to be edited. */
import type { Compiled } from "../compiled.ts"

export const breaker: Compiled = {
  id: "circuit-breaker@3",
  policy: {"record":[["trips",{"list":{"tag":"kind","choices":[["consecutive",[["failures","number"],["within","number"]]],["failures",[["failures","number"],["within","number"]]],["rate",[["slowAfter","number"],["threshold","number"],["minimumCalls","number"],["calls","number"],["slice","number"],["slices","number"]]]]}}],["openLow",{"list":"number"}],["openHigh",{"list":"number"}],["openGrowth","number"],["openCap","number"],["permitted","number"],["required","number"],["lease","number"]]},
  state: {"record":[["phase","word"],["generation","number"],["ended","number"],["since","number"],["openFor","number"],["openings","number"],["openedBy","word"],["draw","number"],["windows",{"list":{"record":[["calls","number"],["bad","number"],["head","number"],["cells",{"list":"number"}]]}}],["trial",{"record":[["issued","number"],["successes","number"],["failures","number"],["probes",{"list":{"record":[["id","number"],["deadline","number"]]}}]]}]]},
  input: {"tag":"op","choices":[["admit",[["draw","number"]]],["record",[["generation","number"],["probe","number"],["outcome","word"],["duration","number"],["slowFed","number"],["retryAfter","number"],["draw","number"]]],["slow",[["generation","number"],["probe","number"],["rank","number"],["draw","number"]]],["isolate",[]],["close",[]],["reset",[]]]},
  lua: `local min = math.min
local max = math.max
local floor = math.floor
local ceil = math.ceil
local function letsAll(state) return state.phase == "Closed" end
local NONE = {}
local function answer(seen, probe, retryAfter, transitions, state)
 local allowed = retryAfter == 0
 local openedBy = seen.openedBy
 return {{allowed = allowed, phase = seen.phase, generation = seen.generation, probe = probe, retryAfter = retryAfter, openedBy = openedBy, transitions = transitions}, state}
end
local NEVER = -1
local EMPTY = {calls = 0, bad = 0, head = 0, cells = {}}
local BITS = 30
local function emptyFrom(trip, window)
 if window.calls == 0 then return 0 end
 if trip.kind ~= "rate" then return trip.within == 0 and NEVER or window.head + trip.within end
 return trip.calls > 0 and NEVER or (window.head + trip.slices) * trip.slice
end
local function slowAfter(trip) return trip.kind == "rate" and trip.slowAfter or 0 end
local function trips(trip, window)
 local ____temp_0
 if trip.kind == "rate" then ____temp_0 = window.calls >= trip.minimumCalls and window.bad / window.calls >= trip.threshold else ____temp_0 = window.bad >= trip.failures end
 return ____temp_0
end
local NO_TRIAL = {issued = 0, successes = 0, failures = 0, probes = {}}
local function closed(policy, generation, since)
 local windows = {}
 while #windows < #policy.trips do
  windows[#windows + 1] = EMPTY
 end
 local trial = NO_TRIAL
 return {phase = "Closed", generation = generation, ended = 0, since = since, openFor = 0, openings = 0, openedBy = "none", draw = 0, windows = windows, trial = trial}
end
local function adopt(policy, state)
 local fresh = closed(policy, state.generation, state.since)
 local longest = max(policy.openCap, policy.openHigh[#policy.openHigh] or 0)
 return {phase = state.phase, generation = state.generation, ended = state.ended, since = state.since, openFor = (longest < state.openFor and longest or state.openFor), openings = state.openings, openedBy = state.openedBy, draw = state.draw, windows = fresh.windows, trial = fresh.trial}
end
local function isWhole(value, least) return value >= least and value <= 9007199254740991 and floor(value) == value end
local function isPolicy(policy)
 local function isTrip(trip)
  if trip.kind ~= "rate" then return isWhole(trip.failures, 1) and isWhole(trip.within, trip.kind == "failures" and 1 or 0) end
  local isRate = trip.threshold > 0 and trip.threshold <= 1
  if not isRate or not isWhole(trip.slowAfter, 0) or not isWhole(trip.minimumCalls, 1) then return false end
  local ____temp_1
  if trip.calls == 0 then ____temp_1 = isWhole(trip.slice, 1) and isWhole(trip.slices, 1) else ____temp_1 = isWhole(trip.calls, 1) end
  return ____temp_1
 end
 local function areOpenings(openings)
  for ____, opening in ipairs(openings) do
   if not isWhole(opening, 0) then return false end
  end
  return #openings > 0
 end
 for ____, trip in ipairs(policy.trips) do
  if not isTrip(trip) then return false end
 end
 return #policy.trips > 0 and areOpenings(policy.openLow) and areOpenings(policy.openHigh) and policy.openGrowth >= 0 and isWhole(policy.openCap, 0) and isWhole(policy.required, 1) and isWhole(policy.permitted, policy.required) and isWhole(policy.lease, 0)
end
local function isState(policy, state)
 local ____state_2 = state
 local openedBy = ____state_2.openedBy
 local phase = ____state_2.phase
 local windows = ____state_2.windows
 if phase ~= "Closed" and phase ~= "Open" and phase ~= "HalfOpen" and phase ~= "Isolated" then return false end
 if openedBy ~= "none" and openedBy ~= "consecutive" and openedBy ~= "failures" and openedBy ~= "failureRate" and openedBy ~= "slowCallRate" and openedBy ~= "probe" then return false end
 if #windows ~= #policy.trips or #state.trial.probes > policy.permitted then return false end
 local i = 0
 for ____, trip in ipairs(policy.trips) do
  local window = windows[i + 1]
  if window == nil then return false end
  local cells = 0
  if trip.kind ~= "rate" then
   cells = trip.within == 0 and 0 or window.calls
  elseif window.calls > 0 then cells = trip.calls > 0 and ceil(window.calls / BITS) or 2 * trip.slices end
  if #window.cells ~= cells then return false end
  i = i + 1
 end
 return true
end
local made_decided = nil
local function decided(policy, state, input, now)
 if made_decided == nil then
  local LEAST_LEASE = 60000
  local function leaseOf(policy, state) return policy.lease > 0 and policy.lease or (LEAST_LEASE > state.openFor and LEAST_LEASE or state.openFor) end
  local POW2 = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608, 16777216, 33554432, 67108864, 134217728, 268435456, 536870912}
  local function replace(items, index, item)
   local out = {}
   for ____, other in ipairs(items) do
    local ____temp_3
    if #out == index then ____temp_3 = item else ____temp_3 = other end
    out[#out + 1] = ____temp_3
   end
   if index == #items then out[#out + 1] = item end
   return out
  end
  local function sum(cells, from)
   local total = 0
   do
    local i = from
    while i < #cells do
     total = total + (cells[i + 1] or 0)
     i = i + 2
    end
   end
   return total
  end
  local function age(trip, window, now)
   if window.calls == 0 then return window end
   if trip.kind ~= "rate" then
    if trip.within == 0 or now - (window.cells[1] or now) < trip.within then return window end
    local times = {}
    for ____, time in ipairs(window.cells) do
     if now - time < trip.within then times[#times + 1] = time end
    end
    return #times == 0 and EMPTY or ({calls = #times, bad = #times, head = window.head, cells = times})
   end
   if trip.calls > 0 then return window end
   local passed = floor(now / trip.slice) - window.head
   if passed <= 0 then return window end
   if passed >= trip.slices then return EMPTY end
   local cells = {}
   do
    local i = 2 * passed
    while i < 2 * (trip.slices + passed) do
     cells[#cells + 1] = window.cells[i + 1] or 0
     i = i + 1
    end
   end
   return {calls = sum(cells, 0), bad = sum(cells, 1), head = window.head + passed, cells = cells}
  end
  local function addFailure(within, trip, window, now)
   if within == 0 then return {calls = window.calls + 1, bad = window.bad + 1, head = 0, cells = EMPTY.cells} end
   local time = (window.head > now and window.head or now)
   local recent = age(trip, window, time)
   local count = recent.calls + 1
   return {calls = count, bad = count, head = time, cells = replace(recent.cells, recent.calls, time)}
  end
  local function addToRing(size, window, bad)
   local full = window.calls == size
   if full and window.bad + bad == 0 then return window end
   local at = floor(window.head / BITS)
   local weight = POW2[window.head - at * BITS + 1] or 1
   local word = window.cells[at + 1] or 0
   local above = floor(word / weight)
   local old = above - 2 * floor(above / 2)
   local same = bad == old and at < #window.cells
   return {calls = full and size or window.calls + 1, bad = window.bad + bad - old, head = window.head + 1 == size and 0 or window.head + 1, cells = same and window.cells or replace(window.cells, at, word + (bad - old) * weight)}
  end
  local function addToSlice(slice, slices, recent, bad, now)
   local last = 2 * slices - 2
   local cells = {}
   do
    local i = 0
    while i < last do
     cells[#cells + 1] = recent.cells[i + 1] or 0
     i = i + 1
    end
   end
   cells[#cells + 1] = (recent.cells[last + 1] or 0) + 1
   cells[#cells + 1] = (recent.cells[last + 1 + 1] or 0) + bad
   local head = recent.calls == 0 and floor(now / slice) or recent.head
   return {calls = recent.calls + 1, bad = recent.bad + bad, head = head, cells = cells}
  end
  local function add(trip, window, bad, now)
   if trip.kind ~= "rate" then
    if bad then return addFailure(trip.within, trip, window, now) end
    return (trip.kind == "failures" or window.calls == 0) and window or EMPTY
   end
   if trip.calls > 0 then return addToRing(trip.calls, window, bad and 1 or 0) end
   return addToSlice(trip.slice, trip.slices, age(trip, window, now), bad and 1 or 0, now)
  end
  local function openerOf(trip)
   if trip.kind ~= "rate" then return trip.kind end
   return trip.slowAfter > 0 and "slowCallRate" or "failureRate"
  end
  local function rankOf(all, index, threshold)
   local rank = 0
   local i = 0
   for ____, trip in ipairs(all) do
    local other = slowAfter(trip)
    if other > 0 and (other < threshold or other == threshold and i < index) then rank = rank + 1 end
    i = i + 1
   end
   return rank
  end
  local function observe(all, given, input, now)
   local windows = given
   local by = "none"
   local i = 0
   for ____, trip in ipairs(all) do
    local threshold = slowAfter(trip)
    local rank = threshold > 0 and rankOf(all, i, threshold) or NEVER
    local ____temp_4
    if input.op == "slow" then ____temp_4 = rank == input.rank else ____temp_4 = threshold == 0 or rank >= input.slowFed end
    local counts = ____temp_4
    local ____temp_6 = input.op == "slow"
    if not ____temp_6 then
     local ____temp_5
     if threshold > 0 then ____temp_5 = input.duration >= threshold else ____temp_5 = input.outcome == "failure" end
     ____temp_6 = ____temp_5
    end
    local bad = ____temp_6
    local before = given[i + 1] or EMPTY
    local after = counts and add(trip, before, bad, now) or before
    if after ~= before then windows = replace(windows, i, after) end
    if counts and bad and trips(trip, after) and by == "none" then by = openerOf(trip) end
    i = i + 1
   end
   return {windows = windows, by = by}
  end
  local LEAST_TOLERANCE = 1000
  local function isFarAhead(time, now, policy, span) return time - now > LEAST_TOLERANCE and time - now > span(policy) end
  local function span(policy)
   local longest = policy.openCap
   for ____, opening in ipairs(policy.openHigh) do
    longest = (opening > longest and opening or longest)
   end
   for ____, trip in ipairs(policy.trips) do
    longest = max(longest, trip.kind == "rate" and trip.slice * trip.slices or trip.within)
   end
   return longest
  end
  local function newest(trip, window) return trip.kind == "rate" and window.head * trip.slice or window.head end
  local function isSuspicious(policy, state, now)
   local limit = now + LEAST_TOLERANCE
   local i = 0
   for ____, trip in ipairs(policy.trips) do
    if newest(trip, state.windows[i + 1] or EMPTY) > limit then return true end
    i = i + 1
   end
   return state.since > limit or #state.trial.probes > 0
  end
  local function believed(policy, state, now)
   if not isSuspicious(policy, state, now) then return state end
   local windows = state.windows
   local i = 0
   for ____, trip in ipairs(policy.trips) do
    if isFarAhead(newest(trip, windows[i + 1] or EMPTY), now, policy, span) then windows = replace(windows, i, EMPTY) end
    i = i + 1
   end
   local lease = leaseOf(policy, state)
   local probes = {}
   for ____, probe in ipairs(state.trial.probes) do
    if not isFarAhead(probe.deadline - lease, now, policy, span) then probes[#probes + 1] = probe end
   end
   local isLate = isFarAhead(state.since, now, policy, span)
   if not isLate and windows == state.windows and #probes == #state.trial.probes then return state end
   local trial = state.trial
   local begun = state.phase == "Open" and now - state.openFor or now
   return {phase = state.phase, generation = state.generation, ended = state.ended, since = isLate and begun or state.since, openFor = state.openFor, openings = state.openings, openedBy = state.openedBy, draw = state.draw, windows = windows, trial = {issued = trial.issued, successes = trial.successes, failures = trial.failures, probes = probes}}
  end
  local DRAWS = 1073741824
  local function keep(state, windows, draw, trial) return {phase = state.phase, generation = state.generation, ended = state.ended, since = state.since, openFor = state.openFor, openings = state.openings, openedBy = state.openedBy, draw = draw, windows = windows, trial = trial} end
  local function enter(policy, state, to, at, openFor, openedBy, log)
   local generation = max(state.generation + 1, at)
   local opens = to == "Open"
   local by = opens and openedBy or "none"
   if state.phase ~= to then log[#log + 1] = {from = state.phase, to = to, at = at, generation = generation, openFor = opens and openFor or 0, openedBy = by} end
   if to == "Closed" then return closed(policy, generation, at) end
   local openings = opens and state.openings + 1 or state.openings
   local ended = opens and state.generation or 0
   local windows = state.windows
   return {phase = to, generation = generation, ended = ended, since = at, openFor = openFor, openings = openings, openedBy = openedBy, draw = 0, windows = windows, trial = NO_TRIAL}
  end
  local function openTime(policy, state, retryAfter, draw)
   local low = policy.openLow[min(state.openings, #policy.openLow - 1) + 1] or 1
   local listed = policy.openHigh[min(state.openings, #policy.openHigh - 1) + 1] or low
   local grows = policy.openGrowth > 0 and state.openings > 0
   local longest = policy.openHigh[#policy.openHigh] or low
   local high = grows and min(longest, floor(policy.openGrowth * state.openFor)) or listed
   local drawn = low + floor(draw * (max(0, high - low) + 1) / DRAWS)
   return max(1, drawn, (policy.openCap < retryAfter and policy.openCap or retryAfter))
  end
  local function open(policy, state, cause, log) return enter(policy, state, "Open", cause.at, openTime(policy, state, cause.retryAfter, cause.draw), cause.by, log) end
  local function conclude(policy, state, index, outcome, cause, log)
   local trial = state.trial
   local successes = outcome == "success" and trial.successes + 1 or trial.successes
   local failures = outcome == "failure" and trial.failures + 1 or trial.failures
   if successes >= policy.required then return enter(policy, state, "Closed", cause.at, 0, "none", log) end
   if outcome == "throttled" or failures > policy.permitted - policy.required then return open(policy, state, cause, log) end
   local probes = {}
   local i = 0
   for ____, probe in ipairs(trial.probes) do
    if i ~= index then probes[#probes + 1] = probe end
    i = i + 1
   end
   return keep(state, state.windows, state.draw, {issued = trial.issued, successes = successes, failures = failures, probes = probes})
  end
  local function settle(policy, state, now, log)
   local current = believed(policy, state, now)
   local first = current.trial.probes[1]
   while first ~= nil and first.deadline <= now do
    local cause = {at = first.deadline, retryAfter = 0, draw = current.draw, by = "probe"}
    current = conclude(policy, current, 0, "failure", cause, log)
    first = current.trial.probes[1]
   end
   local ____end = current.since + current.openFor
   return current.phase == "Open" and ____end <= now and enter(policy, current, "HalfOpen", ____end, current.openFor, current.openedBy, log) or current
  end
  local function verdict(policy, input)
   local slow = false
   for ____, trip in ipairs(policy.trips) do
    if slowAfter(trip) > 0 and input.duration >= slowAfter(trip) then slow = true end
   end
   return slow and input.outcome == "success" and "failure" or input.outcome
  end
  local function lengthen(policy, state, cause)
   local openFor = min(cause.at - state.since + cause.retryAfter, policy.openCap)
   if openFor <= state.openFor then return state end
   return {phase = state.phase, generation = state.generation, ended = state.ended, since = state.since, openFor = openFor, openings = state.openings, openedBy = state.openedBy, draw = state.draw, windows = state.windows, trial = state.trial}
  end
  local function report(policy, given, input, now)
   local log = {}
   local state = settle(policy, given, now, log)
   local outcome = input.op == "record" and verdict(policy, input) or "failure"
   local cause = {at = (state.since > now and state.since or now), retryAfter = input.op == "record" and input.retryAfter or 0, draw = input.draw, by = "probe"}
   if outcome == "throttled" and state.phase == "Open" and input.generation == state.ended then
    local next = lengthen(policy, state, cause)
    return next == state and answer(state, 0, 0, NONE, given) or answer(next, 0, 0, log, next)
   end
   if input.generation ~= state.generation then return answer(state, 0, 0, NONE, given) end
   if state.phase == "Closed" and input.probe == 0 and outcome ~= "ignored" and outcome ~= "throttled" then
    local seen = observe(policy.trips, state.windows, input, cause.at)
    if seen.windows == state.windows then return answer(state, 0, 0, NONE, given) end
    local counted = keep(state, seen.windows, state.draw, state.trial)
    local next = seen.by == "none" and counted or open(policy, counted, {at = cause.at, retryAfter = cause.retryAfter, draw = cause.draw, by = seen.by}, log)
    return answer(next, 0, 0, log, next)
   end
   local i = 0
   for ____, probe in ipairs(state.trial.probes) do
    if probe.id == input.probe then
     local next = conclude(policy, state, i, outcome, cause, log)
     return answer(next, 0, 0, log, next)
    end
    i = i + 1
   end
   return answer(state, 0, 0, NONE, given)
  end
  local function wait(policy, state, now)
   if state.phase == "Isolated" then return NEVER end
   if state.phase == "Open" then return state.since + state.openFor - now end
   local trial = state.trial
   if trial.successes + trial.failures + #trial.probes < policy.permitted then return 0 end
   local last = trial.probes[policy.permitted - policy.required - trial.failures + 1]
   return last == nil and 0 or last.deadline + openTime(policy, state, 0, state.draw) - now
  end
  local function admit(policy, given, draw, now)
   local log = {}
   local state = settle(policy, given, now, log)
   local refused = wait(policy, state, now)
   if refused ~= 0 then return answer(state, 0, refused, NONE, given) end
   local trial = state.trial
   local issued = trial.issued + 1
   local deadline = (state.since > now and state.since or now) + leaseOf(policy, state)
   for ____, probe in ipairs(trial.probes) do
    deadline = (probe.deadline > deadline and probe.deadline or deadline)
   end
   local probes = replace(trial.probes, #trial.probes, {id = issued, deadline = deadline})
   local next = {issued = issued, successes = trial.successes, failures = trial.failures, probes = probes}
   return answer(state, issued, 0, log, keep(state, state.windows, draw, next))
  end
  local function command(policy, given, op, now)
   local log = {}
   local state = settle(policy, given, now, log)
   local to = op == "isolate" and "Isolated" or "Closed"
   if state.phase == to and op ~= "reset" then return answer(state, 0, 0, NONE, given) end
   local next = enter(policy, state, to, (state.since > now and state.since or now), 0, "none", log)
   return answer(next, 0, 0, log, next)
  end
  made_decided = function(policy, state, input, now)
   if input.op == "admit" then return admit(policy, state, input.draw, now) end
   if input.op == "record" or input.op == "slow" then return report(policy, state, input, now) end
   return command(policy, state, input.op, now)
  end
 end
 return made_decided(policy, state, input, now)
end
return {id = "circuit-breaker@3", initial = function(policy) return closed(policy, 0, 0) end, adopt = adopt, isPolicy = isPolicy, isState = isState, step = function(policy, state, input, now) return input.op == "admit" and letsAll(state) and answer(state, 0, 0, NONE, state) or decided(policy, state, input, now) end, expiresAt = function(policy, state)
  if state.phase ~= "Closed" then return nil end
  local time = state.generation == 0 and 0 or state.generation + 1
  local i = 0
  for ____, trip in ipairs(policy.trips) do
   local from = emptyFrom(trip, state.windows[i + 1] or EMPTY)
   if from == NEVER then return nil end
   time = (from > time and from or time)
   i = i + 1
  end
  return time
 end}`
}
