/**
 * The error of a constructor. It is exported from `Rejection`.
 */

/**
 * A policy, key or cost that makes no sense. Thrown where the value is built, with the module and field in its message.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidPolicyError extends Error {
  readonly _tag = "InvalidPolicyError"
  override readonly name = "InvalidPolicyError"
  readonly module: string
  readonly parameter: string
  readonly value: unknown
  readonly reason: string
  constructor(options: {
    readonly module: string
    readonly parameter: string
    readonly value: unknown
    readonly reason: string
  }) {
    super(`${options.module}: ${options.parameter} ${options.reason} (got ${show(options.value)})`)
    this.module = options.module
    this.parameter = options.parameter
    this.value = options.value
    this.reason = options.reason
  }
}

const show = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
  if (typeof value === "object" && value !== null) {
    try {
      return JSON.stringify(value) ?? String(value)
    } catch {
      return Object.prototype.toString.call(value)
    }
  }
  return String(value)
}
