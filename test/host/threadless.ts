import assert from "node:assert/strict"
import { mock } from "node:test"
import { LaunchShape } from "../../src/common/facts/launch-shape.js"
import type { Branch } from "../../src/host/queue/branch.js"
import { HostCapture } from "../../src/host/graph/capture.js"
import { Captures } from "../../src/host/graph/captures.js"
import { OpenConditional } from "../../src/host/graph/conditional.js"
import { ControlBlocks } from "../../src/host/control/control-blocks.js"
import { ControlMemory } from "../../src/host/control/control.js"
import { Failures } from "../../src/host/queue/failures.js"
import { GraphTable, type HostGraph } from "../../src/host/graph/graph.js"
import { GraphLauncher } from "../../src/host/graph/graph-launch.js"
import { Interpreter } from "../../src/host/interpreter/interpreter.js"
import { type HostKernel, checkKernel } from "../../src/host/kernel/kernel-check.js"
import { IDLE, LAUNCH_WORDS, STATE, WORKER_WORDS } from "../../src/host/control/layout.js"
import type { LoadedKernel } from "../../src/host/kernel/loaded-kernel.js"
import { DeviceMemory } from "../../src/host/control/memory.js"
import type { Report } from "../../src/host/kernel/reports.js"
import { Scheduler } from "../../src/host/schedule/scheduler.js"
import type { HostStream } from "../../src/host/queue/stream.js"
import { StreamTable } from "../../src/host/queue/stream-table.js"
import { source } from "./device.js"

const memory = DeviceMemory.create()
/** The address of a zero. */
const zero = 64
/** A kernel for each number, so that each can be missing. */
const kernels = Array.from({ length: 16 }, (_, id) => checkKernel(source("count", ["int32"], ""), id))

/** A device without threads. A test runs its workers one after another, or one inside a kernel of another. */
export class Threadless {
  readonly control = ControlMemory.create()
  readonly scheduler = new Scheduler(this.control)
  readonly reports: Report[] = []
  /** The graphs' own streams. */
  readonly made: HostStream[] = []
  /** The arguments of the launches that have run. */
  readonly run: number[] = []
  /** What else a kernel does. */
  inKernel: (value: number) => void = () => {}
  /** False if the next kernel must be loaded first. */
  isLoaded: (value: number) => boolean = () => true
  readonly #streams = new StreamTable(this.control, new Failures(() => {}))
  readonly #captures = new Captures(this.control)
  readonly #graphs = new GraphTable(this.control, new ControlBlocks(this.control))
  readonly #launcher = new GraphLauncher(
    this.control,
    this.scheduler,
    this.#graphs,
    {
      create: (priority, internal) => {
        const stream = this.#streams.create(priority, internal)
        this.made.push(stream)
        return stream
      },
      destroy: (handle) => this.#streams.destroy(handle),
    },
    { serve: () => {} },
  )

  createStream(): HostStream {
    return this.#streams.create(0)
  }

  capture(work: (branch: Branch, fork: () => Branch) => void): number {
    const root = this.createStream()
    this.#captures.begin(root)
    const { branch } = root
    assert.ok(branch)
    work(branch, () => this.#captures.admit(this.createStream(), branch))
    return this.#graphs.create(this.#captures.end(root).branches)
  }

  graph(handle: number): HostGraph {
    return this.#graphs.get(handle)
  }

  destroy(graph: number): void {
    this.#graphs.destroy(graph)
  }

  /** The measured times decide how many workers run the graph. Here they are 0, however busy the machine is. */
  launch(graph: number, stream: HostStream): void {
    for (const { block } of this.graph(graph).branches) this.control.doubles[block / 2] = 0
    this.#launcher.launch(this.graph(graph), stream)
  }

  /** Launches a graph until one worker runs it. */
  makeFlat(graph: number, stream: HostStream): void {
    for (let count = 0; this.graph(graph).flat === undefined; count++) {
      assert.ok(count < 100, "the graph is never run by one worker")
      this.launch(graph, stream)
      this.work()
    }
    this.run.length = 0
  }

  /** Captures a conditional whose body always runs. */
  inside(branch: Branch, work: (body: Branch) => void): void {
    const conditional = new OpenConditional("unless", zero, branch)
    const body = new HostCapture(this.control, conditional)
    work(body.admit(this.createStream()))
    conditional.close(body.branches)
  }

  /** Acts as an idle worker, which interrupts runs that stand still. */
  interrupt(): void {
    let looks = 0
    this.scheduler.sleep(() => looks++ < 4, 1)
  }

  /** Runs all ready streams, like another worker. */
  work(): void {
    const loaded: LoadedKernel = { run: (control, at) => this.#runKernel(control.words[at + LAUNCH_WORDS] ?? -1) }
    const interpreter = new Interpreter({
      control: this.control,
      memory,
      scheduler: this.scheduler,
      block: this.control.reserve(WORKER_WORDS),
      kernel: (value) => (this.isLoaded(value) ? loaded : undefined),
      definition: (value) => kernelOf(value),
      report: (report) => void this.reports.push(report),
      tell: () => {},
    })
    for (let stream = this.scheduler.take(); stream !== 0; stream = this.scheduler.take()) {
      for (let left = interpreter.run(stream); left !== 0; left = interpreter.run(left));
    }
  }

  #runKernel(value: number): void {
    this.inKernel(value)
    this.run.push(value)
  }
}

/** Captures the launch of a number. */
export function launchOn(branch: Branch, value: number): void {
  branch.commands.launch(branch, kernelOf(value), LaunchShape.of(), [value])
}

function kernelOf(value: number): HostKernel {
  const kernel = kernels[value]
  assert.ok(kernel)
  return kernel
}

const store = Atomics.store.bind(Atomics)

/** Calls a function once just before and just after a worker leaves a stream; until mocks are restored. */
export function aroundGivingBack(stream: () => number | undefined, then: () => void): void {
  let done = false
  mock.method(Atomics, "store", (words: Int32Array, index: number, value: number) => {
    const block = stream()
    const isIt = !done && block !== undefined && index === block + STATE && value === IDLE
    done ||= isIt
    if (isIt) then()
    const result = store(words, index, value)
    if (isIt) then()
    return result
  })
}
