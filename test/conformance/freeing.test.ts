import assert from "node:assert/strict"
import { test } from "node:test"
import { type DeviceArray, executeInParallel, fork, maybeExecuteInParallel, parallel } from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, combine, over, prepare, spin } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

const length = 1000

forEachOpenDevice("freeing", (open) => {
  test("§6 freeing: memory is not reused while a use on another stream is queued", () => {
    using device = open()
    using reader = device.createStream()
    using sum = device.zeros("int32", length)
    const x = device.full("int32", length, 7)
    reader.wait(device.defaultStream)
    using latch = new Latch(device).hold(reader)
    combine.launch({ ...over(length), stream: reader }, length, x, sum)
    const { address } = x
    x.dispose()
    for (let count = 0; count < 100; count++) {
      const other = device.full("int32", length, -1)
      assert.notEqual(other.address, address)
      other.dispose()
    }
    device.defaultStream.synchronize()
    assert.ok(isHeld(reader))
    latch.open()
    assert.deepEqual(
      reader.run(() => sum.readSync()),
      new Int32Array(length).fill(7),
    )
    assert.equal(latch.timedOut, false)
  })

  test("§6 freeing: every reader counts, not only the last one", () => {
    using device = open()
    const readers = Array.from({ length: 3 }, () => device.createStream())
    const sums = readers.map(() => device.zeros("int32", length))
    const x = device.full("int32", length, 5)
    using latch = new Latch(device)
    readers.forEach((reader, index) => {
      reader.wait(device.defaultStream)
      if (index === 0) latch.hold(reader)
      const sum = sums[index]
      if (sum) combine.launch({ ...over(length), stream: reader }, length, x, sum)
    })
    const { address } = x
    x.dispose()
    readers[1]?.synchronize()
    readers[2]?.synchronize()
    const others = Array.from({ length: 20 }, () => device.full("int32", length, -1))
    device.defaultStream.synchronize()
    assert.ok(others.every((other) => other.address !== address))
    latch.open()
    device.synchronize()
    for (const sum of sums) assert.deepEqual(sum.readSync(), new Int32Array(length).fill(5))
    for (const thing of [...readers, ...sums, ...others]) thing.dispose()
    assert.equal(latch.timedOut, false)
  })

  test("§6 freeing: a stream ordered after another's last operation is not ordered after what that one has waited for since", () => {
    using device = open()
    using home = device.createStream()
    using reader = device.createStream()
    using other = device.createStream()
    const large = 2 ** 16
    using sum = device.zeros("int32", large)
    const x = home.run(() => device.full("int32", large, 7))
    other.wait(home)
    reader.wait(home)
    reader.wait(device.defaultStream)
    using latch = new Latch(device).hold(reader)
    combine.launch({ ...over(large), stream: reader }, large, x, sum)
    home.wait(reader)
    const { address } = x
    x.dispose() // Freed on its own stream, which has waited for the reader.
    const { reserved } = device.memory
    const taken: DeviceArray[] = []
    // Takes all memory that is known to be free.
    while (device.memory.reserved === reserved && taken.length < 100_000) {
      taken.push(other.run(() => device.empty("int32", large)))
    }
    assert.ok(taken.every((array) => array.address !== address))
    latch.open()
    assert.deepEqual(
      reader.run(() => sum.readSync()),
      new Int32Array(large).fill(7),
    )
    for (const array of taken) array.dispose()
    assert.equal(latch.timedOut, false)
  })

  test("§6 freeing: a free never makes a user's stream wait", () => {
    using device = open()
    using first = device.createStream()
    using second = device.createStream()
    using latch = new Latch(device).hold(first)
    const sum = second.run(() => device.zeros("int32", length))
    for (let round = 0; round < 50; round++) {
      const x = second.run(() => device.full("int32", length, round))
      const y = first.run(() => device.full("int32", length, round))
      second.run(() => combine.launch(over(length), length, x, sum))
      first.run(() => y.copyFrom(x))
      x.dispose()
      y.dispose()
    }
    second.synchronize()
    spin.launch({ grid: 1, block: 1 }, 1)
    device.defaultStream.synchronize()
    assert.ok(isHeld(first))
    latch.open()
    sum.dispose()
    device.synchronize()
    assert.equal(latch.timedOut, false)
  })

  test("§6 freeing: a loop on one stream that makes and drops outputs needs the memory of one or two", () => {
    using device = open()
    using latch = new Latch(device).hold()
    const addresses = new Set<number>()
    for (let round = 0; round < 1000; round++) {
      using x = device.full("int32", length, round)
      addresses.add(x.address)
    }
    assert.ok(addresses.size <= 2, `${addresses.size} addresses`)
    latch.open()
    device.synchronize()
    assert.equal(latch.timedOut, false)
  })

  test("§6 lifetime: an aux output disposed of while the caller's copy of it is queued is not overwritten", () => {
    using device = open()
    using aux = device.createStream()
    using event0 = device.createEvent()
    using event1 = device.createEvent()
    using copy = device.zeros("int32", length)
    using latch = new Latch(device)
    const [, output] = maybeExecuteInParallel(
      () => undefined,
      () => ({ nested: [device.full("int32", length, 7)] }),
      event0,
      event1,
      aux,
    )
    latch.hold()
    const [first] = output.nested
    assert.ok(first)
    copy.copyFrom(first)
    first.dispose()
    const [refill] = aux.run(() => [device.full("int32", length, -1)])
    aux.synchronize()
    assert.ok(isHeld(device.defaultStream))
    latch.open()
    assert.deepEqual(copy.readSync(), new Int32Array(length).fill(7))
    assert.deepEqual(refill.readSync(), new Int32Array(length).fill(-1))
    refill.dispose()
    assert.equal(latch.timedOut, false)
  })

  test("§6 lifetime: an input disposed of while fn1 still reads it is not overwritten", () => {
    using device = open()
    using aux = device.createStream()
    using event0 = device.createEvent()
    using event1 = device.createEvent()
    using latch = new Latch(device)
    using sum = device.zeros("int32", length)
    const input = device.full("int32", length, 9)
    maybeExecuteInParallel(
      () => undefined,
      () => {
        latch.hold()
        combine.launch(over(length), length, input, sum)
        input.dispose()
        device.full("int32", length, 4).dispose()
      },
      event0,
      event1,
      aux,
    )
    latch.open()
    assert.deepEqual(sum.readSync(), new Int32Array(length).fill(9))
    assert.equal(latch.timedOut, false)
  })

  test("§6 freeing: memory is freed even if the stream of the last use was disposed of", () => {
    using device = open()
    const { used } = device.memory
    for (let round = 0; round < 300; round++) {
      const stream = device.createStream()
      const x = device.full("int32", length, round)
      const y = stream.run(() => device.full("int32", length, 0))
      stream.wait(device.defaultStream)
      stream.run(() => y.copyFrom(x))
      stream.dispose()
      x.dispose()
      y.dispose()
    }
    device.synchronize()
    assert.equal(device.memory.used, used)
  })
})

forEachOpenDevice("freeing under load", (open) => {
  test("§6 freeing: thousands of outputs disposed of at once on busy streams give exact results in bounded memory", async () => {
    using device = open()
    await prepare(device)
    const streams = Array.from({ length: 4 }, () => device.createStream())
    const sums = streams.map((stream) => stream.run(() => device.zeros("int32", length)))
    device.synchronize()
    const expected = streams.map(() => 0)
    const { used } = device.memory
    let reserved = 0
    for (let round = 0; round < 4000; round++) {
      const at = round % streams.length
      const next = (at + 1) % streams.length
      const [producer, reader, sum] = [streams[at], streams[next], sums[next]]
      if (producer === undefined || reader === undefined || sum === undefined) throw new Error("unreachable")
      if (round % 7 === 0) spin.launch({ grid: 1, block: 1, stream: producer }, (round * 31) % 5000)
      const output = producer.run(() => {
        const made = device.full("int32", length, round)
        affine.launch(over(length), length, made, 3, 1)
        return made
      })
      reader.wait(producer)
      combine.launch({ ...over(length), stream: reader }, length, output, sum)
      output.dispose()
      expected[next] = (Math.imul(expected[next] ?? 0, 3) + 3 * round + 1) | 0
      // A caller far ahead of the device needs memory for everything queued, so this one waits now and then.
      if (round % 100 === 99) await reader.completed()
      if (round === 400) reserved = device.memory.reserved
    }
    device.synchronize()
    sums.forEach((sum, index) => assert.deepEqual(sum.readSync(), new Int32Array(length).fill(expected[index] ?? 0)))
    assert.equal(device.memory.used, used)
    assert.ok(device.memory.reserved <= 2 * reserved, `${device.memory.reserved} bytes after ${reserved}`)
    for (const thing of [...streams, ...sums]) thing.dispose()
  })

  test("§6 lifetime: thousands of fork-joins of all four kinds that drop their outputs use bounded memory", async () => {
    using device = open()
    await prepare(device)
    using aux = device.createStream()
    using event0 = device.createEvent()
    using event1 = device.createEvent()
    using sum = device.zeros("int32", length)
    const makes = (value: number) => () => {
      const made = device.full("int32", length, value)
      affine.launch(over(length), length, made, 5, 2)
      return made
    }
    let expected = 0
    const { used } = device.memory
    for (let round = 0; round < 3000; round++) {
      using input = device.full("int32", length, round)
      const reads = () => device.zeros("int32", length).copyFrom(input)
      const outputs = [
        () => maybeExecuteInParallel(makes(round), reads, event0, event1, aux),
        () => {
          const [main, others] = executeInParallel(makes(round), [reads], event0, [event1], [aux])
          return [main, ...others]
        },
        () => {
          const forked = fork(reads)
          return [makes(round)(), forked.join()]
        },
        () => parallel([makes(round), reads]),
      ][round % 4]?.()
      const [main, other] = outputs ?? []
      if (main === undefined || other === undefined) throw new Error("unreachable")
      combine.launch(over(length), length, main, sum)
      combine.launch(over(length), length, other, sum)
      main.dispose()
      other.dispose()
      expected = (Math.imul((Math.imul(expected, 3) + 5 * round + 2) | 0, 3) + round) | 0
      if (round % 100 === 99) await device.defaultStream.completed()
    }
    assert.deepEqual(sum.readSync(), new Int32Array(length).fill(expected))
    device.synchronize()
    assert.equal(device.memory.used, used)
    assert.ok(device.memory.reserved < 64 * 2 ** 20, `${device.memory.reserved} bytes`)
  })
})
