/** Reads CUPTI's records. The offsets are those of CUDA 12 and 13, whose newer versions only append fields. */
import type { ReturnedBuffer } from "./buffers.js"
import { type CuptiLibrary, KIND } from "./cupti.js"
import type { TimeStamp } from "./time-stamp.js"

/** Work that ran on a device. */
export interface Activity {
  readonly kind: "kernel" | "copy" | "fill"
  readonly name: string
  /** The device's ordinal. */
  readonly device: number
  /** CUPTI's number of the stream. */
  readonly stream: number
  /** The number of the driver call that queued it. */
  readonly correlation: number
  /** Undefined outside of graphs. */
  readonly node: NodeNumber | undefined
  readonly start: TimeStamp
  readonly end: TimeStamp
}

/** CUPTI's number of a node of a graph. */
export interface NodeNumber {
  /** The graph that has the node: an executable one, or one inside that. It is the upper half of the number. */
  readonly graph: number
  /** How many nodes of that graph were made before it. It is the lower half. */
  readonly place: number
}

/** Receives what the records say. */
export interface RecordReader {
  /** A driver call was made inside the operation with this number. */
  linked(correlation: number, operation: number): void
  /** The text at an address. All records of a kernel share it. */
  text(address: number): string
  ran(activity: Activity): void
}

/** The offsets of a record's fields. */
interface Layout {
  readonly kind: Activity["kind"]
  readonly device: number
  readonly stream: number
  readonly correlation: number
  readonly node: number
}

const START = 16
const END = 24
const KERNEL_NAME = 104
const LAYOUTS: ReadonlyMap<number, Layout> = new Map([
  [KIND.kernel, { kind: "kernel", device: 40, stream: 48, correlation: 92, node: 144 }],
  [KIND.copy, { kind: "copy", device: 32, stream: 40, correlation: 44, node: 64 }],
  [KIND.fill, { kind: "fill", device: 32, stream: 40, correlation: 44, node: 64 }],
])
const LINK = { operation: 8, correlation: 16 } as const

/** Reads all records of a buffer. */
export function readRecords(
  cupti: Pick<CuptiLibrary, "sizeOf">,
  { address, bytes }: ReturnedBuffer,
  reader: RecordReader,
): void {
  for (let offset = 0; offset < bytes.byteLength;) {
    const kind = bytes.getUint32(offset, true)
    if (kind === 0) return
    if (kind === KIND.externalCorrelation) {
      reader.linked(bytes.getUint32(offset + LINK.correlation, true), number64(bytes, offset + LINK.operation))
    }
    const layout = LAYOUTS.get(kind)
    if (layout !== undefined && isComplete(bytes, offset)) reader.ran(activity(bytes, offset, layout, reader))
    offset += cupti.sizeOf(kind, address + offset, bytes.byteLength - offset)
  }
}

/** The record of work that is still running has no end. */
function isComplete(bytes: DataView, offset: number): boolean {
  return bytes.getUint32(offset + END, true) !== 0 || bytes.getUint32(offset + END + 4, true) !== 0
}

function activity(bytes: DataView, offset: number, layout: Layout, reader: RecordReader): Activity {
  const { kind } = layout
  return {
    kind,
    name: kind === "kernel" ? reader.text(number64(bytes, offset + KERNEL_NAME)) : kind,
    device: bytes.getUint32(offset + layout.device, true),
    stream: bytes.getUint32(offset + layout.stream, true),
    correlation: bytes.getUint32(offset + layout.correlation, true),
    node: nodeNumber(bytes, offset + layout.node),
    start: timeStamp(bytes, offset + START),
    end: timeStamp(bytes, offset + END),
  }
}

function nodeNumber(bytes: DataView, offset: number): NodeNumber | undefined {
  const [place, graph] = [bytes.getUint32(offset, true), bytes.getUint32(offset + 4, true)]
  return graph === 0 && place === 0 ? undefined : { graph, place }
}

function timeStamp(bytes: DataView, offset: number): TimeStamp {
  return { low: bytes.getUint32(offset, true), high: bytes.getUint32(offset + 4, true) }
}

function number64(bytes: DataView, offset: number): number {
  return bytes.getUint32(offset + 4, true) * 2 ** 32 + bytes.getUint32(offset, true)
}
