/**
 * Numbers and times as a reader likes them.
 */

const units = [
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
  [1, "ms"]
] as const

/** A time in its largest whole unit: `90000` is "90 s". */
export const time = (millis: number): string => {
  if (millis === 0) return "0 s"
  const [size, unit] = units.find(([size]) => millis >= size && (millis / size) % 1 === 0) ?? [1, "ms"]
  return `${digits(millis / size)} ${unit}`
}

/** At most three digits behind the point, thousands apart. */
export const digits = (value: number, most = 3): string => {
  const [whole = "", part = ""] = Math.abs(value).toFixed(most).split(".")
  const fraction = part.replace(/0+$/, "")
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",")
  return `${value < 0 ? "−" : ""}${grouped}${fraction === "" ? "" : `.${fraction}`}`
}

/** A share as percent. */
export const percent = (share: number): string => `${digits(share * 100, 1)} %`

/** With a capital letter, as a sentence begins. */
export const capital = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1)
