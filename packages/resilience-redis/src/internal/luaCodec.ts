/**
 * The Lua that reads and writes what `codec` does, written out for one shape.
 *
 * A reader is a function of a text and the position of the separator before its first word. It gives the value and the
 * position behind its last word, or nothing where these are not the words of one. One match takes up to 30 words of fixed
 * places, and one call of `format` writes them: a word by itself costs several times as much.
 */
import type { Field, Shape } from "./compiled.ts"

/** As locals: a script looks a global up at every use. */
const locals = `local math, string, ipairs, concat = math, string, ipairs, table.concat
local format, gmatch, gsub, sub, match, find, rep = string.format, string.gmatch, string.gsub, string.sub, string.match, string.find, string.rep
`

/** Lua has 32 captures, and the position is one. */
const MOST = 30
/** Of a list, so many numbers are written at once. */
const AT_ONCE = 100
const LARGEST = "9007199254740992"
const TOO_LARGE = "1e300"

/** What a text is written without. */
const SPECIAL = "[^A-Za-z0-9_.:/@-]"
/** The bytes of one character, of several. The halves of a pair are characters, where they stand alone. */
const UTF8 = [
  "\\240[\\144-\\191]..",
  "[\\241-\\243][\\128-\\191]..",
  "\\244[\\128-\\143]..",
  "\\224[\\160-\\191].",
  "[\\225-\\239][\\128-\\191].",
  "[\\194-\\223]."
].map((many) => many.replaceAll(".", "[\\128-\\191]"))

/** Those that use others stand behind them. */
const helpers: Readonly<Record<string, string>> = {
  readFinite: `(word)
 local number = find(word, "^%-?%d+%.?%d*e?[+-]?%d*$") and tonumber(word)
 return number and number - number == 0 and number
end`,
  readWholes: `(text, at, count)
 local list, size = {}, 0
 while size < count do
  local some = math.min(count - size, ${MOST})
  local words = {match(text, "^" .. rep(" (%d+)", some) .. "()", at)}
  for i = 1, some do
   local number = (words[i] or ${TOO_LARGE}) + 0
   if number > ${LARGEST} then return end
   list[size + i] = number
  end
  size, at = size + some, words[some + 1]
 end
 return list, at
end`,
  readList: `(text, at, count, read)
 local list = {}
 for i = 1, count do
  list[i], at = read(text, at)
  if not at then return end
 end
 return list, at
end`,
  writeWholes: `(list)
 local size = #list
 local out = " " .. size
 for i = 1, size, ${AT_ONCE} do
  local last = math.min(i + ${AT_ONCE - 1}, size)
  out = out .. format(rep(" %d", last - i + 1), unpack(list, i, last))
 end
 return out
end`,
  writeList: `(list, write)
 local out = {" " .. #list}
 for i = 1, #list do out[i + 1] = write(list[i]) end
 return concat(out)
end`,
  writeText: `(text)
 return "'" .. gsub(text, "${SPECIAL}", function(one) return format("%%%02X", string.byte(one)) end)
end`,
  readText: `(word)
 local text = sub(word, 2)
 if not find(text, "${SPECIAL}") then return text end
 text = gsub(text, "%%([0-9A-F][0-9A-F])", function(hex) return string.char(tonumber(hex, 16)) end)
 if writeText(text) ~= word then return end
 local rest = gsub(text, "\\237[\\160-\\175][\\128-\\191]\\237[\\176-\\191]", "\\255")
 for _, many in ipairs({${UTF8.map((many) => `"${many}"`).join(", ")}}) do rest = gsub(rest, many, "") end
 return not find(rest, "[\\128-\\255]") and text
end`
}

/** Whether `lua` uses a helper, itself or by another one. */
const isUsed = (lua: string, name: string): boolean =>
  lua.includes(name) ||
  Object.entries(helpers).some(([other, body]) => other !== name && body.includes(name) && isUsed(lua, other))

/** What `lua` uses of the helpers, and no other: a script makes each function anew at every call. */
export const luaCodecLibrary = (lua: string): string =>
  locals +
  Object.entries(helpers)
    .filter(([name]) => isUsed(lua, name))
    .map(([name, body]) => `local function ${name}${body}\n`)
    .join("")

/**
 * Which numbers are read. `whole`: decimal whole numbers up to 2^53. `finite`: every finite number. `trusted`: from this very
 * process, so they are not checked.
 */
export type Numbers = "whole" | "finite" | "trusted"

const WORD = "([^, ]+)"

/** Statements of a reader. */
class Reading {
  readonly lines: Array<string> = []
  private readonly separator: string
  private isFirst: boolean
  private pending: Array<{ readonly name: string; readonly pattern: string }> = []
  private wholes: Array<string> = []
  private finites: Array<string> = []
  private texts: Array<string> = []
  private names = 0

  /** Before its first word there may be no separator. */
  constructor(separator: string, isBare = false) {
    this.separator = separator
    this.isFirst = isBare
  }

  name(): string {
    return `v${++this.names}`
  }

  word(pattern: string): string {
    if (this.pending.length === MOST) this.flush()
    const name = this.name()
    this.pending.push({ name, pattern })
    return name
  }

  whole(): string {
    const name = this.word("(%d+)")
    this.wholes.push(name)
    return name
  }

  finite(): string {
    const name = this.word(WORD)
    this.finites.push(name)
    return name
  }

  text(): string {
    const name = this.word("('[^, ]*)")
    this.texts.push(name)
    return name
  }

  /** What a function gave for a value, and where it ended. */
  value(call: string): string {
    const name = this.name()
    this.lines.push(`local ${name}`, `${name}, at = ${call}`, "if not at then return end")
    return name
  }

  flush(): void {
    const { finites, lines, pending, texts, wholes } = this
    if (pending.length === 0) return
    const words = pending.map(({ pattern }) => this.separator + pattern).join("")
    const pattern = this.isFirst ? words.slice(this.separator.length) : words
    this.isFirst = false
    lines.push(`local ${pending.map(({ name }) => name).join(", ")}, at = match(text, "^${pattern}()", at)`)
    lines.push("if not at then return end")
    if (wholes.length > 0) {
      lines.push(`${wholes.join(", ")} = ${wholes.map((name) => `${name} + 0`).join(", ")}`)
      lines.push(`if ${wholes.map((name) => `${name} > ${LARGEST}`).join(" or ")} then return end`)
    }
    if (finites.length > 0) {
      lines.push(`${finites.join(", ")} = ${finites.map((name) => `readFinite(${name})`).join(", ")}`)
      lines.push(`if not (${finites.join(" and ")}) then return end`)
    }
    if (texts.length > 0) {
      lines.push(`${texts.join(", ")} = ${texts.map((name) => `readText(${name})`).join(", ")}`)
      lines.push(`if not (${texts.join(" and ")}) then return end`)
    }
    this.pending = []
    this.wholes = []
    this.finites = []
    this.texts = []
  }
}

/**
 * The same as `reader` of a codec, as one expression: the functions that it needs are made when it is called, since most
 * scripts do not call it.
 */
export const lateReader = (shape: Shape, separator: " " | ",", numbers: Numbers): string => {
  const codec = new LuaCodec("late")
  const read = codec.reader(shape, separator, numbers, true)
  return `function(text, at)\n${codec.definitions}return ${read}(text, at)\nend`
}

/**
 * For words of this very process, none of which is missing: each is taken from `next` by a statement of its own. Gives the
 * expression for the value.
 */
const takeWords = (shape: Shape, lines: Array<string>): string => {
  const name = `v${lines.length}`
  const taken = (expression: string): string => {
    lines.push(`local ${name} = ${expression}`)
    return name
  }
  const record = (fields: ReadonlyArray<Field>, before: ReadonlyArray<string>): string => {
    const each = fields.map(([field, shape]) => `["${field}"] = ${takeWords(shape, lines)}`)
    return `{${[...before, ...each].join(", ")}}`
  }
  if (shape === "number") return taken("next() + 0")
  if (shape === "boolean") return taken('next() == "1"')
  if (shape === "string") return taken("readText(next())")
  if (shape === "word") return taken("next()")
  if ("record" in shape) return record(shape.record, [])
  if ("list" in shape) {
    lines.push(`local ${name} = {}`, "for i = 1, next() + 0 do")
    lines.push(`${name}[i] = ${takeWords(shape.list, lines)}`, "end")
    return name
  }
  lines.push(`local ${name}, word = nil, next()`)
  for (const [word, fields] of shape.choices) {
    lines.push(`if word == "${word}" then`)
    lines.push(`${name} = ${record(fields, [`["${shape.tag}"] = "${word}"`])}`, "end")
  }
  return name
}

/**
 * A function of the words of a policy of this very process, with a comma between them. A record that holds a list is only
 * read once a field of it is looked at.
 */
export const policyReader = (shape: Shape): string => {
  const lines = ['local next = gmatch(text, "[^,]+")']
  if (
    typeof shape !== "object" ||
    !("record" in shape) ||
    shape.record.every(([, field]) => typeof field !== "object")
  ) {
    const value = takeWords(shape, lines)
    return `function(text)\n ${lines.join("\n ")}\n return ${value}\nend`
  }
  for (const [name, field] of shape.record) lines.push(`self["${name}"] = ${takeWords(field, lines)}`)
  return `function(text) return setmetatable({}, {__index = function(self, field)
 setmetatable(self, nil)
 ${lines.join("\n ")}
 return self[field]
end}) end`
}

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

  /** A function of a text and a position; words are `separator` apart, and the first may be without one. */
  reader(shape: Shape, separator: " " | ",", numbers: Numbers, isBare = false): string {
    const reading = new Reading(separator, isBare)
    if (typeof shape === "object" && "choices" in shape) {
      const word = reading.word(WORD)
      reading.flush()
      const choice = this.readChoice(shape, word, separator, numbers)
      return this.named(`(text, at)\n ${reading.lines.join("\n ")}\n${choice}end`)
    }
    const value = this.read(shape, reading, separator, numbers)
    reading.flush()
    return this.named(`(text, at)\n ${[...reading.lines, `return ${value}, at`].join("\n ")}\nend`)
  }

  /** A function of a value. Each word is written with a space before it. */
  writer(shape: Shape, numbers: Numbers): string {
    return this.named(`(value) return ${this.write(shape, numbers)} end`)
  }

  private read(shape: Shape, reading: Reading, separator: " " | ",", numbers: Numbers): string {
    if (shape === "number") {
      if (numbers === "trusted") return `${reading.word(WORD)} + 0`
      return numbers === "whole" ? reading.whole() : reading.finite()
    }
    if (shape === "boolean") return `${reading.word("([01])")} == "1"`
    if (shape === "string") return reading.text()
    if (shape === "word") return reading.word(WORD)
    if ("record" in shape) return this.readRecord(shape.record, [], reading, separator, numbers)
    if ("list" in shape) {
      const count = reading.whole()
      reading.flush()
      const isWholes = shape.list === "number" && numbers === "whole"
      return reading.value(
        isWholes
          ? `readWholes(text, at, ${count})`
          : `readList(text, at, ${count}, ${this.reader(shape.list, separator, numbers)})`
      )
    }
    const word = reading.word(WORD)
    reading.flush()
    const choose = this.named(`(text, at, word)\n${this.readChoice(shape, "word", separator, numbers)}end`)
    return reading.value(`${choose}(text, at, ${word})`)
  }

  /** Statements that return the choice that a word names; behind them, it is none. */
  private readChoice(
    { choices, tag }: Extract<Shape, { readonly tag: string }>,
    word: string,
    separator: " " | ",",
    numbers: Numbers
  ): string {
    const each = choices.map(([name, fields]) => {
      const reading = new Reading(separator)
      const record = this.readRecord(fields, [`["${tag}"] = "${name}"`], reading, separator, numbers)
      reading.flush()
      return ` if ${word} == "${name}" then\n  ${[...reading.lines, `return ${record}, at`].join("\n  ")}\n end\n`
    })
    return each.join("")
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

  private collect(shape: Shape, value: string, formats: Array<string>, values: Array<string>, numbers: Numbers): void {
    if (typeof shape === "object" && "record" in shape) {
      for (const [name, field] of shape.record) this.collect(field, `${value}["${name}"]`, formats, values, numbers)
      return
    }
    // with 17 digits every double is read back as itself; a whole number costs a third of that
    formats.push(
      shape === "number" ? (numbers === "whole" ? " %d" : " %.17g") : typeof shape === "object" ? "%s" : " %s"
    )
    if (shape === "number" || shape === "word") values.push(value)
    else if (shape === "boolean") values.push(`(${value} and "1" or "0")`)
    else if (shape === "string") values.push(`writeText(${value})`)
    else if ("list" in shape && shape.list === "number" && numbers === "whole") values.push(`writeWholes(${value})`)
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
