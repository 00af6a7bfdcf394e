/**
 * Plain data as words, in the order that its shape gives them. No word is empty or holds a space, a comma, a semicolon or a
 * bar, which divide words, and what stands beside them.
 *
 * `luaCodec` writes the same in Lua. Numbers are written so that the very same double is read back; a list is preceded
 * by its length; a string begins with an apostrophe, and all but plain characters in it are bytes of UTF-8 in hex. A lone
 * surrogate is written as if UTF-8 had it, so that no two strings are one.
 */
import type { Field, Shape } from "./compiled.ts"

const special = /[^A-Za-z0-9_.:/@-]/
const specials = /[^A-Za-z0-9_.:/@-]/gu
const hex = (byte: number): string => `%${byte < 16 ? "0" : ""}${byte.toString(16).toUpperCase()}`

const escaped = (character: string): string => {
  const code = character.codePointAt(0)!
  if (code < 0x80) return hex(code)
  if (code < 0x800) return hex(0xc0 | (code >> 6)) + hex(0x80 | (code & 0x3f))
  const low = hex(0x80 | ((code >> 6) & 0x3f)) + hex(0x80 | (code & 0x3f))
  if (code < 0x10000) return hex(0xe0 | (code >> 12)) + low
  return hex(0xf0 | (code >> 18)) + hex(0x80 | ((code >> 12) & 0x3f)) + low
}

/** Any string in plain characters and `%`. No two are one, and none is longer than it must be. */
export const escape = (text: string): string => (special.test(text) ? text.replace(specials, escaped) : text)

const unescaped = (text: string): string =>
  text.replaceAll(/(?:%[0-9A-F]{2})+/g, (run) => {
    const bytes = run
      .slice(1)
      .split("%")
      .map((byte) => Number.parseInt(byte, 16))
    let out = ""
    for (let i = 0; i < bytes.length;) {
      const first = bytes[i++]!
      const more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3
      let code = more === 0 ? first : first & (0x3f >> more)
      for (const end = i + more; i < end; i++) code = (code << 6) | (bytes[i]! & 0x3f)
      out += String.fromCodePoint(code)
    }
    return out
  })

/** Throws where it is not how a string is written: then what holds it was damaged. */
export const unescape = (text: string): string => {
  if (!special.test(text)) return text
  const plain = unescaped(text)
  if (escape(plain) !== text) throw new Error(`${JSON.stringify(text.slice(0, 40))} is not how a text is written`)
  return plain
}

/** Read back as the very same number. */
export const wordOf = (value: number): string => (Object.is(value, -0) ? "-0" : String(value))

/** The largest of the numbers that our own kernels hold, and the largest time. */
export const LARGEST = 2 ** 53

/** A decimal whole number from 0 to 2^53; anything else is none that this package wrote. */
export const wholeOf = (word: string): number => {
  const number = /^\d+$/.test(word) ? Number(word) : NaN
  if (!(number <= LARGEST)) throw new Error(`${JSON.stringify(word.slice(0, 40))} is no whole number from 0 to 2^53`)
  return number
}

/**
 * Words that are still to be read. With `isWhole`, every number must be a whole one, as the states of our own kernels have
 * them; without it, a finite one. What a reader does not expect is an error, here and in `luaCodec` alike.
 */
export class Words {
  private readonly words: ReadonlyArray<string>
  private readonly isWhole: boolean
  private next = 0
  constructor(words: ReadonlyArray<string>, isWhole = false) {
    this.words = words
    this.isWhole = isWhole
  }
  word(pattern = /^[^, ]+$/): string {
    const word = this.words[this.next++]
    if (word === undefined) throw new Error("it has too few words")
    if (!pattern.test(word)) throw new Error(`${JSON.stringify(word.slice(0, 40))} is not a word of it`)
    return word
  }
  number(): number {
    const word = this.word()
    if (this.isWhole) return wholeOf(word)
    const number = /^-?\d+\.?\d*e?[+-]?\d*$/.test(word) ? Number(word) : NaN
    if (!Number.isFinite(number)) throw new Error(`${JSON.stringify(word.slice(0, 40))} is no finite number`)
    return number
  }
  count(): number {
    return wholeOf(this.word())
  }
  end(): void {
    if (this.next < this.words.length) throw new Error("it has too many words")
  }
}

export interface Codec {
  readonly write: (value: unknown, out: Array<string>) => void
  readonly read: (words: Words) => unknown
}

const number: Codec = {
  write: (value, out) => out.push(wordOf(value as number)), // the shape was read off the type of what is given
  read: (words) => words.number()
}

const boolean: Codec = {
  write: (value, out) => out.push(value === true ? "1" : "0"),
  read: (words) => words.word(/^[01]$/) === "1"
}

const string: Codec = {
  write: (value, out) => out.push(`'${escape(value as string)}`), // the shape was read off the type of what is given
  read: (words) => unescape(words.word(/^'[^, ]*$/).slice(1))
}

const word: Codec = {
  write: (value, out) => out.push(value as string), // the shape was read off the type of what is given
  read: (words) => words.word()
}

const listOf = (element: Codec): Codec => ({
  write: (value, out) => {
    const list = value as ReadonlyArray<unknown> // the shape was read off the type of what is given
    out.push(String(list.length))
    for (const one of list) element.write(one, out)
  },
  read: (words) => {
    const list: Array<unknown> = []
    for (let left = words.count(); left > 0; left--) list.push(element.read(words))
    return list
  }
})

const recordOf = (fields: ReadonlyArray<Field>): Codec => {
  const codecs = fields.map(([name, shape]) => ({ name, codec: codecOf(shape) }))
  return {
    write: (value, out) => {
      const record = value as Record<string, unknown> // the shape was read off the type of what is given
      for (const { codec, name } of codecs) codec.write(record[name], out)
    },
    read: (words) => {
      const record: Record<string, unknown> = {}
      for (const { codec, name } of codecs) record[name] = codec.read(words)
      return record
    }
  }
}

const choiceOf = (
  tag: string,
  choices: ReadonlyArray<readonly [word: string, fields: ReadonlyArray<Field>]>
): Codec => {
  const records = new Map(choices.map(([word, fields]) => [word, recordOf(fields)]))
  const find = (word: string): Codec => {
    const record = records.get(word)
    if (record === undefined) throw new Error(`no ${tag} is ${word}`)
    return record
  }
  return {
    write: (value, out) => {
      const word = (value as Record<string, string>)[tag]! // the shape was read off the type of what is given
      out.push(word)
      find(word).write(value, out)
    },
    read: (words) => {
      const word = words.word()
      return { [tag]: word, ...(find(word).read(words) as object) } // a record's codec reads records
    }
  }
}

/** Made once for each shape, before anything is asked. */
export const codecOf = (shape: Shape): Codec => {
  if (shape === "number") return number
  if (shape === "boolean") return boolean
  if (shape === "string") return string
  if (shape === "word") return word
  if ("list" in shape) return listOf(codecOf(shape.list))
  return "record" in shape ? recordOf(shape.record) : choiceOf(shape.tag, shape.choices)
}

export const wordsOf = (codec: Codec, value: unknown): ReadonlyArray<string> => {
  const out: Array<string> = []
  codec.write(value, out)
  return out
}
