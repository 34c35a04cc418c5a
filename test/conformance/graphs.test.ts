import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  currentStream,
  type Device,
  type DeviceArray,
  executeInParallel,
  fork,
  maybeExecuteInParallel,
  parallel,
  runIf,
} from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, combine, once, over, prepare } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

const length = 300

/** Two branches, each of which depends on its own order, and a join that depends on both. */
function layer(device: Device, x: DeviceArray<"int32">, factor: number): DeviceArray<"int32"> {
  const branch = (scale: number) => () => {
    const y = device.empty("int32", x.length)
    y.copyFrom(x)
    affine.launch(over(x.length), x.length, y, scale, 1)
    affine.launch(over(x.length), x.length, y, scale + 2, factor)
    return y
  }
  const [left, right] = parallel([branch(3), branch(7)])
  combine.launch(over(x.length), x.length, left, right)
  left.dispose()
  return right
}

function layerOf(x: number, factor: number): number {
  const branch = (scale: number) => Math.imul(Math.imul(x, scale) + 1, scale + 2) + factor
  return (Math.imul(branch(7), 3) + branch(3)) | 0
}

forEachOpenDevice("graphs", (open) => {
  test("§5 rule 9, capture: nothing runs before the launch, and each launch reads the inputs anew", () => {
    using device = open()
    using x = device.from(new Int32Array(length).fill(1))
    using graph = captureGraph(() => {
      affine.launch(over(length), length, x, 5, 2)
      return layer(device, x, 4)
    })
    assert.deepEqual(x.readSync(), new Int32Array(length).fill(1))
    for (const value of [1, -8, 1000]) {
      x.copyFrom(new Int32Array(length).fill(value))
      graph.launch()
      assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(layerOf(value * 5 + 2, 4)))
      assert.deepEqual(x.readSync(), new Int32Array(length).fill(value * 5 + 2))
    }
  })

  test("§5 rule 9: the four functions fork and join in a graph as they do without one", () => {
    using device = open()
    using aux = device.createStream({ name: "aux" })
    using other = device.createStream({ name: "other" })
    const [e0, e1, e2] = [device.createEvent(), device.createEvent(), device.createEvent()]
    using x = device.from(new Int32Array(length).fill(1))
    using y = device.from(new Int32Array(length).fill(2))
    using z = device.from(new Int32Array(length).fill(3))
    const on = (array: DeviceArray<"int32">, a: number, b: number) => () => {
      affine.launch(over(length), length, array, a, b)
      return currentStream(device).name
    }
    const joined = () => {
      combine.launch(over(length), length, y, x)
      combine.launch(over(length), length, z, x)
    }
    const program = () => {
      const names: unknown[] = [maybeExecuteInParallel(on(x, 3, 1), on(y, 5, 1), e0, e1, aux)]
      joined()
      names.push(
        executeInParallel(on(x, 2, 1), [on(y, 3, 2), null, on(z, 7, 7)], e0, [e1, null, e2], [aux, null, other]),
      )
      joined()
      names.push(parallel([on(x, 9, 1), on(y, 3, 5), on(z, 11, 1)]))
      joined()
      using forked = fork(on(y, 13, 1))
      on(x, 17, 3)()
      forked.join()
      joined()
      return names
    }
    program()
    const expected = [x, y, z].map((array) => array.readSync())
    for (const [index, array] of [x, y, z].entries()) array.fill(index + 1)
    using graph = captureGraph(program)
    assert.deepEqual(graph.result[0], ["captured stream", "aux"])
    assert.deepEqual(graph.result[1], ["captured stream", ["aux", undefined, "other"]])
    graph.launch()
    assert.deepEqual(
      [x, y, z].map((array) => array.readSync()),
      expected,
    )
    for (const thing of [e0, e1, e2]) thing.dispose()
  })

  test("§5 rule 9: branches run side by side, and each waits for the work that it was forked from", async () => {
    using device = open()
    await prepare(device)
    using flags = device.pinned("int32", 2)
    using main = new Latch(device)
    using aux = new Latch(device)
    using graph = captureGraph(() => {
      affine.launch(once, 1, flags, 1, 1)
      using forked = fork(() => {
        aux.hold()
        affine.launch(over(2), 2, flags, 1, 10)
      })
      main.hold()
      forked.join()
      affine.launch(over(2), 2, flags, 1, 100)
    })
    graph.launch()
    main.waitUntilEntered()
    aux.waitUntilEntered()
    assert.equal(flags.array[0], 1)
    aux.open()
    assert.equal(device.defaultStream.query(), false)
    main.open()
    device.synchronize()
    assert.deepEqual([...flags.array], [111, 110])
    assert.equal(main.timedOut || aux.timedOut, false)
  })

  test("§5 rule 9: an aux branch waits for the stream that the graph is launched on", async () => {
    using device = open()
    await prepare(device)
    using stream = device.createStream()
    using x = device.pinned("int32", 1)
    using graph = captureGraph(() => {
      using forked = fork(() => affine.launch(once, 1, x, 1, 1))
      forked.join()
    })
    using latch = new Latch(device)
    latch.hold(stream).waitUntilEntered()
    graph.launch(stream)
    device.defaultStream.synchronize()
    assert.equal(x.array[0], 0)
    latch.open()
    stream.synchronize()
    assert.equal(x.array[0], 1)
  })

  test("§5 rule 9: order that the host has seen before the capture is still in the graph", async () => {
    using device = open()
    await prepare(device)
    using aux = device.createStream()
    using event = device.createEvent()
    using x = device.pinned("int32", 1)
    aux.run(() => affine.launch(once, 1, x, 1, 1))
    device.synchronize()
    using latch = new Latch(device)
    using graph = captureGraph(() => {
      latch.hold()
      event.record()
      event.wait(aux)
      aux.run(() => affine.launch(once, 1, x, 1, 1))
      currentStream(device).wait(aux)
    })
    aux.synchronize()
    assert.equal(x.array[0], 1)
    graph.launch()
    latch.waitUntilEntered()
    assert.equal(x.array[0], 1)
    latch.open()
    device.synchronize()
    assert.equal(x.array[0], 2)
  })

  test("§7 graphs: launches of one graph are ordered, on whatever streams", async () => {
    using device = open()
    await prepare(device)
    const streams = [device.createStream(), device.createStream(), device.createStream()]
    using x = device.zeros("int32", length)
    using sum = device.zeros("int32", length)
    using graph = captureGraph(() => {
      using forked = fork(() => affine.launch(over(length), length, x, 3, 1))
      forked.join()
      combine.launch(over(length), length, x, sum)
    })
    device.synchronize()
    using latch = new Latch(device)
    latch.hold(streams[0])
    for (let count = 0; count < 9; count++) graph.launch(streams[count % 3])
    for (const stream of streams) assert.ok(isHeld(stream), "a launch did not wait for the one before")
    latch.open()
    device.synchronize()
    let [value, total] = [0, 0]
    for (let count = 0; count < 9; count++) {
      value = (Math.imul(value, 3) + 1) | 0
      total = (Math.imul(total, 3) + value) | 0
    }
    assert.deepEqual(sum.readSync(), new Int32Array(length).fill(total))
    for (const stream of streams) stream.dispose()
  })

  test("§7 graphs: launches of graphs that share arrays are ordered", async () => {
    using device = open()
    await prepare(device)
    using first = device.createStream()
    using second = device.createStream()
    using x = device.zeros("int32", length)
    using latch = new Latch(device)
    using writer = captureGraph(() => {
      latch.hold()
      affine.launch(over(length), length, x, 3, 1)
    })
    using reader = captureGraph(() => {
      const y = device.zeros("int32", length)
      combine.launch(over(length), length, x, y)
      return y
    })
    writer.launch(first)
    latch.waitUntilEntered()
    reader.launch(second)
    assert.ok(isHeld(second), "the reader did not wait for the writer")
    latch.open()
    second.synchronize()
    assert.deepEqual(
      second.run(() => reader.result.readSync()),
      new Int32Array(length).fill(1),
    )
  })

  test("captures of async functions follow their awaits, while other code queues as usual", async () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const captured = captureGraph(async () => {
      affine.launch(over(length), length, x, 1, 1)
      await Promise.resolve()
      const [left, right] = await parallel([
        async () => {
          await new Promise((resolve) => setTimeout(resolve, 5))
          affine.launch(over(length), length, x, 3, 1)
          return currentStream(device)
        },
        async () => {
          affine.launch(over(length), length, y, 3, 5)
          await Promise.resolve()
          return currentStream(device)
        },
      ])
      combine.launch(over(length), length, x, y)
      return left !== right
    })
    using z = device.zeros("int32", length)
    affine.launch(over(length), length, z, 1, 7)
    assert.deepEqual(await z.read(), new Int32Array(length).fill(7))
    assert.deepEqual(await x.read(), new Int32Array(length))
    using graph = await captured
    assert.equal(graph.result, true)
    assert.deepEqual(x.readSync(), new Int32Array(length))
    graph.launch()
    assert.deepEqual(y.readSync(), new Int32Array(length).fill(5 * 3 + 4))
  })

  test("a stream may be made current before the wait that brings it in; the same code runs eagerly", async () => {
    using device = open()
    using aux = device.createStream()
    using start = device.createEvent()
    using end = device.createEvent()
    using x = device.full("int32", length, 1)
    const onAux = async () => {
      start.record()
      await aux.run(async () => {
        start.wait()
        await Promise.resolve()
        affine.launch(over(length), length, x, 3, 1)
        end.record()
      })
      end.wait()
      affine.launch(over(length), length, x, 2, 0)
    }
    await onAux()
    using graph = await captureGraph(onAux)
    assert.deepEqual(graph.edges, [[0, 1]])
    graph.launch()
    assert.deepEqual(x.readSync(), new Int32Array(length).fill(50))
    // In the body of a conditional, too.
    using flag = device.full("int32", 1, 1)
    using conditional = captureGraph(() =>
      runIf(flag, () => {
        start.record()
        aux.run(() => {
          start.wait()
          x.fill(9)
        })
      }),
    )
    conditional.launch()
    assert.deepEqual(x.readSync(), new Int32Array(length).fill(9))
  })

  test("unjoined forks are joined at the end", async () => {
    using device = open()
    await prepare(device)
    using aux = device.createStream()
    using x = device.pinned("int32", 1)
    using latch = new Latch(device)
    using graph = captureGraph(() => {
      aux.wait(currentStream(device))
      aux.run(() => {
        latch.hold()
        affine.launch(once, 1, x, 1, 1)
      })
    })
    graph.launch()
    latch.waitUntilEntered()
    assert.equal(device.defaultStream.query(), false)
    latch.open()
    device.defaultStream.synchronize()
    assert.equal(x.array[0], 1)
  })

  test("an empty graph can be launched", () => {
    using device = open()
    using graph = captureGraph(() => 7)
    graph.launch()
    device.synchronize()
    assert.equal(graph.result, 7)
    assert.equal(graph.nodeCount, 0)
    assert.equal(graph.branchCount, 0)
  })

  test("main first: sixty layers with a fork-join each give two branches", () => {
    using device = open()
    using x = device.from(new Int32Array(length).fill(1))
    using graph = captureGraph(() => {
      let value = x
      for (let count = 0; count < 60; count++) {
        const next = layer(device, value, count)
        if (value !== x) value.dispose()
        value = next
      }
      return value
    })
    assert.equal(graph.branchCount, 2)
    assert.equal(graph.nodeCount, 60 * 7)
    graph.launch()
    let expected = 1
    for (let count = 0; count < 60; count++) expected = layerOf(expected, count)
    assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(expected))
  })

  test("it shows its nodes, with the names of streams and kernels", () => {
    using device = open()
    using aux = device.createStream({ name: 'the "aux" stream' })
    using e0 = device.createEvent()
    using e1 = device.createEvent()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using graph = captureGraph(() => {
      x.fill(1)
      maybeExecuteInParallel(
        () => affine.launch(over(length), length, x, 3, 1),
        () => y.copyFrom(new Int32Array(length)),
        e0,
        e1,
        aux,
      )
      combine.launch(over(length), length, x, y)
    })
    assert.equal(graph.nodeCount, 4)
    assert.equal(graph.branchCount, 2)
    assert.deepEqual(graph.edges, [
      [0, 1],
      [0, 2],
      [1, 3],
      [2, 3],
    ])
    assert.equal(
      graph.toDot(),
      `digraph {
  subgraph cluster_0 {
    label="captured stream of ${device.id}"
    n0 [label="fill"]
    n1 [label="test_affine"]
    n3 [label="test_combine"]
  }
  subgraph cluster_1 {
    label="the \\"aux\\" stream of ${device.id}"
    n2 [label="upload"]
  }
  n0 -> n1
  n0 -> n2
  n1 -> n3
  n2 -> n3
}
`,
    )
  })
})
