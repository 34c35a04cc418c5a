import { MessageChannel, Worker, receiveMessageOnPort, type MessagePort } from "node:worker_threads"
import type { ControlMemory } from "./control.js"
import type { KernelDefinition } from "./kernels.js"
import { ACTIVE, BUSY, LOADS, WORKER_WORDS } from "./layout.js"
import type { DeviceMemory } from "./memory.js"
import type { Order, Report, WorkerStart } from "./messages.js"
import type { Scheduler } from "./scheduler.js"
import { workerFile } from "./worker-file.js"

interface Member {
  readonly worker: Worker
  readonly port: MessagePort
  readonly block: number
}

/** What the pool tells its device. */
export interface PoolEvents {
  /** A worker has reported something. */
  reported(report: Report, block: number): void
  /** A worker ended that should not have. `block` is its control block. */
  died(reason: string, block: number, cause: Error | undefined): void
  /** Every worker has ended after a close. */
  ended(): void
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

  /** Asks every worker to load a kernel; each one answers with a report. */
  load(kernel: number): void {
    this.post({ load: kernel })
    Atomics.add(this.control.words, LOADS, 1)
    this.scheduler.wakeAll()
  }

  /** How many workers have neither answered nor are running streams? */
  awaited(answered: ReadonlySet<number>): number {
    const { words } = this.control
    return this.members.filter(({ block }) => !answered.has(block) && Atomics.load(words, block + BUSY) === 0).length
  }

  /** Hands on what the workers have reported. Needs no event loop. */
  drain(): void {
    for (const { port, block } of this.members) {
      for (;;) {
        const received: { readonly message: Report } | undefined = receiveMessageOnPort(port)
        if (received === undefined) break
        this.events.reported(received.message, block)
      }
    }
  }

  /** Notices a worker that has died, without the event loop. */
  findDead(): void {
    if (this.ending) return
    // Draining a port whose other end is gone closes it.
    this.drain()
    for (const { port, block } of this.members) {
      if (this.isClosed(port)) this.events.died("has ended", block, undefined)
    }
  }

  /** From now on workers may end. */
  end(): void {
    this.ending = true
    this.probe.port1.close()
    if (this.running === 0) this.events.ended()
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
    const start: WorkerStart = {
      control: this.control.memory,
      memory: this.memory.memory,
      port: port2,
      block,
      spinners: this.spinners,
    }
    const worker = this.spawn(start)
    if (worker === undefined) return
    port1.on("message", (report: Report) => this.events.reported(report, block))
    port1.unref()
    worker.unref()
    this.running++
    this.members.push({ worker, port: port1, block })
    for (const definition of this.definitions) port1.postMessage({ define: definition } satisfies Order)
    let cause: Error | undefined
    worker.on("error", (error: Error) => (cause = error))
    worker.on("exit", (code) => {
      this.running--
      if (!this.ending) this.events.died(`ended with exit code ${code}`, block, cause)
      else if (this.running === 0) this.events.ended()
    })
  }

  /** A new thread; undefined if there cannot be one. Then those there are have to do, and none is a loss. */
  private spawn(start: WorkerStart): Worker | undefined {
    try {
      return new Worker(workerFile(), {
        workerData: start,
        transferList: [start.port],
        name: "auxstream",
        ...flags(),
      })
    } catch (error) {
      this.limit = this.members.length
      const cause = error instanceof Error ? error : new Error(String(error))
      if (this.limit === 0) this.events.died(`could not be started (${cause.message})`, start.block, cause)
      return undefined
    }
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

/**
 * The process's own flags are inherited as they are, but never named: flags of the whole process, such as
 * `--max-old-space-size`, are refused where they are named. A worker with `--input-type`, in turn, refuses its file.
 */
function flags(): { execArgv?: string[] } {
  return process.execArgv.some((argument) => argument.startsWith("--input-type")) ? { execArgv: [] } : {}
}
