/**
 * Numbers and times as a reader likes them.
 */

const units = [
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
  [1, "ms"]
] as const

/** A time in its largest units, two at most: `90000` is "1 min 30 s", and `1500` is "1.5 s". */
export const time = (millis: number): string => {
  if (millis === 0) return "0 s"
  if (millis < 60_000) return millis < 1000 ? `${digits(millis)} ms` : `${digits(millis / 1000)} s`
  let rest = millis
  const parts = units.flatMap(([size, unit]) => {
    const whole = Math.floor(rest / size)
    rest -= whole * size
    return whole === 0 ? [] : [`${digits(whole)} ${unit}`]
  })
  return parts.slice(0, 2).join(" ")
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
