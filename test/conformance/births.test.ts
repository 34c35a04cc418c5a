import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, currentStream, type Device, type DeviceArray, runIf, type Stream } from "../../src/index.js"
import { KernelError } from "../../src/common/errors.js"
import { forEachOpenDevice, onHost } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, once, over, prepare, spin, throwing } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

const length = 1000

/** The ways to make an array with first contents: 7 in every element. */
const withContents: readonly (readonly [string, (device: Device) => DeviceArray<"int32">])[] = [
  ["full", (device) => device.full("int32", length, 7)],
  ["from", (device) => device.from(new Int32Array(length).fill(7))],
  ["zeros", (device) => device.zeros("int32", length)],
]

const change = (x: DeviceArray<"int32">, a: number, b: number, stream: Stream) =>
  affine.launch({ ...over(x.length), stream }, x.length, x, a, b)

/** Whether each array is an allocation of CUDA's own, which exists only once its stream gets there. */
function isTheDriversOwn(device: Device): boolean {
  return device.kind === "cuda" && process.env["AUXSTREAM_CUDA_MEMORY"] === "driver"
}

/** An array whose memory is handed out while its earlier use is still queued on the stream, held by the latch. */
function handedOutEarly(device: Device, stream: Stream): DeviceArray<"int32"> {
  return stream.run(() => {
    const former = device.empty("int32", length)
    change(former, 0, -1, stream)
    const { address } = former
    former.dispose()
    const early = device.empty("int32", length)
    assert.equal(early.address, address)
    return early
  })
}

forEachOpenDevice("births", (open) => {
  test("§4 whose order: unused memory is available at once, whatever its stream has queued", async () => {
    using device = open()
    await prepare(device)
    using home = device.createStream()
    using user = device.createStream()
    device.synchronize()
    using latch = new Latch(device).hold(home)
    using x = home.run(() => device.empty("int32", length))
    user.run(() => x.fill(4))
    assert.equal(isHeld(user), isTheDriversOwn(device))
    assert.equal(home.query(), false)
    latch.open()
    assert.deepEqual(
      user.run(() => x.readSync()),
      new Int32Array(length).fill(4),
    )
    device.synchronize()
    assert.equal(latch.timedOut, false)
  })

  for (const [name, make] of withContents) {
    test(`§4 whose order: the first use of an array from ${name}() waits for its contents`, () => {
      using device = open()
      using home = device.createStream()
      using user = device.createStream()
      using latch = new Latch(device).hold(home)
      using x = home.run(() => make(device))
      change(x, 2, 1, user)
      assert.ok(isHeld(user))
      latch.open()
      assert.deepEqual(
        user.run(() => x.readSync()),
        new Int32Array(length).fill(name === "zeros" ? 1 : 15),
      )
      assert.equal(latch.timedOut, false)
    })

    test(`§4 whose order: the first use of an array from ${name}() waits for nothing that its stream queued later`, () => {
      using device = open()
      using home = device.createStream()
      using user = device.createStream()
      using x = home.run(() => make(device))
      using latch = new Latch(device).hold(home)
      change(x, 2, 1, user)
      assert.deepEqual(
        user.run(() => x.readSync()),
        new Int32Array(length).fill(name === "zeros" ? 1 : 15),
      )
      assert.ok(isHeld(home))
      latch.open()
      device.synchronize()
      assert.equal(latch.timedOut, false)
    })
  }

  test("§4 whose order: another stream uses memory that was handed out early once its former use is over, and not later", () => {
    using device = open()
    using home = device.createStream()
    using user = device.createStream()
    using before = new Latch(device).hold(home)
    using x = handedOutEarly(device, home)
    using after = new Latch(device).hold(home)
    user.run(() => x.fill(3))
    assert.ok(isHeld(user))
    before.open()
    assert.deepEqual(
      user.run(() => x.readSync()),
      new Int32Array(length).fill(3),
    )
    assert.ok(isHeld(home))
    after.open()
    device.synchronize()
    assert.equal(before.timedOut || after.timedOut, false)
  })

  test("§4 whose order: each stream waits for the birth itself, and so do reads, copies and other libraries' work", async () => {
    using device = open()
    using home = device.createStream()
    const users = Array.from({ length: 3 }, () => device.createStream())
    const [reader, copier, external] = users
    if (reader === undefined || copier === undefined || external === undefined) return assert.fail()
    using copy = copier.run(() => device.empty("int32", length))
    using latch = new Latch(device).hold(home)
    using x = home.run(() => device.full("int32", length, 7))
    const read = reader.run(() => x.read())
    copier.run(() => copy.copyFrom(x))
    external.external({ reads: [x] }, () => {})
    for (const user of users) assert.ok(isHeld(user), user.name)
    latch.open()
    assert.deepEqual(
      copier.run(() => copy.readSync()),
      new Int32Array(length).fill(7),
    )
    for (const user of users) user.synchronize()
    assert.equal(latch.timedOut, false)
    assert.deepEqual(await read, new Int32Array(length).fill(7))
    for (const user of users) user.dispose()
  })

  test("§4 whose order: the wait for a birth teaches the clocks nothing: a wait for the array's stream is still sent", () => {
    using device = open()
    using home = device.createStream()
    using user = device.createStream()
    using latch = new Latch(device).hold(home)
    using y = home.run(() => device.empty("int32", length))
    home.run(() => y.fill(1))
    latch.open()
    using x = home.run(() => device.zeros("int32", length))
    using again = new Latch(device).hold(home)
    change(x, 1, 1, user)
    user.synchronize()
    user.wait(home)
    assert.ok(isHeld(user))
    again.open()
    user.synchronize()
    assert.equal(latch.timedOut || again.timedOut, false)
  })

  test("§6 freeing: an array that only another stream used is freed there, and its memory reused there while its own stream is held", () => {
    using device = open()
    using home = device.createStream()
    using user = device.createStream()
    const x = home.run(() => device.full("int32", length, 7))
    const { address } = x
    using latch = new Latch(device).hold(home)
    change(x, 2, 0, user)
    x.dispose()
    user.synchronize()
    const { reserved } = device.memory
    using again = user.run(() => device.full("int32", length, 5))
    assert.equal(device.memory.reserved, reserved)
    // CUDA's own pool may hand out any of its free blocks.
    if (process.env["AUXSTREAM_CUDA_MEMORY"] !== "driver") assert.equal(again.address, address)
    assert.deepEqual(
      user.run(() => again.readSync()),
      new Int32Array(length).fill(5),
    )
    assert.ok(isHeld(home))
    latch.open()
    device.synchronize()
    assert.equal(latch.timedOut, false)
  })

  test("§6 freeing: an unused array whose stream has been disposed of is freed behind its birth", () => {
    using device = open()
    const { used } = device.memory
    const home = device.createStream()
    using latch = new Latch(device).hold(home)
    const arrays = [...withContents.map(([, make]) => home.run(() => make(device))), handedOutEarly(device, home)]
    home.dispose()
    for (const array of arrays) array.dispose()
    using other = device.full("int32", length, 3)
    assert.ok(arrays.every(({ address }) => address !== other.address))
    latch.open()
    device.synchronize()
    assert.deepEqual(other.readSync(), new Int32Array(length).fill(3))
    other.dispose()
    assert.equal(device.memory.used, used)
    assert.equal(latch.timedOut, false)
  })
})

forEachOpenDevice("births and graphs", (open) => {
  test("§4 whose order: a graph's launches wait for the births of its arrays, and for nothing later", () => {
    using device = open()
    using home = device.createStream()
    const users = [device.createStream(), device.createStream()]
    using before = new Latch(device).hold(home)
    using x = home.run(() => device.full("int32", length, 7))
    using after = new Latch(device).hold(home)
    using graph = captureGraph(() => change(x, 2, 1, currentStream(device)))
    for (const user of users) graph.launch(user)
    for (const user of users) assert.ok(isHeld(user))
    before.open()
    for (const user of users) user.synchronize()
    assert.ok(isHeld(home))
    assert.deepEqual(
      users[1]?.run(() => x.readSync()),
      new Int32Array(length).fill(31),
    )
    after.open()
    device.synchronize()
    for (const user of users) user.dispose()
    assert.equal(before.timedOut || after.timedOut, false)
  })

  for (const [name, make] of withContents) {
    test(`§4 whose order: in a capture, the first use of an array from ${name}() gets an edge from the contents alone`, () => {
      using device = open()
      using other = device.createStream()
      using result = device.full("int32", length, -1)
      using y = device.full("int32", length, 1)
      using graph = captureGraph(() => {
        const root = currentStream(device)
        change(y, 3, 0, root)
        other.wait(root)
        const x = make(device)
        change(y, 1, 1, root)
        change(y, 1, 1, root)
        change(x, 2, 1, other)
        other.run(() => result.copyFrom(x))
      })
      assert.deepEqual(graph.edges, [
        [0, 1],
        [1, 2],
        [2, 3],
        [1, 4],
        [4, 5],
      ])
      for (let launch = 0; launch < 20; launch++) {
        result.fill(-1)
        graph.launch()
        assert.deepEqual(result.readSync(), new Int32Array(length).fill(name === "zeros" ? 1 : 15))
      }
    })
  }

  test("§4 whose order: in a capture, reused memory begins behind its former use", () => {
    using device = open()
    using other = device.createStream()
    using graph = captureGraph(() => {
      const root = currentStream(device)
      other.wait(root)
      const former = device.empty("int32", length)
      change(former, 0, 1, root)
      const { address } = former
      former.dispose()
      const x = device.empty("int32", length)
      assert.equal(x.address, address)
      const y = device.empty("int32", length)
      change(y, 0, 2, root)
      other.run(() => x.fill(3))
      return x
    })
    assert.deepEqual(graph.edges, [
      [0, 1],
      [0, 2],
    ])
    graph.launch()
    assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(3))
  })

  test("§4 whose order: the body of a conditional may use an array whose birth is ordered before it; any other is refused", () => {
    using device = open()
    using other = device.createStream({ name: "the maker" })
    using flag = device.full("int32", 1, 1)
    const build = (prepareArray: (x: DeviceArray<"int32">, maker: Stream) => void) => () => {
      const root = currentStream(device)
      other.wait(root)
      const x = other.run(() => device.full("int32", length, 7))
      prepareArray(x, other)
      runIf(flag, () => {
        runIf(flag, () => change(x, 2, 1, currentStream(device)))
      })
      return x
    }
    refused(() => captureGraph(build(() => {})), "AUX_STREAM_CAPTURING", "the maker", "wait")
    for (const prepareArray of [
      (_: DeviceArray, maker: Stream) => currentStream(device).wait(maker),
      (x: DeviceArray<"int32">) => change(x, 1, 0, currentStream(device)),
    ]) {
      using graph = captureGraph(build(prepareArray))
      graph.launch()
      assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(15))
    }
  })
})

onHost("births on streams that break", (open) => {
  /** What a call returns or throws. */
  function outcomeOf<T>(call: () => T): T | KernelError {
    try {
      return call()
    } catch (error) {
      if (error instanceof KernelError) return error
      throw error
    }
  }

  /** The result of the stream's work. */
  const outcome = (stream: Stream): Promise<unknown> =>
    stream.completed().then(
      () => undefined,
      (error: unknown) => error,
    )

  test("§4 whose order: a failure behind the birth breaks no stream that uses the array, whether it is known yet or not", async () => {
    using device = open()
    for (const isKnown of [false, true]) {
      using home = device.createStream()
      using user = device.createStream()
      using latch = new Latch(device).hold(home)
      using x = home.run(() => device.full("int32", length, 7))
      throwing.launch({ ...once, stream: home }, 1)
      if (isKnown) {
        latch.open()
        assert.ok((await outcome(home)) instanceof KernelError)
      }
      change(x, 2, 1, user)
      latch.open()
      assert.deepEqual(await user.run(() => x.read()), new Int32Array(length).fill(15))
      assert.ok((await outcome(home)) instanceof KernelError)
    }
  })

  test("§4 whose order: an array without contents breaks no other stream, even if its own stream was already broken", async () => {
    using device = open()
    for (const make of [handedOutEarly, (of: Device) => of.empty("int32", length)]) {
      using home = device.createStream()
      using user = device.createStream()
      using latch = new Latch(device).hold(home)
      throwing.launch({ ...once, stream: home }, 1)
      using x = home.run(() => make(device, home))
      user.run(() => x.fill(5))
      latch.open()
      assert.deepEqual(await user.run(() => x.read()), new Int32Array(length).fill(5))
      assert.ok((await outcome(home)) instanceof KernelError)
    }
  })

  test("§4 whose order: using skipped contents fails as soon as the failure is known", async () => {
    using device = open()
    using home = device.createStream()
    using user = device.createStream()
    using slow = device.createStream()
    using before = new Latch(device).hold(home)
    using after = new Latch(device).hold(slow)
    throwing.launch({ ...once, stream: home }, 1)
    home.wait(slow)
    using x = home.run(() => device.full("int32", length, 7))
    change(x, 2, 1, user)
    const failure = outcome(user)
    before.open()
    const error = await failure
    assert.ok(error instanceof KernelError)
    assert.match(error.message, /thrown on purpose: 1/)
    assert.equal(slow.query(), false)
    after.open()
    assert.equal(await outcome(slow), undefined)
    assert.equal(before.timedOut || after.timedOut, false)
  })

  test("§4 whose order: whenever a stream breaks, a use of its arrays gets the whole contents, or the failure", async () => {
    using device = open()
    await prepare(device)
    await throwing.prepare(device)
    for (let round = 0; round < 400; round++) {
      using home = device.createStream()
      using slow = device.createStream()
      const users = Array.from({ length: 3 }, () => device.createStream())
      const breaksBefore = round % 2 === 0
      spin.launch({ ...once, stream: slow }, (round * 37) % 5000)
      if (round % 4 < 2) home.wait(slow)
      spin.launch({ ...once, stream: home }, (round * 61) % 2000)
      if (breaksBefore) throwing.launch({ ...once, stream: home }, round)
      const made = outcomeOf(() => home.run(() => device.full("int32", length, 7)))
      if (made instanceof KernelError) continue
      if (!breaksBefore) throwing.launch({ ...once, stream: home }, round)
      const use = async (user: Stream): Promise<unknown> => {
        using copy = user.run(() => device.empty("int32", length).copyFrom(made))
        change(copy, 2, 1, user)
        return user.run(() => copy.read())
      }
      for (const user of users) {
        const seen = await use(user).catch((error: unknown) => error)
        if (breaksBefore) assert.ok(seen instanceof KernelError, String(seen))
        else assert.deepEqual(seen, new Int32Array(length).fill(15))
        user.dispose()
      }
      made.dispose()
    }
  })

  test("§6 freeing: memory handed out early is not touched before its former use is over, even if its stream breaks", async () => {
    using device = open()
    using home = device.createStream()
    using user = device.createStream()
    using reader = device.createStream()
    using seen = device.pinned("int32", length)
    using latch = new Latch(device)
    const former = home.run(() => device.full("int32", length, 7))
    reader.wait(home)
    latch.hold(reader)
    reader.run(() => seen.copyFrom(former))
    throwing.launch({ ...once, stream: home }, 1)
    home.wait(reader)
    const { address } = former
    former.dispose()
    using x = home.run(() => device.empty("int32", length))
    assert.equal(x.address, address)
    user.run(() => x.fill(5))
    assert.ok(isHeld(user))
    latch.open()
    await user.completed()
    assert.deepEqual(seen.array, new Int32Array(length).fill(7))
    assert.equal(latch.timedOut, false)
  })
})
