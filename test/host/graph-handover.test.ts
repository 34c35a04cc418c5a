import assert from "node:assert/strict"
import { afterEach, mock, test } from "node:test"
import type { Branch } from "../../src/host/branch.js"
import { Captures } from "../../src/host/captures.js"
import { ControlBlocks } from "../../src/host/control-blocks.js"
import { ControlMemory } from "../../src/host/control.js"
import { Failures } from "../../src/host/failures.js"
import { GraphTable } from "../../src/host/graph.js"
import { GraphLauncher } from "../../src/host/graph-launch.js"
import { Interpreter } from "../../src/host/interpreter.js"
import { checkKernel } from "../../src/host/kernels.js"
import { IDLE, LAUNCH_WORDS, STATE, WORKER_WORDS } from "../../src/host/layout.js"
import { DeviceMemory } from "../../src/host/memory.js"
import { Scheduler } from "../../src/host/scheduler.js"
import type { HostStream } from "../../src/host/stream.js"
import { StreamTable } from "../../src/host/stream-table.js"
import { source } from "./device.js"

/** How a graph's branches pass from worker to worker, step by step in one thread, as in handover.test.ts. */

const memory = DeviceMemory.create()
const kernel = checkKernel(source("count", ["int32"], ""), 1)

/** A device without threads. */
class Bench {
  readonly #control = ControlMemory.create()
  readonly #scheduler = new Scheduler(this.#control)
  readonly #streams = new StreamTable(this.#control, new Failures(() => {}))
  readonly #captures = new Captures(this.#control)
  readonly #graphs = new GraphTable(this.#control, new ControlBlocks(this.#control))
  /** The streams that graphs have of their own. */
  readonly made: HostStream[] = []
  /** What the launches that were run had as their argument. */
  readonly run: number[] = []
  readonly #launcher = new GraphLauncher(this.#control, this.#scheduler, this.#graphs, {
    createStream: (level) => {
      const stream = this.#streams.create(-level, true)
      this.made.push(stream)
      return stream
    },
    destroyStream: (stream) => this.#streams.destroy(stream.handle),
    serve: () => {},
  })

  createStream(): HostStream {
    return this.#streams.create(0)
  }

  capture(work: (branch: Branch, fork: () => Branch) => void): number {
    const root = this.createStream()
    this.#captures.begin(root)
    const { branch } = root
    assert.ok(branch)
    work(branch, () => branch.capture.admit(this.createStream()))
    return this.#graphs.create(this.#captures.end(root))
  }

  launch(graph: number, stream: HostStream): void {
    this.#launcher.launch(this.#graphs.get(graph), stream)
  }

  /** Runs what is ready, as one more worker does. */
  work(): void {
    const interpreter = new Interpreter({
      control: this.#control,
      memory,
      scheduler: this.#scheduler,
      block: this.#control.reserve(WORKER_WORDS),
      kernel: () => ({ run: (control, at) => void this.run.push(control.words[at + LAUNCH_WORDS] ?? -1) }),
      definition: () => kernel,
      report: () => {},
    })
    for (let stream = this.#scheduler.take(); stream !== 0; stream = this.#scheduler.take()) interpreter.run(stream)
  }
}

function launchOn(branch: Branch, value: number): void {
  branch.commands.launch(branch, kernel, 1, 1, 1, 1, 1, 1, 0, [value])
}

const store = Atomics.store.bind(Atomics)

/** Does something just before and just after a worker gives a stream back, once. */
function aroundGivingBack(stream: () => HostStream | undefined, then: () => void): void {
  let done = false
  mock.method(Atomics, "store", (words: Int32Array, index: number, value: number) => {
    const block = stream()?.slot.block
    const isIt = !done && block !== undefined && index === block + STATE && value === IDLE
    done ||= isIt
    if (isIt) then()
    const result = store(words, index, value)
    if (isIt) then()
    return result
  })
}

afterEach(() => mock.restoreAll())

test("launches just before and just after a branch's stream is given back run one after the other", () => {
  const bench = new Bench()
  const graph = bench.capture((main, fork) => {
    launchOn(main, 1)
    const aux = fork()
    aux.waitFor(main.record())
    launchOn(aux, 2)
    main.waitFor(aux.record())
    launchOn(main, 3)
    aux.waitFor(main.record())
    launchOn(aux, 4)
    main.waitFor(aux.record())
    launchOn(main, 5)
  })
  const stream = bench.createStream()
  aroundGivingBack(
    () => bench.made[0],
    () => bench.launch(graph, stream),
  )
  bench.launch(graph, stream)
  bench.work()
  assert.deepEqual(bench.run, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5])
  assert.ok(stream.slot.isIdle())
})
