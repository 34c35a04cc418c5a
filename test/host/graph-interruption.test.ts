import assert from "node:assert/strict"
import { afterEach, mock, test } from "node:test"
import type { Branch } from "../../src/host/queue/branch.js"
import { ACTIVE, FLAT_WAS_INTERRUPTED } from "../../src/host/control/layout.js"
import type { HostStream } from "../../src/host/queue/stream.js"
import { numbersFrom } from "../support/random.js"
import { Threadless, aroundGivingBack, launchOn } from "./threadless.js"

/** The kernels that each kernel of {@link Flat} must run after. */
const earlier: ReadonlyMap<number, readonly number[]> = new Map([
  [1, []],
  [2, [1]],
  [3, [1]],
  [4, [1]],
  [5, [2, 3]],
  [6, [2]],
  [7, [6]],
  [8, [4, 5]],
  [9, [7, 8]],
  [10, [5]],
  [11, [8, 9, 10]],
])
const kernels = [...earlier.keys()]

/** All kernels that must run after a kernel, and itself. */
function behind(kernel: number): ReadonlySet<number> {
  const found = new Set([kernel])
  for (const [other, before] of earlier) if (before.some((one) => found.has(one))) found.add(other)
  return found
}

/** A flat graph of three branches with a conditional, on a device without threads. */
class Flat {
  readonly device = new Threadless()
  readonly stream = this.device.createStream()
  readonly graph = this.device.capture((main, fork) => this.#capture(main, fork))

  constructor() {
    this.device.makeFlat(this.graph, this.stream)
  }

  launch(count: number, stream = this.stream): void {
    for (let left = count; left > 0; left--) this.device.launch(this.graph, stream)
    this.device.work()
  }

  /** Every kernel ran once, after those that it must run after. */
  check(launches: number, stream: HostStream = this.stream): void {
    const { run, control } = this.device
    assert.ok(stream.slot.isIdle(), "the launch stream has come to its end")
    assert.equal(control.words[ACTIVE], 0)
    assert.equal(run.length, kernels.length * launches, `run: ${String(run)}`)
    for (let first = 0; first < run.length; first += kernels.length) {
      const one = run.slice(first, first + kernels.length)
      assert.deepEqual(
        one.toSorted((a, b) => a - b),
        kernels,
        `each runs once: ${String(run)}`,
      )
      for (const [kernel, before] of earlier)
        for (const other of before)
          assert.ok(one.indexOf(other) < one.indexOf(kernel), `${other} first: ${String(run)}`)
    }
  }

  #capture(main: Branch, fork: () => Branch): void {
    const [left, right] = [fork(), fork()]
    launchOn(main, 1)
    left.waitFor(main.record())
    right.waitFor(main.record())
    launchOn(left, 2)
    launchOn(right, 3)
    launchOn(main, 4)
    right.waitFor(left.record())
    launchOn(right, 5)
    this.device.inside(left, (body) => {
      launchOn(body, 6)
      launchOn(body, 7)
    })
    main.waitFor(right.record())
    launchOn(main, 8)
    left.waitFor(main.record())
    launchOn(left, 9)
    launchOn(right, 10)
    main.waitFor(left.record())
    main.waitFor(right.record())
    launchOn(main, 11)
  }
}

afterEach(() => mock.restoreAll())

/** Calls a function once, while a kernel runs. */
function once(at: number, then: () => void): (kernel: number) => void {
  let done = false
  return (kernel) => {
    if (done || kernel !== at) return
    done = true
    then()
  }
}

for (const kernel of kernels) {
  /** Another worker finds that the kernel stands still. */
  const interrupt = (device: Threadless) => {
    device.interrupt()
    device.work()
    // A conditional is one command: the rest of its body runs where it began.
    const held = new Set([...behind(kernel), ...(kernel === 6 ? behind(7) : [])])
    const free = kernels.filter((other) => !held.has(other))
    assert.deepEqual(
      device.run.toSorted((a, b) => a - b),
      free,
      "all has run that need not wait for it",
    )
  }

  test(`a run that kernel ${kernel} holds up is interrupted each time`, () => {
    const flat = new Flat()
    for (let round = 0; round < 2; round++) {
      flat.device.run.length = 0
      flat.device.inKernel = once(kernel, () => interrupt(flat.device))
      flat.launch(1)
      flat.check(1)
      const [aux] = flat.device.made
      const tail = aux?.slot.tail ?? 0
      flat.launch(1)
      assert.ok((aux?.slot.tail ?? 0) > tail, "then several workers run it for a while")
      for (let launches = 0; launches < 100; launches++) flat.launch(1)
    }
  })

  test(`a run that is interrupted while kernel ${kernel} is loaded continues there`, () => {
    const flat = new Flat()
    let isFirst = true
    flat.device.isLoaded = (next) => {
      if (next !== kernel || !isFirst) return true
      isFirst = false
      interrupt(flat.device)
      return false
    }
    flat.launch(1)
    flat.check(1)
  })

  test(`kernel ${kernel} throws in an interrupted run: this breaks the launch stream, and the graph still runs on another`, () => {
    const flat = new Flat()
    const { device, stream } = flat
    const fail = () => {
      device.interrupt()
      device.work()
      throw new Error("no good")
    }
    device.inKernel = once(kernel, fail)
    flat.launch(1)
    assert.ok(stream.slot.isIdle() && stream.slot.isBroken())
    assert.equal(device.control.words[ACTIVE], 0)
    assert.deepEqual(
      device.reports.map((report) => [report.kind, "stream" in report && report.stream]),
      [["failed", stream.slot.block]],
    )
    for (let launches = 0; launches < 40; launches++) {
      const other = device.createStream()
      device.run.length = 0
      device.inKernel = once(kernel, () => launches > 30 && device.interrupt())
      flat.launch(1, other)
      flat.check(1, other)
      assert.ok(!other.slot.isBroken())
    }
  })
}

test("a kernel that throws in a run without interruption breaks the launch stream", () => {
  const flat = new Flat()
  flat.device.inKernel = once(5, () => {
    throw new Error("no good")
  })
  flat.launch(2)
  const { slot } = flat.stream
  assert.ok(slot.isIdle() && slot.isBroken())
  assert.deepEqual(
    flat.device.reports.map((report) => "stream" in report && report.stream),
    [slot.block],
  )
})

test("a run can be interrupted before the first branch has finished a command", () => {
  const device = new Threadless()
  const stream = device.createStream()
  const graph = device.capture((main, fork) => {
    const [left, right] = [fork(), fork()]
    launchOn(left, 1)
    main.waitFor(left.record())
    launchOn(main, 2)
    launchOn(right, 3)
    main.waitFor(right.record())
    launchOn(main, 4)
  })
  device.makeFlat(graph, stream)
  device.inKernel = once(1, () => {
    device.interrupt()
    device.work()
  })
  device.launch(graph, stream)
  device.work()
  assert.deepEqual(device.run, [3, 1, 2, 4])
  assert.ok(stream.slot.isIdle())
})

test("a run is not interrupted while a worker is still leaving a branch's stream of the earlier launch", () => {
  const device = new Threadless()
  const stream = device.createStream()
  const graph = device.capture((main, fork) => {
    const other = fork()
    launchOn(main, 1)
    launchOn(other, 2)
    main.waitFor(other.record())
    launchOn(main, 3)
  })
  device.makeFlat(graph, stream)
  device.launch(graph, stream)
  device.launch(graph, stream)
  const interrupted: number[] = []
  device.inKernel = (kernel) => {
    // The first launch is interrupted in its second kernel, which becomes the last one of its branch's stream.
    if (kernel !== (device.run.length < 2 ? 2 : 1)) return
    const flag = (device.graph(graph).flat?.block ?? 0) + FLAT_WAS_INTERRUPTED
    device.control.words[flag] = 0
    device.interrupt()
    interrupted.push(device.control.words[flag] ?? 0)
  }
  aroundGivingBack(
    () => device.graph(graph).flat?.streams[0],
    () => device.work(),
  )
  device.work()
  assert.deepEqual(interrupted, [1, 0])
  assert.deepEqual(device.run, [1, 2, 3, 1, 2, 3])
  assert.ok(stream.slot.isIdle())
  assert.equal(device.control.words[ACTIVE], 0)
})

test("launches queued behind each other are interrupted one after the other", () => {
  const flat = new Flat()
  const random = numbersFrom(1)
  let depth = 0
  flat.device.inKernel = () => {
    if (depth > 3 || random(8) > 0) return
    depth++
    flat.device.interrupt()
    flat.device.work()
    depth--
  }
  flat.launch(40)
  flat.check(40)
})
