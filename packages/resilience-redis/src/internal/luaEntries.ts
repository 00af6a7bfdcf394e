/**
 * In Lua, what `entries`, `Cell` and `decide` say: the entries of a value, what a policy begins with, and what is written.
 */
import { MOST } from "./entries.ts"

/** A key of another type holds no string: what is said of it instead is no value of ours either. */
export const otherTypeInLua = `local function otherTypeOf(key)
 local kind = redis.pcall("TYPE", key).ok
 return kind and kind ~= "none" and "a value of type " .. kind
end
`

/**
 * `cellOf` reads a value. Most often the entry of the asking policy stands there alone, and is read in place; for anything
 * else (other policies, what cannot be read, an end that is to be moved on) the cell gets `entries`, and the functions that
 * `entries()` defines, when they are first needed, take over.
 *
 * It stands in a script that has `now`, `held`, `cells`, `note`, `isCleared`, `epochOf` and the library of `luaCodec`.
 */
export const entriesInLua = `local LARGEST = 9007199254740992
${otherTypeInLua}local slow
local function entries()
 if slow then return slow end
 local HUGE, LOOK = math.huge, {op = "take", cost = 0, most = 0}
 local function whole(word)
  local number = word + 0
  if number > LARGEST then error() end
  return number
 end
 local function graceOf(ends, at) return ends + math.max(0, ends - at) end
 local function entriesOf(value, from)
  local list = {}
  while from do
   local bar = find(value, " | ", from, true)
   local text = sub(value, from, bar and bar - 1 or -1)
   local ends, at, words, rest = match(text, "^(%d*);(%d+) ([^ ]+)()")
   list[#list + 1] = {ends = ends == "" and HUGE or whole(ends), at = whole(at), words = words, text = text, rest = rest}
   from = bar and bar + 3
  end
  return list
 end
 local function read(way, text, at)
  local value, last = way(text, at)
  if last ~= #text + 1 then error() end
  return value
 end
 local function adopted(kind, entry)
  local kernel, policy, at = kind.ways[1], kind.policy, entry.at
  local from = entry.words == "-" and read(kind.ways[6], "", 1) or read(kind.ways[6], entry.words, 1)
  local state = read(kind.ways[3], entry.text, entry.rest)
  if kernel.isPolicy and not kernel.isPolicy(from) then error() end
  if kernel.isState and not kernel.isState(from, state) then error() end
  if kernel.adopt then return kernel.adopt(policy, state) end
  local function remaining(policy, state) return kernel.step(policy, state, LOOK, at)[1].remaining end
  local fresh = kernel.initial(policy)
  local capacity = remaining(from, kernel.initial(from))
  if not (capacity >= 1 and capacity < LARGEST) then error() end
  local cost = math.min(capacity - remaining(from, state), remaining(policy, fresh))
  return cost > 0 and kernel.step(policy, fresh, {op = "take", cost = cost, most = cost}, at)[2] or fresh
 end
 local function load(cell, value, mine)
  local kind, others = cell.kind, mine.others
  local epoch, from = match(value, "^(%d+) ()")
  if whole(epoch) < cell.epoch then return end
  cell.shown = value
  local own, before, source, place
  for _, entry in ipairs(entriesOf(value, from)) do
   if entry.words ~= kind.words then
    others[#others + 1] = entry
    if not source and entry.ends > now then source, place = entry, #others end
   elseif not own then
    own, before = entry, #others
   end
  end
  if own then
   mine.own, mine.place = own, before
   local state = read(kind.ways[3], own.text, own.rest)
   if kind.isState and not kind.isState(kind.policy, state) then error() end
   cell.state, cell.isOwn = state, true
  elseif source and (kind.is == 1 or kind.is == 2 or kind.is == 4 or kind.ways[1].adopt) then
   mine.source, mine.place = source, place
   cell.state = adopted(kind, source)
  end
  cell.entries = mine
 end
 slow = {}
 function slow.load(cell, value)
  if pcall(load, cell, value, {others = {}}) then return end
  cell.shown, cell.state, cell.isOwn = #value > 10000 and "too long: " .. sub(value, 1, 60) or value, nil, nil
  cell.entries = {isDamaged = true}
 end
 function slow.ask(question)
  local cell, kind = question.cell, question.kind
  local state, mine = cell.state, cell.entries
  local isDamaged = mine and mine.isDamaged
  if isDamaged and kind.is < 3 then
   question.allowed, question.after = false, state
  elseif kind.is == 2 and not cell.isOwn then
   question.allowed, question.after = kind.step(kind.policy, state, LOOK, now)[1].allowed, state
  else
   if mine and mine.source then cell.isOwn = true end
   local result = kind.step(kind.policy, state, kind.input, now)
   question.allowed, question.after = result[1].allowed, result[2]
   if result[2] == state and not isDamaged then question.still = state end
  end
 end
 function slow.write(i, cell)
  local kind, mine, isChanged = cell.kind, cell.entries, cell.isChanged
  if mine.isDamaged then return end
  local own, source = mine.own, mine.source
  local ends = kind.ways[1].expiresAt(kind.policy, cell.state)
  local isRenewed = kind.ends and own and not ends and (own.ends == HUGE or own.ends - now < note(i, 1))
  if not isChanged and not (source and cell.isOwn) and not isRenewed then return end
  if not ends and kind.ends then ends = now + math.floor(note(i, 1) * 1.25) end
  ends = ends and math.max(0, math.min(ends, LARGEST)) or HUGE
  local at = isChanged and now or (own or source).at
  local kept, last, place = {}, graceOf(ends, at), 0
  for k, entry in ipairs(mine.others) do
   local grace = graceOf(entry.ends, entry.at)
   if #kept < ${MOST - 1} and now < grace then
    kept[#kept + 1] = entry.text
    last = math.max(last, grace)
    if not isChanged and k <= mine.place then place = #kept end
   end
  end
  if #kept == 0 then last = ends end
  local head = ends == HUGE and "" or format("%d", ends)
  table.insert(kept, place + 1, format("%s;%d %s%s", head, at, kind.words, kind.ways[5](cell.state)))
  local value = format("%d %s", cell.epoch, concat(kept, " | "))
  if last == HUGE then
   redis.call("SET", KEYS[i], value)
  elseif last > now then
   redis.call("SET", KEYS[i], value, "PXAT", format("%d", math.min(last, LARGEST)))
  else
   redis.call("UNLINK", KEYS[i])
  end
 end
 return slow
end
local function cellOf(i, kind)
 local cell = {epoch = isCleared and epochOf(i) or 0, kind = kind, state = nil, shown = nil, isOwn = nil, isChanged = nil, entries = nil}
 cells[i] = cell
 local value = held[i]
 if value then
  local epoch, ends, at, words, rest = match(value, "^(%d+) (%d*);(%d+) ([^ ]+)()")
  if words == kind.words and #epoch < 16 and #ends < 16 and #at < 16 and epoch + 0 >= cell.epoch
   and not find(value, " | ", rest, true) and not (kind.ends and (ends == "" or ends - now < note(i, 1))) then
   local state, last = kind.ways[3](value, rest)
   if last == #value + 1 and (not kind.isState or kind.isState(kind.policy, state)) then
    cell.state, cell.shown, cell.isOwn = state, value, true
    return cell
   end
  end
  entries().load(cell, value)
 else
  local other = otherTypeOf(KEYS[i])
  if other then cell.shown, cell.entries = other, {isDamaged = true} end
 end
 if not cell.state then cell.state = kind.ways[1].initial(kind.policy) end
 return cell
end`
