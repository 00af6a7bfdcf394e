/** A connection, on clients that only pretend: what it does when, to the millisecond. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Client } from "../src/internal/client.ts"
import { open as connect } from "../src/internal/connection.ts"
import { open as follow } from "../src/internal/sentinel.ts"
import { Silence } from "../src/internal/silence.ts"
import { pause } from "./servers.ts"

/** A client whose server does what the test says. */
class Fake implements Client {
  isOpen = false
  isReady = false
  isDestroyed = false
  readonly sent: Array<string> = []
  readonly replies: Array<{ readonly resolve: (reply: unknown) => void; readonly reject: (cause: unknown) => void }> =
    []
  readonly channels = new Map<string, (message: string) => void>()
  private readonly listeners = new Map<string, Array<(cause?: unknown) => void>>()
  private settle: { readonly resolve: () => void; readonly reject: (cause: unknown) => void } | undefined
  private readonly handshake = new Promise<void>((resolve, reject) => (this.settle = { resolve, reject }))

  connect = () => {
    this.isOpen = true
    return this.handshake
  }
  destroy = () => {
    this.isDestroyed = true
    this.isOpen = this.isReady = false
    for (const { reject } of this.replies.splice(0)) reject(new Error("destroyed"))
  }
  sendCommand = (command: ReadonlyArray<string>) => {
    this.sent.push(command.join(" "))
    return new Promise((resolve, reject) => this.replies.push({ resolve, reject }))
  }
  subscribe = (channel: string, listener: (message: string) => void) => {
    this.channels.set(channel, listener)
    return Promise.resolve()
  }
  on = (event: string, listener: (cause?: unknown) => void) => {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener])
  }
  off = () => {}

  emit(event: string, cause?: unknown) {
    for (const listener of this.listeners.get(event) ?? []) listener(cause)
  }
  shake() {
    this.isReady = true
    this.settle!.resolve()
  }
  refuse(message: string) {
    this.isOpen = false
    this.settle!.reject(new Error(message))
  }
  answer(reply: unknown = "OK") {
    this.replies.shift()!.resolve(reply)
  }
  fail(message: string) {
    this.replies.shift()!.reject(new Error(message))
  }
}

/** Promises are settled, and the fibers that wait for them have gone on. */
const settled = Effect.forEach([1, 2, 3], () => Effect.andThen(pause(0), TestClock.adjust(0)))

const silence = 1_000

const make = Effect.gen(function* () {
  const clients: Array<Fake> = []
  const connection = yield* connect({
    name: "fake",
    silence,
    client: Effect.sync(() => {
      const client = new Fake()
      clients.push(client)
      return client
    })
  })
  yield* settled
  const send = (command = "GET") =>
    Effect.tap(Effect.forkChild(Effect.exit(connection.send([command])), { startImmediately: true }), settled)
  const pass = (millis: number) => Effect.andThen(TestClock.adjust(millis), settled)
  const last = () => clients.at(-1)!
  /** Until another client is made: no pause is longer. */
  const next = pass(1_000)
  return { clients, connection, last, next, pass, send }
})

describe("a connection", () => {
  it.effect("is left when nothing of what was asked is answered, and not when anything is", () =>
    Effect.gen(function* () {
      const { clients, last, pass, send } = yield* make
      last().shake()
      yield* settled
      yield* pass(10 * silence)
      assert.isFalse(last().isDestroyed, "nothing was asked")
      yield* send()
      yield* send()
      yield* pass(0.9 * silence)
      last().answer()
      yield* pass(0.9 * silence)
      assert.isFalse(last().isDestroyed, "the second one is 1.8 times as old")
      last().fail("ERR it is an answer, too")
      yield* send()
      yield* pass(0.9 * silence)
      assert.isFalse(last().isDestroyed)
      yield* pass(0.4 * silence)
      assert.isTrue(clients[0]!.isDestroyed)
    })
  )

  it.effect("is not kept by what the client itself says, nor by new questions", () =>
    Effect.gen(function* () {
      const { clients, last, pass, send } = yield* make
      last().shake()
      yield* settled
      yield* send()
      for (let i = 0; i < 13; i++) {
        yield* send()
        clients[0]!.replies.pop()?.reject(new Error("The queue is full"))
        yield* pass(silence / 10)
      }
      assert.isTrue(clients[0]!.isDestroyed)
    })
  )

  it.live("is not left for a time in which this process was held itself", () =>
    Effect.gen(function* () {
      const quiet = new Silence()
      quiet.began()
      const watch = yield* Effect.forkChild(quiet.lasts(400), { startImmediately: true })
      yield* pause(1)
      // nothing of this process runs for longer than that, and the answer that has come meanwhile is read after that
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)
      yield* pause(10)
      assert.isUndefined(watch.pollUnsafe())
      quiet.ended(true)
      quiet.began()
      yield* Fiber.join(watch)
    })
  )

  it.effect("gives a handshake as long as an answer, and makes no other attempt meanwhile", () =>
    Effect.gen(function* () {
      const { clients, next, pass } = yield* make
      yield* pass(silence - 1)
      assert.lengthOf(clients, 1)
      assert.isFalse(clients[0]!.isDestroyed)
      yield* pass(1)
      assert.isTrue(clients[0]!.isDestroyed)
      assert.lengthOf(clients, 1)
      yield* next
      assert.lengthOf(clients, 2)
      // the socket of the first one had not been connected yet, so it could not be closed: it is, once it is connected
      clients[0]!.isDestroyed = false
      clients[0]!.emit("connect")
      assert.isTrue(clients[0]!.isDestroyed)
    })
  )

  it.effect("waits longer for each further attempt, a second at most, until an answer: a handshake is none", () =>
    Effect.gen(function* () {
      const { clients, last, next, pass, send } = yield* make
      const pauses: Array<number> = []
      const measured = Effect.gen(function* () {
        const before = clients.length
        let millis = 0
        for (; clients.length === before; millis++) yield* TestClock.adjust(1)
        yield* settled
        return millis
      })
      for (let i = 0; i < 8; i++) {
        last().shake()
        yield* settled
        yield* send()
        last().fail(
          ["READONLY You can't write", "LOADING Redis is", "ERR Error running script: -MASTERDOWN Link"][i % 3]!
        )
        yield* settled
        assert.isTrue(last().isDestroyed)
        pauses.push(yield* measured)
      }
      pauses.forEach((pause, i) => {
        const most = Math.min(1_000, 50 * 2 ** i)
        assert.isAtLeast(pause, most / 2)
        assert.isAtMost(pause, most + 1)
      })
      last().shake()
      yield* settled
      yield* send()
      last().answer()
      yield* settled
      last().emit("error", new Error("Socket closed unexpectedly"))
      yield* settled
      assert.isAtMost(yield* measured, 51)
      yield* Effect.andThen(next, pass(0))
    })
  )

  it.effect("fails what is asked at once while it is not there, with what keeps it away", () =>
    Effect.gen(function* () {
      const { connection, last, next, send } = yield* make
      const why = Effect.map(Effect.flip(connection.send(["GET"])), ({ cause }) => String(cause))
      assert.include(yield* why, "not connected yet")
      last().refuse("WRONGPASS invalid username-password pair")
      yield* settled
      assert.include(yield* why, "WRONGPASS")
      yield* next
      last().shake()
      yield* settled
      const sent = yield* send()
      last().emit("error", new Error("read ECONNRESET"))
      assert.include(Effect.runSync(why), "ECONNRESET", "in the same turn")
      yield* settled
      assert.isTrue(Exit.isFailure(yield* Fiber.join(sent)), "and so does what was sent")
    })
  )

  it.effect("ends with its scope: connected, in a handshake, or between two attempts", () =>
    Effect.gen(function* () {
      for (const state of ["connected", "shaking", "pausing"]) {
        const scope = yield* Scope.make()
        const { clients, last, pass } = yield* Scope.provide(make, scope)
        if (state === "connected") last().shake()
        if (state === "pausing") last().refuse("no")
        yield* settled
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(last().isDestroyed || state === "pausing")
        yield* pass(10_000)
        assert.lengthOf(clients, 1)
      }
    })
  )
})

describe("the master that sentinels name", () => {
  it.effect(
    "is left when a sentinel says that another one is, and is asked of another sentinel where one is away",
    () =>
      Effect.gen(function* () {
        const masters: Array<string> = []
        const sentinels = new Map<number, Array<Fake>>([
          [1, []],
          [2, []]
        ])
        const fakes: Array<Fake> = []
        const send = yield* follow({
          name: "main",
          silence,
          sentinels: [
            { host: "s", port: 1 },
            { host: "s", port: 2 }
          ],
          sentinelAt: (_, port) => {
            const client = new Fake()
            sentinels.get(port)!.push(client)
            if (port === 2) client.shake()
            else client.refuse("connect ECONNREFUSED")
            return client
          },
          masterAt: (host, port) => {
            masters.push(`${host}:${port}`)
            const client = new Fake()
            client.shake()
            fakes.push(client)
            return client
          }
        })
        const named = Effect.fnUntraced(function* (host: string) {
          for (let i = 0; i < 20 && masters.at(-1) !== host; i++) {
            yield* settled
            for (const client of sentinels.get(2)!) {
              if (client.replies.length > 0) client.answer(host.split(":"))
            }
            yield* TestClock.adjust(100)
          }
          yield* settled
        })
        yield* named("10.0.0.1:6379")
        assert.deepStrictEqual(masters, ["10.0.0.1:6379"])
        const listener = () => sentinels.get(2)!.find((client) => client.channels.size > 0)
        for (let i = 0; i < 20 && listener() === undefined; i++) yield* Effect.andThen(TestClock.adjust(200), settled)
        const said = listener()!.channels.get("+switch-master")!
        said("another 10.0.0.1 6379 10.0.0.9 6379")
        yield* settled
        assert.isFalse(fakes[0]!.isDestroyed)
        said("main 10.0.0.1 6379 10.0.0.2 6379")
        yield* settled
        assert.isTrue(fakes[0]!.isDestroyed)
        yield* named("10.0.0.2:6379")
        const sent = yield* Effect.forkChild(send(["GET"]), { startImmediately: true })
        yield* settled
        fakes[1]!.answer("value")
        assert.strictEqual(yield* Fiber.join(sent), "value")
      })
  )
})
