/** Which key goes for a new one, beside a list of all keys that is looked through; and how many are looked at for it. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { Candidates } from "../../src/internal/memoryCandidates.ts"
import type { BoundedCell } from "../../src/internal/memoryCell.ts"

/** What a key's state says of it here. */
interface Worth {
  readonly end: number
  readonly rank: number
}

interface Kind {
  readonly evicts: boolean
  readonly ranks: boolean
}

const setUp = ({ evicts, ranks }: Kind) => {
  const asked = { isFull: false, looks: 0 }
  const later = new Map<BoundedCell, number>()
  const worthOf = ({ value }: BoundedCell) => value as Worth // `add` and `write` put it there
  const endOf = (cell: BoundedCell) => worthOf(cell).end + (later.get(cell) ?? 0)
  const rankOf = (cell: BoundedCell) => worthOf(cell).rank
  const counted = (numberOf: typeof endOf) => (cell: BoundedCell) => {
    asked.looks++
    return numberOf(cell)
  }
  const candidates = new Candidates(evicts, () => asked.isFull, counted(endOf), ranks ? counted(rankOf) : undefined)
  const write = (cell: BoundedCell, end: number, rank = end) => {
    cell.value = { end, rank } satisfies Worth
    candidates.written(cell)
  }
  const add = (end: number, rank = end): BoundedCell => {
    const cell = candidates.cell({ end, rank } satisfies Worth, "a key")
    candidates.written(cell)
    return cell
  }
  /** A use of the key makes its end later, and tells nothing. */
  const use = (cell: BoundedCell, by: number) => later.set(cell, (later.get(cell) ?? 0) + by)
  /** How many numbers are worked out meanwhile. */
  const looksOf = (run: () => unknown): number => {
    const before = asked.looks
    run()
    return asked.looks - before
  }
  return { add, asked, candidates, endOf, looksOf, rankOf, use, write }
}

/** Of a transaction: what it has touched, each with a note of its own. */
type Journal = Map<unknown, object>
const touching = (...cells: ReadonlyArray<BoundedCell>): Journal => new Map(cells.map((cell) => [cell, {}]))

const kinds: Readonly<Record<string, Kind>> = {
  "by ranks": { evicts: true, ranks: true },
  "by ends, where the kernel has no ranks": { evicts: true, ranks: false },
  "none but the fresh ones": { evicts: false, ranks: true }
}

describe("what it costs to find the key that goes", () => {
  const kind = kinds["by ranks"]!
  const placeOf = (cell: BoundedCell) => [cell.index >= 0, cell.ranked!.index >= 0]

  it("calls that come and go cost nothing while there is room", () => {
    const { add, looksOf } = setUp(kind)
    const cell = add(5)
    assert.deepStrictEqual(placeOf(cell), [true, true])
    const comesAndGoes = () => {
      cell.hold()
      cell.pending.set("a token", () => {})
      assert.deepStrictEqual(placeOf(cell), [true, true], "its place is left alone")
      cell.pending.delete("a token")
      cell.release()
    }
    assert.strictEqual(looksOf(comesAndGoes), 0)
  })

  it("a key that is taken into use once there is no room leaves its places, and has them again when it is free", () => {
    const { add, asked, looksOf, write } = setUp(kind)
    const cell = add(5)
    asked.isFull = true
    cell.hold()
    assert.deepStrictEqual(placeOf(cell), [false, false])
    assert.strictEqual(
      looksOf(() => write(cell, 3)),
      0
    )
    cell.pending.set("a token", () => {})
    cell.release()
    assert.deepStrictEqual(placeOf(cell), [false, false], "it is in use still")
    cell.pending.delete("a token")
    assert.deepStrictEqual(placeOf(cell), [true, true])
    cell.pending.set("a token", () => {})
    assert.deepStrictEqual(placeOf(cell), [false, false], "a transaction that waits uses it too")
  })

  it("a key in use that has a place still goes by what was written last", () => {
    const { add, asked, candidates, write } = setUp(kind)
    const [cell, other] = [add(9), add(5)]
    cell.hold()
    write(cell, 2)
    asked.isFull = true
    cell.release()
    assert.strictEqual(candidates.next(0, undefined), cell)
    assert.strictEqual(candidates.next(2, touching(cell)), other)
  })

  it("a key that was taken into use before there was no room is found out once", () => {
    const { add, asked, candidates, looksOf } = setUp(kind)
    const held = Array.from({ length: 50 }, (_, i) => add(i))
    for (const cell of held) cell.hold()
    const free = add(90)
    asked.isFull = true
    const look = () => assert.strictEqual(candidates.next(60, undefined), free)
    assert.isAtLeast(looksOf(look), 50)
    assert.isAtMost(looksOf(look), 2)
  })

  it("what a transaction has touched is found out once by all of its looks for room", () => {
    const { add, candidates, looksOf } = setUp(kind)
    const touched = Array.from({ length: 50 }, (_, i) => add(i))
    const journal = touching(...touched)
    const look = () => assert.isUndefined(candidates.next(60, journal))
    assert.isAtLeast(looksOf(look), 50)
    assert.strictEqual(looksOf(look), 0)
    journal.set("a key of another space", {})
    assert.strictEqual(looksOf(look), 0)
    assert.strictEqual(candidates.next(60, undefined), touched[0], "and may go for others")
  })

  it("also beside one that came into use meanwhile", () => {
    const { add, candidates, looksOf } = setUp(kind)
    const touched = Array.from({ length: 50 }, (_, i) => add(i))
    candidates.next(60, touching(...touched))
    touched[0]!.hold()
    const journal = touching(...touched)
    const look = () => assert.isUndefined(candidates.next(60, journal))
    assert.isAtLeast(looksOf(look), 49)
    assert.strictEqual(looksOf(look), 0)
    touched[0]!.release()
    candidates.drop(touched[1]!)
    assert.strictEqual(candidates.next(60, undefined), touched[0], "it is free again")
  })

  it("a write costs a step in the heap only where a number becomes less", () => {
    const { add, write } = setUp(kind)
    const [cell] = [add(5), add(5), add(5)]
    const places = () => [cell.index, cell.at, cell.ranked!.index, cell.ranked!.at]
    const before = places()
    write(cell, 5)
    write(cell, 7)
    assert.deepStrictEqual(places(), before, "that it became more is found out when it is the first")
    write(cell, 4)
    assert.deepStrictEqual([cell.at, cell.ranked!.at], [4, 4])
  })

  it("keys are not ordered by ranks where only fresh ones may go, nor where there are none", () => {
    for (const name of ["by ends, where the kernel has no ranks", "none but the fresh ones"]) {
      const { add, looksOf } = setUp(kinds[name]!)
      assert.strictEqual(
        looksOf(() => assert.isUndefined(add(5).ranked)),
        1
      )
    }
  })
})

describe("the key that goes is the one that a look at all of them finds", () => {
  const Roll = Schema.Struct({
    do: Schema.Literals([
      ...(["add", "add", "write", "write", "use", "hold", "hold", "release", "wait", "wait", "leave", "wake"] as const),
      ...([
        "drop",
        "full",
        "touch",
        "touch",
        "touch",
        "journal",
        "again",
        "again",
        "next",
        "next",
        "next",
        "evict"
      ] as const)
    ]),
    pick: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 99 })),
    end: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 })),
    rank: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
  })
  const rolls = Arbitrary.array(Arbitrary.schema(Roll), { minLength: 30, maxLength: 120 })
  const orNever = (n: number, never: number) => (n >= never ? Infinity : n)

  for (const [name, kind] of Object.entries(kinds)) {
    const seen = { fresh: 0, ranked: 0, none: 0 }
    it.prop(
      name,
      { rolls },
      ({ rolls }) => {
        const { add, asked, candidates, endOf, rankOf, use, write } = setUp(kind)
        const cells: Array<BoundedCell> = []
        const holds = new Map<BoundedCell, number>()
        const waits = new Map<BoundedCell, Set<number>>()
        const gone = new Set<BoundedCell>()
        const journals: ReadonlyArray<Journal | undefined> = [undefined, new Map(), new Map()]
        let journal = journals[1]
        const heldBy = (cell: BoundedCell) => (holds.get(cell) ?? 0) + (waits.get(cell)?.size ?? 0)
        const least = (of: ReadonlyArray<BoundedCell>, numberOf: typeof endOf) =>
          of.length === 0 ? undefined : Math.min(...of.map(numberOf))

        for (const roll of rolls) {
          const [end, rank] = [orNever(roll.end, 11), orNever(roll.rank, 8)]
          // what lets go is drawn among those in use, or most would be in use in the end
          const among =
            roll.do === "release"
              ? cells.filter((one) => (holds.get(one) ?? 0) > 0)
              : roll.do === "leave" || roll.do === "wake"
                ? cells.filter((one) => (waits.get(one)?.size ?? 0) > 0)
                : cells.filter((one) => !gone.has(one) || roll.pick % 5 === 0)
          const cell = among[roll.pick % among.length]
          const token = roll.pick % 3
          if (roll.do === "add" || cell === undefined) {
            if (cells.length - gone.size < 6) cells.push(add(end, rank))
          } else if (roll.do === "write") write(cell, end, rank)
          else if (roll.do === "use") use(cell, roll.rank)
          else if (roll.do === "hold") {
            holds.set(cell, (holds.get(cell) ?? 0) + 1)
            cell.hold()
          } else if (roll.do === "release") {
            holds.set(cell, holds.get(cell)! - 1)
            cell.release()
          } else if (roll.do === "wait") {
            waits.set(cell, (waits.get(cell) ?? new Set()).add(token))
            cell.pending.set(token, () => {})
          } else if (roll.do === "leave") {
            assert.strictEqual(cell.pending.delete(token), waits.get(cell)?.delete(token) === true)
          } else if (roll.do === "wake") {
            // as a commit of Effect's does it
            cell.value = { end, rank } satisfies Worth
            cell.pending.clear()
            waits.delete(cell)
          } else if (roll.do === "drop" && heldBy(cell) === 0) {
            gone.add(cell)
            candidates.drop(cell)
          } else if (roll.do === "full") asked.isFull = !asked.isFull
          else if (roll.do === "touch" && journal?.has(cell) !== true) journal?.set(cell, {})
          else if (roll.do === "journal") journal = journals[roll.pick % journals.length]
          else if (roll.do === "again" && journal !== undefined) {
            // a transaction that runs again may touch less than before
            const before = Array.from(journal.keys()).slice(0, roll.pick % 4)
            journal.clear()
            for (const touched of before) journal.set(touched, {})
          } else if (roll.do === "next" || roll.do === "evict") {
            const now = roll.rank
            const free = cells.filter((one) => !gone.has(one) && heldBy(one) === 0 && journal?.has(one) !== true)
            const end = least(free, endOf)
            const rank = least(free, kind.ranks ? rankOf : endOf)
            const found = candidates.next(now, journal)
            if (end !== undefined && end <= now) {
              assert.include(free, found)
              assert.strictEqual(endOf(found!), end)
              seen.fresh++
            } else if (kind.evicts && rank !== undefined && (rank < Infinity || !kind.ranks)) {
              assert.include(free, found)
              assert.strictEqual((kind.ranks ? rankOf : endOf)(found!), rank)
              seen.ranked++
            } else {
              assert.isUndefined(found)
              seen.none++
            }
            if (roll.do === "evict" && found !== undefined) {
              gone.add(found)
              candidates.drop(found)
            }
          }
        }
      },
      { arbitrary: { runs: 250 } }
    )

    it(`${name}: and there were such choices`, () => {
      assert.isAbove(seen.fresh, 200)
      assert.isAbove(seen.none, 200)
      if (kind.evicts) assert.isAbove(seen.ranked, 200)
      else assert.strictEqual(seen.ranked, 0)
    })
  }
})
