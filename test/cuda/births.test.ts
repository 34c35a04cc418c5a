/** Births of arrays: the events they cost, which streams wait for them, and when the events are released. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import type { StreamHandle } from "../../src/driver/handles.js"
import { openDevice } from "../../src/index.js"
import { affine, once } from "../support/kernels.js"
import { Latch, launch, mark, never, noop, onDouble, open, thrownBy, unknown } from "./device.js"
import { double } from "./double.js"

const KIB = 1024

/** The records and waits that `fn` sends: each with its stream. */
function ordering(fn: () => void): (string | number | undefined)[][] {
  return double
    .log(fn)
    .flatMap(([name, first, second]) =>
      name === "cuEventRecord" ? [["record", second]] : name === "cuStreamWaitEvent" ? [["wait", first]] : [],
    )
}

/** Memory of the stream, whose former use is still queued there. */
function allocateEarly(driver: Driver, stream: StreamHandle): number {
  const former = driver.memory.allocate(KIB, stream, never)
  driver.memory.free(former, stream, mark)
  const early = driver.memory.allocate(KIB, stream, never)
  assert.equal(early, former)
  return early
}

onDouble("births of arrays", () => {
  test("memory that is known to be free costs no event and no wait", () => {
    using driver = open()
    const [home, user] = [driver.streams.create(0), driver.streams.create(0)]
    using latch = new Latch(driver).hold(home)
    let address = 0
    assert.deepEqual(
      ordering(() => {
        address = driver.memory.allocate(KIB, home, never)
        assert.equal(driver.memory.orderBehindBirth(address, user), true)
      }),
      [],
    )
    driver.memory.free(address, home, mark)
    latch.open()
    driver.streams.synchronize(home)
  })

  test("memory that is handed out early is one record, and one wait on each other stream until it is passed", () => {
    using driver = open()
    const [home, user, third] = [driver.streams.create(0), driver.streams.create(0), driver.streams.create(0)]
    using latch = new Latch(driver).hold(home)
    driver.memory.free(driver.memory.allocate(KIB, home, never), home, mark)
    let address = 0
    const order = (stream: StreamHandle, isOver: boolean) =>
      assert.equal(driver.memory.orderBehindBirth(address, stream), isOver)
    assert.deepEqual(
      ordering(() => {
        address = driver.memory.allocate(KIB, home, never)
        order(user, false)
        order(third, false)
      }),
      [
        ["record", home],
        ["wait", user],
        ["wait", third],
      ],
    )
    latch.open()
    driver.streams.synchronize(home)
    assert.deepEqual(
      ordering(() => order(user, true)),
      [],
    )
    driver.memory.free(address, home, mark)
  })

  test("first contents are one record, in place of the memory's own", () => {
    using driver = open()
    const [home, user] = [driver.streams.create(0), driver.streams.create(0)]
    using latch = new Latch(driver).hold(home)
    const address = allocateEarly(driver, home)
    const { events } = double.alive()
    driver.memory.fill(address, new Uint8Array(1), KIB, home)
    assert.deepEqual(
      ordering(() => {
        driver.memory.noteContents(address, home)
        driver.memory.orderBehindBirth(address, user)
      }),
      [
        ["record", home],
        ["wait", user],
      ],
    )
    assert.ok(double.alive().events <= events + 1)
    driver.memory.fill(address, new Uint8Array(1), KIB, user)
    assert.equal(driver.streams.query(user), false)
    latch.open()
    driver.streams.synchronize(user)
    driver.memory.free(address, user, mark)
  })

  test("a record that fails is an allocation that fails, and has made nothing", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    using latch = new Latch(driver).hold(stream)
    driver.memory.free(driver.memory.allocate(KIB, stream, never), stream, mark)
    const { used } = driver.memory.usage()
    double.fail("cuEventRecord", 1, unknown)
    assert.match(String(thrownBy(() => driver.memory.allocate(KIB, stream, never))), /cuEventRecord/)
    assert.equal(driver.memory.usage().used, used)
    const address = driver.memory.allocate(KIB, stream, never)
    double.fail("cuEventRecord", 1, unknown)
    assert.match(String(thrownBy(() => driver.memory.noteContents(address, stream))), /cuEventRecord/)
    driver.memory.free(address, stream, mark)
    latch.open()
    driver.streams.synchronize(stream)
  })

  test("the events are released when the memory is freed, when a birth is checked, and when there are very many", () => {
    using device = openDevice("cuda:0")
    const held = () => double.alive().events
    for (let count = 0; count < 10; count++) device.zeros("int32", 4).dispose()
    const before = held()
    for (let count = 0; count < 3000; count++) device.zeros("int32", 4).dispose()
    assert.ok(held() <= before + 64, `${held()} events after ${before}`)
    const arrays = Array.from({ length: 5000 }, (_, index) => {
      if (index % 100 === 0) device.defaultStream.synchronize()
      return device.zeros("int32", 4)
    })
    assert.ok(held() <= before + 1400, `${held()} events after ${before}`)
    for (const array of arrays) array.dispose()
    device.synchronize()
  })

  test("§6 one stream: launches, copies and fills cost no event; arrays one each", () => {
    using device = openDevice("cuda:0")
    const handle = device.defaultStream.state.handle
    const [x, y] = [device.zeros("int32", 4), device.zeros("int32", 4)]
    affine.launch(once, 4, x, 1, 1)
    const calls = ordering(() => {
      for (let count = 0; count < 100; count++) {
        affine.launch(once, 4, x, 1, 1)
        y.copyFrom(x)
        x.fill(count)
      }
    })
    assert.deepEqual(calls, [])
    // Of memory that is handed out early, too.
    for (let count = 0; count < 3; count++) {
      assert.deepEqual(
        ordering(() => device.full("int32", 4, 1)),
        [["record", handle]],
      )
      device.empty("int32", 4).dispose()
    }
  })

  test("a stream that is already ordered behind the birth, as after a fork-join, queues no wait and no query", () => {
    using device = openDevice("cuda:0")
    using aux = device.createStream()
    const x = device.zeros("int32", 4)
    aux.wait(device.defaultStream)
    affine.launch({ ...once, stream: aux }, 4, x, 1, 1)
    const before = double.count("cuEventQuery")
    const calls = ordering(() => {
      for (let count = 0; count < 10; count++) affine.launch({ ...once, stream: aux }, 4, x, 1, 1)
    })
    assert.deepEqual(calls, [])
    assert.equal(double.count("cuEventQuery"), before)
  })

  test("on a stream in a foreign capture, first contents are part of that graph, and no stream waits for them", () => {
    using driver = open()
    const [captured, user] = [driver.streams.create(0), driver.streams.create(0)]
    driver.streams.foreignHandle(captured)
    driver.graphs.beginCapture(captured)
    const address = driver.memory.allocate(KIB, captured, never)
    driver.memory.fill(address, new Uint8Array(1), KIB, captured)
    assert.deepEqual(
      ordering(() => {
        driver.memory.noteContents(address, captured)
        assert.equal(driver.memory.orderBehindBirth(address, user), true)
      }),
      [],
    )
    driver.graphs.destroy(driver.graphs.endCapture(captured, undefined))
    launch(driver, user, noop)
    driver.memory.free(address, user, mark)
  })
})
