/**
 * The contract of every algorithm in this library.
 *
 * A kernel is a pure state machine. It reads no clock, draws no random number and imports nothing: the time and the
 * draws come in with the call. Its states are fixed records of whole numbers, strings, booleans and arrays, so that
 * they survive serialisation and the same source can be compiled for a store that runs on another machine.
 */

/** What a kernel answers. `allowed` is what makes an admission all or nothing. */
export interface Decision {
  readonly allowed: boolean
}

/**
 * A pure state machine over one key.
 *
 * Laws: a step that is not allowed returns the very state it was given; after `expiresAt` a state behaves like
 * `initial`; a `now` before one already seen, within the tolerance of `span`, never grants more.
 */
export interface Kernel<Policy, State, Input, Answer extends Decision> {
  /** Name and version, stored next to the state where states are shared: `token-bucket@2`. */
  readonly id: string
  /** What an absent key means. */
  readonly initial: (policy: Policy) => State
  /** Times are whole milliseconds. */
  readonly step: (policy: Policy, state: State, input: Input, now: number) => readonly [answer: Answer, state: State]
  /** From when on the state may be forgotten; `undefined` for never. */
  readonly expiresAt: (policy: Policy, state: State) => number | undefined
  // oxlint-disable house/kernel-language -- functions that a kernel may lack, not fields of its data
  /**
   * The longest time, in milliseconds, that a state stays in force: of a limit, how long a key that is used up takes to be
   * as good as new. `step` reads a state whose times are further ahead of `now` than that, and than a second, as `initial`
   * (see `FarAhead.ts`). Absent: every state is believed, however far ahead.
   */
  readonly span?: ((policy: Policy) => number) | undefined
  /**
   * When all that the state owes would be repaid if it were repaid evenly: a number of the state, which no passing of time
   * changes. Where the keys of a store are bounded, the key with the lowest rank is forgotten first, and one of rank
   * `Infinity` never. Absent: `expiresAt`.
   */
  readonly rank?: ((policy: Policy, state: State) => number) | undefined
  /**
   * What `policy` begins with where another policy of this algorithm left `state`. Absent: a limit begins with the units
   * that were used, any other kernel with `initial` (see `Adoption.ts`).
   */
  readonly adopt?: ((policy: Policy, state: State) => State) | undefined
  /**
   * Whether a policy may have these numbers. A shared store asks before it takes over what another policy left: one that
   * there cannot be was damaged. Absent: all of them may be.
   */
  readonly isPolicy?: ((policy: Policy) => boolean) | undefined
  /**
   * Whether `state`, which has the fields of one, may be a state of `policy`: its lists are as long as they must be, its
   * words are known. A shared store asks before each `step`: any other state was damaged. Absent: all of them may be.
   */
  readonly isState?: ((policy: Policy, state: State) => boolean) | undefined
  /**
   * Whether an answer to `input` may leave something in the state that is the call's. A shared store whose answer is not
   * waited for any more is then still listened to, so that `undo` can give it back; any other question is dropped. Asked in
   * the process of the call only, as `undo` is. Absent: every input, where there is an `undo`.
   */
  takes?(input: Input): boolean
  /**
   * What gives back what `input` took when it was allowed with `answer`; `undefined` where that is nothing. After a `step`
   * with it, nothing was spent. A shared store is asked it for a call that had left when the answer came: the call was
   * interrupted, or the answer was later than the store's `deadline`. Absent: the key of a limit (`isLimit`) gets its
   * `receipt` back as a refund; the key of any other kernel keeps what a late answer took.
   */
  undo?(input: Input, answer: Answer): Input | undefined // a method: a space of any kernel is one of its answers' kind
  // oxlint-enable house/kernel-language
}
