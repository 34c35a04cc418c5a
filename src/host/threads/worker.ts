import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import { ControlMemory } from "../control/control.js"
import { Interpreter, type Surroundings } from "../interpreter/interpreter.js"
import { MarkingInterpreter } from "../interpreter/marking-interpreter.js"
import { CheckedKernel } from "../checked-kernel/checked-kernel.js"
import type { KernelDefinition } from "../kernel/kernel-check.js"
import { BUSY, KERNEL, LIFE, LOADS, STARTED, wordAt } from "../control/layout.js"
import { loadModule, loadWasm, type LoadedKernel } from "../kernel/loaded-kernel.js"
import { LoadedModules } from "../kernel/loaded-modules.js"
import { DeviceMemory } from "../control/memory.js"
import { type Farewell, type Order, START, type WorkerStart } from "./messages.js"
import { RunMark } from "../control/run-mark.js"
import type { Announcement, FailureReport, ViolationReport } from "../kernel/reports.js"
import { SavedBytes } from "../checked-kernel/saved-bytes.js"
import { Scheduler } from "../schedule/scheduler.js"
import { Spinner } from "../control/spin.js"
import { describeThrown } from "../kernel/thrown.js"
import type { Violation } from "../kernel/violations.js"
import { setImmediate } from "../../common/timers.js"
import { useDirectConsole } from "./worker-console.js"

/** After this many idle milliseconds, a worker lets its event loop turn, for example to write kernels' output. */
const TURN_AFTER = 5

/** One worker thread of a host device. It sleeps in the scheduler, not in its event loop. */
class Worker implements Surroundings {
  readonly control: ControlMemory
  readonly memory: DeviceMemory
  readonly scheduler: Scheduler
  readonly block: number
  readonly #interpreter: Interpreter
  readonly #mark: RunMark | undefined
  readonly #modules: LoadedModules
  readonly #definitions = new Map<number, KernelDefinition>()
  readonly #loaded: (LoadedKernel | undefined)[] = []
  readonly #failures = new Map<number, unknown>()
  readonly #strays = new Set<string>()
  readonly #asked: number[] = []
  readonly #spinner = new Spinner()
  readonly #saved: SavedBytes
  #loads = 0
  #turned = false
  readonly #start: WorkerStart

  constructor(start: WorkerStart) {
    this.#start = start
    this.control = new ControlMemory(start.control)
    this.memory = new DeviceMemory(start.memory)
    this.scheduler = new Scheduler(this.control)
    this.block = start.block
    for (const definition of start.definitions) this.#definitions.set(definition.id, definition)
    this.#saved = new SavedBytes(this.memory)
    this.#modules = new LoadedModules(this.memory, start.place)
    this.#mark = start.marks ? new RunMark(this.control, this.block) : undefined
    this.#interpreter = this.#mark === undefined ? new Interpreter(this) : new MarkingInterpreter(this, this.#mark)
  }

  async serve(): Promise<void> {
    const { scheduler } = this
    Atomics.store(this.control.words, this.block + STARTED, 1)
    while (!scheduler.isOver()) {
      if (this.#isAsked()) await this.#loadAsked()
      let stream = scheduler.take()
      if (stream === 0) {
        await this.#idle()
        continue
      }
      this.#turned = false
      Atomics.store(this.control.words, this.block + BUSY, 1)
      // Requests from before the line above are answered first. Later ones see that this worker is busy.
      if (this.#isAsked()) await this.#loadAsked()
      for (;;) {
        stream = this.#interpreter.run(stream)
        if (stream === 0) break
        await this.#load(this.#interpreter.missing)
      }
      Atomics.store(this.control.words, this.block + BUSY, 0)
    }
  }

  kernel(id: number): LoadedKernel | undefined {
    const loaded = this.#loaded[id]
    if (loaded !== undefined) return loaded
    if (this.#failures.has(id)) throw this.#failures.get(id)
    const definition = this.definition(id)
    const kernel = loadWasm(definition, this.#modules)
    if (kernel !== undefined) this.#keep(definition, kernel)
    return this.#loaded[id]
  }

  #keep(definition: KernelDefinition, kernel: LoadedKernel): void {
    const { id, name, check } = definition
    const tell = (violation: Violation) => this.tell(name, violation)
    this.#loaded[id] = check === undefined ? kernel : new CheckedKernel(kernel, check, this.memory, this.#saved, tell)
  }

  definition(id: number): KernelDefinition {
    const known = this.#definitions.get(id)
    if (known !== undefined) return known
    this.#receive()
    const received = this.#definitions.get(id)
    if (received === undefined) throw new Error(`kernel ${id} was never defined`)
    return received
  }

  /** Reports what the opening thread reads when it needs it, without its event loop. */
  report(report: FailureReport | ViolationReport | Farewell): void {
    this.#start.port.postMessage(report)
  }

  tell(kernel: string, violation: Violation): void {
    this.report({ kind: "violated", kernel, violation })
    announce({ kind: "posted" })
  }

  /**
   * Reports a failure of a kernel's code outside any call, such as an unhandled rejection. It breaks no stream. Reported
   * once per kernel, or a kernel in a loop would flood the opening thread.
   */
  noteStray(error: unknown): void {
    const kernel = this.#definitions.get(wordAt(this.control.words, this.block + KERNEL))?.name ?? ""
    if (this.#strays.has(kernel)) return
    this.#strays.add(kernel)
    announce({ kind: "stray", kernel, thrown: describeThrown(error, kernel) })
  }

  #isAsked(): boolean {
    return Atomics.load(this.control.words, LOADS) !== this.#loads
  }

  async #idle(): Promise<void> {
    const { scheduler } = this
    if (scheduler.beginSpinning(this.#start.spinners)) {
      this.#spinner.spin(() => scheduler.hasReady() || this.#isAsked() || Atomics.load(this.control.words, LIFE) !== 0)
      scheduler.endSpinning()
      if (scheduler.hasReady()) return
    }
    const mayStay = () => !this.#isAsked() && !scheduler.isOver()
    if (!scheduler.sleep(mayStay, this.#turned ? Infinity : TURN_AFTER)) return
    this.#turned = true
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** Loads the kernels that the opening thread asked all workers to load. */
  async #loadAsked(): Promise<void> {
    this.#loads = Atomics.load(this.control.words, LOADS)
    this.#receive()
    for (let id = this.#asked.shift(); id !== undefined; id = this.#asked.shift()) {
      await this.#load(id)
      const failure = this.#failures.has(id)
      const thrown = failure ? describeThrown(this.#failures.get(id), this.definition(id).name) : undefined
      announce({ kind: "loaded", kernel: id, thrown })
    }
  }

  /** Never rejects. If loading fails, launches of the kernel throw the error. */
  async #load(id: number): Promise<void> {
    if (this.#loaded[id] !== undefined || this.#failures.has(id)) return
    this.control.words[this.block + KERNEL] = id
    this.#mark?.begin(0)
    try {
      const definition = this.definition(id)
      this.#keep(definition, loadWasm(definition, this.#modules) ?? (await loadModule(definition, this.#modules)))
    } catch (error) {
      this.#failures.set(id, error)
    }
    this.#mark?.end()
  }

  /** Reads posted orders, without the event loop. */
  #receive(): void {
    for (;;) {
      const received: { readonly message: Order } | undefined = receiveMessageOnPort(this.#start.port)
      if (received === undefined) return
      const order = received.message
      if ("define" in order) this.#definitions.set(order.define.id, order.define)
      else this.#asked.push(order.load)
    }
  }
}

/** Reports what the opening thread's event loop hears. */
function announce(announcement: Announcement): void {
  parentPort?.postMessage(announcement)
}

/** Removes the start from `workerData`: kernels could reach the port and the queues there. */
function takeStart(data: Record<string, WorkerStart | undefined>): WorkerStart {
  const start = data[START]
  if (start === undefined) throw new Error("this file is the program of a host device's worker threads")
  data[START] = undefined
  return start
}

useDirectConsole()
const worker = new Worker(takeStart(workerData as Record<string, WorkerStart | undefined>))
// Unhandled rejections also come here, unless the process has another policy for them.
process.on("uncaughtException", (error) => worker.noteStray(error))
process.on("exit", (code) => worker.report({ kind: "left", reason: `was ended by process.exit(${code})` }))
worker.serve().then(
  () => process.exit(),
  (error: unknown) => {
    worker.report({ kind: "left", reason: `failed (${describeThrown(error, "").text})` })
    process.exit(1)
  },
)
