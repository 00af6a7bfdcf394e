/**
 * The Lua that reads and writes what `codec` does, written out for one shape.
 *
 * A reader is a function of a text and the position of the separator before its first word; it gives the value, and the
 * position behind its last word. One match takes up to 30 words of fixed places, and one call of `format` writes them:
 * a word by itself costs several times as much.
 */
import type { Field, Shape } from "./compiled.ts"

/** As locals: a script looks a global up at every use. */
const locals = `local math, ipairs, concat, error, pcall = math, ipairs, table.concat, error, pcall
local format, gmatch, gsub, sub, match, find, rep = string.format, string.gmatch, string.gsub, string.sub, string.match, string.find, string.rep
`

/** Lua has 32 captures, and the position is one. */
const MOST = 30
const LARGEST = "9007199254740992"

const helpers: Readonly<Record<string, string>> = {
  readFinite: `(word)
 local number = find(word, "^%-?%d+%.?%d*e?[+-]?%d*$") and tonumber(word)
 if not number or number - number ~= 0 then error() end
 return number
end`,
  readWholes: `(text, at, count)
 local list, size = {}, 0
 while size < count do
  local some = math.min(count - size, ${MOST})
  local words = {match(text, "^" .. rep(" (%d+)", some) .. "()", at)}
  for i = 1, some do
   local number = words[i] + 0
   if number > ${LARGEST} then error() end
   list[size + i] = number
  end
  size, at = size + some, words[some + 1]
 end
 return list, at
end`,
  readList: `(text, at, count, read)
 local list = {}
 for i = 1, count do list[i], at = read(text, at) end
 return list, at
end`,
  readText: `(word)
 return (gsub(sub(word, 2), "%%([0-9A-F][0-9A-F])", function(hex) return string.char(tonumber(hex, 16)) end))
end`,
  readLazily: `(read, text, at)
 return setmetatable({}, {__index = function(self, field)
  setmetatable(self, nil)
  for name, value in pairs((read(text, at))) do self[name] = value end
  return self[field]
 end})
end`,
  writeList: `(list, write)
 local out = {" " .. #list}
 for i = 1, #list do out[i + 1] = write(list[i]) end
 return concat(out)
end`,
  writeText: `(text)
 return "'" .. gsub(text, "[^A-Za-z0-9_.:/@-]", function(one) return format("%%%02X", string.byte(one)) end)
end`
}

/** What `lua` uses of the helpers, and no other: a script makes each function anew at every call. */
export const luaCodecLibrary = (lua: string): string =>
  locals +
  Object.entries(helpers)
    .filter(([name]) => lua.includes(name))
    .map(([name, body]) => `local function ${name}${body}\n`)
    .join("")

/**
 * Which numbers are read. `whole`: decimal whole numbers up to 2^53. `finite`: any that is finite. Of anything else, a
 * reader raises an error. `trusted`: from this very process, so they are not checked.
 */
export type Numbers = "whole" | "finite" | "trusted"

/** Statements of a reader. */
class Reading {
  readonly lines: Array<string> = []
  private readonly separator: string
  private pending: Array<{ readonly name: string; readonly pattern: string }> = []
  private wholes: Array<string> = []
  private names = 0

  constructor(separator: string) {
    this.separator = separator
  }

  name(): string {
    return `v${++this.names}`
  }

  word(pattern: string): string {
    const name = this.name()
    this.pending.push({ name, pattern })
    if (this.pending.length === MOST) this.flush()
    return name
  }

  whole(): string {
    const name = this.name()
    this.wholes.push(name)
    this.pending.push({ name, pattern: "(%d+)" })
    if (this.pending.length === MOST) this.flush()
    return name
  }

  flush(): void {
    const { lines, pending, wholes } = this
    if (pending.length === 0) return
    const pattern = pending.map(({ pattern }) => this.separator + pattern).join("")
    lines.push(`local ${pending.map(({ name }) => name).join(", ")}, at = match(text, "^${pattern}()", at)`)
    lines.push("if not at then error() end")
    if (wholes.length > 0) {
      lines.push(`${wholes.join(", ")} = ${wholes.map((name) => `${name} + 0`).join(", ")}`)
      lines.push(`if ${wholes.map((name) => `${name} > ${LARGEST}`).join(" or ")} then error() end`)
    }
    this.pending = []
    this.wholes = []
  }
}

const WORD = "([^, ]+)"

export class LuaCodec {
  /** Functions by what they do. */
  private readonly functions = new Map<string, string>()
  private readonly prefix: string

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /** Defines the functions that the expressions call. */
  get definitions(): string {
    return [...this.functions].map(([body, name]) => `local function ${name}${body}\n`).join("")
  }

  private named(body: string): string {
    const known = this.functions.get(body)
    if (known !== undefined) return known
    const name = `${this.prefix}${this.functions.size + 1}`
    this.functions.set(body, name)
    return name
  }

  /** A function of a text and a position; words are `separator` apart. */
  reader(shape: Shape, separator: " " | ",", numbers: Numbers): string {
    const reading = new Reading(separator)
    const value = this.read(shape, reading, separator, numbers)
    reading.flush()
    return this.named(`(text, at)\n ${[...reading.lines, `return ${value}, at`].join("\n ")}\nend`)
  }

  /** The same for what is trusted: a record that holds a list is only read once a field of it is looked at. */
  lazyReader(shape: Shape, separator: " " | ","): string {
    const read = this.reader(shape, separator, "trusted")
    const hasList = typeof shape === "object" && "record" in shape && shape.record.some(([, one]) => typeof one === "object")
    return hasList ? this.named(`(text, at) return readLazily(${read}, text, at) end`) : read
  }

  /** A function of a value. Each word is written with a space before it. */
  writer(shape: Shape, numbers: Numbers): string {
    return this.named(`(value) return ${this.write(shape, numbers)} end`)
  }

  private read(shape: Shape, reading: Reading, separator: " " | ",", numbers: Numbers): string {
    if (shape === "number") {
      if (numbers === "whole") return reading.whole()
      const word = reading.word(WORD)
      return numbers === "finite" ? `readFinite(${word})` : `${word} + 0`
    }
    if (shape === "boolean") return `${reading.word("([01])")} == "1"`
    if (shape === "string") return `readText(${reading.word("('[^, ]*)")})`
    if (shape === "word") return reading.word(WORD)
    if ("record" in shape) return this.readRecord(shape.record, [], reading, separator, numbers)
    const value = reading.name()
    if ("list" in shape) {
      const count = reading.whole()
      reading.flush()
      const isWholes = shape.list === "number" && numbers === "whole"
      const list = isWholes
        ? `readWholes(text, at, ${count})`
        : `readList(text, at, ${count}, ${this.reader(shape.list, separator, numbers)})`
      reading.lines.push(`local ${value}`, `${value}, at = ${list}`)
      return value
    }
    const word = reading.word(WORD)
    reading.flush()
    const choices = shape.choices.map(([word, fields]) => {
      const inner = new Reading(separator)
      const record = this.readRecord(fields, [`["${shape.tag}"] = "${word}"`], inner, separator, numbers)
      inner.flush()
      return ` if word == "${word}" then\n  ${[...inner.lines, `return ${record}, at`].join("\n  ")}\n end\n`
    })
    const choose = this.named(`(text, at, word)\n${choices.join("")} error()\nend`)
    reading.lines.push(`local ${value}`, `${value}, at = ${choose}(text, at, ${word})`)
    return value
  }

  private readRecord(
    fields: ReadonlyArray<Field>,
    before: ReadonlyArray<string>,
    reading: Reading,
    separator: " " | ",",
    numbers: Numbers
  ): string {
    const read = fields.map(([name, field]) => `["${name}"] = ${this.read(field, reading, separator, numbers)}`)
    return `{${[...before, ...read].join(", ")}}`
  }

  private write(shape: Shape, numbers: Numbers): string {
    const formats: Array<string> = []
    const values: Array<string> = []
    this.collect(shape, "value", formats, values, numbers)
    return values.length === 0 ? '""' : `format("${formats.join("")}", ${values.join(", ")})`
  }

  private collect(
    shape: Shape,
    value: string,
    formats: Array<string>,
    values: Array<string>,
    numbers: Numbers
  ): void {
    if (typeof shape === "object" && "record" in shape) {
      for (const [name, field] of shape.record) this.collect(field, `${value}["${name}"]`, formats, values, numbers)
      return
    }
    // with 17 digits every double is read back as itself; a whole number costs a third of that
    formats.push(shape === "number" ? (numbers === "whole" ? " %d" : " %.17g") : typeof shape === "object" ? "%s" : " %s")
    if (shape === "number" || shape === "word") values.push(value)
    else if (shape === "boolean") values.push(`(${value} and "1" or "0")`)
    else if (shape === "string") values.push(`writeText(${value})`)
    else if ("list" in shape) values.push(`writeList(${value}, ${this.writer(shape.list, numbers)})`)
    else {
      const choices = shape.choices.map(
        ([word, record]) =>
          ` if value["${shape.tag}"] == "${word}" then return ${this.write({ record: [[shape.tag, "word"], ...record] }, numbers)} end\n`
      )
      values.push(`${this.named(`(value)\n${choices.join("")}end`)}(${value})`)
    }
  }
}
