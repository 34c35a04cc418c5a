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
  OrderMark,
  PinnedMemory,
  StreamFailures,
  StreamHandle,
} from "../driver.js"
import { Allocator } from "../allocator/allocator.js"
import { MemoryCount } from "../allocator/memory-count.js"
import { AuxstreamError, type DeviceLostError, DisposedError, type KernelError } from "../common/errors.js"
import { Births, type HostBirth } from "./queue/births.js"
import { Captures } from "./graph/captures.js"
import { captureLaunch } from "./graph/child-graph.js"
import { Commands } from "./queue/commands.js"
import { Completion } from "./queue/completion.js"
import { ControlMemory } from "./control/control.js"
import { ControlBlocks } from "./control/control-blocks.js"
import { EventTable, type HostEvent } from "./queue/event-table.js"
import { QueuedLaunch } from "./queue/droppable.js"
import { Failures } from "./queue/failures.js"
import { GraphTable } from "./graph/graph.js"
import { GraphLauncher } from "./graph/graph-launch.js"
import { KeepAlive } from "./control/keep-alive.js"
import { KernelTable } from "./threads/kernel-table.js"
import { CLOSING, ENDS_BROKEN, KERNEL, LEVELS, LIFE, TAKES_OVER } from "./control/layout.js"
import { Loss } from "./control/loss.js"
import { DeviceMemory } from "./control/memory.js"
import type { Report } from "./kernel/reports.js"
import type { Thrown } from "./kernel/thrown.js"
import { Points } from "./queue/points.js"
import { Scheduler } from "./schedule/scheduler.js"
import type { HostStream } from "./queue/stream.js"
import { StreamTable } from "./queue/stream-table.js"
import { Uploads } from "./queue/uploads.js"
import { WorkerPool } from "./threads/worker-pool.js"
import { warn } from "../common/warn.js"
import { microtask } from "../common/timers.js"
import { wordAt } from "./control/words.js"

/** CUDA's limits, so that a program that runs on the host device also runs on a GPU. */
const LIMITS: LaunchLimits = {
  threadsPerBlock: 1024,
  block: [1024, 1024, 64],
  grid: [2147483647, 65535, 65535],
  sharedMemory: 232448,
}

/** All but the first. */
type Tail<T extends readonly unknown[]> = T extends readonly [unknown, ...infer Others] ? Others : never

/**
 * The host device. This thread only queues: commands go into shared memory, worker threads run them, and nothing
 * between queueing and completion needs this thread again.
 */
export class HostDriver implements Driver {
  readonly kind = "host"
  readonly limits = LIMITS
  readonly priorities = { least: 0, greatest: 1 - LEVELS }

  private readonly control = ControlMemory.create()
  private readonly memory = DeviceMemory.create()
  /** A worker that died inside the scheduler has its lock for ever. */
  private readonly scheduler = new Scheduler(this.control, () => this.queryLoss())
  private readonly commands = new Commands(this.control)
  private readonly allocator = new Allocator<HostStream>(this.memory, new MemoryCount(), this.memory.first)
  private readonly births = new Births()
  private readonly uploads = new Uploads(this.memory, this.commands, this.allocator)
  private readonly pool: WorkerPool
  private readonly failures: Failures
  private readonly streams: StreamTable
  private readonly events: EventTable
  private readonly kernels: KernelTable
  private readonly keepAlive: KeepAlive
  private readonly completion: Completion
  private readonly graphs = new GraphTable(this.control, new ControlBlocks(this.control))
  private readonly launcher: GraphLauncher
  private readonly captures = new Captures(this.control)
  private readonly points: Points
  private readonly loss: Loss

  constructor(
    readonly threads: number,
    cores: number,
    readonly name: string,
  ) {
    this.pool = new WorkerPool(threads, Math.max(1, cores - 1), this.control, this.memory, this.scheduler, {
      reported: (report, block) => this.hear(report, block),
      died: (reason, block, cause) => this.loss.declare(reason, this.lastKernelOf(block), cause),
      failedToStart: () => this.kernels.checkAnswers(),
    })
    this.loss = new Loss(
      this.control,
      () => this.pool.findDead(),
      (error) => this.failAll(error),
    )
    this.failures = new Failures(() => this.pool.drain())
    this.streams = new StreamTable(this.control, this.failures)
    this.events = new EventTable(this.control)
    this.keepAlive = new KeepAlive(() => this.lookAfter())
    this.kernels = new KernelTable(this.pool, this.keepAlive)
    this.launcher = new GraphLauncher(this.control, this.scheduler, this.graphs, this.streams, this.pool)
    this.completion = new Completion(this.control, this.keepAlive, this.failures, this.loss, cores)
    this.points = new Points(this.completion, this.failures, this.loss)
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
      `the host device cannot take in the stream with handle ${foreign}: no other library makes streams for it; ` +
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
    return this.events.create(timing)
  }

  destroyEvent(event: EventHandle): void {
    this.events.destroy(event)
  }

  foreignEventHandle(event: EventHandle): bigint {
    this.check()
    return BigInt(event)
  }

  recordEvent(event: EventHandle, stream: StreamHandle): boolean {
    this.check()
    const target = this.streams.get(stream)
    const record = this.events.get(event)
    record.captured = target.branch?.record()
    if (record.timing && record.captured === undefined) {
      this.commands.stamp(target.slot, this.events.stampFor(record, target, target.slot.tail + 1))
      this.submit(target)
    }
    record.stream = target
    record.position = target.slot.tail
    return false
  }

  waitEvent(stream: StreamHandle, event: EventHandle): void {
    this.check()
    const target = this.streams.get(stream)
    const { stream: other, position, captured } = this.events.get(event)
    if (captured !== undefined) {
      this.captures.wait(target, captured)
      return
    }
    if (other !== undefined) this.waitForPosition(target, other, position)
  }

  private waitForPosition(target: HostStream, other: HostStream, position: number): void {
    if (other === target) return
    // A broken stream keeps to its waits, and who waits for it to all of them: what is freed behind is free only then.
    const passed = other.hasPassed(position)
    const error = passed ? this.failures.before(other, position) : undefined
    if (error !== undefined) this.breakBecauseOf(error, target)
    else if (passed && !other.slot.isBroken()) return
    else this.commands.wait(target.slot, other.slot, position, TAKES_OVER)
    this.submit(target)
  }

  queryEvent(event: EventHandle): boolean {
    this.check()
    const { stream, position } = this.events.get(event)
    return stream === undefined || this.points.query(stream, position)
  }

  synchronizeEvent(event: EventHandle): void {
    this.check()
    const { stream, position } = this.events.get(event)
    if (stream !== undefined) this.points.synchronize(stream, position)
  }

  elapsedTime(start: EventHandle, end: EventHandle): number {
    this.check()
    return this.timeOf(this.events.get(end), "end") - this.timeOf(this.events.get(start), "start")
  }

  whenComplete(event: EventHandle, settle: (error?: Error) => void): () => void {
    this.check()
    const { stream, position } = this.events.get(event)
    return stream === undefined ? this.completion.addPassed(settle) : this.completion.add(stream, position, settle)
  }

  allocate(
    byteLength: number,
    stream: StreamHandle,
    covers: (mark: OrderMark) => boolean,
    contentsFollow = false,
  ): number {
    this.check()
    const target = this.streams.get(stream)
    const address = this.allocator.allocate(byteLength, target, covers)
    if (!contentsFollow && this.allocator.isEarly(address)) this.births.noteAllocation(address, target)
    return address
  }

  noteContents(address: number, stream: StreamHandle): void {
    this.births.noteContents(address, this.streams.get(stream), this.allocator.isEarly(address))
  }

  forgetContents(address: number): void {
    this.births.forgetContents(address)
  }

  orderBehindBirth(address: number, stream: StreamHandle, overwrites = false): boolean {
    this.check()
    const birth = this.births.get(address)
    if (birth === undefined) return true
    const { stream: home, position } = birth
    const needsContents = birth.needsContents && !overwrites
    const passed = home.hasPassed(position)
    const error = passed && needsContents ? this.failures.before(home, position) : undefined
    if (passed && error === undefined) {
      this.births.forget(address)
      return true
    }
    const target = this.streams.get(stream)
    if (error !== undefined) this.breakBecauseOf(error, target)
    else this.commands.wait(target.slot, home.slot, position, howToWait(birth, needsContents))
    this.submit(target)
    return false
  }

  free(address: number, stream: StreamHandle, mark: OrderMark): void {
    if (this.loss.error !== undefined) return
    this.births.forget(address)
    const target = this.streams.get(stream)
    this.allocator.release(address, target, target.slot.tail, mark)
  }

  drainFrees(): void {
    this.check()
    this.allocator.forEachPending((stream: HostStream, position) => this.completion.block(stream, position))
    this.allocator.harvest()
  }

  /** Progress is read where it is made. */
  noteIdle(): void {}

  memoryUsage(): MemoryUsage {
    this.check()
    const { used, peak } = this.allocator.count
    return { used, reserved: this.memory.byteLength, peak }
  }

  allocatePinned(byteLength: number): PinnedMemory {
    this.check()
    const address = this.allocator.allocateNow(byteLength)
    this.memory.bytes.fill(0, address, address + byteLength)
    // A clone of a shared buffer is another object over the same bytes: the runtime watches when it becomes unreachable.
    return { address, buffer: structuredClone(this.memory.memory.buffer), byteOffset: address, byteLength }
  }

  freePinned(address: number): void {
    if (this.loss.error === undefined) this.allocator.releaseNow(address)
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
    this.uploads.queue(target, destination, source)
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

  /** Everything is ready from the beginning. */
  async prepare(): Promise<void> {}

  async prepareKernel(source: KernelSource): Promise<KernelHandle> {
    this.check()
    return this.kernels.prepare(source)
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
    if (attributes?.droppable === true && branch === undefined) {
      return this.launchDroppable(target, found, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedMemory, args)
    }
    commands.launch(queue, found, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedMemory, args)
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

  /** Each branch but the first has the priority of its stream. */
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
      this.waitForPosition(this.streams.get(stream), lastStream, lastLaunch.position)
    }
  }

  launchGraph(graph: GraphHandle, stream: StreamHandle): void {
    const target = this.usable(stream)
    const launched = this.graphs.get(graph)
    if (target.branch === undefined) this.launcher.launch(launched, target)
    else captureLaunch(launched, this.control.words, target.branch)
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

  /** The stream, if more work can be queued on it. */
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

  /** What the stream waits for is known to have failed. */
  private breakBecauseOf(error: KernelError, stream: HostStream): void {
    if (!stream.slot.isBroken()) this.commands.break(stream.slot, this.failures.tell(stream, error))
  }

  private submit(stream: HostStream): void {
    if (this.scheduler.submit(stream.slot.block)) this.pool.serve()
  }

  private timeOf(event: HostEvent, which: string): number {
    const { stream, position, timing } = event
    if (timing && stream !== undefined && this.points.query(stream, position)) return this.events.timeOf(event)
    throw new AuxstreamError(
      "AUX_NOT_READY",
      `the ${which} event ${timing ? "has not been recorded and passed yet" : "was made without timing"}: ` +
        "make both events with { timing: true }, record them, and wait for them before asking for the time",
    )
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

/**
 * First contents that were skipped break who waits for them, as soon as that is sure; no other failure does. Whoever uses
 * the memory early keeps to all that its stream waits for, broken or not: somebody there may be using it still.
 */
function howToWait({ hasContents, isEarly }: HostBirth, needsContents: boolean): number {
  return (needsContents ? TAKES_OVER : 0) | (hasContents && !isEarly ? ENDS_BROKEN : 0)
}

function warnOfStray(kernel: string, { stack }: Thrown): void {
  warn(
    "AUX_KERNEL_STRAY",
    `Code of a kernel's module failed on a worker thread of the host device after the kernel had returned; no stream is ` +
      `broken by that. The last kernel on that thread was "${kernel}". ${stack}`,
  )
}
