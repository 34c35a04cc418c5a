/**
 * The CUDA device: implements `Driver` over the CUDA driver API. A method that queues must never wait for queued work, and
 * must reset `lastEvent`.
 */
import type {
  ConditionalKind,
  Driver,
  EventHandle,
  GraphHandle,
  KernelArgument,
  KernelHandle,
  KernelSource,
  LaunchAttributes,
  LaunchLimits,
  MemoryUsage,
  NodeHandle,
  OrderMark,
  PinnedMemory,
  PreparedNeeds,
  StreamHandle,
} from "../driver.js"
import type { DeviceProperties } from "../common/device-properties.js"
import type { KernelAttributes, SuggestedBlock } from "../common/kernel-facts.js"
import { Births } from "./memory/births.js"
import { Captures } from "./stream/captures.js"
import { Closing, drainClosing } from "./closing.js"
import { Completions } from "./stream/completion.js"
import { Conditionals } from "./graph/conditionals.js"
import { CudaContext } from "./api/context.js"
import { Cublas } from "./toolkit/cublas.js"
import type { DeviceFacts } from "./api/device-facts.js"
import { readProperties } from "./api/device-properties.js"
import { createEvent, destroyEvent, DISABLE_TIMING, EventPool, hasPassed } from "./stream/events.js"
import { Fills } from "./memory/fill.js"
import { Graphs } from "./graph/graphs.js"
import { GraphNodes } from "./graph/nodes.js"
import { KernelFacts } from "./kernel/kernel-facts.js"
import { Kernels } from "./kernel/kernels.js"
import { Launcher } from "./kernel/launch.js"
import { enter, releaseLeftovers, leave } from "./leftovers.js"
import type { CudaLibrary } from "./api/library.js"
import { reserveLocalMemory, roomForLocalMemory } from "./kernel/local-memory.js"
import { createDeviceMemory } from "./memory/memory.js"
import type { DeviceMemory } from "./memory/device-memory.js"
import { Neighbours } from "./sharing/neighbours.js"
import { type Need, Quiet } from "./sharing/quiet.js"
import { PinnedMemoryOwner, PinnedPool } from "./memory/pinned.js"
import { AuxstreamError } from "../common/errors.js"
import { SUCCESS } from "./api/status.js"
import { Streams } from "./stream/streams.js"
import { Uploads } from "./memory/upload.js"

const LOCAL_MEMORY: Need = {
  what: "Room for local memory cannot be made",
  advice: "Prepare the device ahead: await device.prepare({ localMemory }).",
}

const STREAMS: Need = {
  what: "Streams cannot be prepared",
  advice: "Prepare the device ahead: await device.prepare({ streams }).",
}

/** See `Driver`. Streams, events and addresses are CUDA's handles, as numbers. */
export class CudaDriver implements Driver {
  readonly kind = "cuda"
  readonly name: string
  readonly limits: LaunchLimits
  readonly priorities: { readonly least: number; readonly greatest: number }

  readonly #context: CudaContext
  /** Events that this driver records for its own use. */
  readonly #markers: EventPool
  readonly #streams: Streams
  readonly #events = new Set<EventHandle>()
  readonly #completions: Completions
  readonly #memory: DeviceMemory
  readonly #births: Births
  readonly #pinnedPool: PinnedPool
  readonly #pinned: PinnedMemoryOwner
  readonly #uploads: Uploads
  readonly #fills: Fills
  readonly #launcher: Launcher
  readonly #neighbours: Neighbours
  readonly #quiet: Quiet
  readonly #kernels: Kernels
  readonly #kernelFacts: KernelFacts
  readonly products: Cublas
  readonly #captures: Captures
  readonly #conditionals: Conditionals
  readonly #graphs: Graphs
  #properties: DeviceProperties | undefined
  #closed = false

  /** @throws CudaError, having created nothing */
  constructor(library: CudaLibrary, facts: DeviceFacts, ordinal: number) {
    this.name = facts.name
    this.limits = facts.limits
    const context = new CudaContext(library, facts.device, `cuda:${ordinal} (${facts.name})`)
    this.#context = context
    try {
      this.priorities = readPriorities(context)
      this.#markers = new EventPool(context, DISABLE_TIMING)
      this.#captures = new Captures(context)
      this.#streams = new Streams(context, this.#captures, this.#markers)
      this.#memory = createDeviceMemory(context, this.#streams, this.#captures, this.#markers)
      context.room.use(this.#memory)
    } catch (error) {
      leave(context)
      throw error
    }
    this.#births = new Births(context, this.#markers)
    this.#completions = new Completions(context)
    this.#pinnedPool = new PinnedPool(context, {
      reclaim: () => this.#uploads.reclaim(),
      reclaimAll: () => this.#uploads.reclaimAll(),
    })
    this.#pinned = new PinnedMemoryOwner(this.#pinnedPool)
    this.#uploads = new Uploads(context, this.#captures, this.#markers, this.#pinnedPool)
    this.#launcher = new Launcher(context, facts.limits.sharedMemory)
    enter(context)
    this.#neighbours = new Neighbours(context, this.#markers)
    this.#quiet = new Quiet(context, this.#streams, this.#neighbours)
    this.products = new Cublas(context, this.#quiet)
    this.#kernels = new Kernels(context, this.#quiet, this.#launcher, facts.architecture)
    this.#kernelFacts = new KernelFacts(context, this.#launcher, facts.limits.sharedMemory)
    this.#fills = new Fills(context, this.#kernels, this.#launcher)
    this.#conditionals = new Conditionals(context, this.#captures, this.#kernels, this.#launcher)
    const nodes = new GraphNodes(context, this.#launcher)
    this.#graphs = new Graphs(context, this.#captures, this.#conditionals, nodes, this.#quiet)
  }

  get properties(): DeviceProperties {
    this.#properties ??= readProperties(this.#context, this.limits)
    return this.#properties
  }

  createStream(priority: number): StreamHandle {
    return this.#streams.create(priority)
  }

  destroyStream(stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    const whenOver = this.#memory.forgetStream(stream)
    this.products.forgetStream(stream)
    this.#streams.destroy(stream, whenOver)
  }

  adoptStream(foreign: bigint): StreamHandle {
    const stream = this.#streams.adopt(foreign)
    this.#captures.foreign.shareStream(stream)
    return stream
  }

  adoptedPriority(stream: StreamHandle): number {
    return this.#streams.priorityOf(stream)
  }

  foreignHandle(stream: StreamHandle): bigint {
    // Another library may queue work behind the last record.
    this.#context.lastEvent = undefined
    this.#captures.foreign.shareStream(stream)
    return BigInt(stream)
  }

  isCapturedByOthers(stream: StreamHandle): boolean {
    return this.#captures.isInAnyCapture(stream)
  }

  queryStream(stream: StreamHandle): boolean {
    const isIdle = this.#streams.isIdle(stream)
    if (isIdle) this.#memory.noteIdle(stream)
    return isIdle
  }

  synchronizeStream(stream: StreamHandle): void {
    this.#streams.synchronize(stream)
    this.#memory.noteIdle(stream)
  }

  createEvent(timing: boolean): EventHandle {
    const event = createEvent(this.#context, timing ? 0 : DISABLE_TIMING)
    this.#events.add(event)
    return event
  }

  destroyEvent(event: EventHandle): void {
    if (!this.#events.delete(event)) return
    this.#captures.foreign.forgetEvent(event)
    if (event === this.#context.lastEvent) this.#context.lastEvent = undefined
    if (this.#completions.isAsking(event)) this.#completions.destroyWhenUnused(event)
    else destroyEvent(this.#context, event)
  }

  foreignEventHandle(event: EventHandle): bigint {
    this.#captures.foreign.shareEvent(event)
    return BigInt(event)
  }

  recordEvent(event: EventHandle, stream: StreamHandle): boolean {
    const context = this.#context
    if (context.askedEvents > 0) this.#keepPoint(event)
    const isCaptured = context.othersMayCapture && this.#captures.isInAnyCapture(stream)
    const status = context.calls.cuEventRecord(event, stream)
    if (status !== SUCCESS) context.retry(status, "cuEventRecord", event, stream)
    context.lastEvent = event
    context.lastStream = stream
    if (context.othersMayCapture) this.#captures.foreign.noteRecord(event, stream, isCaptured)
    return isCaptured
  }

  /** Pending promises keep waiting for the event's previous record. */
  #keepPoint(event: EventHandle): void {
    if (!this.#completions.isAsking(event)) return
    this.#completions.beforeRecord(
      event,
      () => this.#streams.create(0),
      (stream) => this.#streams.destroy(stream),
    )
  }

  waitEvent(stream: StreamHandle, event: EventHandle): void {
    const context = this.#context
    if (context.captures > 0) this.#streams.mayEnterCapture(stream)
    context.lastEvent = undefined
    const status = context.calls.cuStreamWaitEvent(stream, event, 0)
    if (status !== SUCCESS) this.#retryWait(status, stream, event)
    if (context.othersMayCapture) this.#captures.foreign.noteWait(stream, event)
  }

  #retryWait(status: number, stream: StreamHandle, event: EventHandle): void {
    const context = this.#context
    try {
      context.retry(status, "cuStreamWaitEvent", stream, event, 0)
    } catch (error) {
      throw context.isLost ? error : this.#captures.foreign.explain(error, event)
    }
  }

  queryEvent(event: EventHandle): boolean {
    this.#captures.foreign.checkNotCaptured(event)
    return hasPassed(this.#context, event)
  }

  synchronizeEvent(event: EventHandle): void {
    this.#captures.foreign.checkNotCaptured(event)
    const status = this.#context.calls.cuEventSynchronize(event)
    if (status !== SUCCESS) this.#context.retry(status, "cuEventSynchronize", event)
  }

  elapsedTime(start: EventHandle, end: EventHandle): number {
    const { calls, out } = this.#context
    for (const event of [start, end]) this.#captures.foreign.checkNotCaptured(event)
    const status = calls.cuEventElapsedTime(out.address, start, end)
    if (status !== SUCCESS) this.#context.retry(status, "cuEventElapsedTime", out.address, start, end)
    return out.float(0)
  }

  whenComplete(event: EventHandle, settle: (error?: Error) => void): () => void {
    this.#captures.foreign.checkNotCaptured(event)
    return this.#completions.add(event, settle)
  }

  allocate(
    byteLength: number,
    stream: StreamHandle,
    happensBefore: (mark: OrderMark) => boolean,
    contentsFollow = false,
  ): number {
    this.#context.lastEvent = undefined
    const address = this.#memory.allocate(byteLength, stream, happensBefore)
    if (contentsFollow || !this.#memory.isEarly(address)) return address
    try {
      this.#births.note(address, stream)
      return address
    } catch (error) {
      this.#memory.free(address, stream, undefined)
      throw error
    }
  }

  noteContents(address: number, stream: StreamHandle): void {
    // In a foreign capture, no other stream can wait for the contents.
    if (!this.#captures.isInAnyCapture(stream)) this.#births.note(address, stream)
  }

  orderBehindBirth(address: number, stream: StreamHandle): boolean {
    const event = this.#births.pending(address)
    if (event !== undefined) this.waitEvent(stream, event)
    return event === undefined
  }

  free(address: number, stream: StreamHandle, mark: OrderMark): void {
    this.#context.lastEvent = undefined
    this.#births.forget(address)
    this.#memory.free(address, stream, mark)
  }

  drainFrees(): void {
    this.#memory.drainFrees()
    this.#graphs.sweep()
    if (this.#pinnedPool.isShort) {
      this.#uploads.drain()
      this.#pinnedPool.drain()
    }
    drainClosing()
    releaseLeftovers(this.#context)
  }

  noteIdle(stream: StreamHandle): void {
    this.#memory.noteIdle(stream)
  }

  memoryUsage(): MemoryUsage {
    return { ...this.#memory.usage(), ...this.#context.systemMemory() }
  }

  trim(): void {
    this.#context.checkAlive()
    this.#memory.releaseIdle()
    this.#uploads.reclaimAll()
    this.#pinnedPool.unmapIdle()
  }

  resetPeak(): void {
    this.#memory.resetPeak()
  }

  allocatePinned(byteLength: number): PinnedMemory {
    return this.#pinned.allocate(byteLength)
  }

  freePinned(address: number): void {
    this.#pinned.free(address)
  }

  copy(destination: number, source: number, byteLength: number, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#context.queue("cuMemcpyAsync", destination, source, byteLength, stream)
  }

  upload(destination: number, source: Uint8Array, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#uploads.upload(destination, source, stream)
  }

  fill(destination: number, element: Uint8Array, count: number, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#fills.queue(destination, element, count, stream)
  }

  loadKernel(source: KernelSource): KernelHandle {
    return this.#kernels.load(source)
  }

  prepareKernel(source: KernelSource): Promise<KernelHandle> {
    return this.#kernels.prepare(source)
  }

  kernelAttributes(kernel: KernelHandle): KernelAttributes {
    return this.#kernelFacts.attributes(this.#kernels.get(kernel))
  }

  blocksPerMultiprocessor(kernel: KernelHandle, threads: number, sharedMemory: number): number {
    return this.#kernelFacts.blocksPerMultiprocessor(this.#kernels.get(kernel), threads, sharedMemory)
  }

  suggestBlock(kernel: KernelHandle, sharedMemory: number, mostThreads: number): SuggestedBlock {
    return this.#kernelFacts.suggestBlock(this.#kernels.get(kernel), sharedMemory, mostThreads)
  }

  async prepare({ conditionals, localMemory, streams }: PreparedNeeds): Promise<void> {
    if (conditionals) await this.#conditionals.prepare()
    if (streams > this.#streams.ready) await this.#whenQuiet(STREAMS, () => this.#streams.reserve(streams))
    if (localMemory === 0) return
    if (localMemory <= roomForLocalMemory(this.#context)) return
    await this.#whenQuiet(LOCAL_MEMORY, () => reserveLocalMemory(this.#context, localMemory, "prepare()"))
  }

  #whenQuiet(need: Need, act: () => void): Promise<void> {
    return this.#quiet.wait(need, () => {
      if (this.#closed) throw new AuxstreamError("AUX_DISPOSED", `${this.#context.label} has been disposed of.`)
      act()
    })
  }

  launch(
    stream: StreamHandle,
    kernel: KernelHandle,
    gridX: number,
    gridY: number,
    gridZ: number,
    blockX: number,
    blockY: number,
    blockZ: number,
    sharedMemory: number,
    args: readonly KernelArgument[],
    attributes: LaunchAttributes | undefined,
  ): undefined {
    this.#context.lastEvent = undefined
    const loaded = this.#kernels.get(kernel)
    this.#launcher.launch(stream, loaded, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedMemory, args, attributes)
  }

  beginCapture(stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#captures.begin(stream)
  }

  endCapture(stream: StreamHandle, update: GraphHandle | undefined, keepsPriorities = false): GraphHandle {
    return this.#graphs.endCapture(stream, update, keepsPriorities)
  }

  cancelCapture(stream: StreamHandle): void {
    this.#graphs.cancelCapture(stream)
  }

  beginConditional(kind: ConditionalKind, condition: number, stream: StreamHandle, body: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#conditionals.begin(kind, condition, stream, body)
  }

  endConditional(body: StreamHandle): void {
    this.#conditionals.end(body)
  }

  cancelConditional(body: StreamHandle): void {
    this.#conditionals.cancel(body)
  }

  /** `cuGraphLaunch` orders the launches of one executable graph itself. */
  orderBehindLaunch(): void {}

  launchGraph(graph: GraphHandle, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    this.#graphs.launch(graph, stream)
  }

  capturedNode(stream: StreamHandle): NodeHandle {
    return this.#captures.lastNodeOf(stream)
  }

  setNodeArguments(
    graph: GraphHandle,
    node: NodeHandle,
    kernel: KernelHandle,
    args: readonly KernelArgument[],
    structs?: Uint8Array,
  ): void {
    this.#graphs.setArguments(graph, node, this.#kernels.get(kernel), args, structs)
  }

  setNodeEnabled(graph: GraphHandle, node: NodeHandle, enabled: boolean): void {
    this.#graphs.setEnabled(graph, node, enabled)
  }

  destroyGraph(graph: GraphHandle): void {
    this.#graphs.destroy(graph)
  }

  close(unseen?: unknown): void {
    if (this.#closed) return
    this.#closed = true
    this.#kernels.refuseMore()
    new Closing({
      context: this.#context,
      streams: this.#streams,
      completions: this.#completions,
      kernels: this.#kernels,
      memory: this.#memory,
      pinned: this.#pinned,
      release: () => this.#release(),
      releasePinned: () => this.#pinnedPool.close(),
    }).begin(unseen)
  }

  #release(): void {
    this.#memory.close()
    this.#births.close()
    this.#graphs.close()
    this.products.close()
    this.#uploads.close()
    this.#completions.close()
    for (const event of this.#events) destroyEvent(this.#context, event)
    this.#events.clear()
    this.#neighbours.close()
    this.#markers.close()
  }
}

function readPriorities(context: CudaContext): { least: number; greatest: number } {
  const { calls, out } = context
  context.check(
    context.within(() => calls.cuCtxGetStreamPriorityRange(out.address, out.address + 8)),
    "cuCtxGetStreamPriorityRange",
  )
  return { least: out.int(0), greatest: out.int(8) }
}
