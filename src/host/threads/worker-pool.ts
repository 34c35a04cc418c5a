import { MessageChannel, Worker, receiveMessageOnPort, type MessagePort } from "node:worker_threads"
import type { ControlMemory } from "../control/control.js"
import type { KernelDefinition } from "../kernel/kernel-check.js"
import { ACTIVE, BUSY, LOADS, STARTED, WORKER_WORDS } from "../control/layout.js"
import type { DeviceMemory } from "../control/memory.js"
import { isReport, type Order, START, type WorkerStart } from "./messages.js"
import type { Report } from "../kernel/reports.js"
import type { TimeRings } from "../control/time-rings.js"
import type { Scheduler } from "../schedule/scheduler.js"
import { describeThrown } from "../kernel/thrown.js"
import { PortProbe } from "./port-probe.js"
import { Standstill } from "./standstill.js"
import { describeEnd, whyNotStarted } from "./worker-end.js"
import { workerFile } from "./worker-file.js"
import { workerFlags } from "./worker-flags.js"

interface Member {
  readonly worker: Worker
  readonly port: MessagePort
  readonly block: number
  readonly place: number
  /** Why it ended, as it reported itself. */
  reason: string | undefined
  /** The error that ended it, according to Node.js. */
  error: Error | undefined
  /** Whether its end has been noticed, but no event has told why. */
  isMissed: boolean
}

/**
 * While no worker has started and the process does nothing for this many milliseconds, obstacles are looked for. Threads that
 * are starting use processor time, and may only for now keep each other from opening files.
 */
const START_PATIENCE = 3000
/** The same whatever the process does: its other threads may always be busy. */
const LONGEST_PATIENCE = 30_000

/** How often one worker is started alone after all of them have failed to start. */
const TRIES_ALONE = 3

/** What the pool reports to its device. */
export interface PoolEvents {
  /** A worker posted a report. */
  reported(report: Report, block: number): void
  /** A worker ended unexpectedly. `reason` continues "a worker thread …"; `block` is its control block. */
  died(reason: string, block: number, cause: Error | undefined): void
  /** A worker could not be started. The others do its work. */
  failedToStart(): void
}

/** The worker threads of one device, as the opening thread sees them. They must never keep the process alive. */
export class WorkerPool {
  readonly #members: Member[] = []
  readonly #definitions: KernelDefinition[] = []
  readonly #probe = new PortProbe()
  #running = 0
  #ending = false
  #triesAlone = TRIES_ALONE
  /** While no worker has started, from the first look on. */
  #standstill: Standstill | undefined
  #limit: number
  /** The most workers that there may be at once. */
  readonly most: number
  readonly #spinners: number
  readonly #marks: boolean
  readonly #control: ControlMemory
  readonly #memory: DeviceMemory
  readonly #scheduler: Scheduler
  readonly #events: PoolEvents
  readonly #rings: TimeRings

  /** @param marks whether workers mark launches, for a {@link LaunchWatch} */
  constructor(
    most: number,
    spinners: number,
    marks: boolean,
    control: ControlMemory,
    memory: DeviceMemory,
    scheduler: Scheduler,
    events: PoolEvents,
    rings: TimeRings,
  ) {
    this.most = most
    this.#spinners = spinners
    this.#marks = marks
    this.#control = control
    this.#memory = memory
    this.#scheduler = scheduler
    this.#events = events
    this.#rings = rings
    this.#limit = most
  }

  /** Starts workers until there is one for each active stream and `more` besides, within the limit. */
  serve(more = 0): void {
    if (this.#members.length < this.#limit) this.reach(Atomics.load(this.#control.words, ACTIVE) + more)
  }

  /** Starts workers until there are this many, within the limit. */
  reach(count: number): void {
    while (this.#members.length < Math.min(count, this.#limit)) this.#start()
  }

  /** Makes a kernel known to all workers, including those that start later. */
  define(definition: KernelDefinition): void {
    this.#definitions.push(definition)
    this.#post({ define: definition })
  }

  /** Asks every worker to load a kernel. Each answers with a report. @returns their control blocks */
  load(kernel: number): number[] {
    this.#post({ load: kernel })
    Atomics.add(this.#control.words, LOADS, 1)
    this.#scheduler.wakeAll()
    return this.#members.map(({ block }) => block)
  }

  /** The workers' control blocks; undefined once all have ended after the device was closed. */
  blocks(): readonly number[] | undefined {
    return this.#ending && this.#running === 0 ? undefined : this.#members.map(({ block }) => block)
  }

  /** Whether one of these workers is alive and runs no stream. */
  isAnyIdle(blocks: ReadonlySet<number>): boolean {
    const { words } = this.#control
    return this.#members.some(({ block }) => blocks.has(block) && Atomics.load(words, block + BUSY) === 0)
  }

  /** Passes on all posted reports, without the event loop. */
  drain(): void {
    for (const member of this.#members) {
      for (;;) {
        const received: { readonly message: unknown } | undefined = receiveMessageOnPort(member.port)
        if (received === undefined) break
        this.#hear(received.message, member)
      }
    }
  }

  /**
   * Notices dead workers, without the event loop.
   *
   * @param isPatient whether the event loop runs: reports a dead worker only at the next call, because an event may tell
   * until then why it ended or failed to start
   */
  findDead(isPatient = false): void {
    if (this.#mayEnd()) return
    // Draining a port whose other end is gone closes it.
    this.drain()
    for (const member of [...this.#members]) {
      if (!this.#probe.isClosed(member.port)) continue
      if (isPatient && !member.isMissed) member.isMissed = true
      else this.#remove(member)
    }
    if (!isPatient) this.#findStartless()
  }

  /** The device is closed: workers end once all streams are idle. */
  end(): void {
    this.#ending = true
    this.#finish()
  }

  /** Ends all workers at once, even inside a kernel. */
  terminate(): void {
    for (const { worker } of this.#members) void worker.terminate()
  }

  #post(order: Order): void {
    for (const { port } of this.#members) port.postMessage(order)
  }

  #start(): void {
    const { port1, port2 } = new MessageChannel()
    const block = this.#control.reserve(WORKER_WORDS)
    this.#rings.add(block)
    const place = this.#freePlace()
    const worker = this.#spawn({
      control: this.#control.memory,
      memory: this.#memory.memory,
      port: port2,
      definitions: this.#definitions,
      block,
      place,
      spinners: this.#spinners,
      marks: this.#marks,
    })
    if (worker === undefined) return
    const member: Member = {
      worker,
      port: port1,
      block,
      place,
      reason: undefined,
      error: undefined,
      isMissed: false,
    }
    // The port must never have a listener: it would take a report out before it hears it, and `drain` would find nothing.
    worker.on("message", (report: unknown) => this.#hear(report, member))
    worker.unref()
    this.#running++
    this.#members.push(member)
    worker.on("error", (error: unknown) => (member.error = asError(error)))
    worker.on("exit", () => {
      this.#running--
      this.drain()
      this.#remove(member)
      this.#finish()
    })
  }

  #freePlace(): number {
    for (let place = 0; ; place++) if (!this.#members.some((member) => member.place === place)) return place
  }

  /** Starts a thread. @returns undefined if that failed: the device then uses the other workers, or is lost without any */
  #spawn(start: WorkerStart): Worker | undefined {
    try {
      return new Worker(workerFile(), {
        workerData: { [START]: start },
        transferList: [start.port],
        name: "auxstream",
        ...workerFlags(),
      })
    } catch (error) {
      this.#doWithout(start.block, asError(error))
      return undefined
    }
  }

  #hear(report: unknown, member: Member): void {
    if (!isReport(report)) return
    if (report.kind === "left") member.reason ??= report.reason
    else if (report.kind === "posted") this.drain()
    else this.#events.reported(report, member.block)
  }

  /** A worker has ended. */
  #remove(member: Member): void {
    const index = this.#members.indexOf(member)
    if (index < 0) return
    this.#members.splice(index, 1)
    const { block, reason, error } = member
    if (this.#mayEnd()) return
    const started = this.#hasStarted(member)
    if (started) this.#events.died(describeEnd({ reason, error }), block, error)
    else this.#doWithout(block, error ?? whyNotStarted())
  }

  /** A worker could not be started. It has run no stream, so the device is lost only if there are no others. */
  #doWithout(block: number, error: Error | undefined): void {
    this.#limit = this.#members.length
    if (this.#limit > 0 || this.#startAlone()) this.#events.failedToStart()
    else this.#events.died(`could not be started (${error?.message ?? "Node.js does not say why"})`, block, error)
  }

  /**
   * Starts one worker where none is left: workers that start together can keep each other from opening their files.
   * @returns whether there is one now
   */
  #startAlone(): boolean {
    if (this.#triesAlone === 0) return false
    this.#triesAlone--
    this.#limit = 1
    this.#start()
    return this.#members.length > 0
  }

  /**
   * While the opening thread is blocked, it gets no event about a thread that failed to start. If none has started after
   * some time, this thread looks for the reason itself.
   */
  #findStartless(): void {
    const [first] = this.#members
    if (first === undefined || this.#members.some((member) => this.#hasStarted(member))) {
      this.#standstill = undefined
      return
    }
    this.#standstill ??= new Standstill()
    if (!this.#standstill.hasLasted(START_PATIENCE, LONGEST_PATIENCE)) return
    const error = whyNotStarted()
    if (error !== undefined) this.#events.died(`could not be started (${error.message})`, first.block, error)
  }

  #hasStarted({ block }: Member): boolean {
    return Atomics.load(this.#control.words, block + STARTED) === 1
  }

  /** Whether the device is closed and all streams are idle, so that workers may end. */
  #mayEnd(): boolean {
    return this.#ending && Atomics.load(this.#control.words, ACTIVE) === 0
  }

  #finish(): void {
    if (!this.#ending || this.#running > 0) return
    this.#probe.close()
    this.#memory.retire()
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(describeThrown(thrown, "").text)
}
