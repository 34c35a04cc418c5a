import assert from "node:assert/strict"
import { afterEach, beforeEach, mock, test } from "node:test"
import { LaunchShape } from "../../src/common/facts/launch-shape.js"
import { Commands } from "../../src/host/queue/commands.js"
import { ControlMemory } from "../../src/host/control/control.js"
import { Interpreter, type Surroundings } from "../../src/host/interpreter/interpreter.js"
import { checkKernel, type HostKernel } from "../../src/host/kernel/kernel-check.js"
import { IDLE, READ, STATE, TAIL } from "../../src/host/control/layout.js"
import { DeviceMemory } from "../../src/host/control/memory.js"
import { Scheduler } from "../../src/host/schedule/scheduler.js"
import { ChunkPool, HostStream, StreamSlot } from "../../src/host/queue/stream.js"
import { source } from "./device.js"

/**
 * How a stream passes from worker to worker, step by step in one thread. The other worker's actions run inside a step of
 * the first, so that rare interleavings happen in every run.
 */

class Bench {
  readonly control = ControlMemory.create()
  readonly scheduler = new Scheduler(this.control)
  readonly commands = new Commands(this.control)
  readonly slot = new StreamSlot(this.control, new ChunkPool(this.control))
  readonly kernel: HostKernel = checkKernel(source("count", ["int32"], ""), 1)
  /** The arguments of the launches that have run. */
  readonly run: number[] = []
  queued = 0

  constructor() {
    this.slot.assign(new HostStream(this.slot, 1, ""), 0)
  }

  /** Queues a launch, as the opening thread does. */
  queue(): void {
    this.commands.launch(this.slot, this.kernel, LaunchShape.of(), [this.queued++])
    this.scheduler.submit(this.slot.block)
  }

  /** Runs all ready streams, like another worker. */
  work(): void {
    const surroundings: Surroundings = {
      control: this.control,
      memory: memory,
      scheduler: this.scheduler,
      block: this.control.reserve(16),
      kernel: () => ({ run: (control, at) => void this.run.push(control.words[at + 9] ?? -1) }),
      definition: () => this.kernel,
      report: () => {},
      tell: () => {},
    }
    const interpreter = new Interpreter(surroundings)
    for (let stream = this.scheduler.take(); stream !== 0; stream = this.scheduler.take()) interpreter.run(stream)
  }

  expected(): number[] {
    return Array.from({ length: this.queued }, (_, index) => index)
  }
}

const memory = DeviceMemory.create()
const store = Atomics.store.bind(Atomics)

/** Calls a function once, just after a worker has left the stream. */
function whenGivenBack(bench: Bench, then: () => void): void {
  let done = false
  mock.method(Atomics, "store", (words: Int32Array, index: number, value: number) => {
    const result = store(words, index, value)
    if (!done && index === bench.slot.block + STATE && value === IDLE) {
      done = true
      then()
    }
    return result
  })
}

/** Calls a function once, just after a worker has seen that the stream's queue is empty. */
function whenSeenEmpty(bench: Bench, then: () => void): void {
  let done = false
  const load = Atomics.load.bind(Atomics)
  mock.method(Atomics, "load", (words: Int32Array, index: number) => {
    const result = load(words, index)
    if (!done && index === bench.slot.block + TAIL) {
      done = true
      then()
    }
    return result
  })
}

beforeEach(() => mock.restoreAll())
afterEach(() => mock.restoreAll())

for (const others of [0, 1, 2, 700]) {
  test(`a stream that gets new commands while a worker leaves it runs each command once: ${others} more by another worker`, () => {
    const bench = new Bench()
    bench.queue()
    whenGivenBack(bench, () => {
      for (let count = 0; count < others; count++) bench.queue()
      bench.work()
      if (others === 0) bench.commands.launch(bench.slot, bench.kernel, LaunchShape.of(), [bench.queued++])
    })
    bench.work()
    assert.deepEqual(bench.run, bench.expected())
    bench.queue()
    bench.work()
    assert.deepEqual(bench.run, bench.expected())
    assert.equal(bench.slot.isIdle(), true)
    assert.equal(bench.scheduler.hasReady(), false)
  })
}

test("a worker that has found a new stream empty runs the first command that is queued meanwhile", () => {
  const bench = new Bench()
  bench.scheduler.submit(bench.slot.block)
  whenSeenEmpty(bench, () => bench.queue())
  bench.work()
  assert.deepEqual(bench.run, [0])
  bench.queue()
  bench.work()
  assert.deepEqual(bench.run, [0, 1])
})

test("a worker that comes to memory in which no command was written fails, and skips nothing", () => {
  const bench = new Bench()
  bench.queue()
  bench.control.words[bench.slot.block + READ] = bench.control.reserve(16)
  assert.throws(() => bench.work(), /has no command/)
  assert.equal(bench.slot.isIdle(), false)
})
