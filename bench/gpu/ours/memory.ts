/** Rows about memory growth over many fork-joins and graphs. */

import { getHeapStatistics, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { captureGraph, type Device, type DeviceArray, maybeExecuteInParallel } from "auxstream"
import { driver } from "./driver.js"
import { once, over, touch } from "./kernels.js"
import { type Figures, type MakeRow, nanosecondsSince } from "./row.js"

/** Memory use in bytes at one time. */
interface Sample {
  /** The process's memory, without the free part of V8's heap, which varies. */
  readonly resident: number
  readonly heap: number
  readonly used: number
  readonly reserved: number
  /** The device's used memory, by the driver's count. */
  readonly taken: number
}

function sample(device: Device): Sample {
  device.synchronize()
  collect()
  const { rss, heapUsed } = process.memoryUsage()
  const { used, reserved } = device.memory
  const kept = getHeapStatistics().total_physical_size - heapUsed
  return { resident: rss - kept, heap: heapUsed, used, reserved, taken: -driver().freeMemory() }
}

/** The garbage collector, without a command-line flag. */
function collector(): () => void {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc") as () => void
}
const collect = collector()

/** The difference between the end and the middle of the run, when all lasting objects exist already. */
function growth(device: Device, operations: number, operation: () => void): Figures {
  const repeat = (count: number) => {
    for (let i = 0; i < count; i++) {
      operation()
      if (i % 100 === 99) device.defaultStream.synchronize()
    }
  }
  const half = Math.ceil(operations / 2)
  repeat(half)
  const before = sample(device)
  const started = performance.now()
  repeat(half)
  const nanoseconds = nanosecondsSince(started) / half
  const end = sample(device)
  return {
    nanoseconds,
    operations,
    residentGrowth: end.resident - before.resident,
    heapGrowth: end.heap - before.heap,
    usedGrowth: end.used - before.used,
    reservedGrowth: end.reserved - before.reserved,
    takenGrowth: end.taken - before.taken,
    reserved: end.reserved,
  }
}

/** Fork-joins of a launch each. */
const forkJoins: MakeRow = (device) => {
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const [x, y, z] = [device.zeros("float32", 256), device.zeros("float32", 256), device.zeros("float32", 256)]
  const left = () => touch.launch(once, 1, 2, x, y)
  const right = () => touch.launch(once, 1, 2, x, z)
  return (operations) => growth(device, operations, () => maybeExecuteInParallel(left, right, event0, event1, aux))
}

/** Outputs made on both streams, read by the caller and disposed of at once; every thousandth is checked. */
const lifetimes: MakeRow = (device) => {
  const elements = 1 << 14
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const x = device.full("float32", elements, 3)
  let count = 0
  return (operations) =>
    growth(device, operations, () => {
      const value = ++count % 1000
      const branch = () => {
        const out = device.full("float32", elements, value)
        touch.launch(over(elements), elements, 2, x, out)
        return out
      }
      const [left, right] = maybeExecuteInParallel(branch, branch, event0, event1, aux)
      const sum = device.empty("float32", elements).copyFrom(left)
      touch.launch(over(elements), elements, 1, right, sum)
      left.dispose()
      right.dispose()
      if (count % 1000 === 0) check(sum.readSync(), 2 * (value + 6))
      sum.dispose()
    })
}

function check(found: Float32Array, expected: number): void {
  const wrong = found.findIndex((value) => value !== expected)
  if (wrong < 0) return
  throw new Error(`element ${wrong} of an output is ${found[wrong]}, not ${expected}: its memory was given out again`)
}

/** Both branches of a fork-join make an output of 256 elements, each `value + 6`. */
function outputs(device: Device): (value: number) => [DeviceArray<"float32">, DeviceArray<"float32">] {
  const elements = 256
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const x = device.full("float32", elements, 3)
  return (value) => {
    const branch = () => {
      const out = device.full("float32", elements, value)
      touch.launch(over(elements), elements, 2, x, out)
      return out
    }
    return maybeExecuteInParallel(branch, branch, event0, event1, aux)
  }
}

/** Launches of one graph; every ten thousandth is checked. */
const graphLaunches: MakeRow = (device) => {
  const make = outputs(device)
  make(0).forEach((array) => array.dispose()) // Compiles.
  device.synchronize()
  const graph = captureGraph(() => make(1), { device })
  let count = 0
  return (operations) =>
    growth(device, operations, () => {
      graph.launch()
      if (++count % 10_000 === 0) for (const array of graph.result) check(array.readSync(), 7)
    })
}

/** Graphs captured, launched and disposed of at once; every thousandth is checked. */
const captures: MakeRow = (device) => {
  const make = outputs(device)
  let count = 0
  return (operations) =>
    growth(device, operations, () => {
      const value = ++count % 1000
      const graph = captureGraph(() => make(value), { device })
      graph.launch()
      if (value === 0) for (const array of graph.result) check(array.readSync(), 6)
      graph.dispose()
    })
}

/** By name. */
export const memoryRows: Readonly<Record<string, MakeRow>> = {
  "many-fork-joins": forkJoins,
  "many-lifetimes": lifetimes,
  "many-graph-launches": graphLaunches,
  "many-captures": captures,
}
