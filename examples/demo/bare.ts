/**
 * The first run: the call as it is written on the first day. It looks careful.
 */
import { Effect } from "effect"
import { Api } from "./api.ts"

/** A timeout, and if it did not work, try again, five times in all. */
export const fetchProfile = (user: string) =>
  Api.use((api) => api.fetchProfile(user)).pipe(Effect.timeout("3 seconds"), Effect.retry({ times: 4 }))
