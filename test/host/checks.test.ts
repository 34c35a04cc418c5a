import assert from "node:assert/strict"
import { test } from "node:test"
import { LaunchShape } from "../../src/common/facts/launch-shape.js"
import { AccessViolationError } from "../../src/index.js"
import type { ByteRange, CheckOptions } from "../../src/driver/checks.js"
import type { Driver } from "../../src/driver/driver.js"
import type { StreamHandle } from "../../src/driver/handles.js"
import type { MemoryRange } from "../../src/driver/kernels.js"
import type { KernelSource } from "../../src/driver/modules.js"
import { kernelOf, launch, Latch, never, open, parameters, source, thrownBy } from "./device.js"
import { EXTENT } from "../../src/host/control/layout.js"
import { HostDriver } from "../../src/host/driver.js"
import { get, I32, wasmModule } from "./wasm.js"

/** A host device whose work is checked, and what the checks find. */
class Checked {
  readonly driver: Driver & Disposable = open()
  readonly stream: StreamHandle
  readonly found: AccessViolationError[] = []
  readonly #checks

  constructor(options: Partial<CheckOptions> = {}) {
    const { driver } = this
    this.stream = driver.streams.create(0)
    const report = (violation: AccessViolationError) => void this.found.push(violation)
    const checks = driver.startChecks?.({ accesses: true, unwritten: false, report, ...options })
    assert.ok(checks !== undefined)
    this.#checks = checks
  }

  /** Queues a launch, and says before what it uses besides its arguments. */
  launch(
    kernel: KernelSource,
    args: readonly MemoryRange[],
    uses: Partial<Record<"reads" | "writes", ByteRange[]>> = {},
  ) {
    const operation = { label: kernel.name, stream: "the stream", stack: "    at here" }
    this.#checks.describe(operation, uses.reads ?? [], uses.writes ?? [])
    launch(this.driver, this.stream, kernel, ...args)
  }

  /** Waits for the stream. @returns what has been found since the last call */
  seen(): string[] {
    this.driver.streams.synchronize(this.stream)
    this.#checks.collect()
    return this.found
      .splice(0)
      .map(({ kernel, kind, argument, begin, end }) => `${kernel}: ${argument} ${kind} ${begin}..${end}`)
  }

  array(length: number): Ints {
    return new Ints(this.driver, length)
  }

  comparePinned(reads: readonly Ints[]): () => void {
    const operation = { label: "copy", stream: "the stream", stack: "" }
    const ranges = reads.map(({ address, length }) => ({
      address,
      byteLength: 4 * length,
      argument: undefined,
      start: address,
    }))
    return this.#checks.comparePinned(operation, ranges, this.stream)
  }

  stop(): void {
    this.#checks.stop()
  }

  [Symbol.dispose](): void {
    this.stop()
    this.driver.close()
  }
}

/** Memory that the test reads and writes itself. */
class Ints implements MemoryRange {
  readonly address: number
  readonly length: number
  readonly elements: Int32Array

  constructor(driver: Driver, length: number) {
    const { address, buffer, byteOffset } = driver.memory.allocatePinned(4 * length)
    this.address = address
    this.length = length
    this.elements = new Int32Array(buffer, byteOffset, length).fill(5)
  }

  get range(): ByteRange {
    return { address: this.address, byteLength: 4 * this.length }
  }

  part(begin: number, end: number): MemoryRange {
    return { address: this.address + 4 * begin, length: end - begin }
  }
}

function kernel(name: string, signature: string[], body: string): KernelSource {
  return source(name, signature, body)
}

const writeIn = kernel("write_in", ["in int32*"], "args[0][1]++")
const writeSecond = kernel("write_second", ["in int32*", "inout int32*"], "args[1][0]++")
const writeEven = kernel("write_even", ["out int32*"], "for (let i = 0; i < args[0].length; i += 2) args[0][i] = i")

/** Stores 7 at `address + offset`. */
function storing(offset: number): KernelSource {
  const signed = [(offset & 127) | 128, (offset >> 7) & 127]
  const code = [...get(0), 0x41, ...signed, 0x6a, 0x41, 7, 0x36, 2, 0]
  return kernelOf(`store_${offset}`, { wasm: wasmModule({ parameters: [I32], code }) }, parameters("inout int32*"), "k")
}

test("§13 a kernel that writes an `in` array is reported, and the stream continues", () => {
  using checked = new Checked()
  const x = checked.array(4)
  checked.launch(writeIn, [x])
  checked.launch(writeIn, [x])
  assert.deepEqual(checked.seen(), ["write_in: 0 written 4..8", "write_in: 0 written 4..8"])
  assert.equal(x.elements[1], 7)
})

test("§13 bytes that the launch may also write are exempt: through an argument, a view, or `uses`", () => {
  using checked = new Checked()
  const x = checked.array(4)
  checked.launch(writeSecond, [x, x])
  checked.launch(writeSecond, [x, x.part(2, 3)])
  checked.launch(writeIn, [x], { writes: [x.range] })
  assert.deepEqual(checked.seen(), [])
  checked.launch(writeIn, [x], { writes: [{ address: x.address, byteLength: 4 }] })
  assert.deepEqual(checked.seen(), ["write_in: 0 written 4..8"])
})

test("§13 arrays in `uses.reads` are guarded, too", () => {
  using checked = new Checked()
  const [x, y] = [checked.array(4), checked.array(4)]
  checked.launch(writeSecond, [x, y], { reads: [y.range] })
  assert.deepEqual(checked.seen(), [], "an argument that is written")
  const poke = kernel("poke", ["in int32*"], "new Int32Array(args[0].buffer)[args[0].byteOffset / 4 + 128 * 3]++")
  checked.launch(poke, [x], { reads: [{ address: x.address + 4 * 128 * 3, byteLength: 4 }] })
  assert.deepEqual(checked.seen(), ["poke: undefined written 0..1"])
})

test("§13 a WebAssembly kernel that writes beside its array is reported", () => {
  using checked = new Checked()
  const x = checked.array(64)
  for (const offset of [0, 252, 256, 508, -4]) checked.launch(storing(offset), [x])
  const found = ["store_256: 0 beside 256..257", "store_508: 0 beside 508..509", "store_-4: 0 beside -4..-3"]
  assert.deepEqual(checked.seen(), found)
  assert.deepEqual([x.elements[0], x.elements[63]], [7, 7])
})

test("§13 unwritten elements of `out` arrays are reported and keep their contents", () => {
  using checked = new Checked({ unwritten: true })
  const x = checked.array(5)
  checked.launch(writeEven, [x])
  assert.deepEqual(checked.seen(), ["write_even: 0 unwritten 4..16"])
  assert.deepEqual([...x.elements], [0, 5, 2, 5, 4])
})

test("a kernel that throws leaves no pattern in its `out` array", () => {
  using checked = new Checked({ unwritten: true })
  const x = checked.array(4)
  checked.launch(kernel("fail", ["out int32*"], "args[0][0] = 1; throw new Error('no')"), [x])
  assert.match(String(thrownBy(() => checked.seen())), /Kernel "fail" failed/)
  assert.deepEqual([...x.elements], [1, 5, 5, 5])
})

test("without a callback the stream breaks at the launch, and later launches are skipped", () => {
  using checked = new Checked({ report: undefined })
  const x = checked.array(4)
  using latch = new Latch(checked.driver)
  latch.hold(checked.stream)
  checked.launch(writeIn, [x])
  checked.launch(writeSecond, [x, x])
  latch.open()
  const error = thrownBy(() => checked.seen())
  assert.ok(error instanceof AccessViolationError)
  assert.match(error.message, /"write_in" on the stream changed element 1 \(bytes 4 to 7\).*stays broken.*\n.*at here/s)
  assert.deepEqual([...x.elements], [5, 6, 5, 5])
  assert.equal(
    thrownBy(() => launch(checked.driver, checked.stream, writeIn, x)),
    error,
  )
})

test("launches that can be dropped are checked, and can be dropped", () => {
  using checked = new Checked()
  const { driver, stream } = checked
  const x = checked.array(4)
  const queue = () =>
    driver.kernels.launch(stream, driver.kernels.load(writeIn), LaunchShape.of(), [x], {
      cluster: undefined,
      cooperative: false,
      droppable: true,
    })
  queue()
  assert.deepEqual(checked.seen(), ["write_in: 0 written 4..8"])
  using latch = new Latch(driver)
  latch.hold(stream)
  queue()?.drop("too late")
  latch.open()
  assert.match(String(thrownBy(() => checked.seen())), /dropped/)
  assert.equal(x.elements[1], 6)
})

test("launches of graphs are checked, in conditionals and in graphs captured before, until the checks stop", () => {
  using checked = new Checked()
  const { driver, stream } = checked
  const [x, condition] = [checked.array(4), checked.array(1)]
  checked.stop()
  const count = kernel("count", ["inout int32*"], "args[0][0]--")
  const body = driver.streams.create(0)
  driver.graphs.beginCapture(stream)
  launch(driver, stream, writeIn, x)
  const node = driver.graphs.capturedNode(stream)
  driver.graphs.beginConditional("while", condition.address, stream, body)
  launch(driver, body, writeIn, x)
  launch(driver, body, count, condition)
  driver.graphs.endConditional(body)
  launch(driver, stream, count, x)
  const graph = driver.graphs.endCapture(stream, undefined)
  const run = () => {
    condition.elements[0] = 2
    driver.graphs.launch(graph, stream)
    driver.streams.synchronize(stream)
  }
  run()
  assert.deepEqual([...x.elements], [4, 8, 5, 5])

  const found: AccessViolationError[] = []
  const report = (violation: AccessViolationError) => void found.push(violation)
  const checks = driver.startChecks?.({ accesses: true, unwritten: false, report })
  run()
  checks?.collect()
  assert.deepEqual(
    found.splice(0).map(({ kernel, begin }) => `${kernel} ${begin}`),
    ["write_in 4", "write_in 4", "write_in 4"],
  )
  assert.deepEqual([...x.elements], [3, 11, 5, 5])

  driver.graphs.setNodeEnabled(graph, node, false)
  checks?.describe({ label: "graph", stream: "", stack: "" }, [], [{ address: x.address, byteLength: 4 }])
  run()
  checks?.collect()
  assert.equal(found.splice(0).length, 2, "a disabled launch is not checked")
  checks?.describe({ label: "graph", stream: "", stack: "" }, [], [x.range])
  run()
  checks?.collect()
  assert.equal(found.length, 0, "bytes that its kernels may write by `uses` are exempt")

  const y = checked.array(4)
  driver.graphs.setNodeEnabled(graph, node, true)
  driver.graphs.setNodeArguments(graph, node, driver.kernels.load(writeIn), [y])
  checks?.describe({ label: "graph", stream: "", stack: "" }, [], [x.range])
  run()
  checks?.stop()
  assert.deepEqual(
    found.splice(0).map(({ kernel, begin }) => `${kernel} ${begin}`),
    ["write_in 4"],
    "the new argument",
  )
  run()
  assert.equal(found.length, 0)
  driver.graphs.destroy(graph)
})

test("§13 pinned memory that changes before a stream is done is found, with its bytes", () => {
  using checked = new Checked()
  const { driver, stream } = checked
  const x = checked.array(4)
  const target = driver.memory.allocate(16, stream, never)
  for (const change of ["before", "after", "never"]) {
    using latch = new Latch(driver)
    latch.hold(stream)
    const compareAgain = checked.comparePinned([x])
    driver.memory.copy(target, x.address, 16, stream)
    using second = new Latch(driver)
    second.hold(stream)
    compareAgain()
    if (change === "before") x.elements[2] = 100
    latch.open()
    second.waitUntilEntered()
    if (change === "after") x.elements[3] = 100
    second.open()
    const found = { before: ["copy: undefined changed 8..9"], never: [] }
    assert.deepEqual(
      checked.seen(),
      change === "after" ? ["copy: undefined changed 12..13"] : found[change as "before"],
    )
  }
})

test("memory that is copied for checks is freed", () => {
  using checked = new Checked()
  const { driver } = checked
  const x = checked.array(1 << 18)
  checked.comparePinned([x])()
  assert.deepEqual(checked.seen(), [])
  const { reserved } = driver.memory.usage()
  for (let count = 0; count < 40; count++) {
    checked.comparePinned([x])()
    checked.seen()
  }
  assert.ok(driver.memory.usage().reserved - reserved < 10 << 20, "much less than 40 copies of a mebibyte")
})

test("a graph that is destroyed takes its checked copy with it", () => {
  using checked = new Checked()
  const { driver, stream } = checked
  assert.ok(driver instanceof HostDriver)
  const x = checked.array(4)
  const round = () => {
    driver.graphs.beginCapture(stream)
    for (let count = 0; count < 20; count++) launch(driver, stream, writeSecond, x, x)
    const graph = driver.graphs.endCapture(stream, undefined)
    for (let count = 0; count < 2; count++) driver.graphs.launch(graph, stream)
    assert.deepEqual(checked.seen(), [])
    driver.graphs.destroy(graph)
  }
  for (let count = 0; count < 20; count++) round()
  const extent = driver.control.words[EXTENT] ?? 0
  for (let count = 0; count < 60; count++) round()
  assert.ok((driver.control.words[EXTENT] ?? 0) - extent < 4096, "much less than the words of 60 graphs")
})
