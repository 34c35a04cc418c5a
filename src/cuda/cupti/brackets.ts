/**
 * Finds the operation of work that another library queued inside it. CUPTI links work to an operation only if it records the call that
 * queued it, and it does not record all calls that libraries make. So two calls of our own enclose such an operation. CUPTI numbers
 * all calls in their order: work on the operation's stream whose call has a number between those two is the operation's.
 */

/** An operation, with the numbers of the first and the last call in it that CUPTI recorded. */
interface Bracket {
  readonly operation: number
  /** CUPTI's number of the stream. */
  readonly stream: number
  /** The operation inside which it was queued. */
  readonly outer: Bracket | undefined
  first: number
  last: number
}

export class Brackets {
  readonly #byOperation = new Map<number, Bracket>()
  /** Those of which a call is known, in the order of their first calls once they are sorted. */
  readonly #byStream = new Map<number, { readonly brackets: Bracket[]; isSorted: boolean }>()
  #open: Bracket | undefined

  begin(operation: number, stream: number): void {
    this.#open = { operation, stream, outer: this.#open, first: Infinity, last: -Infinity }
    this.#byOperation.set(operation, this.#open)
  }

  end(): void {
    this.#open = this.#open?.outer
  }

  /** A call was made in an operation. */
  linked(call: number, operation: number): void {
    const bracket = this.#byOperation.get(operation)
    if (bracket === undefined) return
    if (bracket.first === Infinity) this.#list(bracket)
    bracket.first = Math.min(bracket.first, call)
    bracket.last = Math.max(bracket.last, call)
  }

  /** The innermost operation on a stream that a call belongs to. */
  operationOf(call: number, stream: number): number | undefined {
    let bracket = this.#lastBefore(call, stream)
    while (bracket !== undefined && (bracket.last <= call || bracket.stream !== stream)) bracket = bracket.outer
    return bracket?.operation
  }

  #list(bracket: Bracket): void {
    const list = this.#byStream.get(bracket.stream)
    if (list === undefined) {
      this.#byStream.set(bracket.stream, { brackets: [bracket], isSorted: true })
      return
    }
    list.brackets.push(bracket)
    list.isSorted = false
  }

  #lastBefore(call: number, stream: number): Bracket | undefined {
    const list = this.#byStream.get(stream)
    if (list === undefined) return undefined
    const { brackets } = list
    if (!list.isSorted) brackets.sort((a, b) => a.first - b.first)
    list.isSorted = true
    let low = 0
    let high = brackets.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((brackets[middle]?.first ?? Infinity) < call) low = middle + 1
      else high = middle
    }
    return brackets[low - 1]
  }
}
