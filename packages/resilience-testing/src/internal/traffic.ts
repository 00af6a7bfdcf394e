/**
 * What traffic is made of.
 */
import * as Pipeable from "effect/Pipeable"
import type { Key } from "../Keys.ts"
import type { Streams } from "./streams.ts"

export const TypeId = "~effect-resilience-testing/Traffic"

/**
 * One call: when, and whose.
 *
 * @category models
 * @since 0.1.0
 */
export interface Arrival<out K extends Key = string> {
  /** Milliseconds since the beginning. */
  readonly at: number
  readonly key: K
}

/**
 * When calls arrive, and whose they are.
 *
 * @category models
 * @since 0.1.0
 */
export interface Traffic<out K extends Key = string> extends Pipeable.Pipeable {
  readonly [TypeId]: { readonly _Key: (_: never) => K }
  /** In words. A picture says it. */
  readonly description: string
  /** Milliseconds; `Infinity` for traffic that never ends. */
  readonly length: number
  /** @internal The next arrival each time, never earlier than the one before, and always before `length`. */
  readonly begin: (streams: Streams) => () => Arrival<K> | undefined
}

export const make = <K extends Key>(
  description: string,
  length: number,
  begin: (streams: Streams) => () => Arrival<K> | undefined
): Traffic<K> =>
  Object.assign(
    Object.create(Pipeable.Prototype) as Pipeable.Pipeable,
    {
      [TypeId]: { _Key: (_: never): K => _ },
      description,
      length,
      begin
    } as const
  )

/** The key of every call that was given no other. */
export const CALLER = "caller"
