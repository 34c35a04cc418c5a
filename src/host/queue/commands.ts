import type { KernelArgument } from "../../driver/kernels.js"
import type { Rows } from "../../driver/memory.js"
import {
  bfloat16Bits,
  bfloat16Value,
  float16Bits,
  float16Value,
  float8Bits,
  float8Value,
} from "../../common/dtype/half.js"
import type { LaunchShape } from "../../common/facts/launch-shape.js"
import type { ControlMemory } from "../control/control.js"
import type { HostKernel } from "../kernel/kernel-check.js"
import {
  BREAK,
  COMPARE,
  COPY,
  COPY_ROWS,
  DROPPABLE,
  DROPPABLE_WORDS,
  END,
  FILL,
  FILL_ROWS,
  KIND_BITS,
  LAUNCH,
  LAUNCH_WORDS,
  STAMP,
  WAIT,
  WAIT_BRANCH,
  WAIT_WORDS,
  WRITE,
  highWord,
  wordAt,
} from "../control/layout.js"
import {
  BFLOAT16,
  FLOAT16,
  FLOAT8,
  FLOAT32,
  FLOAT64,
  INT16,
  INT32,
  INT64,
  INT8,
  UINT16,
  UINT64,
  UINT8,
  argumentWords,
  codeAt,
} from "../kernel/parameter-codes.js"

/** Where commands are queued: a stream's queue, or a branch of a capture. */
export interface CommandQueue {
  /** The index at which a command of this many words can be written. */
  room(words: number): number
  /** Queues the command that was written at {@link room}. */
  publish(words: number): void
}

/** The memory behind a queue. */
export type CommandMemory = Pick<ControlMemory, "words" | "bytes" | "floats">

const scratch = new Int32Array(2)
const asBytes = new Uint8Array(scratch.buffer)
const asDouble = new Float64Array(scratch.buffer)
const asBigint = new BigInt64Array(scratch.buffer)

/** Writes commands into queues. `layout.ts` describes their words. */
export class Commands {
  /** A flag for each operation: {@link TIMED} while a timeline runs, otherwise 0. */
  flag = 0
  readonly #control: CommandMemory

  constructor(control: CommandMemory) {
    this.#control = control
  }

  launch(
    slot: CommandQueue,
    kernel: HostKernel,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    structs?: Uint8Array,
  ): void {
    const at = slot.room(kernel.words)
    this.#writeLaunch(at, kernel, shape, args, structs)
    slot.publish(kernel.words)
  }

  /** Queues a launch with more words after it: see `check-words.ts`. */
  launchChecked(
    slot: CommandQueue,
    more: Int32Array,
    kernel: HostKernel,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    structs?: Uint8Array,
  ): void {
    const length = kernel.words + more.length
    const at = slot.room(length)
    this.#writeChecked(at, more, kernel, shape, args, structs)
    slot.publish(length)
  }

  /** Like {@link launchChecked}, for a launch that can be dropped. @returns the index of its flag */
  launchCheckedDroppable(
    slot: CommandQueue,
    more: Int32Array,
    kernel: HostKernel,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    structs?: Uint8Array,
  ): number {
    const length = DROPPABLE_WORDS + kernel.words + more.length
    const at = this.#begin(slot, DROPPABLE | this.flag, length)
    this.#control.words[at + 1] = 0
    this.#writeChecked(at + DROPPABLE_WORDS, more, kernel, shape, args, structs)
    slot.publish(length)
    return at + 1
  }

  #writeChecked(
    at: number,
    more: Int32Array,
    kernel: HostKernel,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    structs: Uint8Array | undefined,
  ): void {
    this.#writeLaunch(at, kernel, shape, args, structs)
    this.#control.words[at] = LAUNCH | ((kernel.words + more.length) << KIND_BITS) | this.flag
    this.#control.words.set(more, at + kernel.words)
  }

  /** Queues a launch that can be dropped. @returns the index of its flag: writing 1 there drops it */
  launchDroppable(
    slot: CommandQueue,
    kernel: HostKernel,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    structs?: Uint8Array,
  ): number {
    const length = DROPPABLE_WORDS + kernel.words
    const at = this.#begin(slot, DROPPABLE | this.flag, length)
    this.#control.words[at + 1] = 0
    const launch = at + DROPPABLE_WORDS
    this.#writeLaunch(launch, kernel, shape, args, structs)
    slot.publish(length)
    return at + 1
  }

  #writeLaunch(
    at: number,
    kernel: HostKernel,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    structs: Uint8Array | undefined,
  ): void {
    const { words } = this.#control
    words[at] = LAUNCH | (kernel.words << KIND_BITS) | this.flag
    words[at + 1] = kernel.id
    words[at + 2] = shape.gridX
    words[at + 3] = shape.gridY
    words[at + 4] = shape.gridZ
    words[at + 5] = shape.blockX
    words[at + 6] = shape.blockY
    words[at + 7] = shape.blockZ
    words[at + 8] = shape.sharedMemory
    this.rewriteArguments(at, kernel, args, structs)
  }

  copy(slot: CommandQueue, destination: number, source: number, byteLength: number): void {
    const at = this.#begin(slot, COPY | this.flag, 4)
    const { words } = this.#control
    words[at + 1] = destination
    words[at + 2] = source
    words[at + 3] = byteLength
    slot.publish(4)
  }

  copyRows(slot: CommandQueue, destination: Rows, source: Rows, width: number, rows: number): void {
    const at = this.#begin(slot, COPY_ROWS | this.flag, 7)
    const { words } = this.#control
    words[at + 1] = destination.address
    words[at + 2] = source.address
    words[at + 3] = width
    words[at + 4] = rows
    words[at + 5] = destination.pitch
    words[at + 6] = source.pitch
    slot.publish(7)
  }

  /** Queues an upload of a few bytes, which the command itself carries. */
  write(slot: CommandQueue, destination: number, source: Uint8Array): void {
    const length = 3 + Math.ceil(source.length / 4)
    const at = this.#begin(slot, WRITE | this.flag, length)
    const { words, bytes } = this.#control
    words[at + 1] = destination
    words[at + 2] = source.length
    bytes.set(source, (at + 3) * 4)
    slot.publish(length)
  }

  fill(slot: CommandQueue, destination: number, element: Uint8Array, count: number): void {
    const at = this.#begin(slot, FILL | this.flag, 6)
    this.#writeFill(at, destination, element, count)
    slot.publish(6)
  }

  fillRows(slot: CommandQueue, { address, pitch }: Rows, element: Uint8Array, count: number, rows: number): void {
    const at = this.#begin(slot, FILL_ROWS | this.flag, 8)
    this.#writeFill(at, address, element, count)
    this.#control.words[at + 6] = rows
    this.#control.words[at + 7] = pitch
    slot.publish(8)
  }

  #writeFill(at: number, destination: number, element: Uint8Array, count: number): void {
    const { words } = this.#control
    // Repeated to 8 bytes, so that the worker needs no case per size to see whether all bytes are 0.
    for (let index = 0; index < 8; index++) asBytes[index] = element[index % element.length] ?? 0
    words[at + 1] = destination
    words[at + 2] = element.length
    words[at + 3] = wordAt(scratch, 0)
    words[at + 4] = wordAt(scratch, 1)
    words[at + 5] = count
  }

  /** Queues a wait for a position of another stream. `how` has the bits of a wait. */
  wait(slot: CommandQueue, other: { readonly block: number }, position: number, how: number): void {
    const at = this.#begin(slot, WAIT, WAIT_WORDS)
    const { words } = this.#control
    words[at + 1] = other.block
    words[at + 2] = position | 0
    words[at + 3] = highWord(position)
    words[at + 4] = how
    slot.publish(WAIT_WORDS)
  }

  /** Queues a comparison of memory with its copy. `how` has bits of `check-words.ts`. */
  compare(slot: CommandQueue, address: number, copy: number, byteLength: number, site: number, how: number): void {
    const at = this.#begin(slot, COMPARE, 6)
    this.#control.words.set([address, copy, byteLength, site, how], at + 1)
    slot.publish(6)
  }

  /** In a capture: a wait for a position of another branch. */
  waitBranch(slot: CommandQueue, branch: number, position: number): void {
    const at = this.#begin(slot, WAIT_BRANCH, 3)
    const { words } = this.#control
    words[at + 1] = branch
    words[at + 2] = position
    slot.publish(3)
  }

  /** In a capture: the end of a conditional. */
  end(slot: CommandQueue): void {
    this.#begin(slot, END, 1)
    slot.publish(1)
  }

  stamp(slot: CommandQueue, word: number): void {
    const at = this.#begin(slot, STAMP, 2)
    this.#control.words[at + 1] = word
    slot.publish(2)
  }

  break(slot: CommandQueue, failure: number): void {
    const at = this.#begin(slot, BREAK, 2)
    this.#control.words[at + 1] = failure
    slot.publish(2)
  }

  #begin(slot: CommandQueue, kind: number, length: number): number {
    const at = slot.room(length)
    this.#control.words[at] = kind | (length << KIND_BITS)
    return at
  }

  /** Writes the arguments of the launch at an index. */
  rewriteArguments(at: number, kernel: HostKernel, args: readonly KernelArgument[], structs?: Uint8Array): void {
    this.#writeArguments(at + LAUNCH_WORDS, kernel.codes, args)
    if (structs !== undefined) this.#control.bytes.set(structs, 4 * (at + kernel.wordsBeforeStructs))
  }

  #writeArguments(start: number, codes: readonly number[], args: readonly KernelArgument[]): void {
    const { words, floats } = this.#control
    let word = start
    for (let index = 0; index < codes.length; index++) {
      const code = codeAt(codes, index)
      const value = args[index] ?? 0
      if (typeof value === "object") {
        words[word] = value.address
        words[word + 1] = value.length
      } else if (code === FLOAT32) {
        floats[word] = Number(value)
      } else if (code === INT32 && typeof value === "number") {
        words[word] = value
      } else {
        this.#writeScalar(word, code, value)
      }
      word += argumentWords(code)
    }
  }

  #writeScalar(word: number, code: number, value: number | bigint): void {
    const { words, floats } = this.#control
    if (code === FLOAT16) {
      floats[word] = float16Value(float16Bits(Number(value)))
    } else if (code === BFLOAT16) {
      floats[word] = bfloat16Value(bfloat16Bits(Number(value)))
    } else if (code === FLOAT8) {
      floats[word] = float8Value(float8Bits(Number(value)))
    } else if (code === FLOAT64 || code === INT64 || code === UINT64) {
      if (code === FLOAT64) asDouble[0] = Number(value)
      else asBigint[0] = BigInt(value)
      words[word] = wordAt(scratch, 0)
      words[word + 1] = wordAt(scratch, 1)
    } else {
      words[word] = wrapped(code, Number(value))
    }
  }
}

/** Wraps an integer to its width, like a conversion in C. */
function wrapped(code: number, value: number): number {
  switch (code) {
    case INT8:
      return (value << 24) >> 24
    case UINT8:
      return value & 0xff
    case INT16:
      return (value << 16) >> 16
    case UINT16:
      return value & 0xffff
    default:
      return value | 0
  }
}
