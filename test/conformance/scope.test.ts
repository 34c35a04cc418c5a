import assert from "node:assert/strict"
import { test } from "node:test"
import { type Device, type DeviceArray, maybeExecuteInParallel, parallel } from "../../src/index.js"
import { forEachOpenDevice, openOther } from "../support/devices.js"
import { affine, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

function one(device: Device, value = 1): DeviceArray<"int32"> {
  return device.full("int32", 10, value)
}

forEachOpenDevice("scope", (open) => {
  test("§4 scope: disposes of arrays made inside and not returned, and of no others", () => {
    using device = open()
    using outside = one(device)
    const made: DeviceArray[] = []
    const before = device.memory.used
    const kept = device.scope(() => {
      for (let value = 0; value < 5; value++) made.push(one(device, value))
      made.push(device.zeros("int32", 3), device.from(Int32Array.of(1)), device.empty("int32", 2))
      return made[3]
    })
    assert.deepEqual(
      made.map((array) => array.disposed),
      [true, true, true, false, true, true, true, true],
    )
    assert.equal(outside.disposed, false)
    assert.deepEqual(kept?.readSync(), new Int32Array(10).fill(3))
    kept?.dispose()
    device.synchronize()
    assert.equal(device.memory.used, before)
  })

  test("§4 scope: keeps returned arrays in any nesting of objects, arrays, maps and sets, cycles and views included", () => {
    using device = open()
    const [plain, listed, mapped, key, member, viewed, lost] = device.scope(() => {
      const all = Array.from({ length: 7 }, (_, value) => one(device, value))
      const [plain, listed, mapped, key, member, viewed] = all
      const result: Record<string, unknown> = {
        plain,
        list: [[1, [listed]]],
        map: new Map<unknown, unknown>([[{ key }, { mapped }]]),
        set: new Set([member]),
        view: viewed?.subarray(2).subarray(1),
        bytes: new Uint8Array(4),
        none: null,
      }
      result["self"] = result
      return Object.assign(all, { result })
    })
    // The result was the list of all seven, so all are kept.
    for (const array of [plain, listed, mapped, key, member, viewed, lost]) assert.equal(array?.disposed, false)

    const seen: DeviceArray[] = []
    device.scope(() => {
      for (const array of [plain, listed, mapped, key, member, viewed, lost]) if (array) seen.push(array)
      const view = one(device).subarray(5)
      seen.push(view)
      return { deep: [{ view }] }
    })
    assert.ok(seen.every((array) => !array.disposed))
    for (const array of seen) array.dispose()
    seen.at(-1)?.base.dispose()
  })

  test("§4 scope: disposes of arrays in objects that are not returned", () => {
    using device = open()
    const parts: DeviceArray[] = []
    const kept = device.scope(() => {
      parts.push(one(device), one(device), one(device))
      return { first: parts[0], list: [parts[1]] }
    })
    assert.deepEqual(
      parts.map((array) => array.disposed),
      [false, false, true],
    )
    kept.first?.dispose()
    kept.list[0]?.dispose()
  })

  test("§4 scope: an inner scope's result belongs to the outer one", () => {
    using device = open()
    const made: DeviceArray[] = []
    const areDisposed = () => made.map((array) => array.disposed)
    const result = device.scope(() => {
      const inner = device.scope(() => {
        made.push(one(device), one(device, 2))
        return made[1]
      })
      assert.equal(inner, made[1])
      assert.deepEqual(areDisposed(), [true, false])
      return 42
    })
    assert.equal(result, 42)
    assert.deepEqual(areDisposed(), [true, true])
  })

  test("§4 scope: after a throw, disposes of all arrays made inside, and rethrows the error itself", () => {
    using device = open()
    const made: DeviceArray[] = []
    const error = new Error("on purpose")
    assert.throws(
      () =>
        device.scope(() => {
          made.push(one(device), one(device))
          throw error
        }),
      (thrown) => thrown === error,
    )
    assert.ok(made.every((array) => array.disposed))
    using after = one(device)
    assert.equal(device.scope(() => after).disposed, false)
  })

  test("§4 scope: the scope of an async function ends when its promise settles; concurrent flows have separate scopes", async () => {
    using device = open()
    const made: DeviceArray[] = []
    const results = await Promise.all(
      [1, 2, 3].map((value) =>
        device.scope(async () => {
          const first = one(device, value)
          await new Promise(setImmediate)
          const second = one(device, value)
          made.push(first, second)
          assert.equal(first.disposed, false)
          affine.launch(over(10), 10, second, 1, 1)
          await Promise.resolve()
          return { second }
        }),
      ),
    )
    assert.deepEqual(
      made.map((array) => array.disposed),
      [true, false, true, false, true, false],
    )
    results.forEach(({ second }, index) => {
      assert.deepEqual(second.readSync(), new Int32Array(10).fill(index + 2))
      second.dispose()
    })
    const lost: DeviceArray[] = []
    await assert.rejects(
      device.scope(async () => {
        lost.push(one(device))
        await Promise.resolve()
        throw new RangeError("on purpose")
      }),
      RangeError,
    )
    assert.ok(lost.every((array) => array.disposed))
  })

  test("§4 scope: concerns only arrays of its own device", () => {
    using device = open()
    using other = openOther()
    const made: DeviceArray[] = []
    const areDisposed = () => made.map((array) => array.disposed)
    device.scope(() => {
      made.push(one(other))
      other.scope(() => void made.push(one(device)))
      assert.deepEqual(areDisposed(), [false, false])
    })
    assert.deepEqual(areDisposed(), [false, true])
    made[0]?.dispose()
  })

  test("§4 scope: leaves wrapped memory, pinned arrays, streams and events alone", () => {
    using device = open()
    using owner = one(device)
    const [wrapped, pinned, event, stream] = [[], [], [], []] as unknown[][]
    device.scope(() => {
      wrapped?.push(device.wrap(owner.address, "int32", 10))
      pinned?.push(device.pinned("int32", 1))
      event?.push(device.createEvent())
      stream?.push(device.createStream())
    })
    for (const [kept] of [wrapped, pinned, event, stream].map((list) => list ?? [])) {
      assert.ok(typeof kept === "object" && kept !== null && "disposed" in kept && "dispose" in kept)
      assert.equal(kept.disposed, false)
      Reflect.apply(kept.dispose as () => void, kept, [])
    }
  })

  test("§6 scope: arrays that other streams still use are disposed of at the end, and these uses see the old contents", () => {
    using device = open()
    using aux = device.createStream()
    using event0 = device.createEvent()
    using event1 = device.createEvent()
    using result = device.zeros("int32", 10)
    using latch = new Latch(device)
    const memory = device.memory.used
    for (let round = 0; round < 50; round++) {
      if (round === 25) latch.hold(aux)
      device.scope(() => {
        const input = one(device, round)
        const [, output] = maybeExecuteInParallel(
          () => undefined,
          () => {
            const copy = one(device, 0).copyFrom(input)
            affine.launch(over(10), 10, copy, 2, 1)
            return copy
          },
          event0,
          event1,
          aux,
        )
        result.copyFrom(output)
      })
      parallel([() => one(device, -1), () => one(device, -1)]).forEach((array) => array.dispose())
      if (round === 25) latch.open()
      assert.deepEqual(result.readSync(), new Int32Array(10).fill(2 * round + 1))
    }
    device.synchronize()
    assert.equal(device.memory.used, memory)
    assert.equal(latch.timedOut, false)
  })
})
