import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, currentStream, type DeviceArray, fork, maybeExecuteInParallel } from "../../src/index.js"
import { forEachDevice, forEachOpenDevice } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, combine, once, over, prepare, reverse } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

const length = 1000

forEachOpenDevice("graphs' memory", (open) => {
  test("eight layers that drop their aux outputs give exact results in fewer than eight addresses", () => {
    using device = open()
    using aux = device.createStream()
    using e0 = device.createEvent()
    using e1 = device.createEvent()
    using x = device.from(new Int32Array(length).fill(1))
    const addresses = new Set<number>()
    using graph = captureGraph(() => {
      for (let layer = 0; layer < 8; layer++) {
        const [, y] = maybeExecuteInParallel(
          () => affine.launch(over(length), length, x, 3, layer),
          () => device.full("int32", length, layer),
          e0,
          e1,
          aux,
        )
        addresses.add(y.address)
        combine.launch(over(length), length, y, x)
        y.dispose()
      }
    })
    assert.ok(addresses.size < 8, `${addresses.size} addresses`)
    const step = (value: number) => {
      for (let layer = 0; layer < 8; layer++) value = (Math.imul(Math.imul(value, 3) + layer, 3) + layer) | 0
      return value
    }
    graph.launch()
    graph.launch()
    assert.deepEqual(x.readSync(), new Int32Array(length).fill(step(step(1))))
  })

  test("memory is not reused inside a graph while an unjoined branch may still use it", () => {
    using device = open()
    using graph = captureGraph(() => {
      const x = device.full("int32", length, 5)
      const copy = device.empty("int32", length)
      using forked = fork(() => copy.copyFrom(x))
      const { address } = x
      x.dispose()
      const early = device.full("int32", length, -1)
      assert.notEqual(early.address, address)
      forked.join()
      const late = device.full("int32", length, -2)
      assert.equal(late.address, address)
      return copy
    })
    graph.launch()
    assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(5))
  })

  test("results stay readable between launches, and other allocations do not touch them", () => {
    using device = open()
    using x = device.from(new Int32Array(length).fill(3))
    using graph = captureGraph(() => {
      const y = device.empty("int32", length)
      reverse(x, y)
      return { nested: [y, y.subarray(10, 20)] }
    })
    graph.launch()
    for (let count = 0; count < 50; count++) device.full("int32", length, -1).dispose()
    const [whole, part] = graph.result.nested
    assert.deepEqual(whole?.readSync(), new Int32Array(length).fill(3))
    assert.deepEqual(part?.readSync(), new Int32Array(10).fill(3))
  })

  test("a graph keeps disposed arrays that it uses alive, and no longer than itself", () => {
    using device = open()
    device.synchronize()
    const before = device.memory.used
    const x = device.full("int32", length, 6)
    const view = device.full("int32", 2 * length, 7)
    const half = view.subarray(length)
    const graph = captureGraph(() => {
      const y = device.empty("int32", length)
      y.copyFrom(half)
      combine.launch(over(length), length, x, y)
      return y
    })
    x.dispose()
    view.dispose()
    refused(() => x.fill(1), "AUX_DISPOSED")
    const others = Array.from({ length: 20 }, () => device.full("int32", length, -1))
    graph.launch()
    assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(27))
    graph.dispose()
    for (const other of others) other.dispose()
    device.synchronize()
    assert.equal(device.memory.used, before)
  })

  test("a disposed graph frees its memory after its last launch", async () => {
    using device = open()
    await prepare(device)
    using stream = device.createStream()
    using latch = new Latch(device)
    using seen = device.pinned("int32", length)
    const graph = captureGraph(() => {
      const y = device.full("int32", length, 9)
      latch.hold()
      using forked = fork(() => latch.hold())
      forked.join()
      seen.copyFrom(y)
      return y
    })
    graph.launch(stream)
    latch.waitUntilEntered()
    const { address } = graph.result
    graph.dispose()
    graph.dispose()
    refused(() => graph.launch(), "AUX_DISPOSED", "captureGraph()")
    refused(() => graph.result, "AUX_DISPOSED")
    assert.equal(graph.disposed, true)
    for (let count = 0; count < 50; count++) {
      const other = device.full("int32", length, -1)
      assert.notEqual(other.address, address)
      other.dispose()
    }
    latch.open()
    stream.synchronize()
    assert.deepEqual(seen.array, new Int32Array(length).fill(9))
  })

  test("host data is read at the call, pinned memory when the graph gets there", () => {
    using device = open()
    const data = new Int32Array(length).fill(1)
    using pinned = device.pinned("int32", length)
    using graph = captureGraph(() => {
      const taken = device.from(data)
      const later = device.empty("int32", length)
      later.copyFrom(pinned)
      return [taken, later] as const
    })
    data.fill(2)
    pinned.array.fill(3)
    for (const value of [3, 4]) {
      pinned.array.fill(value)
      graph.launch()
      const [taken, later] = graph.result
      assert.deepEqual(taken.readSync(), new Int32Array(length).fill(1))
      assert.deepEqual(later.readSync(), new Int32Array(length).fill(value))
    }
  })

  test("a pinned array that the graph reads may be disposed of", () => {
    using device = open()
    const pinned = device.pinned("int32", length)
    pinned.array.fill(8)
    using graph = captureGraph(() => {
      const y = device.empty("int32", length)
      y.copyFrom(pinned)
      return y
    })
    pinned.dispose()
    graph.launch()
    assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(8))
  })

  test("scopes, views, wrapped memory and other libraries' work inside", () => {
    using device = open()
    using x = device.from(Int32Array.from({ length }, (_, index) => index))
    using wrapped = device.wrap(x.address, "int32", length)
    const addresses: number[] = []
    using graph = captureGraph(() => {
      const sum = device.zeros("int32", 10)
      for (let count = 0; count < 3; count++) {
        device.scope(() => {
          const part = device.empty("int32", 10)
          addresses.push(part.address)
          part.copyFrom(wrapped.subarray(count * 10, count * 10 + 10))
          currentStream(device).external({ reads: [part], writes: [sum] }, (handle) => {
            assert.equal(typeof handle, "bigint")
          })
          combine.launch(over(10), 10, part, sum)
        })
      }
      return sum
    })
    assert.equal(new Set(addresses).size, 1)
    assert.match(graph.toDot(), /external/)
    graph.launch()
    const expected = Int32Array.from({ length: 10 }, (_, index) => (index * 3 + index + 10) * 3 + index + 20)
    assert.deepEqual(graph.result.readSync(), expected)
  })

  test("arrays made inside belong to the graph, not to a surrounding scope", () => {
    using device = open()
    using graph = device.scope(() => captureGraph(() => device.full("int32", length, 4)))
    graph.launch()
    assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(4))
  })

  test("arrays disposed of during a capture are freed after it", async () => {
    using device = open()
    device.synchronize()
    const before = device.memory.used
    const x = device.full("int32", length, 1)
    device.synchronize()
    using graph = await captureGraph(async () => {
      await Promise.resolve()
      x.dispose()
      assert.ok(device.memory.used > before)
    })
    assert.equal(device.memory.used, before)
    assert.equal(graph.nodeCount, 0)
  })

  test("a graph's results are another graph's inputs", () => {
    using device = open()
    using x = device.from(new Int32Array(length).fill(2))
    const first = captureGraph(() => {
      const y = device.empty("int32", length)
      reverse(x, y)
      return y
    })
    using second = captureGraph(() => {
      const sum = device.zeros("int32", length)
      combine.launch(over(length), length, first.result, sum)
      return sum
    })
    using stream = device.createStream()
    first.launch(stream)
    second.launch()
    first.dispose()
    for (let count = 0; count < 20; count++) device.full("int32", length, -1).dispose()
    second.launch()
    assert.deepEqual(second.result.readSync(), new Int32Array(length).fill(2))
  })

  test("updates change scalars and arrays in place, and return false for another shape", () => {
    using device = open()
    using x = device.from(new Int32Array(length).fill(1))
    using y = device.from(new Int32Array(length).fill(10))
    const program = (input: DeviceArray<"int32">, factor: number) => () => {
      const out = device.empty("int32", length)
      out.copyFrom(input)
      using forked = fork(() => affine.launch(over(length), length, out, factor, 1))
      forked.join()
      return out
    }
    using graph = captureGraph(program(x, 3))
    graph.launch()
    assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(4))
    assert.equal(graph.update(program(y, 5)), true)
    graph.launch()
    assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(51))
    const more = () => {
      const out = program(x, 7)()
      affine.launch(over(length), length, out, 1, 1)
      return out
    }
    assert.equal(graph.update(more), false)
    assert.equal(graph.nodeCount, 3)
    graph.launch()
    assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(9))
    const failure = new Error("on purpose")
    assert.throws(
      () =>
        graph.update(() => {
          throw failure
        }),
      failure,
    )
    graph.launch()
    assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(9))
  })

  test("queued launches run the graph as it was before its update", async () => {
    using device = open()
    await prepare(device)
    using x = device.pinned("int32", 1)
    using stream = device.createStream()
    const add = (value: number) => () => {
      using forked = fork(() => affine.launch(once, 1, x, 10, value))
      forked.join()
    }
    using graph = captureGraph(add(1))
    using latch = new Latch(device)
    latch.hold(stream).waitUntilEntered()
    for (const value of [2, 3, 4]) {
      graph.launch(stream)
      graph.update(add(value))
    }
    graph.launch(stream)
    latch.open()
    stream.synchronize()
    assert.equal(x.array[0], 1234)
  })

  test("an update may be async, and may end after the graph was disposed of", async () => {
    using device = open()
    using x = device.zeros("int32", length)
    const later = (value: number) => async () => {
      await Promise.resolve()
      affine.launch(over(length), length, x, 1, value)
      await Promise.resolve()
    }
    const graph = await captureGraph(later(1))
    assert.equal(await graph.update(later(5)), true)
    graph.launch()
    assert.deepEqual(x.readSync(), new Int32Array(length).fill(5))
    const late = graph.update(later(6))
    graph.dispose()
    await assert.rejects(late, { code: "AUX_DISPOSED" })
  })

  test("memory does not grow with the number of launches and captures", () => {
    using device = open()
    using x = device.from(new Int32Array(length).fill(1))
    using aux = device.createStream()
    using e0 = device.createEvent()
    using e1 = device.createEvent()
    const program = () => {
      const [a, b] = maybeExecuteInParallel(
        () => device.full("int32", length, 1),
        () => device.full("int32", length, 2),
        e0,
        e1,
        aux,
      )
      combine.launch(over(length), length, x, a)
      combine.launch(over(length), length, a, b)
      a.dispose()
      return b
    }
    const round = () => {
      using graph = captureGraph(program)
      for (let count = 0; count < 10; count++) graph.launch()
      graph.update(program)
      graph.launch()
      device.synchronize()
    }
    for (let count = 0; count < 20; count++) round()
    const { used, reserved } = device.memory
    for (let count = 0; count < 200; count++) round()
    assert.equal(device.memory.used, used)
    assert.equal(device.memory.reserved, reserved)
  })
})

forEachDevice("graphs at the device's end", (open) => {
  test("disposing of a device disposes of its graphs, after queued launches", async () => {
    const device = open()
    await prepare(device)
    const x = device.pinned("int32", 1)
    const { array } = x
    const graph = captureGraph(() => affine.launch(once, 1, x, 1, 1))
    const latch = new Latch(device).hold().waitUntilEntered()
    graph.launch()
    const done = device.completed()
    device.dispose()
    assert.equal(graph.disposed, true)
    refused(() => graph.launch(), "AUX_DISPOSED")
    graph.dispose()
    latch.open()
    await done
    assert.equal(array[0], 1)
  })

  test("disposing of a device ends its capture", async () => {
    const device = open()
    let go = (): void => {}
    const captured = captureGraph(
      async () => {
        device.zeros("int32", length)
        await new Promise<void>((resolve) => (go = resolve))
      },
      { device },
    )
    device.dispose()
    go()
    await assert.rejects(captured, { code: "AUX_DISPOSED" })
  })
})
