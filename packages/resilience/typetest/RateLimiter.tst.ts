/**
 * An option that does not exist does not compile: nobody believes in a limit that is not there (pitfall 37).
 */
import { RateLimiter, Resilience } from "effect-resilience"

const rate = { limit: 1, window: "1 second" } as const

// error: 'tokensPerSecond' does not exist
export const otherName = RateLimiter.tokenBucket({ tokensPerSecond: 10, window: "1 second" })

// error: 'maxwait' does not exist
export const misspelt = RateLimiter.tokenBucket({ ...rate, maxwait: "1 second" })

// error: Did you mean to write 'rateLimiter'?
export const otherPolicy = Resilience.make("api", { rateLimit: RateLimiter.tokenBucket(rate) })
