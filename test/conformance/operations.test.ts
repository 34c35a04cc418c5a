import assert from "node:assert/strict"
import { test } from "node:test"
import { matmul } from "../../src/blas/index.js"
import {
  captureGraph,
  currentStream,
  type Device,
  type DeviceArray,
  runIf,
  runWhile,
  type Stream,
} from "../../src/index.js"
import { OperationObserver } from "../../src/runtime/order/observer/observer.js"
import { observe } from "../../src/runtime/order/observer/observers.js"
import type { Operation } from "../../src/runtime/order/observer/operation.js"
import type { StreamState } from "../../src/runtime/order/stream-state.js"
import { forEachDevice } from "../support/devices.js"
import { thrownBy } from "../support/errors.js"

import { add, affine, combine, once, over } from "../support/kernels.js"
import { Observed } from "../support/observed.js"
import { unsanitized } from "../support/races.js"

/** The default stream, as errors and observers name it. */
function main(device: Device): string {
  return device.defaultStream.state.name
}

/** Loads what products need before anything is compared. */
function multiplied(device: Device): Device {
  using a = device.zeros("float32", 4)
  using out = device.zeros("float32", 4)
  matmul({ a, b: a, out, m: 2, n: 2, k: 2 })
  return device
}

forEachDevice("an observer sees", (open) => {
  test(
    "§6 operations: a launch with the bytes of each array argument, and how the signature uses it",
    unsanitized,
    () => {
      using device = open()
      using x = device.zeros("int32", 8)
      using y = device.zeros("int32", 4)
      using p = device.pinned("int32", 4)
      using stream = device.createStream({ name: "side" })
      stream.wait(device.defaultStream)
      using observed = new Observed().name({ x, y, p })
      combine.launch(over(2), 2, x.subarray(4, 6), y)
      combine.launch({ ...over(4), stream, uses: { reads: [x.subarray(0, 2)], writes: [y.subarray(3)] } }, 4, p, p)
      add.launch(
        over(0),
        0,
        device.wrap(x.address, "float32", 1),
        device.wrap(x.address, "float32", 2),
        floats(device, 3),
      )
      assert.deepEqual(
        observed.take().filter((line) => !line.startsWith("allocated")),
        [
          `launch test_combine on ${main(device)}: 1: read x[16..24], 2: readwrite y[0..16]`,
          "accepted test_combine",
          `launch test_combine on ${stream.state.name}: 1: read p[0..16], 2: readwrite p[0..16], read x[0..8], write y[12..16]`,
          "accepted test_combine",
          `launch test_add on ${main(device)}: 1: read other memory[0..4], 2: read other memory[0..8], 3: write other memory[0..12]`,
          "accepted test_add",
        ],
      )
    },
  )

  test("§6 operations: copies in all directions, uploads, fills and reads", async () => {
    using device = open()
    using x = device.zeros("int32", 8)
    using y = device.zeros("int32", 4)
    using p = device.pinned("int32", 4)
    using observed = new Observed().name({ x, y, p })
    x.subarray(2, 6).copyFrom(y)
    y.copyFrom(p)
    p.copyFrom(x.subarray(4))
    y.copyFrom(Int32Array.of(1, 2, 3, 4))
    x.subarray(1, 2).fill(7)
    y.copyFrom(y)
    x.subarray(3, 3).fill(1)
    const on = `on ${main(device)}`
    const taken = observed.take()
    assert.deepEqual(taken, [
      `copy ${on}: overwrite x[8..24], read y[0..16]`,
      "accepted copy",
      `copy ${on}: overwrite y[0..16], read p[0..16]`,
      "accepted copy",
      `copy ${on}: overwrite p[0..16], read x[16..32]`,
      "accepted copy",
      `upload ${on}: overwrite y[0..16]`,
      "accepted upload",
      `fill ${on}: overwrite x[4..8]`,
      "accepted fill",
    ])
    assert.deepEqual(y.readSync(), Int32Array.of(1, 2, 3, 4))
    assert.deepEqual(observed.take(), [`read ${on}: read y[0..16]`, "accepted read", "synchronized"])
    await x.subarray(1, 2).read()
    assert.deepEqual(observed.take(), [`read ${on}: read x[4..8]`, "accepted read", `record ${on}`, "synchronized"])
  })

  test("§13 operations: rows of a matrix, without what lies between them", () => {
    using device = open()
    using x = device.zeros("int32", 12)
    using y = device.zeros("int32", 6)
    using observed = new Observed().name({ x, y })
    x.subarray(1).copyFrom2D(y, { width: 2, height: 3, pitch: 4 })
    x.copyFrom2D(Int32Array.of(1, 2, 3), { width: 1, height: 3, pitch: 4 })
    x.fill2D(1, { width: 3, height: 2, pitch: 4 })
    y.copyFrom2D(x, { width: 3, height: 2 })
    const on = `on ${main(device)}`
    const seen = observed.take().filter((line) => !/^(accepted|record)/.test(line))
    assert.deepEqual(seen, [
      `copy ${on}: write x[4..12, 3 rows, 16 apart], read y[0..8, 3 rows, 8 apart]`,
      `upload ${on}: write x[0..4, 3 rows, 16 apart]`,
      `fill ${on}: write x[0..12, 2 rows, 16 apart]`,
      `copy ${on}: overwrite y[0..24], read x[0..24]`,
    ])
  })

  test("§6 operations: allocations and frees", () => {
    using device = open()
    currentStream(device)
    using observed = new Observed()
    const x = device.zeros("int32", 4)
    observed.name({ x })
    const y = device.from(Int32Array.of(1, 2))
    observed.name({ y })
    device.empty("int32", 0).dispose()
    x.dispose()
    y.dispose()
    const on = `on ${main(device)}`
    assert.deepEqual(observed.take(), [
      "allocated 16 bytes",
      `fill ${on}: overwrite other memory[0..16]`,
      "accepted fill",
      "allocated 8 bytes",
      `upload ${on}: overwrite other memory[0..8]`,
      "accepted upload",
      "freed x",
      "freed y",
    ])
  })

  test("§6 operations: a product", unsanitized, () => {
    using device = multiplied(open())
    using a = device.zeros("float32", 4)
    using b = device.zeros("float32", 4)
    using out = device.zeros("float32", 4)
    using stream = device.createStream({ name: "side" })
    stream.wait(device.defaultStream)
    using observed = new Observed().name({ a, b, out })
    matmul({ a, b, out, m: 2, n: 2, k: 2 })
    matmul({ a, b, out, m: 2, n: 2, k: 2, beta: 1, stream })
    const seen = observed.take().filter((line) => !/^(allocated|freed)/.test(line))
    const side = stream.state.name
    assert.deepEqual(seen, [
      `matmul on ${main(device)}: read a[0..16], read b[0..16], write out[0..16]`,
      "accepted matmul",
      `matmul on ${side}: read a[0..16], read b[0..16], readwrite out[0..16]`,
      "accepted matmul",
    ])
  })

  test("§6 operations: external work, with what it is said to use", () => {
    using device = open()
    using x = device.zeros("int32", 4)
    using y = device.zeros("int32", 4)
    using observed = new Observed().name({ x, y })
    device.defaultStream.external({ reads: [x], writes: [y.subarray(2), x.subarray(0, 1)] }, () => {})
    assert.deepEqual(observed.take(), [
      `external on ${main(device)}: read x[0..16], write y[8..16], write x[0..4]`,
      "accepted external",
    ])
    const failure = new Error("refused")
    const thrown = thrownBy(() => {
      device.defaultStream.external({ reads: [x] }, () => {
        throw failure
      })
    })
    assert.equal(thrown, failure)
    assert.deepEqual(observed.take(), [`external on ${main(device)}: read x[0..16]`, "accepted external"])
  })

  test("§6 operations: a graph's nodes when they are captured, and all that they do at each launch", () => {
    using device = open()
    using x = device.zeros("int32", 4)
    using y = device.zeros("int32", 4)
    using observed = new Observed().name({ x, y })
    using inner = captureGraph(() => y.fill(5), { device })
    observed.take()
    using graph = captureGraph(
      () => {
        combine.launch(over(4), 4, x, y)
        x.subarray(0, 2).copyFrom(Int32Array.of(1, 2))
        inner.launch()
        combine.launch(over(4), 4, x, y)
      },
      { device },
    )
    const on = `on captured stream of ${device.id}`
    assert.deepEqual(observed.take(), [
      `launch test_combine ${on}: 1: read x[0..16], 2: readwrite y[0..16]`,
      "accepted test_combine",
      `upload ${on}: overwrite x[0..8]`,
      "accepted upload",
      `graph ${on} {fill}: overwrite y[0..16]`,
      "accepted graph",
      `launch test_combine ${on}: 1: read x[0..16], 2: readwrite y[0..16]`,
      "accepted test_combine",
    ])
    using stream = device.createStream({ name: "side" })
    stream.wait(device.defaultStream)
    observed.take()
    graph.launch(stream)
    assert.deepEqual(observed.take(), [
      `graph on ${stream.state.name} {test_combine upload graph {fill} test_combine}: 1: read x[0..16], 2: readwrite y[0..16], ` +
        "overwrite x[0..8], overwrite y[0..16]",
      "accepted graph",
      `record on ${stream.state.name}`, // The two graphs share an array, so that launches of one are ordered with the other's.
    ])
    graph.update(() => {
      x.fill(1)
    })
    observed.take()
    graph.launch(stream)
    assert.deepEqual(observed.take(), [
      `graph on ${stream.state.name} {fill}: overwrite x[0..16]`,
      "accepted graph",
      `record on ${stream.state.name}`,
    ])
  })

  test("§6 operations: a graph that was captured before anybody looked", () => {
    using device = open()
    using x = device.zeros("int32", 4)
    using graph = captureGraph(
      () => {
        const made = device.zeros("int32", 2)
        x.subarray(0, 2).copyFrom(made)
        return made
      },
      { device },
    )
    using observed = new Observed().name({ x, made: graph.result })
    graph.launch()
    assert.deepEqual(observed.take(), [
      `graph on ${main(device)} {fill copy}: overwrite made[0..8], overwrite x[0..8], read made[0..8]`,
      "accepted graph",
    ])
  })

  test("§6 operations: a conditional reads its condition, and each body's operations are its parts", () => {
    using device = open()
    using flag = device.zeros("int32", 1)
    using x = device.zeros("int32", 4)
    using observed = new Observed().name({ flag, x })
    using graph = captureGraph(
      () => {
        runIf(flag, () => x.fill(1))
        runWhile(flag, () => flag.fill(0))
      },
      { device },
    )
    const captured = `on captured stream of ${device.id}`
    assert.deepEqual(
      observed.take().filter((line) => !/waits|record/.test(line)),
      [
        `conditional if ${captured}: read flag[0..4]`,
        `fill on body of if of ${device.id}: overwrite x[0..16]`,
        "accepted fill",
        "accepted if",
        `conditional while ${captured}: read flag[0..4]`,
        `fill on body of while of ${device.id}: overwrite flag[0..4]`,
        "accepted fill",
        "accepted while",
      ],
    )
    graph.launch()
    assert.deepEqual(observed.take(), [
      `graph on ${main(device)} {if {fill} while {fill}}: read flag[0..4], overwrite x[0..16], overwrite flag[0..4]`,
      "accepted graph",
    ])
  })

  test("§6 order: records, waits with those that add nothing, and what the program learns", async () => {
    using device = open()
    using a = device.createStream({ name: "a" })
    using b = device.createStream({ name: "b" })
    using event = device.createEvent()
    const [first, second] = [a.state.name, b.state.name]
    affine.launch({ ...once, stream: a }, 0, device.zeros("int32", 1), 1, 1)
    using observed = new Observed()
    a.record(event)
    event.wait(b)
    event.wait(b)
    b.wait(a)
    assert.deepEqual(observed.take(), [
      `record on ${first}`,
      `${second} waits`,
      `${second} waits, not sent`,
      `${second} waits, not sent`,
    ])
    event.synchronize()
    a.synchronize()
    assert.equal(a.query(), true)
    assert.equal(event.query(), true)
    assert.deepEqual(observed.take(), Array<string>(4).fill("synchronized"))
    await a.completed()
    await event.completed()
    assert.deepEqual(observed.take(), [`record on ${first}`, "synchronized", "synchronized"])
  })

  test("§6 observers: several see the same, later devices too, and an end is an end", () => {
    const first = new Observed()
    using device = open()
    using x = device.zeros("int32", 1)
    first.name({ x }).take()
    const second = new Observed().name({ x })
    x.fill(1)
    const seen = [`fill on ${main(device)}: overwrite x[0..4]`, "accepted fill"]
    assert.deepEqual(first.take(), seen)
    assert.deepEqual(second.take(), seen)
    first[Symbol.dispose]()
    x.fill(2)
    assert.deepEqual(first.take(), [])
    assert.deepEqual(second.take(), seen)
    second[Symbol.dispose]()
    second[Symbol.dispose]()
    x.fill(3)
    assert.deepEqual(second.take(), [])
  })
})

/** Lets nothing be queued. */
class Refusing extends OperationObserver {
  readonly error = new Error("refused by the observer")

  override before(): void {
    throw this.error
  }
}

forEachDevice("an observer that throws", (open) => {
  test("§6 observers: leaves nothing queued and nothing changed", async () => {
    using device = multiplied(open())
    using x = device.full("int32", 4, 1)
    using y = device.full("int32", 4, 2)
    using f = device.full("float32", 4, 3)
    using g = device.full("float32", 4, 3)
    using p = device.pinned("int32", 4)
    combine.load(device)
    using graph = captureGraph(() => y.fill(5), { device })
    device.synchronize()
    const { used } = device.memory
    const stream = device.defaultStream
    const calls: Record<string, () => unknown> = {
      launch: () => combine.launch(over(4), 4, x, y),
      copy: () => x.copyFrom(y),
      "copy to pinned memory": () => p.copyFrom(y),
      "copy from pinned memory": () => x.copyFrom(p),
      upload: () => x.copyFrom(Int32Array.of(7, 7, 7, 7)),
      fill: () => x.fill(7),
      readSync: () => x.readSync(),
      matmul: () => matmul({ a: f, b: f, out: g, m: 2, n: 2, k: 2 }),
      graph: () => graph.launch(),
      external: () => stream.external({ writes: [x] }, () => assert.fail("was called")),
      zeros: () => device.zeros("int32", 4),
      from: () => device.from(Int32Array.of(1)),
    }
    const observer = new Refusing()
    const queued: string[] = []
    for (const [name, call] of Object.entries(calls)) {
      const end = observe(observer)
      const { clock } = stream.state
      assert.equal(thrownBy(call), observer.error, name)
      end()
      // Memory is taken and given back in the stream's order. Nothing else may have been counted.
      const isFree = !["zeros", "from"].includes(name)
      if (isFree) assert.equal(stream.state.clock.isBefore(clock), true, name)
      assert.equal(device.memory.used, used, name)
      queued.push(name)
    }
    const end = observe(observer)
    await assert.rejects(x.read(), (error) => error === observer.error)
    end()
    assert.deepEqual(x.readSync(), Int32Array.of(1, 1, 1, 1))
    assert.deepEqual(y.readSync(), Int32Array.of(2, 2, 2, 2))
    assert.deepEqual(g.readSync(), Float32Array.of(3, 3, 3, 3))
    assert.deepEqual(p.array, new Int32Array(4))
    assert.equal(queued.length, Object.keys(calls).length)
  })

  test("§6 observers: inside a capture, the operation does not become a node", () => {
    using device = open()
    using flag = device.zeros("int32", 1)
    using x = device.zeros("int32", 4)
    const observer = new Refusing()
    using graph = captureGraph(
      () => {
        x.fill(1)
        const end = observe(observer)
        for (const call of [
          () => x.fill(2),
          () => x.copyFrom(Int32Array.of(1, 2, 3, 4)),
          () => affine.launch(over(4), 4, x, 2, 0),
          () => runIf(flag, () => {}),
        ]) {
          assert.equal(thrownBy(call), observer.error)
        }
        end()
      },
      { device },
    )
    assert.equal(graph.nodeCount, 1)
    graph.launch()
    assert.deepEqual(x.readSync(), Int32Array.of(1, 1, 1, 1))
  })

  test("§6 observers: those before it are told that the operation was refused", () => {
    using device = open()
    using x = device.zeros("int32", 1)
    using observed = new Observed().name({ x })
    const observer = new Refusing()
    const end = observe(observer)
    assert.equal(
      thrownBy(() => x.fill(1)),
      observer.error,
    )
    end()
    assert.deepEqual(observed.take(), [
      `fill on ${main(device)}: overwrite x[0..4]`,
      `refused fill: ${String(observer.error)}`,
    ])
  })
})

/** Fills an array before every fill of another one. */
class FillingFirst extends OperationObserver {
  readonly #other: DeviceArray<"int32">

  constructor(other: DeviceArray<"int32">) {
    super()
    this.#other = other
  }

  override before({ operands }: Operation): void {
    if (!operands.includes(this.#other)) this.#other.fill(3)
  }
}

forEachDevice("an observer that queues work itself", (open) => {
  test("§6 observers: does not change the value of the fill that it is shown", () => {
    using device = open()
    using x = device.zeros("int32", 8)
    using other = device.zeros("int32", 1)
    const end = observe(new FillingFirst(other))
    x.fill(5)
    x.fill2D(7, { width: 1, height: 4, pitch: 2 })
    end()
    assert.deepEqual(x.readSync(), Int32Array.of(7, 5, 7, 5, 7, 5, 7, 5))
    assert.deepEqual(other.readSync(), Int32Array.of(3))
  })
})

/** Places all operations on one stream, whose waits it makes itself. */
class Placing extends OperationObserver {
  readonly placed: string[] = []
  /** Where operations are queued. */
  readonly streams = new Set<StreamState>()
  readonly #target: Stream

  constructor(target: Stream) {
    super()
    this.#target = target
  }

  override place(operation: Operation): StreamState {
    const { state } = this.#target
    this.placed.push(operation.label)
    state.waitFor(operation.stream)
    return state
  }

  override before({ stream }: Operation): void {
    this.streams.add(stream)
  }
}

forEachDevice("an observer that chooses the stream", (open) => {
  test("§14 placing: of operations that name none, the whole of each runs there", async () => {
    using device = multiplied(open())
    using x = device.full("int32", 4, 1)
    using y = device.full("int32", 4, 2)
    using p = device.pinned("int32", 4)
    using f = device.full("float32", 4, 1)
    using g = device.full("float32", 4, 0)
    using target = device.createStream({ name: "target" })
    target.run(() => matmul({ a: f, b: f, out: g, m: 2, n: 2, k: 2 }))
    using graph = captureGraph(() => y.fill(4), { device })
    device.synchronize()
    const placing = new Placing(target)
    const end = observe(placing)
    combine.launch(over(4), 4, x, y)
    x.copyFrom(Int32Array.of(5, 6, 7, 8))
    p.copyFrom(x)
    x.fill(9)
    graph.launch()
    matmul({ a: f, b: f, out: g, m: 2, n: 2, k: 2 })
    const read = x.read()
    assert.deepEqual(y.readSync(), Int32Array.of(4, 4, 4, 4))
    assert.deepEqual(await read, Int32Array.of(9, 9, 9, 9))
    end()
    assert.deepEqual(p.array, Int32Array.of(5, 6, 7, 8))
    assert.deepEqual(
      target.run(() => g.readSync()),
      Float32Array.of(2, 2, 2, 2),
    )
    assert.deepEqual(placing.placed, ["test_combine", "upload", "copy", "fill", "graph", "matmul", "read", "read"])
    assert.deepEqual([...placing.streams], [target.state])
  })

  test("§14 placing: operations that name a stream stay there", () => {
    using device = multiplied(open())
    using x = device.full("int32", 4, 1)
    using f = device.full("float32", 4, 1)
    using g = device.full("float32", 4, 0)
    using graph = captureGraph(() => x.fill(4), { device })
    using stream = device.createStream()
    using target = device.createStream()
    stream.wait(device.defaultStream)
    const placing = new Placing(target)
    const { tick } = target.state
    const end = observe(placing)
    affine.launch({ ...over(4), stream }, 4, x, 2, 0)
    matmul({ a: f, b: f, out: g, m: 2, n: 2, k: 2, stream })
    graph.launch(stream)
    stream.external({ writes: [x] }, () => {})
    end()
    assert.deepEqual(placing.placed, [])
    assert.equal(target.state.tick, tick)
  })
})

/** A float array of the device that nothing else uses. */
function floats(device: Device, length: number) {
  return device.empty("float32", length)
}
