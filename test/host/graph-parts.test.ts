import assert from "node:assert/strict"
import { test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import type { ConditionalKind } from "../../src/driver/graphs.js"
import type { GraphHandle, StreamHandle } from "../../src/driver/handles.js"
import type { MemoryRange } from "../../src/driver/kernels.js"
import type { KernelSource } from "../../src/driver/modules.js"
import { DeviceLostError, KernelError } from "../../src/common/errors.js"
import { Latch, launch, open, runAlone, source, thrownBy } from "./device.js"

const append = source("append", ["inout int32*", "int32"], "args[0][Atomics.add(args[0], 0, 1) + 1] = args[1]")
const countDown = source("count_down", ["inout int32*"], "args[0][0]--")
const set = source("set", ["out int32*", "int32"], "Atomics.store(args[0], 0, args[1])")
const dying = source("dying", [], "process.exit(3)")
const boom = source("boom", [], "throw new TypeError('no good')")

/** A device with a log that kernels append to, and a number that conditionals read. */
class Bench implements Disposable {
  readonly driver: Driver & Disposable
  readonly stream: StreamHandle
  readonly log: MemoryRange
  readonly condition: MemoryRange
  readonly logged: Int32Array
  readonly number: Int32Array

  constructor(threads: number) {
    this.driver = open(threads)
    this.stream = this.driver.streams.create(0)
    const log = this.driver.memory.allocatePinned(4096)
    const number = this.driver.memory.allocatePinned(4)
    this.log = { address: log.address, length: 1024 }
    this.condition = { address: number.address, length: 1 }
    this.logged = new Int32Array(log.buffer, log.byteOffset, 1024)
    this.number = new Int32Array(number.buffer, number.byteOffset, 1)
  }

  append(stream: StreamHandle, value: number): void {
    launch(this.driver, stream, this.driver.kernels.load(append), this.log, value)
  }

  run(stream: StreamHandle, kernel: KernelSource): void {
    launch(this.driver, stream, this.driver.kernels.load(kernel), this.condition)
  }

  capture(work: (stream: StreamHandle) => void, update?: GraphHandle): GraphHandle {
    const root = this.driver.streams.create(0)
    this.driver.graphs.beginCapture(root)
    work(root)
    const graph = this.driver.graphs.endCapture(root, update)
    this.driver.streams.destroy(root)
    return graph
  }

  conditional(kind: ConditionalKind, stream: StreamHandle, work: (body: StreamHandle) => void): void {
    const body = this.driver.streams.create(0)
    this.driver.graphs.beginConditional(kind, this.condition.address, stream, body)
    work(body)
    this.driver.graphs.endConditional(body)
    this.driver.streams.destroy(body)
  }

  /** What one launch logged. */
  launch(graph: GraphHandle, condition: number): number[] {
    this.logged.fill(0)
    this.number[0] = condition
    this.driver.graphs.launch(graph, this.stream)
    this.driver.streams.synchronize(this.stream)
    return [...this.logged.subarray(1, 1 + (this.logged[0] ?? 0))]
  }

  order(before: StreamHandle, after: StreamHandle): void {
    const event = this.driver.events.create(false)
    this.driver.events.record(event, before)
    this.driver.streams.wait(after, event)
    this.driver.events.destroy(event)
  }

  [Symbol.dispose](): void {
    this.driver.close()
  }
}

test("conditionals: each kind runs its body under its condition, with kernels that no worker has loaded yet", () => {
  using bench = new Bench(2)
  const graph = bench.capture((stream) => {
    bench.append(stream, 1)
    bench.conditional("if", stream, (body) => bench.append(body, 2))
    bench.conditional("unless", stream, (body) => bench.append(body, 3))
    bench.conditional("while", stream, (body) => {
      bench.append(body, 4)
      bench.run(body, countDown)
    })
    bench.append(stream, 5)
  })
  assert.deepEqual(bench.launch(graph, 3), [1, 2, 4, 4, 4, 5])
  assert.deepEqual(bench.launch(graph, 0), [1, 3, 5])
})

test("conditionals: bodies can hold conditionals, forks or nothing", () => {
  using bench = new Bench(2)
  const { driver } = bench
  const graph = bench.capture((stream) => {
    bench.conditional("while", stream, (body) => {
      const other = driver.streams.create(0)
      bench.append(body, 1)
      bench.order(body, other)
      bench.append(other, 2)
      bench.conditional("if", other, () => {})
      bench.conditional("while", other, (inner) => {
        bench.append(inner, 3)
        bench.run(inner, countDown)
      })
      bench.order(other, body)
      bench.append(body, 4)
    })
    bench.conditional("unless", stream, () => {})
  })
  assert.deepEqual(bench.launch(graph, 2), [1, 2, 3, 3, 4])
  assert.deepEqual(bench.launch(graph, 0), [])
})

test("conditionals: the position is where it began, whatever is captured before the body ends", () => {
  using bench = new Bench(2)
  const { driver } = bench
  const graph = bench.capture((stream) => {
    const [first, second, other] = [driver.streams.create(0), driver.streams.create(0), driver.streams.create(0)]
    driver.graphs.beginConditional("if", bench.condition.address, stream, first)
    bench.order(stream, other)
    bench.append(stream, 3)
    driver.graphs.beginConditional("if", bench.condition.address, stream, second)
    bench.append(other, 2)
    bench.order(other, stream)
    bench.append(second, 4)
    bench.append(first, 1)
    driver.graphs.endConditional(first)
    driver.graphs.endConditional(second)
    bench.append(stream, 5)
  })
  const withoutOther = (log: number[]) => log.filter((value) => value !== 2)
  for (let count = 0; count < 20; count++) {
    const log = bench.launch(graph, 1)
    assert.deepEqual(withoutOther(log), [1, 3, 4, 5])
    assert.ok(log.indexOf(2) > log.indexOf(1) && log.indexOf(2) < log.indexOf(5))
  }
})

test("conditionals: a kernel that throws in a body breaks the stream and ends the loop", () => {
  using bench = new Bench(2)
  const graph = bench.capture((stream) => {
    bench.conditional("while", stream, (body) => {
      bench.append(body, 1)
      launch(bench.driver, body, bench.driver.kernels.load(boom))
      bench.append(body, 2)
    })
    bench.append(stream, 3)
  })
  const error = thrownBy(() => bench.launch(graph, 1))
  assert.ok(error instanceof KernelError)
  assert.equal(error.kernel, "boom")
  const other = bench.driver.streams.create(0)
  bench.append(other, 9)
  bench.driver.streams.synchronize(other)
})

for (const priority of [0, -1]) {
  test(`conditionals: a loop on the only worker lets a stream of priority ${priority} run`, () => {
    using bench = new Bench(1)
    const { driver } = bench
    const other = driver.streams.create(priority)
    const graph = bench.capture((stream) => {
      bench.conditional("while", stream, (body) => driver.memory.fill(bench.log.address, new Uint8Array(4), 1, body))
      bench.append(stream, 1)
    })
    bench.number[0] = 1
    driver.graphs.launch(graph, bench.stream)
    assert.equal(driver.streams.query(bench.stream), false)
    launch(driver, other, driver.kernels.load(set), bench.condition, 0)
    driver.streams.synchronize(other)
    driver.streams.synchronize(bench.stream)
  })
}

test("conditionals: a lost device ends a loop that never ends", () => {
  using bench = new Bench(2)
  const { driver } = bench
  const graph = bench.capture((stream) => bench.conditional("while", stream, () => {}))
  bench.number[0] = 1
  driver.graphs.launch(graph, bench.stream)
  launch(driver, driver.streams.create(0), driver.kernels.load(dying))
  assert.ok(thrownBy(() => driver.streams.synchronize(bench.stream)) instanceof DeviceLostError)
})

test("conditionals: a loop that never ends does not keep the process of a closed device", () => {
  const { status, stderr } = runAlone(`
    const driver = open(2)
    const [stream, root, body] = [driver.streams.create(0), driver.streams.create(0), driver.streams.create(0)]
    const condition = driver.memory.allocatePinned(4)
    new Int32Array(condition.buffer, condition.byteOffset, 1)[0] = 1
    driver.graphs.beginCapture(root)
    driver.graphs.beginConditional("while", condition.address, root, body)
    driver.graphs.endConditional(body)
    driver.graphs.launch(driver.graphs.endCapture(root), stream)
    driver.close()
  `)
  assert.equal(status, 0, stderr)
})

test("conditionals: a graph is updated in place only by one with the same conditionals", () => {
  using bench = new Bench(2)
  const program = (kind: ConditionalKind, values: readonly number[]) => (stream: StreamHandle) => {
    bench.append(stream, 1)
    bench.conditional(kind, stream, (body) => values.forEach((value) => bench.append(body, value)))
  }
  const graph = bench.capture(program("if", [2, 3]))
  assert.equal(bench.capture(program("if", [4, 5]), graph), graph)
  assert.deepEqual(bench.launch(graph, 1), [1, 4, 5])
  for (const other of [program("unless", [2, 3]), program("if", [2])]) {
    const made = bench.capture(other, graph)
    assert.notEqual(made, graph)
    bench.driver.graphs.destroy(made)
  }
  assert.deepEqual(bench.launch(graph, 1), [1, 4, 5])
})

test("conditionals: a body that is cancelled leaves its streams usable, and the capture can be cancelled", () => {
  using bench = new Bench(2)
  const { driver } = bench
  const [root, body, other] = [driver.streams.create(0), driver.streams.create(0), driver.streams.create(0)]
  driver.graphs.beginCapture(root)
  driver.graphs.beginConditional("if", bench.condition.address, root, body)
  bench.append(body, 1)
  bench.order(body, other)
  driver.graphs.cancelConditional(body)
  driver.graphs.cancelCapture(root)
  for (const stream of [root, body, other]) {
    bench.append(stream, 1)
    driver.streams.synchronize(stream)
  }
})

test("a graph launched several times inside a capture keeps its branches parallel", () => {
  using bench = new Bench(3)
  const { driver } = bench
  const latches = [new Latch(driver), new Latch(driver)]
  const child = bench.capture((stream) => {
    const other = driver.streams.create(0)
    bench.order(stream, other)
    latches[0]?.hold(stream)
    latches[1]?.hold(other)
    bench.append(other, 2)
    bench.order(other, stream)
    bench.append(stream, 3)
  })
  const graph = bench.capture((stream) => {
    bench.append(stream, 1)
    driver.graphs.launch(child, stream)
    driver.graphs.launch(child, stream)
    bench.append(stream, 4)
  })
  driver.graphs.destroy(child)
  driver.graphs.launch(graph, bench.stream)
  latches[1]?.open()
  const end = performance.now() + 4000
  while (Atomics.load(bench.logged, 0) < 2) assert.ok(performance.now() < end, "a branch waits for the one beside it")
  assert.deepEqual([...bench.logged.subarray(1, 3)], [1, 2])
  assert.equal(driver.streams.query(bench.stream), false)
  latches[0]?.open()
  driver.streams.synchronize(bench.stream)
  assert.deepEqual(bench.launch(graph, 0), [1, 2, 3, 2, 3, 4])
})
