/**
 * Fills memory with elements of 1, 2, 4 or 8 bytes. CUDA's own fills support elements of at most 4 bytes, and are slow
 * for narrow rows: filling every other 4 bytes reaches 6 GB/s on an H200. A small kernel reaches the memory's bandwidth.
 *
 * CUDA loads a kernel only while the device is idle, and a fill must never wait for that. So the kernel is loaded when the
 * device is opened, if the context is new and nothing can run in it. Otherwise, or if loading fails, a short fill is
 * copied repeatedly, at about half the bandwidth.
 */
import { LaunchShape } from "../../common/facts/launch-shape.js"
import type { KernelHandle, StreamHandle } from "../../driver/handles.js"
import type { Rows } from "../../driver/memory.js"
import type { CudaContext } from "../api/context.js"
import type { Kernels } from "../kernel/kernels.js"
import { ptxKernelOf, ptxModule } from "../kernel/own-kernel.js"
import type { Launcher } from "../kernel/launch.js"

const BLOCK = 512
/** The largest grid in the second direction. Beyond it, each thread fills several rows. */
const MOST_ROWS_OF_BLOCKS = 65535
/** CUDA fills this many elements; beyond that, copying them is faster. */
const SHORT_FILL = 8192

/** The least bytes of a row for CUDA's own fills, which reach at most 6 GB/s on narrower rows (measured on an H200). */
const LEAST_WIDTH = 512

/** For each size of an element in bytes: the register with its bits, how they come from the value's, and their store. */
const stores = [
  { size: 8, register: "", convert: "", store: "st.global.u64 [%offset], %value;" },
  {
    size: 4,
    register: ".reg .b32 %low;",
    convert: "cvt.u32.u64 %low, %value;",
    store: "st.global.u32 [%offset], %low;",
  },
  {
    size: 2,
    register: ".reg .b16 %low;",
    convert: "cvt.u16.u64 %low, %value;",
    store: "st.global.u16 [%offset], %low;",
  },
  {
    size: 1,
    register: ".reg .b16 %low;",
    convert: "cvt.u16.u64 %low, %value;",
    store: "st.global.u8 [%offset], %low;",
  },
] as const

/**
 * A kernel that fills rows of elements, with a pitch in bytes. Each thread fills one element of a row, and of several rows if
 * the grid cannot have a thread for each. One kernel for all sizes would be a quarter slower (measured on an H200).
 */
function entry({ size, register, convert, store }: (typeof stores)[number]): string {
  return `.visible .entry ${nameOf(size)} (.param .u64 destination, .param .u64 width, .param .u64 pitch, .param .u64 rows, .param .u64 value)
{
  .reg .pred %isBeyond;
  .reg .b32 %block, %blocks, %size, %thread;
  .reg .b64 %destination, %width, %pitch, %rows, %value, %index, %row, %step, %offset;
  ${register}
  ld.param.u64 %destination, [destination];
  ld.param.u64 %width, [width];
  ld.param.u64 %pitch, [pitch];
  ld.param.u64 %rows, [rows];
  ld.param.u64 %value, [value];
  ${convert}
  mov.u32 %block, %ctaid.x;
  mov.u32 %size, %ntid.x;
  mov.u32 %thread, %tid.x;
  mul.wide.u32 %index, %block, %size;
  cvt.u64.u32 %offset, %thread;
  add.u64 %index, %index, %offset;
  setp.ge.u64 %isBeyond, %index, %width;
  @%isBeyond bra END;
  mov.u32 %block, %ctaid.y;
  mov.u32 %blocks, %nctaid.y;
  mov.u32 %size, %ntid.y;
  mov.u32 %thread, %tid.y;
  mul.wide.u32 %row, %block, %size;
  cvt.u64.u32 %offset, %thread;
  add.u64 %row, %row, %offset;
  mul.wide.u32 %step, %blocks, %size;
  cvta.to.global.u64 %destination, %destination;
  shl.b64 %offset, %index, ${Math.log2(size)};
  add.u64 %destination, %destination, %offset;
ROW:
  setp.ge.u64 %isBeyond, %row, %rows;
  @%isBeyond bra END;
  mad.lo.u64 %offset, %row, %pitch, %destination;
  ${store}
  add.u64 %row, %row, %step;
  bra ROW;
END:
  ret;
}
`
}

function nameOf(size: number): string {
  return `auxstream_fill${size * 8}`
}

const header = ".version 6.0\n.target sm_50\n.address_size 64\n"
const module = ptxModule("auxstream_fill", header + stores.map(entry).join(""))
const scalar = { dtype: "uint64", access: undefined } as const
const parameters = [{ dtype: "uint64", access: "out" }, scalar, scalar, scalar, scalar] as const
const kernels = stores.map(({ size }) => ({ size, kernel: ptxKernelOf(module, nameOf(size), parameters) }))

/** The fills of one device. */
export class Fills {
  readonly #context: CudaContext
  readonly #kernels: Kernels
  readonly #launcher: Launcher
  /** By the element's bytes. Empty if they could not be loaded. */
  #loaded: ReadonlyMap<number, KernelHandle> = new Map()

  constructor(context: CudaContext, kernels: Kernels, launcher: Launcher) {
    this.#context = context
    this.#kernels = kernels
    this.#launcher = launcher
    if (context.isNew) this.#load()
  }

  /** Without the kernels, fills are slower but correct. */
  #load(): void {
    try {
      this.#loaded = new Map(kernels.map(({ size, kernel }) => [size, this.#kernels.load(kernel)]))
    } catch {
      // Some driver installations lack the PTX compiler.
    }
  }

  /** Queues a fill. @throws CudaError */
  queue(destination: number, element: Uint8Array, count: number, stream: StreamHandle): void {
    const context = this.#context
    const view = viewOf(element)
    switch (element.byteLength) {
      case 1:
        return context.queue("cuMemsetD8Async", destination, view.getUint8(0), count, stream)
      case 2:
        return context.queue("cuMemsetD16Async", destination, view.getUint16(0, true), count, stream)
      case 4:
        return context.queue("cuMemsetD32Async", destination, view.getUint32(0, true), count, stream)
      default:
        return this.#fillWide(destination, view, count, stream)
    }
  }

  /** Queues a fill of rows. @throws CudaError */
  queueRows(destination: Rows, element: Uint8Array, count: number, rows: number, stream: StreamHandle): void {
    const context = this.#context
    const { address, pitch } = destination
    const view = viewOf(element)
    const isNarrow = count * element.byteLength < LEAST_WIDTH
    const kernel = isNarrow ? this.#loaded.get(element.byteLength) : undefined
    if (kernel !== undefined) return this.#launch(kernel, destination, view, count, rows, stream)
    switch (element.byteLength) {
      case 1:
        return context.queueRows("cuMemsetD2D8Async", address, pitch, view.getUint8(0), count, rows, stream)
      case 2:
        return context.queueRows("cuMemsetD2D16Async", address, pitch, view.getUint16(0, true), count, rows, stream)
      case 4:
        return context.queueRows("cuMemsetD2D32Async", address, pitch, view.getUint32(0, true), count, rows, stream)
      default:
        return this.#fillWideRows(destination, view, count, rows, stream)
    }
  }

  #fillWide(destination: number, element: DataView, count: number, stream: StreamHandle): void {
    const [low, high] = [element.getUint32(0, true), element.getUint32(4, true)]
    if (low === high) return this.#context.queue("cuMemsetD32Async", destination, low, count * 2, stream)
    const kernel = this.#loaded.get(8)
    if (kernel !== undefined) {
      return this.#launch(kernel, { address: destination, pitch: 0 }, element, count, 1, stream)
    }
    this.#fillByCopies(destination, low, high, count, stream)
  }

  #fillWideRows(destination: Rows, element: DataView, count: number, rows: number, stream: StreamHandle): void {
    const { address, pitch } = destination
    const [low, high] = [element.getUint32(0, true), element.getUint32(4, true)]
    if (low === high) {
      return this.#context.queueRows("cuMemsetD2D32Async", address, pitch, low, count * 2, rows, stream)
    }
    const kernel = this.#loaded.get(8)
    if (kernel !== undefined) return this.#launch(kernel, destination, element, count, rows, stream)
    this.#fillByCopies(address, low, high, count, stream)
    for (let filled = 1; filled < rows; filled *= 2) {
      const next = { address: address + filled * pitch, pitch }
      this.#context.copyRows(next, destination, count * 8, Math.min(filled, rows - filled), stream)
    }
  }

  /** Launches the kernel with blocks as wide as the rows, so that few threads have nothing to do. */
  #launch(
    handle: KernelHandle,
    { address, pitch }: Rows,
    element: DataView,
    count: number,
    rows: number,
    stream: StreamHandle,
  ): void {
    const kernel = this.#kernels.get(handle)
    const blockX = rows === 1 ? BLOCK : Math.min(BLOCK, 2 ** Math.ceil(Math.log2(count)))
    const blockY = BLOCK / blockX
    const gridX = Math.ceil(count / blockX)
    const gridY = Math.min(MOST_ROWS_OF_BLOCKS, Math.ceil(rows / blockY))
    const args = [{ address, length: count }, count, pitch, rows, valueOf(element)]
    this.#launcher.launch(stream, kernel, LaunchShape.of({ gridX, gridY, blockX, blockY }), args, undefined)
  }

  /** Copies the filled part after itself, which doubles it each time. */
  #fillByCopies(destination: number, low: number, high: number, count: number, stream: StreamHandle): void {
    let filled = Math.min(count, SHORT_FILL)
    const pitch = 8
    this.#context.queueRows("cuMemsetD2D32Async", destination, pitch, low, 1, filled, stream)
    this.#context.queueRows("cuMemsetD2D32Async", destination + 4, pitch, high, 1, filled, stream)
    while (filled < count) {
      const more = Math.min(filled, count - filled)
      this.#context.queue("cuMemcpyAsync", destination + filled * 8, destination, more * 8, stream)
      filled += more
    }
  }
}

function viewOf(element: Uint8Array): DataView {
  return new DataView(element.buffer, element.byteOffset, element.byteLength)
}

/** The element's bytes as one number. */
function valueOf(element: DataView): bigint | number {
  switch (element.byteLength) {
    case 1:
      return element.getUint8(0)
    case 2:
      return element.getUint16(0, true)
    case 4:
      return element.getUint32(0, true)
    default:
      return element.getBigUint64(0, true)
  }
}
