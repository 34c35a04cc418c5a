import { MessageChannel, Worker, receiveMessageOnPort, type MessagePort } from "node:worker_threads"
import type { ControlMemory } from "../control/control.js"
import type { KernelDefinition } from "../kernel/kernel-check.js"
import { ACTIVE, BUSY, LOADS, STARTED, WORKER_WORDS } from "../control/layout.js"
import type { DeviceMemory } from "../control/memory.js"
import { isReport, type Order, START, type WorkerStart } from "./messages.js"
import type { Report } from "../kernel/reports.js"
import type { Scheduler } from "../schedule/scheduler.js"
import { describeThrown } from "../kernel/thrown.js"
import { describeEnd, whyNotStarted } from "./worker-end.js"
import { workerFile } from "./worker-file.js"
import { workerFlags } from "./worker-flags.js"
import { now } from "../../common/timers.js"

interface Member {
  readonly worker: Worker
  readonly port: MessagePort
  readonly block: number
  readonly since: number
  /** Why it has left, as it said itself. */
  reason: string | undefined
  /** What Node.js says has ended it. */
  error: Error | undefined
}

/** How long a worker may take to serve its first stream before it is asked what could keep it, in milliseconds. */
const START_PATIENCE = 3000

/** What the pool tells its device. */
export interface PoolEvents {
  /** A worker has reported something. */
  reported(report: Report, block: number): void
  /** A worker ended that should not have, for this reason ("a worker thread …"). `block` is its control block. */
  died(reason: string, block: number, cause: Error | undefined): void
  /** A worker could not be started; others do its work. */
  failedToStart(): void
}

/** The worker threads of one device, as the opening thread sees them. None of them keeps the process alive. */
export class WorkerPool {
  private readonly members: Member[] = []
  private readonly definitions: KernelDefinition[] = []
  private readonly probe = new MessageChannel()
  private running = 0
  private ending = false

  constructor(
    private limit: number,
    private readonly spinners: number,
    private readonly control: ControlMemory,
    private readonly memory: DeviceMemory,
    private readonly scheduler: Scheduler,
    private readonly events: PoolEvents,
  ) {
    this.probe.port1.unref()
    this.probe.port2.unref()
  }

  /** Starts workers until there is one for each stream that is not idle and so many more, or as many as there may be. */
  serve(more = 0): void {
    if (this.members.length < this.limit) this.reach(Atomics.load(this.control.words, ACTIVE) + more)
  }

  /** Starts workers until there are so many, or as many as there may be. */
  reach(count: number): void {
    while (this.members.length < Math.min(count, this.limit)) this.start()
  }

  /** Makes a kernel known to all workers, those to come included. */
  define(definition: KernelDefinition): void {
    this.definitions.push(definition)
    this.post({ define: definition })
  }

  /** Asks every worker to load a kernel; each one answers with a report. Gives their control blocks. */
  load(kernel: number): number[] {
    this.post({ load: kernel })
    Atomics.add(this.control.words, LOADS, 1)
    this.scheduler.wakeAll()
    return this.members.map(({ block }) => block)
  }

  /** Is one of these workers alive and not running streams? */
  isAnyIdle(blocks: ReadonlySet<number>): boolean {
    const { words } = this.control
    return this.members.some(({ block }) => blocks.has(block) && Atomics.load(words, block + BUSY) === 0)
  }

  /** Hands on what the workers have reported. Needs no event loop. */
  drain(): void {
    for (const member of this.members) {
      for (;;) {
        const received: { readonly message: unknown } | undefined = receiveMessageOnPort(member.port)
        if (received === undefined) break
        this.hear(received.message, member)
      }
    }
  }

  /** Notices a worker that has died, without the event loop. */
  findDead(): void {
    if (this.mayEnd()) return
    // Draining a port whose other end is gone closes it.
    this.drain()
    for (const member of [...this.members]) if (this.isClosed(member.port)) this.remove(member)
    this.findStartless()
  }

  /** From now on workers may end, once nothing is left for them to do. */
  end(): void {
    this.ending = true
    this.finish()
  }

  /** Ends all workers in the middle of what they do. */
  terminate(): void {
    for (const { worker } of this.members) void worker.terminate()
  }

  private post(order: Order): void {
    for (const { port } of this.members) port.postMessage(order)
  }

  private start(): void {
    const { port1, port2 } = new MessageChannel()
    const block = this.control.reserve(WORKER_WORDS)
    const worker = this.spawn({
      control: this.control.memory,
      memory: this.memory.memory,
      port: port2,
      definitions: this.definitions,
      block,
      spinners: this.spinners,
    })
    if (worker === undefined) return
    const member: Member = { worker, port: port1, block, since: now(), reason: undefined, error: undefined }
    port1.on("message", (report: unknown) => this.hear(report, member))
    port1.unref()
    worker.unref()
    this.running++
    this.members.push(member)
    worker.on("error", (error: unknown) => (member.error = asError(error)))
    worker.on("exit", () => {
      this.running--
      this.drain()
      this.remove(member)
      this.finish()
    })
  }

  /** A new thread; undefined if there cannot be one. Then those there are have to do, and none is a loss. */
  private spawn(start: WorkerStart): Worker | undefined {
    try {
      return new Worker(workerFile(), {
        workerData: { [START]: start },
        transferList: [start.port],
        name: "auxstream",
        ...workerFlags(),
      })
    } catch (error) {
      this.doWithout(start.block, asError(error))
      return undefined
    }
  }

  private hear(report: unknown, member: Member): void {
    if (!isReport(report)) return
    if (report.kind === "left") member.reason ??= report.reason
    else this.events.reported(report, member.block)
  }

  /** A worker has ended. */
  private remove(member: Member): void {
    const index = this.members.indexOf(member)
    if (index < 0) return
    this.members.splice(index, 1)
    const { block, reason, error } = member
    if (this.mayEnd()) return
    const started = this.hasStarted(member)
    if (started) this.events.died(describeEnd({ reason, error }), block, error)
    else this.doWithout(block, error ?? whyNotStarted())
  }

  /** A worker could not be started. That is no loss while there are others, as it has taken no stream. */
  private doWithout(block: number, error: Error | undefined): void {
    this.limit = this.members.length
    if (this.limit > 0) this.events.failedToStart()
    else this.events.died(`could not be started (${error?.message ?? "Node.js does not say why"})`, block, error)
  }

  /**
   * While the opening thread is blocked, nothing tells it that threads could not be started. If none has started after
   * some time, what they need is tried here.
   */
  private findStartless(): void {
    const [first] = this.members
    if (first === undefined || now() - first.since < START_PATIENCE) return
    if (this.members.some((member) => this.hasStarted(member))) return
    const error = whyNotStarted()
    if (error !== undefined) this.events.died(`could not be started (${error.message})`, first.block, error)
  }

  private hasStarted({ block }: Member): boolean {
    return Atomics.load(this.control.words, block + STARTED) === 1
  }

  /** Is the device closed, and nothing left to do? Nothing comes any more then. */
  private mayEnd(): boolean {
    return this.ending && Atomics.load(this.control.words, ACTIVE) === 0
  }

  private finish(): void {
    if (!this.ending || this.running > 0) return
    this.probe.port1.close()
    this.memory.retire()
  }

  /** A port whose other end is gone can no longer be transferred; an attempt that fails later leaves it as it is. */
  private isClosed(port: MessagePort): boolean {
    let open = false
    const unclonable = {
      get value(): never {
        open = true
        throw new Error("only the list of ports was to be checked")
      },
    }
    try {
      this.probe.port1.postMessage(unclonable, [port])
    } catch {
      // One of the two fails always.
    }
    return !open
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(describeThrown(thrown, "").text)
}
