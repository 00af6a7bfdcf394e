/**
 * The Lua that reads and writes what `codec` does, written out for one shape.
 *
 * Straight code for a fixed record: one call of `format` writes it. `next` gives the next word.
 */
import type { Field, Shape } from "./compiled.ts"

/** As locals: a script looks a global up at every use. */
const locals = `local math, ipairs, tonumber, concat = math, ipairs, tonumber, table.concat
local format, gmatch, gsub, sub = string.format, string.gmatch, string.gsub, string.sub
`

/** Numbers are written with 17 digits, with which every double is read back as itself. */
const helpers: Readonly<Record<string, string>> = {
  readList: `(next, read)
 local list = {}
 for i = 1, tonumber(next()) do list[i] = read(next) end
 return list
end`,
  writeList: `(list, write)
 local out = {#list}
 for i = 1, #list do out[i + 1] = write(list[i]) end
 return concat(out, " ")
end`,
  readText: `(word)
 return (gsub(sub(word, 2), "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end`,
  writeText: `(text)
 return "'" .. gsub(text, "[^A-Za-z0-9_.:/@-]", function(one) return format("%%%02X", string.byte(one)) end)
end`,
  readNumber: "(next) return tonumber(next()) end",
  writeNumber: `(number) return format("%.17g", number) end`
}

/** What `lua` uses of the helpers, and no other: a script makes each function anew at every call. */
export const luaCodecLibrary = (lua: string): string =>
  locals +
  Object.entries(helpers)
    .filter(([name]) => lua.includes(name))
    .map(([name, body]) => `local function ${name}${body}\n`)
    .join("")

interface Written {
  readonly formats: Array<string>
  readonly values: Array<string>
}

export class LuaCodec {
  /** Functions for what is not a fixed record, by what they do. */
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

  /** A function of `next`. */
  reader(shape: Shape): string {
    return shape === "number" ? "readNumber" : this.named(`(next) return ${this.read(shape)} end`)
  }

  /**
   * A function of `next`, for a record: what stands behind its first list is only read once somebody looks at it. Until
   * then `next` is not to be asked for anything else.
   */
  lazyReader(shape: Shape): string {
    const fields = typeof shape === "object" && "record" in shape ? shape.record : []
    const at = fields.findIndex(([, field]) => typeof field === "object")
    if (at < 0) return this.reader(shape)
    const rest = fields.slice(at).map(([name, field]) => `self["${name}"] = ${this.read(field)}`)
    return this.named(`(next)
 return setmetatable(${this.record(fields.slice(0, at), [])}, {__index = function(self, field)
  setmetatable(self, nil)
  ${rest.join("\n  ")}
  return self[field]
 end})
end`)
  }

  /** A function of a value. */
  writer(shape: Shape): string {
    return shape === "number" ? "writeNumber" : this.named(`(value) return ${this.write(shape)} end`)
  }

  private read(shape: Shape): string {
    if (shape === "number") return "tonumber(next())"
    if (shape === "boolean") return 'next() == "1"'
    if (shape === "string") return "readText(next())"
    if (shape === "word") return "next()"
    if ("list" in shape) return `readList(next, ${this.reader(shape.list)})`
    if ("record" in shape) return this.record(shape.record, [])
    const choices = shape.choices.map(
      ([word, fields]) =>
        ` if word == "${word}" then return ${this.record(fields, [`["${shape.tag}"] = "${word}"`])} end\n`
    )
    return `${this.named(`(next)\n local word = next()\n${choices.join("")}end`)}(next)`
  }

  // A table's fields are evaluated in the order in which they are written.
  private record(fields: ReadonlyArray<Field>, before: ReadonlyArray<string>): string {
    return `{${[...before, ...fields.map(([name, shape]) => `["${name}"] = ${this.read(shape)}`)].join(", ")}}`
  }

  private write(shape: Shape): string {
    const written: Written = { formats: [], values: [] }
    this.collect(shape, "value", written)
    const [only] = written.values
    if (written.formats.length === 1 && written.formats[0] === "%s") return only!
    return `format("${written.formats.join(" ")}"${written.values.map((value) => `, ${value}`).join("")})`
  }

  private collect(shape: Shape, value: string, { formats, values }: Written): void {
    if (typeof shape === "object" && "record" in shape) {
      for (const [name, field] of shape.record) this.collect(field, `${value}["${name}"]`, { formats, values })
      return
    }
    formats.push(shape === "number" ? "%.17g" : "%s")
    if (shape === "number" || shape === "word") values.push(value)
    else if (shape === "boolean") values.push(`(${value} and "1" or "0")`)
    else if (shape === "string") values.push(`writeText(${value})`)
    else if ("list" in shape) values.push(`writeList(${value}, ${this.writer(shape.list)})`)
    else {
      const choices = shape.choices.map(
        ([word, record]) =>
          ` if value["${shape.tag}"] == "${word}" then return ${this.write({ record: [[shape.tag, "word"], ...record] })} end\n`
      )
      values.push(`${this.named(`(value)\n${choices.join("")}end`)}(${value})`)
    }
  }
}
