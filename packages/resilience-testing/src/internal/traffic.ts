/**
 * What traffic is made of.
 */
import * as Pipeable from "effect/Pipeable"
import type { Arrival, Key, Traffic } from "../Traffic.ts"
import type { Streams } from "./streams.ts"

export const TypeId = "~effect-resilience-testing/Traffic"

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
