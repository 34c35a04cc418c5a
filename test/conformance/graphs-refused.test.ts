import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  currentStream,
  type DeviceArray,
  executeInParallel,
  fork,
  maybeExecuteInParallel,
  parallel,
} from "../../src/index.js"
import { forEachOpenDevice, openOther } from "../support/devices.js"
import { refused, rejected } from "../support/errors.js"
import { affine, once, over } from "../support/kernels.js"

const code = "AUX_STREAM_CAPTURING"
const length = 100

forEachOpenDevice("what a capture refuses", (open) => {
  test("queries, reads and synchronisation inside", async () => {
    using device = open()
    using x = device.zeros("int32", length)
    using outside = device.createStream({ name: "outside" })
    using before = device.createEvent({ name: "before" })
    before.record()
    const looks: Promise<unknown>[] = []
    using graph = captureGraph(() => {
      const stream = currentStream(device)
      affine.launch(over(length), length, x, 3, 1)
      const inside = stream.record()
      refused(() => stream.query(), code, "captured stream", "be queried")
      refused(() => stream.synchronize(), code, "captured stream", "be synchronised")
      refused(() => inside.query(), code, inside.name, "be queried")
      refused(() => inside.synchronize(), code, inside.name)
      refused(() => before.query(), code, "before", "inside a capture")
      refused(() => before.synchronize(), code, "before", "inside a capture")
      refused(() => outside.synchronize(), code, "outside")
      refused(() => device.synchronize(), code, device.id)
      refused(() => x.readSync(), code)
      looks.push(rejected(() => x.read(), code))
      looks.push(rejected(() => stream.completed(), code))
      looks.push(rejected(() => inside.completed(), code))
      looks.push(rejected(() => before.completed(), code))
      looks.push(rejected(() => device.completed(), code))
      return inside
    })
    await Promise.all(looks)
    refused(() => graph.result.query(), code, "has not run")
    before.synchronize()
    outside.synchronize()
    graph.launch()
    assert.deepEqual(x.readSync(), new Int32Array(length).fill(1))
  })

  test("streams that are not part of it", () => {
    using device = open()
    using outside = device.createStream({ name: "outside" })
    using x = device.zeros("int32", length)
    using graph = captureGraph(() => {
      refused(() => affine.launch({ ...over(length), stream: outside }, length, x, 3, 1), code, "outside", "wait")
      refused(() => affine.launch({ ...over(length), stream: device.defaultStream }, length, x, 3, 1), code)
      refused(() => outside.run(() => x.fill(1)), code, "outside")
      refused(() => outside.run(() => device.empty("int32", 1)), code, "outside")
      refused(() => outside.record(), code, "outside")
    })
    assert.equal(graph.nodeCount, 0)
    assert.deepEqual(x.readSync(), new Int32Array(length))
  })

  test("use of its streams by other code", async () => {
    using device = open()
    using aux = device.createStream({ name: "aux" })
    using x = device.full("int32", length, 1)
    const home = aux.run(() => device.full("int32", length, 2))
    let go = (): void => {}
    const captured = captureGraph(async () => {
      aux.wait(currentStream(device))
      await new Promise<void>((resolve) => (go = resolve))
      aux.run(() => affine.launch(over(length), length, x, 3, 1))
    })
    refused(
      () => affine.launch({ ...over(length), stream: aux }, length, x, 3, 1),
      code,
      "aux",
      "is part of a graph capture",
    )
    refused(() => aux.query(), code, "aux")
    refused(() => aux.synchronize(), code, "aux")
    refused(() => aux.record(), code, "aux")
    refused(() => aux.dispose(), code, "aux")
    refused(() => aux.wait(device.defaultStream), code, "aux")
    refused(() => device.defaultStream.wait(aux), code, "aux")
    refused(() => aux.run(() => device.zeros("int32", 1)), code, "aux")
    await rejected(() => aux.completed(), code, "aux")
    using e0 = device.createEvent()
    using e1 = device.createEvent()
    refused(
      () =>
        maybeExecuteInParallel(
          () => {},
          () => {},
          e0,
          e1,
          aux,
        ),
      code,
      "aux",
    )
    // It was not used here before: the capture waits for its earlier work.
    assert.deepEqual(home.readSync(), new Int32Array(length).fill(2))
    device.synchronize()
    await device.completed()
    home.dispose()
    go()
    using graph = await captured
    aux.synchronize()
    assert.deepEqual(x.readSync(), new Int32Array(length).fill(1))
    graph.launch(aux)
    assert.deepEqual(
      aux.run(() => x.readSync()),
      new Int32Array(length).fill(4),
    )
  })

  test("events across its border", () => {
    using device = open()
    using before = device.createEvent({ name: "before" })
    using x = device.zeros("int32", length)
    before.record()
    using graph = captureGraph(() => {
      refused(() => before.wait(), code, "captured stream", "outside the capture")
      affine.launch(over(length), length, x, 3, 1)
      const inside = currentStream(device).record()
      using forked = fork(() => affine.launch(over(length), length, x, 3, 1))
      forked.join()
      return inside
    })
    refused(() => graph.result.wait(), code, "inside a capture")
    graph.result.record()
    graph.result.wait()
    before.wait()
  })

  test("events with timing", () => {
    using device = open()
    using timed = device.createEvent({ timing: true, name: "timed" })
    using other = device.createEvent()
    using aux = device.createStream()
    const uncalled = () => assert.fail("a refusal must come before anything is queued")
    using graph = captureGraph(() => {
      refused(() => timed.record(), code, "timed")
      refused(() => maybeExecuteInParallel(uncalled, uncalled, timed, other, aux), code, "timed")
      refused(() => maybeExecuteInParallel(uncalled, uncalled, other, timed, aux), code, "timed")
      refused(() => executeInParallel(uncalled, [uncalled], timed, [other], [aux]), code, "timed")
      refused(() => executeInParallel(uncalled, [uncalled], other, [timed], [aux]), code, "timed")
    })
    assert.equal(graph.nodeCount, 0)
    timed.record()
    graph.launch()
    timed.synchronize()
  })

  test("captures inside a capture, and launches on other streams", async () => {
    using device = open()
    using x = device.zeros("int32", length)
    using inner = captureGraph(() => affine.launch(over(length), length, x, 1, 1))
    using graph = captureGraph(() => {
      refused(() => captureGraph(() => {}), code, "inside another capture")
      refused(() => inner.update(() => {}), code)
      refused(() => inner.launch(device.defaultStream), code)
    })
    assert.equal(graph.nodeCount, 0)
    const two = await Promise.all(
      [1, 2].map((value) =>
        captureGraph(async () => {
          await Promise.resolve()
          affine.launch(over(length), length, x, 1, value)
          await Promise.resolve()
        }),
      ),
    )
    for (const one of two) one.launch()
    assert.deepEqual(x.readSync(), new Int32Array(length).fill(3))
    for (const one of two) one.dispose()
  })

  test("code that continues after its capture has ended", async () => {
    using device = open()
    using x = device.zeros("int32", length)
    let late: unknown
    let go = (): void => {}
    using graph = captureGraph(() => {
      void (async () => {
        await new Promise<void>((resolve) => (go = resolve))
        try {
          affine.launch(over(length), length, x, 1, 1)
        } catch (error) {
          late = error
        }
      })()
    })
    go()
    await new Promise((resolve) => setTimeout(resolve, 1))
    assert.equal(late instanceof Error && "code" in late && late.code, "AUX_NOT_CAPTURING")
    graph.launch()
    assert.deepEqual(x.readSync(), new Int32Array(length))
  })

  test("values that are no function or no device, and streams of other devices", () => {
    using device = open()
    using other = openOther()
    // @ts-expect-error: a number instead of a function
    refused(() => captureGraph(7), "AUX_INVALID_ARGUMENT", "7")
    // @ts-expect-error: a string instead of a device
    refused(() => captureGraph(() => {}, { device: "host" }), "AUX_INVALID_ARGUMENT", "host")
    using graph = captureGraph(() => {}, { device })
    refused(() => graph.launch(other.defaultStream), "AUX_DEVICE_MISMATCH", "cuda:99")
    // @ts-expect-error: an object instead of a stream
    refused(() => graph.launch({}), "AUX_INVALID_ARGUMENT")
    // @ts-expect-error: a number instead of a function
    refused(() => graph.update(1), "AUX_INVALID_ARGUMENT")
    using elsewhere = captureGraph(
      () => {
        affine.launch(once, 1, device.zeros("int32", 1), 1, 1)
        const y = other.zeros("int32", 1)
        refused(() => y.copyFrom(device.zeros("int32", 1)), "AUX_DEVICE_MISMATCH")
        return y
      },
      { device },
    )
    assert.equal(elsewhere.nodeCount, 3)
    assert.deepEqual(
      other.defaultStream.run(() => elsewhere.result.readSync()),
      new Int32Array(1),
    )
  })

  test("§7 graphs: code that continues after its capture is refused, other code on the same streams is not", async () => {
    using device = open()
    using aux = device.createStream({ name: "aux" })
    using other = device.createStream({ name: "other" })
    using x = device.zeros("int32", length)
    const [y, z] = [device.zeros("int32", length), device.zeros("int32", length)]
    const step = () => affine.launch(over(length), length, x, 3, 1)
    let goOn = () => {}
    const end = new Promise<void>((resolve) => (goOn = resolve))
    const refuseAll = async (last: DeviceArray) => {
      await end
      const isOver = (fn: () => unknown) => refused(fn, "AUX_NOT_CAPTURING", "still runs after its end")
      isOver(step)
      isOver(() => x.fill(1))
      isOver(() => device.empty("int32", 1))
      isOver(() => currentStream(device).record())
      isOver(() => parallel([step, step]))
      isOver(() => maybeExecuteInParallel(step, step, device.createEvent(), device.createEvent(), other))
      isOver(() => fork(step))
      last.dispose()
    }
    using graph = captureGraph(() => {
      aux.wait(currentStream(device))
      step()
      const forked = fork(() => refuseAll(z))
      return [aux.run(() => refuseAll(y)), rejected(() => forked.join(), "AUX_DISPOSED")] as const
    })
    aux.run(() => affine.launch(over(length), length, x, 1, 7))
    aux.synchronize()
    goOn()
    await Promise.all(graph.result)
    other.wait(aux)
    other.run(step)
    assert.deepEqual(
      other.run(() => x.readSync()),
      new Int32Array(length).fill(22),
    )
  })
})
