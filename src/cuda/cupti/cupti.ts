/** NVIDIA's profiling library, loaded at its first use. */
import { AuxstreamError } from "../../common/errors.js"
import { SUCCESS } from "../api/status.js"
import { CMemory } from "../native/c-memory.js"
import { bind, type Bound, type NativeLibrary, readText, type Signature } from "../native/ffi.js"
import { toolkitLibrary } from "../toolkit/toolkit-library.js"
import type { NativeCallbacks } from "./native-callbacks.js"
import type { TimeStamp } from "./time-stamp.js"

const CALLS = {
  getVersion: ["cuptiGetVersion", "uintptr_t"],
  getResultString: ["cuptiGetResultString", "int", "uintptr_t"],
  getTimestamp: ["cuptiGetTimestamp", "uintptr_t"],
  setAttribute: ["cuptiActivitySetAttribute", "int", "uintptr_t", "uintptr_t"],
  registerCallbacks: ["cuptiActivityRegisterCallbacks", "uintptr_t", "uintptr_t"],
  enable: ["cuptiActivityEnable", "int"],
  disable: ["cuptiActivityDisable", "int"],
  enableDriverCall: ["cuptiActivityEnableDriverApi", "uint32_t", "uint8_t"],
  getStreamId: ["cuptiGetStreamIdEx", "uintptr_t", "uintptr_t", "uint8_t", "uintptr_t"],
  push: ["cuptiActivityPushExternalCorrelationId", "int", "size_t"],
  pop: ["cuptiActivityPopExternalCorrelationId", "int", "uintptr_t"],
  flushAll: ["cuptiActivityFlushAll", "uint32_t"],
  nextRecord: ["cuptiActivityGetNextRecord", "uintptr_t", "size_t", "uintptr_t"],
  droppedRecords: ["cuptiActivityGetNumDroppedRecords", "uintptr_t", "uint32_t", "uintptr_t"],
  finalize: ["cuptiFinalize"],
} as const satisfies Record<string, Signature>

/** Kinds of records. */
export const KIND = { copy: 1, fill: 2, kernel: 10, externalCorrelation: 39 } as const

const RECORDED = [KIND.externalCorrelation, KIND.kernel, KIND.copy, KIND.fill]

/** The driver calls that queue work; only their records can be linked to our operations. The numbers are CUPTI's. */
const QUEUEING_CALLS = [
  ...[216, 218, 220, 222, 224, 226], // cuMemsetD8Async, D16, D32, D2D8, D2D16, D2D32
  ...[277, 279, 281, 289, 306], // cuMemcpyHtoDAsync, DtoH, DtoD, 2D, cuMemcpyAsync
  ...[307, 652, 477, 514], // cuLaunchKernel, cuLaunchKernelEx, cuLaunchCooperativeKernel, cuGraphLaunch
]

/** A call that queues nothing. Two of them enclose what another library queues: `brackets.ts`. */
const ENCLOSING_CALL = 499 // cuStreamIsCapturing

const ZEROED_OUT_BUFFERS = 5
/** The kind of our external ids. */
const CUSTOM0 = 3
const FLUSH_FORCED = 1
/** CUPTI's major versions with the layouts in `records.ts`, as `cuptiGetVersion` counts them. */
const LEAST_VERSION = 18
const PER_MAJOR = 10_000

export class CuptiLibrary {
  readonly #calls: Bound<typeof CALLS>
  readonly #out = new CMemory(16)
  /** The size of a record of each kind. */
  readonly #sizes = new Map<number, number>()

  /** @throws Error if the library lacks a function, or is older than CUDA 12 */
  constructor(library: NativeLibrary) {
    this.#calls = bind(library, CALLS)
    this.#check(this.#calls.getVersion(this.#out.address), "cuptiGetVersion")
    const version = this.#out.int(0)
    const newest = version >= PER_MAJOR
    if (!newest && version < LEAST_VERSION) throw new Error(`it is version ${version}, older than CUDA 12`)
  }

  /** Starts recording. @throws Error with CUPTI's own name of the failure */
  start(callbacks: NativeCallbacks): void {
    this.#out.setNumber(0, 1)
    this.#out.bytes[8] = 1
    this.#calls.setAttribute(ZEROED_OUT_BUFFERS, this.#out.address, this.#out.address + 8)
    this.#check(this.#calls.registerCallbacks(callbacks.request, callbacks.completed), "cuptiActivityRegisterCallbacks")
    for (const call of [...QUEUEING_CALLS, ENCLOSING_CALL]) {
      this.#check(this.#calls.enableDriverCall(call, 1), "cuptiActivityEnableDriverApi")
    }
    for (const kind of RECORDED) this.#check(this.#calls.enable(kind), "cuptiActivityEnable")
  }

  /** Ends recording. Flush first: records that CUPTI still has are lost. */
  stop(): void {
    for (const kind of RECORDED.toReversed()) this.#calls.disable(kind)
    for (const call of [...QUEUEING_CALLS, ENCLOSING_CALL]) this.#calls.enableDriverCall(call, 0)
  }

  /** Unloads what CUPTI has put into the driver, so that later launches cost as before. */
  finalize(): void {
    this.#calls.finalize()
  }

  /** Marks the calls that this thread makes until {@link pop}. */
  push(id: number): void {
    this.#calls.push(CUSTOM0, id)
  }

  pop(): void {
    this.#calls.pop(CUSTOM0, this.#out.address)
  }

  /** CUPTI's number of a stream; 0 if it has none. */
  streamId(context: number, stream: number): number {
    this.#out.setNumber(0, 0)
    return this.#calls.getStreamId(context, stream, 0, this.#out.address) === SUCCESS ? this.#out.int(0) >>> 0 : 0
  }

  /** CUPTI's clock, nanoseconds in two halves. */
  timestamp(): TimeStamp {
    this.#calls.getTimestamp(this.#out.address)
    return { low: this.#out.int(0) >>> 0, high: this.#out.int(4) >>> 0 }
  }

  /** Makes CUPTI return its buffers: those whose records are complete, or all of them. */
  flush(forced: boolean): void {
    this.#calls.flushAll(forced ? FLUSH_FORCED : 0)
  }

  /** How many records CUPTI has dropped since the last call. */
  dropped(): number {
    this.#out.setNumber(0, 0)
    return this.#calls.droppedRecords(0, 0, this.#out.address) === SUCCESS ? this.#out.number(0) : 0
  }

  /** The size of a record at an address, of a kind. It differs between versions, so CUPTI is asked once for each kind. */
  sizeOf(kind: number, record: number, bytesLeft: number): number {
    const known = this.#sizes.get(kind)
    if (known !== undefined) return known
    this.#out.setNumber(0, record)
    if (this.#calls.nextRecord(record, bytesLeft, this.#out.address) !== SUCCESS) return bytesLeft
    const size = this.#out.number(0) - record
    this.#sizes.set(kind, size)
    return size
  }

  #check(status: number, call: string): void {
    if (status === SUCCESS) return
    const named = this.#calls.getResultString(status, this.#out.address) === SUCCESS
    throw new Error(`${call} failed: ${named ? readText(this.#out.number(0)) : status}`)
  }
}

/** Loads CUPTI. @throws AuxstreamError AUX_DEVICE_UNAVAILABLE, with where we searched and what to do */
export const openCupti = toolkitLibrary({
  file: {
    13: { linux: "libcupti.so.13", windows: "cupti64_2025.3.0.dll" },
    12: { linux: "libcupti.so.12", windows: "cupti64_2024.3.2.dll" },
  },
  variable: "AUXSTREAM_LIBCUPTI",
  make: (library) => new CuptiLibrary(library),
  missing: (where) =>
    new AuxstreamError(
      "AUX_DEVICE_UNAVAILABLE",
      `CUPTI ${where}. Install the CUDA toolkit, or pip's nvidia-cuda-cupti, or set AUXSTREAM_LIBCUPTI to its path.`,
    ),
})
