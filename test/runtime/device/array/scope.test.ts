import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import {
  captureGraph,
  type Device,
  type DeviceArray,
  type Fork,
  fork,
  openDevice,
  withMultiStream,
} from "../../../../src/index.js"
import { Scope } from "../../../../src/runtime/device/array/scope.js"
import { collectUntil } from "../../../support/collect.js"
import { Collected } from "../../../support/collected.js"

let device: Device

before(() => {
  device = openDevice("host", { threads: 2 })
})
after(() => device.dispose())

function one(): DeviceArray<"int32"> {
  return device.full("int32", 4, 1)
}

/** Runs a scope whose result holds an array in some way. @returns whether the array is kept */
function keeps(wrap: (array: DeviceArray) => unknown): boolean {
  const made: DeviceArray[] = []
  device.scope(() => {
    const array = one()
    made.push(array)
    return wrap(array)
  })
  const kept = made.every((array) => !array.disposed)
  for (const array of made) array.dispose()
  return kept
}

test("§4 scope: keeps everything reachable from its result", () => {
  class Holder {
    constructor(readonly array: DeviceArray) {}
  }
  const deep = (array: DeviceArray): unknown => {
    let nested: unknown = array
    for (let depth = 0; depth < 20_000; depth++) nested = [nested]
    return nested
  }
  const ways: Record<string, (array: DeviceArray) => unknown> = {
    itself: (array) => array,
    "a view": (array) => array.subarray(1),
    "a list": (array) => [array],
    "an object": (array) => ({ array }),
    "a class's object": (array) => new Holder(array),
    "an object without a prototype": (array) => Object.setPrototypeOf({ array }, null) as unknown,
    "a map's value": (array) => new Map([["key", array]]),
    "a map's key": (array) => new Map([[array, 1]]),
    "a set": (array) => new Set([array]),
    "a list with holes": (array) => Object.assign([], { 5: array }),
    "20000 levels": deep,
    "a cycle": (array) => {
      const result: Record<string, unknown> = { array }
      result["self"] = [result]
      return result
    },
    "beside typed arrays and nothing": (array) => [
      null,
      undefined,
      new Float64Array(9),
      "text",
      5n,
      Symbol("x"),
      array,
    ],
  }
  for (const [name, wrap] of Object.entries(ways)) assert.equal(keeps(wrap), true, name)
  assert.equal(
    keeps(() => undefined),
    false,
  )
  assert.equal(
    keeps((array) => [array.address]),
    false,
  )
})

test("§4 scope: getters that throw neither leak arrays nor hide the result", () => {
  const made: DeviceArray[] = []
  const result = device.scope(() => {
    made.push(one(), one())
    return {
      kept: made[0],
      get trap(): unknown {
        throw new Error("of the getter")
      },
    }
  })
  assert.deepEqual(
    made.map((array) => array.disposed),
    [false, true],
  )
  result.kept?.dispose()
})

test("§4 scope: rethrows any thrown value unchanged", () => {
  for (const thrown of [new Error("on purpose"), "text", undefined, null]) {
    let caught: unknown = "nothing"
    try {
      device.scope(() => {
        throw thrown
      })
    } catch (error) {
      caught = error
    }
    assert.equal(caught, thrown)
  }
})

test("§4 scope: adopts a thenable once, and ends when it settles", async () => {
  const made: DeviceArray[] = []
  let calls = 0
  const result = device.scope(() => {
    made.push(one())
    const thenable: PromiseLike<DeviceArray> = {
      then: (resolve) => {
        calls += 1
        const kept = one()
        made.push(kept)
        return Promise.resolve(kept).then(resolve)
      },
    }
    return thenable
  })
  const kept = await result
  assert.equal(calls, 1)
  assert.deepEqual(
    made.map((array) => array.disposed),
    [true, false],
  )
  assert.equal(kept, made[1])
  kept.dispose()
})

test("§4 scope: owns arrays made inside in forks and in runs of other streams", () => {
  using stream = device.createStream()
  const made: DeviceArray[] = []
  device.scope(() => {
    stream.run(() => made.push(one()))
    const forked = fork(() => made.push(one()))
    forked.join()
  })
  assert.ok(made.every((array) => array.disposed))
  assert.equal(made.length, 2)
})

test("§4 scope: the end of an outer scope ignores arrays that are disposed of already or were made later", async () => {
  const late: DeviceArray[] = []
  const made: DeviceArray[] = []
  let finish = () => {}
  const finished = new Promise<void>((resolve) => (finish = resolve))
  let later: Promise<void> | undefined
  device.scope(() => {
    const array = one()
    made.push(array)
    array.dispose()
    later = finished.then(() => void late.push(one()))
  })
  finish()
  await later
  assert.equal(made[0]?.disposed, true)
  assert.equal(late[0]?.disposed, false)
  late[0]?.dispose()
})

test("§4 scope: keeps the result of a fork or a graph in its result", () => {
  for (const enabled of [true, false]) {
    assert.equal(
      withMultiStream(enabled, () => keeps((array) => [fork(() => ({ array }))])),
      true,
    )
  }
  assert.equal(
    keeps((array) => captureGraph(() => ({ array }), { device })),
    true,
  )
  const forked = device.scope(() => fork(() => [one(), fork(one)] as const))
  const [first, inner] = forked.join()
  assert.deepEqual([...first.readSync(), ...inner.join().readSync()], [1, 1, 1, 1, 1, 1, 1, 1])
  first.dispose()
  inner.join().dispose()
})

test("§4 scope: ends when the async forks in its result have settled, and keeps their results", async () => {
  const made: DeviceArray[] = []
  let finish = () => {}
  const finished = new Promise<void>((resolve) => (finish = resolve))
  const states = () => made.map((array) => array.disposed)
  let forked: Fork<Promise<DeviceArray>> | undefined
  let failing: Fork<Promise<DeviceArray>> | undefined
  const outer = device.scope(async () => {
    ;[forked, failing] = device.scope(() => {
      made.push(one())
      const make = async () => {
        made.push(one())
        await finished
        const result = one()
        made.push(result)
        return result
      }
      const fail = async () => {
        await make()
        throw new Error("on purpose")
      }
      return [fork(make), fork(fail)] as const
    })
    assert.deepEqual(states(), [false, false, false])
    finish()
    await forked.join()
    await assert.rejects(failing.join(), /on purpose/)
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(states(), [true, true, true, false, true])
  })
  await outer
  assert.deepEqual(states(), [true, true, true, true, true])
})

test("§4 scope: a long scope does not keep arrays that were disposed of inside", async () => {
  const arrays = new Collected()
  await device.scope(async () => {
    const make = () => arrays.watch(one()).dispose()
    for (let count = 0; count < 10; count++) make()
    await collectUntil(() => arrays.count === 10, "arrays that were disposed of")
  })
})

test("§4 scope: arrays made by a timer started inside belong to the outer scope, or to none", async () => {
  const made: DeviceArray[] = []
  let forgotten = new Collected()
  const forget = () => void forgotten.watch(one())
  const makeLater = () =>
    new Promise<void>((resolve) => {
      device.scope(() => {
        setImmediate(() => {
          made.push(one())
          for (let count = 0; count < 10; count++) forget()
          device.scope(() => made.push(one()))
          resolve()
        })
      })
    })
  await device.scope(makeLater)
  assert.deepEqual(
    made.map((array) => array.disposed),
    [true, true],
  )
  forgotten = new Collected()
  await makeLater()
  assert.deepEqual(
    made.map((array) => array.disposed),
    [true, true, false, true],
  )
  made[2]?.dispose()
  await collectUntil(() => forgotten.count === 10, "arrays that were forgotten")
})

test("§4 scope: a scope that begins inside an ended one does not keep it", () => {
  const outer = new Scope(device, undefined)
  const ended = new Scope(device, outer)
  ended.endAfter(() => undefined)
  assert.equal(new Scope(device, ended).outer, outer)
})
