/**
 * A binary heap by time: the earliest comes first. Each item knows where it stands, so that it can leave.
 */

export interface Timed {
  at: number
  /** Among items of one time the lowest comes first. Absent: any of them. */
  readonly order?: number
  /** Its place in the heap. */
  index: number
}

const isBefore = (a: Timed, b: Timed): boolean => a.at < b.at || (a.at === b.at && a.order! < b.order!) // absent: false

const put = <T extends Timed>(heap: Array<T>, item: T, index: number): void => {
  heap[index] = item
  item.index = index
}

const rise = <T extends Timed>(heap: Array<T>, item: T, from: number): void => {
  let i = from
  while (i > 0) {
    const parent = (i - 1) >> 1
    if (!isBefore(item, heap[parent]!)) break
    put(heap, heap[parent]!, i)
    i = parent
  }
  put(heap, item, i)
}

const sink = <T extends Timed>(heap: Array<T>, item: T, from: number): void => {
  let i = from
  while (true) {
    let child = 2 * i + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
    if (!isBefore(heap[child]!, item)) break
    put(heap, heap[child]!, i)
    i = child
  }
  put(heap, item, i)
}

export const push = <T extends Timed>(heap: Array<T>, item: T): void => rise(heap, item, heap.push(item) - 1)

/** Of a heap that holds the item. */
export const remove = <T extends Timed>(heap: Array<T>, item: T): void => {
  const { index } = item
  const last = heap.pop()!
  if (index === heap.length) return
  if (isBefore(last, item)) rise(heap, last, index)
  else sink(heap, last, index)
}

/** Of a heap that is not empty. */
export const pop = <T extends Timed>(heap: Array<T>): T => {
  const top = heap[0]!
  remove(heap, top)
  return top
}
