/**
 * The policies of the cases, the same for every contestant. The limit is so high that it never refuses, and refills so
 * slowly that its key stays in use.
 */
export const limit = 100_000_000
export const windowMillis = 3_600_000

export const failures = 5
export const openMillis = 30_000

export const attempts = 3
export const baseMillis = 500

export const maxConcurrent = 1_000
export const callTimeoutMillis = 10_000
export const attemptTimeoutMillis = 1_000

export const key = "user:1"
