import type {
  ConditionalKind,
  Driver,
  EventHandle,
  GraphHandle,
  KernelArgument,
  KernelHandle,
  KernelSource,
  DroppableLaunch,
  LaunchAttributes,
  LaunchLimits,
  MemoryUsage,
  NodeHandle,
  OrderMark,
  PinnedMemory,
  StreamFailures,
  StreamHandle,
} from "../driver.js"
import { AuxstreamError, type DeviceLostError, DisposedError } from "../common/errors.js"
import type { DeviceProperties } from "../common/device-properties.js"
import type { KernelAttributes, SuggestedBlock } from "../common/kernel-facts.js"
import { Captures } from "./graph/captures.js"
import { captureLaunch } from "./graph/child-graph.js"
import { Commands } from "./queue/commands.js"
import { Completion } from "./completion/completion.js"
import { ControlMemory } from "./control/control.js"
import { ControlBlocks } from "./control/control-blocks.js"
import { EventTable } from "./queue/event-table.js"
import { Events } from "./completion/events.js"
import { QueuedLaunch } from "./queue/droppable.js"
import { Failures } from "./queue/failures.js"
import { availableMemory, hostKernelAttributes, hostProperties, systemMemory } from "./facts.js"
import { GraphTable } from "./graph/graph.js"
import { GraphLauncher } from "./graph/graph-launch.js"
import { GraphNodes } from "./graph/nodes.js"
import { KeepAlive } from "./control/keep-alive.js"
import { KernelTable } from "./threads/kernel-table.js"
import { CLOSING, KERNEL, LEVELS, LIFE, wordAt } from "./control/layout.js"
import { Loss } from "./control/loss.js"
import { DeviceMemory, LIMIT } from "./control/memory.js"
import type { Report } from "./kernel/reports.js"
import type { Thrown } from "./kernel/thrown.js"
import { Points } from "./completion/points.js"
import { Scheduler } from "./schedule/scheduler.js"
import type { HostStream } from "./queue/stream.js"
import { StreamTable } from "./queue/stream-table.js"
import { StreamMemory } from "./memory/stream-memory.js"
import { Waits } from "./queue/waits.js"
import { WorkerPool } from "./threads/worker-pool.js"
import { warn } from "../common/warn.js"
import { microtask } from "../common/timers.js"

/** CUDA's limits, so that a program that runs on the host device also runs on a GPU. */
const LIMITS: LaunchLimits = {
  threadsPerBlock: 1024,
  block: [1024, 1024, 64],
  grid: [2147483647, 65535, 65535],
  sharedMemory: 232448,
}

/** All elements but the first. */
type Tail<T extends readonly unknown[]> = T extends readonly [unknown, ...infer Others] ? Others : never

/**
 * The host device, as the thread that opened it sees it. This thread only writes commands into shared memory; worker
 * threads run them. It must never be needed between queueing and completion: it may be blocked meanwhile.
 */
export class HostDriver implements Driver {
  readonly kind = "host"
  readonly limits = LIMITS
  readonly priorities = { least: 0, greatest: 1 - LEVELS }

  readonly properties: DeviceProperties

  private readonly control = ControlMemory.create()
  private readonly memory = DeviceMemory.create()
  /** A worker that died while it held the scheduler's lock never unlocks it, so a late lock asks for the loss. */
  private readonly scheduler = new Scheduler(this.control, () => this.queryLoss())
  private readonly commands = new Commands(this.control)
  private readonly pool: WorkerPool
  private readonly failures: Failures
  private readonly streams: StreamTable
  private readonly eventTable: EventTable
  private readonly events: Events
  private readonly waits: Waits
  private readonly arrays: StreamMemory
  private readonly kernels: KernelTable
  private readonly keepAlive: KeepAlive
  private readonly completion: Completion
  private readonly graphs = new GraphTable(this.control, new ControlBlocks(this.control))
  private readonly nodes = new GraphNodes(this.graphs, this.control, this.commands)
  private readonly launcher: GraphLauncher
  private readonly captures = new Captures(this.control)
  private readonly points: Points
  private readonly loss: Loss

  constructor(
    readonly threads: number,
    cores: number,
    readonly name: string,
  ) {
    this.properties = hostProperties(threads, LIMITS, Math.min(LIMIT, systemMemory()))
    this.pool = new WorkerPool(threads, Math.max(1, cores - 1), this.control, this.memory, this.scheduler, {
      reported: (report, block) => this.hear(report, block),
      died: (reason, block, cause) => this.loss.declare(reason, this.lastKernelOf(block), cause),
      failedToStart: () => this.kernels.askAgain(),
    })
    this.loss = new Loss(
      this.control,
      () => this.pool.findDead(),
      (error) => this.failAll(error),
    )
    this.failures = new Failures(() => this.pool.drain())
    this.streams = new StreamTable(this.control, this.failures)
    const submit = (stream: HostStream) => this.submit(stream)
    this.waits = new Waits(this.commands, this.failures, submit)
    this.arrays = new StreamMemory(this.memory, this.commands, this.waits)
    this.keepAlive = new KeepAlive(() => this.lookAfter())
    this.kernels = new KernelTable(this.pool, this.keepAlive, (byteLength) => this.arrays.reserve(byteLength))
    this.launcher = new GraphLauncher(this.control, this.scheduler, this.graphs, this.streams, this.pool)
    this.completion = new Completion(this.control, this.keepAlive, this.failures, this.loss, cores)
    this.points = new Points(this.completion, this.failures, this.loss)
    this.eventTable = new EventTable(this.control)
    this.events = new Events(this.eventTable, this.commands, this.points, this.completion, submit)
  }

  createStream(priority: number): StreamHandle {
    this.check()
    return this.streams.create(priority).handle
  }

  destroyStream(stream: StreamHandle): void {
    this.streams.destroy(stream)
  }

  adoptStream(foreign: bigint): StreamHandle {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `the host device cannot adopt the stream with handle ${foreign}: no other library makes streams for it; ` +
        "use device.createStream()",
    )
  }

  adoptedPriority(): number {
    return this.priorities.least
  }

  foreignHandle(stream: StreamHandle): bigint {
    this.check()
    return BigInt(stream)
  }

  isCapturedByOthers(): boolean {
    return false
  }

  watchFailures(stream: StreamHandle): StreamFailures {
    return this.failures.watch(this.streams.get(stream))
  }

  queryStream(stream: StreamHandle): boolean {
    this.check()
    const target = this.streams.get(stream)
    return this.points.query(target, target.slot.tail)
  }

  synchronizeStream(stream: StreamHandle): void {
    this.check()
    const target = this.streams.get(stream)
    this.points.synchronize(target, target.slot.tail)
  }

  createEvent(timing: boolean): EventHandle {
    this.check()
    return this.eventTable.create(timing)
  }

  destroyEvent(event: EventHandle): void {
    this.eventTable.destroy(event)
  }

  foreignEventHandle(event: EventHandle): bigint {
    this.check()
    return BigInt(event)
  }

  recordEvent(event: EventHandle, stream: StreamHandle): boolean {
    this.check()
    this.events.record(this.eventTable.get(event), this.streams.get(stream))
    return false
  }

  waitEvent(stream: StreamHandle, event: EventHandle): void {
    this.check()
    const target = this.streams.get(stream)
    const record = this.eventTable.get(event)
    if (record.captured === undefined) this.waits.waitForRecord(target, record)
    else this.captures.wait(target, record.captured)
  }

  queryEvent(event: EventHandle): boolean {
    this.check()
    return this.events.query(this.eventTable.get(event))
  }

  synchronizeEvent(event: EventHandle): void {
    this.check()
    this.events.synchronize(this.eventTable.get(event))
  }

  elapsedTime(start: EventHandle, end: EventHandle): number {
    this.check()
    return this.events.elapsedTime(this.eventTable.get(start), this.eventTable.get(end))
  }

  whenComplete(event: EventHandle, settle: (error?: Error) => void): () => void {
    this.check()
    return this.events.whenComplete(this.eventTable.get(event), settle)
  }

  allocate(
    byteLength: number,
    stream: StreamHandle,
    happensBefore: (mark: OrderMark) => boolean,
    contentsFollow = false,
  ): number {
    this.check()
    return this.arrays.allocate(byteLength, this.streams.get(stream), happensBefore, contentsFollow)
  }

  noteContents(address: number, stream: StreamHandle): void {
    this.arrays.noteContents(address, this.streams.get(stream))
  }

  forgetContents(address: number): void {
    this.arrays.forgetContents(address)
  }

  orderBehindBirth(address: number, stream: StreamHandle, overwrites = false): boolean {
    this.check()
    return this.arrays.orderBehindBirth(address, this.streams.get(stream), overwrites)
  }

  free(address: number, stream: StreamHandle, mark: OrderMark): void {
    if (this.loss.error === undefined) this.arrays.free(address, this.streams.get(stream), mark)
  }

  drainFrees(): void {
    this.check()
    this.arrays.drainFrees(this.completion)
  }

  /** Does nothing: this driver reads the progress of its streams itself. */
  noteIdle(): void {}

  memoryUsage(): MemoryUsage {
    this.check()
    const total = this.properties.totalMemory
    const free = Math.max(0, Math.min(total - this.memory.byteLength, availableMemory()))
    return { ...this.arrays.usage(), free, total }
  }

  /** Does nothing: a WebAssembly memory cannot shrink. */
  trim(): void {
    this.check()
  }

  resetPeak(): void {
    this.arrays.resetPeak()
  }

  allocatePinned(byteLength: number): PinnedMemory {
    this.check()
    return this.arrays.allocatePinned(byteLength)
  }

  freePinned(address: number): void {
    if (this.loss.error === undefined) this.arrays.freePinned(address)
  }

  checkMemory(address: number, byteLength: number): void {
    this.check()
    this.memory.check(address, byteLength)
  }

  copy(destination: number, source: number, byteLength: number, stream: StreamHandle): void {
    const target = this.usable(stream)
    const { branch } = target
    if (branch !== undefined) return branch.commands.copy(branch, destination, source, byteLength)
    this.commands.copy(target.slot, destination, source, byteLength)
    this.submit(target)
  }

  upload(destination: number, source: Uint8Array, stream: StreamHandle): void {
    const target = this.usable(stream)
    this.arrays.uploads.queue(target, destination, source)
    this.submit(target)
  }

  fill(destination: number, element: Uint8Array, count: number, stream: StreamHandle): void {
    const target = this.usable(stream)
    const { branch } = target
    if (branch !== undefined) return branch.commands.fill(branch, destination, element, count)
    this.commands.fill(target.slot, destination, element, count)
    this.submit(target)
  }

  loadKernel(source: KernelSource): KernelHandle {
    this.check()
    return this.kernels.load(source)
  }

  /** Does nothing: nothing is loaded lazily. */
  async prepare(): Promise<void> {}

  async prepareKernel(source: KernelSource): Promise<KernelHandle> {
    this.check()
    return this.kernels.prepare(source)
  }

  kernelAttributes(): KernelAttributes {
    this.check()
    return hostKernelAttributes(LIMITS)
  }

  /** A worker thread runs one block after another. */
  blocksPerMultiprocessor(): number {
    this.check()
    return 1
  }

  suggestBlock(_kernel: KernelHandle, _sharedMemory: number, mostThreads: number): SuggestedBlock {
    this.check()
    return { block: mostThreads, grid: this.threads }
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
  ): DroppableLaunch | undefined {
    const target = this.usable(stream)
    const found = this.kernels.get(kernel)
    const { branch } = target
    const commands = branch === undefined ? this.commands : branch.commands
    const queue = branch ?? target.slot
    const structs = attributes?.structs
    if (attributes?.droppable === true && branch === undefined) {
      return this.launchDroppable(
        target,
        found,
        gridX,
        gridY,
        gridZ,
        blockX,
        blockY,
        blockZ,
        sharedMemory,
        args,
        structs,
      )
    }
    commands.launch(queue, found, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedMemory, args, structs)
    if (branch === undefined) this.submit(target)
    return undefined
  }

  private launchDroppable(
    target: HostStream,
    ...launch: Tail<Parameters<Commands["launchDroppable"]>>
  ): DroppableLaunch {
    const flag = this.commands.launchDroppable(target.slot, ...launch)
    const droppable = new QueuedLaunch(this.control, target, flag)
    this.submit(target)
    return droppable
  }

  beginCapture(stream: StreamHandle): void {
    this.captures.begin(this.usable(stream))
  }

  endCapture(stream: StreamHandle, update: GraphHandle | undefined): GraphHandle {
    const capture = this.captures.end(this.streams.get(stream))
    try {
      this.check()
      if (update !== undefined && this.graphs.update(update, capture)) return update
      return this.graphs.create(capture)
    } finally {
      capture.clear()
    }
  }

  cancelCapture(stream: StreamHandle): void {
    this.captures.cancel(this.streams.get(stream))
  }

  beginConditional(kind: ConditionalKind, condition: number, stream: StreamHandle, body: StreamHandle): void {
    this.captures.beginConditional(kind, condition, this.usable(stream), this.usable(body))
  }

  endConditional(body: StreamHandle): void {
    this.captures.endConditional(this.streams.get(body))
  }

  cancelConditional(body: StreamHandle): void {
    this.captures.cancel(this.streams.get(body))
  }

  orderBehindLaunch(graph: GraphHandle, stream: StreamHandle): void {
    this.check()
    const { lastLaunch, lastStream } = this.graphs.get(graph)
    if (lastLaunch !== undefined && lastStream !== undefined) {
      this.waits.waitForPosition(this.streams.get(stream), lastStream, lastLaunch.position)
    }
  }

  launchGraph(graph: GraphHandle, stream: StreamHandle): void {
    const target = this.usable(stream)
    const launched = this.graphs.get(graph)
    if (target.branch === undefined) this.launcher.launch(launched, target)
    else captureLaunch(launched, this.control.words, target.branch)
  }

  capturedNode(stream: StreamHandle): NodeHandle {
    return this.nodes.lastOf(this.streams.get(stream))
  }

  setNodeArguments(
    graph: GraphHandle,
    node: NodeHandle,
    kernel: KernelHandle,
    args: readonly KernelArgument[],
    structs?: Uint8Array,
  ): void {
    this.check()
    this.nodes.setArguments(this.graphs.get(graph), node, this.kernels.get(kernel), args, structs)
  }

  setNodeEnabled(graph: GraphHandle, node: NodeHandle, enabled: boolean): void {
    this.check()
    this.nodes.setEnabled(this.graphs.get(graph), node, enabled)
  }

  destroyGraph(graph: GraphHandle): void {
    for (const stream of this.graphs.destroy(graph)) if (stream !== undefined) this.streams.destroy(stream.handle)
  }

  close(): void {
    const { words } = this.control
    if (Atomics.compareExchange(words, LIFE, 0, CLOSING) !== 0) return
    this.pool.end()
    this.scheduler.wakeAll()
    this.kernels.failAll(new DisposedError("the host device was closed before the kernel had been prepared"))
    this.completion.stop()
  }

  /** @throws DeviceLostError */
  private queryLoss(): void {
    const loss = this.loss.find()
    if (loss !== undefined) throw loss
  }

  private check(): void {
    this.loss.check()
  }

  /** The stream with this handle. @throws KernelError if it is broken, so that no work can be queued on it */
  private usable(handle: StreamHandle): HostStream {
    this.check()
    const stream = this.streams.get(handle)
    if (stream.slot.isBroken()) this.checkWhole(stream)
    return stream
  }

  private checkWhole(stream: HostStream): void {
    const error = this.failures.of(stream)
    if (error !== undefined) throw error
  }

  private submit(stream: HostStream): void {
    if (this.scheduler.submit(stream.slot.block)) this.pool.serve()
  }

  private hear(report: Report, block: number): void {
    if (report.kind === "loaded") this.kernels.loaded(report.kernel, block, report.thrown)
    else if (report.kind === "stray") warnOfStray(report.kernel, report.thrown)
    else this.failures.note(report)
  }

  private lookAfter(): void {
    this.loss.find()
    this.completion.pump()
  }

  private lastKernelOf(worker: number): string | undefined {
    return this.kernels.nameOf(wordAt(this.control.words, worker + KERNEL))
  }

  private failAll(loss: DeviceLostError): void {
    this.pool.end()
    this.pool.terminate()
    microtask(() => {
      this.completion.failAll(loss)
      this.kernels.failAll(loss)
      this.completion.stop()
    })
  }
}

function warnOfStray(kernel: string, { stack }: Thrown): void {
  warn(
    "AUX_KERNEL_STRAY",
    `A kernel's code failed on a worker thread of the host device after the kernel had returned. This breaks no stream. ` +
      `The last kernel on that thread was "${kernel}". ${stack}`,
  )
}
