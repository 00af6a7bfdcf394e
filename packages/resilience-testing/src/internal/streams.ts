/**
 * Randomness in independent streams: what one concern draws never moves what another one meets.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** The next number of a stream, in [0, 1). */
export type Draw = () => number

/** The stream of a concern. */
export type Streams = (concern: string) => Draw

export const randomOf = (seed: string): Random.Random =>
  Effect.runSync(
    Random.withSeed(
      Effect.map(Random.Random, (random) => random),
      seed
    )
  )

export const streamsOf =
  (seed: string): Streams =>
  (concern) => {
    const random = randomOf(`${seed}/${concern}`)
    return () => random.nextDoubleUnsafe()
  }

/** The streams of a part, which are nobody else's. */
export const within =
  (streams: Streams, part: string | number): Streams =>
  (concern) =>
    streams(`${part}/${concern}`)
