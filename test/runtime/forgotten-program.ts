import { readdirSync } from "node:fs"
import { captureGraph, type DeviceArray, fork, openDevice, runIf } from "../../src/index.js"
import { collect, collectUntil } from "../support/collect.js"
import { affine, combine, over, prepare } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

/** Runs as a process of its own: forgets objects of one kind, and prints what happened to them. */

const warnings: { code: string | undefined; message: string }[] = []
process.on("warning", (warning: Error & { code?: string }) => {
  warnings.push({ code: warning.code, message: warning.message })
})

const device = openDevice("host", { threads: 3 })
await prepare(device)
// Objects that the suite itself has dropped so far must not count.
await collect()

function threads(): number {
  try {
    return readdirSync("/proc/self/task").length
  } catch {
    return 0
  }
}

/** Makes objects in a separate function, so that no reference stays on the stack. */
function forget(count: number, make: (index: number) => unknown): void {
  for (let index = 0; index < count; index++) make(index)
}

/** One element, so that forks without an order between them do not race. */
function at(x: DeviceArray<"int32">, index: number): DeviceArray<"int32"> {
  return x.subarray(index, index + 1)
}

const programs: Record<string, () => Promise<unknown>> = {
  async arrays() {
    const { used } = device.memory
    for (let round = 0; round < 20; round++) {
      forget(500, (index) => device.full("float32", 1000, index).subarray(1))
      await collect()
    }
    await collectUntil(() => device.memory.used === used, "the arrays")
    return { reserved: device.memory.reserved }
  },

  async views() {
    const { used } = device.memory
    const kept: DeviceArray[] = []
    forget(10, (index) => kept.push(device.full("int32", 100, index).subarray(50).subarray(10)))
    for (let turn = 0; turn < 5; turn++) await collect()
    const held = device.memory.used - used
    const values = kept.map((view) => view.readSync()[0])
    kept.length = 0
    await collectUntil(() => device.memory.used === used, "the arrays under the views")
    return { held, values }
  },

  async inUse() {
    const { used } = device.memory
    const sum = device.zeros("int32", 1000)
    const stream = device.createStream()
    stream.wait(device.defaultStream)
    using latch = new Latch(device).hold(stream)
    forget(50, (index) => {
      const x = device.full("int32", 1000, index)
      stream.wait(device.defaultStream)
      combine.launch({ ...over(1000), stream }, 1000, x, sum)
    })
    await collectUntil(() => device.memory.used < used + 20_000, "the arrays in use")
    forget(100, () => {
      const other = device.full("int32", 1000, -1)
      affine.launch(over(1000), 1000, other, 3, 1)
      other.dispose()
    })
    device.defaultStream.synchronize()
    latch.open()
    const values = new Set(stream.run(() => sum.readSync()))
    let expected = 0
    for (let index = 0; index < 50; index++) expected = (Math.imul(expected, 3) + index) | 0
    sum.dispose()
    stream.dispose()
    return { right: values.size === 1 && values.has(expected), timedOut: latch.timedOut }
  },

  async streams() {
    const count = () => Array.from(device.order.live).length
    device.defaultStream.synchronize()
    const before = count()
    forget(300, () => {
      const stream = device.createStream()
      stream.run(() => device.zeros("int32", 10).dispose())
      device.defaultStream.wait(stream)
    })
    // One more stream is the library's own, on which memory is freed.
    await collectUntil(() => count() <= before + 1, "the streams")
    device.synchronize()
    return {}
  },

  async shownEvents() {
    const { driver } = device
    const { destroy: destroyEvent } = driver.events
    let destroyed = 0
    driver.events.destroy = (event) => {
      destroyed += 1
      destroyEvent.call(driver.events, event)
    }
    forget(100, () => device.createEvent().handle)
    for (let turn = 0; turn < 5; turn++) await collect()
    const before = destroyed
    const event = device.createEvent()
    if (event.handle !== undefined) event.dispose()
    return { destroyed: before, whenDisposed: destroyed - before }
  },

  async events() {
    const { driver } = device
    let made = 0
    const { create: createEvent } = driver.events
    driver.events.create = (timing) => {
      made += 1
      return createEvent.call(driver.events, timing)
    }
    for (let round = 0; round < 20; round++) {
      forget(100, () => device.defaultStream.record().wait())
      await collectUntil(() => true, "nothing")
      await collect()
    }
    return { made }
  },

  async forks() {
    const origin = device.createStream()
    using latch = new Latch(device)
    const x = device.zeros("int32", 40)
    device.synchronize()
    origin.run(() => {
      forget(40, (index) => fork(() => (index === 0 ? latch.hold() : affine.launch(over(1), 1, at(x, index), 1, 0))))
    })
    const joined = () => !origin.query()
    await collectUntil(joined, "the joins of forks that nobody joined")
    latch.open()
    origin.synchronize()
    x.dispose()
    origin.dispose()
    return { timedOut: latch.timedOut }
  },

  async pinned() {
    const { driver } = device
    let freed = 0
    const { freePinned } = driver.memory
    driver.memory.freePinned = (address) => {
      freed += 1
      freePinned.call(driver.memory, address)
    }
    forget(50, () => device.pinned("int32", 1000).array.fill(7))
    await collectUntil(() => freed >= 50, "the pinned arrays")
    return {}
  },

  async graphs() {
    const { used } = device.memory
    const input = device.from(new Int32Array(100).fill(2))
    const flag = device.full("int32", 1, 1)
    const kept: DeviceArray[] = []
    forget(5, (index) => {
      const graph = captureGraph(() => {
        const made = device.full("int32", 100, index)
        runIf(flag, () => combine.launch(over(100), 100, input, made))
        return made
      })
      graph.launch()
      if (index === 4) kept.push(graph.result.subarray(10))
    })
    // The graph whose result is held is not collected.
    await collectUntil(() => device.memory.used < used + 2 * 404 + 404 + 512, "four of the graphs")
    for (let turn = 0; turn < 5; turn++) await collect()
    const values = kept.map((view) => view.readSync()[0])
    kept.length = 0
    input.dispose()
    flag.dispose()
    await collectUntil(() => device.memory.used === used, "the last graph")
    return { values }
  },

  async captures() {
    forget(1, () => captureGraph(async () => void (await new Promise(() => {}))))
    const { used } = device.memory
    const held: number[] = []
    for (let index = 0; index < 10; index++) device.zeros("int32", 100).dispose()
    held.push(device.memory.used - used)
    await collectUntil(() => device.memory.used === used, "the frees behind the capture")
    using graph = captureGraph(() => device.full("int32", 1, 3))
    graph.launch()
    return { held, values: [...graph.result.readSync()] }
  },

  async capturedForks() {
    const x = device.zeros("int32", 10)
    const graph = await captureGraph(async () => {
      forget(5, (index) => fork(() => affine.launch(over(1), 1, at(x, index), 1, 1)))
      await collect()
      forget(5, (index) => fork(() => affine.launch(over(1), 1, at(x, 5 + index), 1, 1)))
    })
    for (let turn = 0; turn < 5; turn++) await collect()
    graph.launch()
    device.synchronize()
    graph.dispose()
    x.dispose()
    return {}
  },

  async nothing() {
    for (let round = 0; round < 10; round++) {
      forget(50, () => {
        using stream = device.createStream()
        using event = device.createEvent()
        using x = device.zeros("int32", 10)
        using pinned = device.pinned("int32", 10)
        device.scope(() => void stream.run(() => device.full("int32", 10, 1)))
        stream.wait(event.record())
        pinned.copyFrom(x)
        using forked = fork(() => x.fill(3))
        device.wrap(x.address, "int32", 10)
        x.subarray(4)
        forked.join()
      })
      await collect()
    }
    return {}
  },
}

const [, , name = "nothing"] = process.argv
const before = threads()
const result = await programs[name]?.()
const after = threads()
for (let turn = 0; turn < 3; turn++) await collect()
device.dispose()
process.stdout.write(JSON.stringify({ result, warnings, threads: after - before }))
