/** Rows about calls: their cost on the calling thread, and the time until their work is done. */

import { AsyncLocalStorage } from "node:async_hooks"
import { type Device, maybeExecuteInParallel } from "auxstream"
import { driver } from "./driver.js"
import { captured } from "./graphs.js"
import { once, spin, touch } from "./kernels.js"
import { beyond, done, type MakeRow, nanosecondsSince, queued } from "./row.js"

/** Almost empty kernels on two streams. */
function pair(device: Device, main = device.defaultStream) {
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const zeros = () => device.zeros("float32", 256)
  const [x, y, z] = main.run(() => [zeros(), zeros(), zeros()] as const)
  device.synchronize()
  const onMain = { ...once, stream: main }
  const onAux = { ...once, stream: aux }
  const left = () => touch.launch(once, 1, 2, x, y)
  const right = () => touch.launch(once, 1, 2, x, z)
  const touchMain = () => touch.launch(onMain, 1, 2, x, y)
  const touchAux = () => touch.launch(onAux, 1, 2, x, z)
  return {
    main,
    aux,
    touchMain,
    touchAux,
    launch: left,
    twoLaunches: () => {
      touchMain()
      touchAux()
    },
    forkJoin: () => void maybeExecuteInParallel(left, right, event0, event1, aux),
    forkJoinNamed: () => void maybeExecuteInParallel(touchMain, touchAux, event0, event1, aux),
    empty: () => void maybeExecuteInParallel(nothing, nothing, event0, event1, aux),
  }
}

const nothing = () => {}
const kept = new WeakMap<Device, ReturnType<typeof pair>>()

function calls(device: Device): ReturnType<typeof pair> {
  const made = kept.get(device) ?? pair(device)
  kept.set(device, made)
  return made
}

/** The launches that are subtracted name their streams; those in the functions only in `fork-join-beyond:named`. */
const forkJoinBeyond: MakeRow = (device, launches) => {
  const { main, forkJoin, forkJoinNamed, twoLaunches } = calls(device)
  const run = beyond(device, launches === "named" ? forkJoinNamed : forkJoin, twoLaunches)
  return (operations) => main.run(() => run(operations))
}

/** The four driver calls alone, between the same launches. */
const fourCallsBetween: MakeRow = (device) => {
  // Separate streams, because the library skips fewer calls on a stream whose handle was read.
  const { main, aux, touchMain, touchAux, twoLaunches } = pair(device, device.createStream())
  const [mainHandle, auxHandle] = [Number(main.handle), Number(aux.handle)]
  const [event0, event1] = [Number(device.createEvent().handle), Number(device.createEvent().handle)]
  const { record, wait } = driver()
  const fourCalls = () => {
    record(event0, mainHandle)
    touchMain()
    wait(auxHandle, event0, 0)
    touchAux()
    record(event1, auxHandle)
    wait(mainHandle, event1, 0)
  }
  return beyond(device, fourCalls, twoLaunches)
}

/** The fork-join of two launches as one graph. */
const graph = (device: Device) => captured(device, calls(device).forkJoin)

/** A block for each of half the multiprocessors. */
const halfOfAll = () => ({ grid: Math.max(1, Math.floor(driver().multiprocessors() / 2)), block: 1024 })

/** spin-one:MICROSECONDS */
const spinOne: MakeRow = (device, microseconds) => {
  const [shape, time] = [halfOfAll(), Number(microseconds)]
  return done(device, () => spin.launch(shape, time))
}

const spinBoth: MakeRow = (device, microseconds) => {
  const [shape, time] = [halfOfAll(), Number(microseconds)]
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const branch = () => spin.launch(shape, time)
  return done(device, () => void maybeExecuteInParallel(branch, branch, event0, event1, aux))
}

/** end:MICROSECONDS: the time from a kernel's end to the settling of its stream's promise. */
const end: MakeRow = (device, microseconds) => {
  const time = Number(microseconds)
  const stream = device.defaultStream
  return async (operations) => {
    let [beyond, busy, passed] = [0, 0, 0]
    for (let i = 0; i < operations; i++) {
      spin.launch(once, time)
      const processor = process.cpuUsage()
      const started = performance.now()
      await stream.completed()
      const taken = nanosecondsSince(started)
      const { user, system } = process.cpuUsage(processor)
      beyond += taken - time * 1000
      busy += (user + system) * 1000
      passed += taken
    }
    return { nanoseconds: beyond / operations, cores: busy / passed }
  }
}

/** Two almost empty functions, called directly or through the library without an aux stream. */
const withoutAux = (through: boolean): MakeRow => {
  return () => {
    let [left, right, sum] = [0, 0, 0]
    const fn0 = () => ++left
    const fn1 = () => ++right
    const plain = (operations: number) => {
      for (let i = 0; i < operations; i++) {
        const results = [fn0(), fn1()] as const
        sum += results[0] - results[1]
      }
    }
    const disabled = (operations: number) => {
      for (let i = 0; i < operations; i++) {
        const results = maybeExecuteInParallel(fn0, fn1, null, null, null)
        sum += results[0] - results[1]
      }
    }
    const run = through ? disabled : plain
    return (operations) => {
      const started = performance.now()
      run(operations)
      const nanoseconds = nanosecondsSince(started) / operations
      if (sum !== 0) throw new Error("A function was not called")
      return { nanoseconds }
    }
  }
}

const asyncLocalStorage: MakeRow = (device) => {
  const storage = new AsyncLocalStorage<number>()
  return queued(device, () => storage.run(1, nothing))
}

/** Fills of a GiB: the device's time for each. */
function filled(dtype: "float32" | "float64"): MakeRow {
  return (device) => {
    const x = device.empty(dtype, 2 ** 30 / (dtype === "float32" ? 4 : 8))
    const [start, stop] = [device.createEvent({ timing: true }), device.createEvent({ timing: true })]
    return (operations) => {
      start.record()
      for (let i = 0; i < operations; i++) x.fill(1.1)
      stop.record().synchronize()
      return { nanoseconds: (start.elapsedTime(stop) * 1e6) / operations }
    }
  }
}

/** By name. */
export const callRows: Readonly<Record<string, MakeRow>> = {
  launch: (device) => queued(device, calls(device).launch),
  "two-launches": (device) => queued(device, calls(device).twoLaunches),
  "four-calls": () => "auxstream does not send waits that add nothing, so that its bare calls are fewer",
  "fork-join": (device) => queued(device, calls(device).forkJoin),
  "fork-join-beyond": forkJoinBeyond,
  "four-calls-between": fourCallsBetween,
  "fork-join-empty": (device) => queued(device, calls(device).empty),
  allocation: (device) => queued(device, () => device.empty("float32", 256).dispose()),
  "graph-launch": (device) => queued(device, graph(device)),
  "fork-join-done": (device) => done(device, calls(device).forkJoin),
  "graph-done": (device) => done(device, graph(device)),
  "fill-float32": filled("float32"),
  "fill-float64": filled("float64"),
  "spin-one": spinOne,
  "spin-both": spinBoth,
  end,
  "two-functions": withoutAux(false),
  "null-aux": withoutAux(true),
  "async-local-storage": asyncLocalStorage,
}
