import { assert } from "@effect/vitest"
import { InvalidPolicyError } from "../src/Rejection.ts"

/** The words in which a policy is refused where it is made; `"accepted"` where it is not. */
export const refusal = (make: () => unknown): string => {
  try {
    make()
  } catch (error) {
    assert.instanceOf(error, InvalidPolicyError)
    return error.message
  }
  return "accepted"
}
