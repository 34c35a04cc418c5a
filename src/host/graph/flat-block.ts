import type { ControlBlocks } from "../control/control-blocks.js"
import type { ControlMemory } from "../control/control.js"
import type { BranchBlock } from "./branch-block.js"
import {
  CALL,
  CALL_WORDS,
  FLAT_BRANCHES,
  FLAT_CALLS,
  FLAT_COUNT,
  FLAT_END,
  FLAT_HEADER_WORDS,
  FLAT_PLACES,
  FLAT_START,
  FLAT_TABLE,
  FLAT_WAS_INTERRUPTED,
  IDLE,
  KIND_BITS,
  LEVEL,
  PLACE_BRANCH,
  PLACE_END,
  PLACE_FLAT,
  PLACE_INDEX,
  PLACE_START,
  PLACE_WORDS,
  STATE,
  STREAM_WORDS,
  TABLE_ENTRY_WORDS,
  TIME_WORDS,
  wordAt,
} from "../control/layout.js"
import { inSequence, isWait } from "../queue/sequence.js"

/** A graph's commands in one order, for one worker, and the streams that an interruption needs. */
export interface FlatBlock {
  readonly block: number
  readonly length: number
  /** The control blocks of one stream for each branch but the first. */
  readonly streams: readonly number[]
  /** Where its commands are, here and in the branches' blocks. */
  readonly pieces: readonly { readonly start: number; readonly end: number; readonly at: number }[]
}

interface Piece {
  readonly branch: number
  readonly index: number
  readonly start: number
  readonly end: number
}

/** Makes and releases the flat blocks of a device. */
export class FlatBlocks {
  /** Free streams. They must not become anything else: a worker may still be leaving one. */
  readonly #free: number[] = []
  readonly #control: ControlMemory
  readonly #blocks: ControlBlocks

  constructor(control: ControlMemory, blocks: ControlBlocks) {
    this.#control = control
    this.#blocks = blocks
  }

  /** @throws OutOfMemoryError, having made nothing */
  make(branches: readonly BranchBlock[]): FlatBlock {
    const { words } = this.#control
    const pieces = piecesOf(words, branches)
    const fixed = FLAT_HEADER_WORDS + (TABLE_ENTRY_WORDS + CALL_WORDS) * branches.length + PLACE_WORDS * pieces.length
    const length = pieces.reduce((sum, { start, end }) => sum + end - start, fixed)
    while (this.#free.length < branches.length - 1) this.#free.push(this.#control.reserve(STREAM_WORDS))
    const block = this.#blocks.acquire(length)
    const streams = branches.slice(1).map(() => this.#free.pop() ?? 0)
    const places = this.#write(block, branches, streams, pieces)
    const whereabouts = pieces.map(({ start, end }, index) => ({ start, end, at: places[index] ?? 0 }))
    return { block, length, streams, pieces: whereabouts }
  }

  release({ block, length, streams }: FlatBlock): void {
    this.#blocks.release(block, length)
    this.#free.push(...streams)
  }

  /** The index of the command that is at `at` in its branch's block. */
  find({ block }: FlatBlock, at: number): number {
    const { words } = this.#control
    const places = wordAt(words, block + FLAT_PLACES)
    for (let index = 0; index < wordAt(words, block + FLAT_COUNT); index++) {
      const place = places + PLACE_WORDS * index
      const start = wordAt(words, place + PLACE_START)
      if (start <= at && at < wordAt(words, place + PLACE_END)) return wordAt(words, place + PLACE_FLAT) + at - start
    }
    throw new RangeError(`The flat block has no command for ${at}.`)
  }

  /** Whether all streams that an interruption may have used are idle again. */
  isIdle({ streams }: FlatBlock): boolean {
    return streams.every((stream) => Atomics.load(this.#control.words, stream + STATE) === IDLE)
  }

  /** Whether a run has been interrupted since the last call. */
  wasInterrupted({ block }: FlatBlock): boolean {
    const { words } = this.#control
    const was = words[block + FLAT_WAS_INTERRUPTED] === 1
    words[block + FLAT_WAS_INTERRUPTED] = 0
    return was
  }

  /** @returns where each piece is */
  #write(
    block: number,
    branches: readonly BranchBlock[],
    streams: readonly number[],
    pieces: readonly Piece[],
  ): number[] {
    const { words } = this.#control
    const table = block + FLAT_HEADER_WORDS
    const calls = table + TABLE_ENTRY_WORDS * branches.length
    const places = calls + CALL_WORDS * branches.length
    const start = places + PLACE_WORDS * pieces.length
    branches.forEach((branch, index) => {
      const stream = streams[index - 1] ?? 0
      words.set([stream, 0, 0], table + TABLE_ENTRY_WORDS * index)
      const header = CALL | (CALL_WORDS << KIND_BITS)
      words.set([header, branch.block, branch.length, branch.count, table, 0], calls + CALL_WORDS * index)
      if (index > 0) words[stream + LEVEL] = branch.level
    })
    const written = this.#writePieces(pieces, places, start)
    words[block + FLAT_WAS_INTERRUPTED] = 0
    words[block + FLAT_COUNT] = pieces.length
    words[block + FLAT_BRANCHES] = branches.length
    words[block + FLAT_TABLE] = table
    words[block + FLAT_CALLS] = calls
    words[block + FLAT_PLACES] = places
    words[block + FLAT_START] = start
    words[block + FLAT_END] = written.end
    return written.at
  }

  /** Copies the pieces one after another. @returns where each is, and where the last one ends */
  #writePieces(pieces: readonly Piece[], places: number, start: number): { at: number[]; end: number } {
    const { words } = this.#control
    let end = start
    const at = pieces.map((piece, index) => {
      const place = places + PLACE_WORDS * index
      words[place + PLACE_BRANCH] = piece.branch
      words[place + PLACE_INDEX] = piece.index
      words[place + PLACE_START] = piece.start
      words[place + PLACE_END] = piece.end
      words[place + PLACE_FLAT] = end
      words.copyWithin(end, piece.start, piece.end)
      end += piece.end - piece.start
      return end - (piece.end - piece.start)
    })
    return { at, end }
  }
}

/** The commands of all branches in one order that respects their waits, without those waits. */
function piecesOf(words: Int32Array, branches: readonly BranchBlock[]): Piece[] {
  const pieces: Piece[] = []
  const ranges = branches.map(({ block, length }, branch) => ({
    words,
    start: block + TIME_WORDS,
    end: block + length,
    branch,
    count: 0,
  }))
  inSequence(ranges, (range, start, end) => {
    const index = range.count++
    if (!isWait(words, start)) pieces.push({ branch: range.branch, index, start, end })
  })
  return pieces
}
