/** Compiled from packages/resilience-redis/test/kernels/guests.ts by scripts/kernels.ts: not to be edited. */
import type { Compiled } from "../../src/internal/compiled.ts"

export const guests: Compiled = {
  id: "guests@1",
  policy: {"record":[["seats","number"],["host","string"]]},
  state: {"record":[["guests",{"list":{"record":[["name","string"],["child","boolean"],["since","number"]]}}],["told",{"list":"string"}],["mood","word"]]},
  input: {"tag":"op","choices":[["come",[["name","string"],["child","boolean"]]],["leave",[["name","string"]]]]},
  lua: `local function answer(policy, state, allowed) return {{allowed = allowed, host = policy.host, guests = state.guests, told = state.told}, state} end
local function come(policy, state, name, child, now)
 if #state.guests >= policy.seats then return answer(policy, state, false) end
 local guests = {}
 for ____, guest in ipairs(state.guests) do
  guests[#guests + 1] = guest
 end
 guests[#guests + 1] = {name = name, child = child, since = now}
 return answer(policy, {guests = guests, told = {name}, mood = #guests == policy.seats and "full" or "calm"}, true)
end
local function leave(policy, state, name)
 local guests = {}
 local told = {}
 for ____, guest in ipairs(state.guests) do
  if guest.name ~= name then
   guests[#guests + 1] = guest
   told[#told + 1] = guest.name
  end
 end
 return answer(policy, {guests = guests, told = told, mood = "calm"}, true)
end
return {id = "guests@1", initial = function() return {guests = {}, told = {}, mood = "calm"} end, step = function(policy, state, input, now) return input.op == "come" and come(policy, state, input.name, input.child, now) or leave(policy, state, input.name) end, expiresAt = function(_policy, state) return #state.guests == 0 and #state.told == 0 and 0 or nil end}`
}
