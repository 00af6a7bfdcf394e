/**
 * A state whose times are ahead of the clock that asks.
 *
 * A server that fails over, or that sets its clock back, reads states from later than its own now. Times that are a
 * little ahead are believed: read as the present, they grant nothing more. Times further ahead than
 * `max(span(policy), LEAST_TOLERANCE)` are over: the state is read as one that owes nothing. So a key is closed for at
 * most that long and one span more, however far the clock was ahead, and nothing has to be written for it to heal.
 */

/** Milliseconds. Two servers may differ by more than a span of some milliseconds, and take turns. */
export const LEAST_TOLERANCE = 1000

/** Whether `time` is over, since it is too far ahead of `now`. One comparison where the clocks agree. */
export const isFarAhead = <Policy>(
  time: number,
  now: number,
  policy: Policy,
  span: (policy: Policy) => number
): boolean => time - now > LEAST_TOLERANCE && time - now > span(policy)

/** The step of a state that is over: that of `fresh`, and what leaves it as it is returns the very state that was `given`. */
export const stepAnew = <Policy, State, Input, Answer>(
  step: (policy: Policy, state: State, input: Input, now: number) => readonly [answer: Answer, state: State],
  policy: Policy,
  given: State,
  fresh: State,
  input: Input,
  now: number
): readonly [answer: Answer, state: State] => {
  const result = step(policy, fresh, input, now)
  return result[1] === fresh ? [result[0], given] : result
}
