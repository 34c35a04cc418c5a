import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { matmul } from "../../src/blas/index.js"
import {
  captureGraph,
  type Device,
  type DeviceArray,
  type DType,
  type Graph,
  parallel,
  runIf,
  runWhile,
  type ScalarOf,
} from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, combine, once, over, prepare } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

/**
 * `graph.update` with every kind of operation that a graph can have: with other values and other arrays of the same
 * shape, and with an operation of another kind.
 */

const length = 300
const rounds = 7

/** An operation of a graph in a test: it writes a number that depends on the round. */
interface Operation {
  /** The function captured in a round. Odd rounds use other arrays than even ones. */
  program(round: number): () => void
  /** Compares the contents on the device with the expected ones. */
  check(round: number): void
}

type Kind = (device: Device) => Operation

const value = (round: number) => 3 + round

function pair<T>(make: (which: number) => T): (round: number) => T {
  const both = [make(0), make(1)] as const
  return (round) => both[round % 2 === 0 ? 0 : 1]
}

function holds(
  array: { readonly length: number },
  actual: ArrayLike<number | bigint>,
  expected: number | bigint,
): void {
  assert.deepEqual([...new Set(Array.from(actual))], [expected])
  assert.equal(actual.length, array.length)
}

/** An operation that fills a whole int32 array with the round's value. */
function writing(device: Device, write: (out: DeviceArray<"int32">, round: number) => void): Operation {
  const out = pair(() => device.zeros("int32", length))
  return {
    program: (round) => () => write(out(round), round),
    check: (round) => holds(out(round), out(round).readSync(), value(round)),
  }
}

function filling<D extends DType>(dtype: D, scalar: (round: number) => ScalarOf<D>): Kind {
  return (device) => {
    const out = pair(() => device.zeros(dtype, length))
    return {
      program: (round) => () => void out(round).fill(scalar(round)),
      check: (round) => {
        const actual: ArrayLike<number | bigint> = out(round).readSync()
        holds(out(round), actual, scalar(round))
      },
    }
  }
}

function setting(x: DeviceArray<"int32">, to: number): void {
  affine.launch(over(x.length), x.length, x, 0, to)
}

const kinds: Readonly<Record<string, Kind>> = {
  "a launch": (device) => writing(device, (out, round) => setting(out, value(round))),
  "launches on two branches": (device) => {
    const half = length / 2
    return writing(device, (out, round) => {
      parallel([
        () => setting(out.subarray(0, half), value(round)),
        () => setting(out.subarray(half, length), value(round)),
      ])
    })
  },
  "a fill of 1 byte": filling("uint8", value),
  "a fill of 2 bytes": filling("uint16", (round) => 0x1234 + round),
  "a fill of 4 bytes": filling("float32", (round) => 1.5 + round),
  "a fill of 8 bytes with two equal halves": filling("int64", (round) => 0x1_0000_0001n * BigInt(value(round))),
  "a fill of 8 bytes with two different halves": filling("float64", (round) => 1.1 + round),
  "a copy from a device array": (device) => {
    const source = pair((which) => device.full("int32", length, value(which)))
    const out = pair(() => device.zeros("int32", length))
    return {
      program: (round) => () => void out(round).copyFrom(source(round)),
      check: (round) => holds(out(round), out(round).readSync(), value(round % 2)),
    }
  },
  "a copy from a pinned array": (device) => {
    const source = pair((which) => {
      const pinned = device.pinned("int32", length)
      pinned.array.fill(value(which))
      return pinned
    })
    const out = pair(() => device.zeros("int32", length))
    return {
      program: (round) => () => void out(round).copyFrom(source(round)),
      check: (round) => holds(out(round), out(round).readSync(), value(round % 2)),
    }
  },
  "a copy to a pinned array": toPinned(length, length),
  "a copy of one element to a pinned array": toPinned(1, 1),
  "a copy of a part to a pinned array": toPinned(length, 7),
  "a typed array's upload": (device) =>
    writing(device, (out, round) => out.copyFrom(new Int32Array(length).fill(value(round)))),
  "a large typed array's upload": (device) => {
    const large = 300_000
    const out = pair(() => device.zeros("int32", large))
    return {
      program: (round) => () => void out(round).copyFrom(new Int32Array(large).fill(value(round))),
      check: (round) => holds(out(round), out(round).readSync(), value(round)),
    }
  },
  "an array that is made inside": (device) =>
    writing(device, (out, round) => {
      using made = device.full("int32", length, value(round))
      out.copyFrom(made)
    }),
  "a product": (device) => {
    const shape = { m: 4, n: 4, k: 4 }
    const [a, b] = [device.full("float32", 16, 1), device.full("float32", 16, 1)]
    const out = pair(() => device.zeros("float32", 16))
    return {
      program: (round) => () => matmul({ a, b, out: out(round), ...shape, alpha: value(round) }),
      check: (round) => holds(out(round), out(round).readSync(), 4 * value(round)),
    }
  },
  "a graph inside": (device) => {
    const out = pair(() => device.zeros("int32", length))
    const inner = pair((which) => captureGraph(() => setting(out(which), value(which)), { device }))
    return {
      program: (round) => () => inner(round).launch(),
      check: (round) => holds(out(round), out(round).readSync(), value(round % 2)),
    }
  },
  "a graph inside that copies to a pinned array": (device) => {
    const source = pair((which) => device.full("int32", length, value(which)))
    const out = pair(() => device.pinned("int32", length))
    const inner = pair((which) => captureGraph(() => void out(which).copyFrom(source(which)), { device }))
    return {
      program: (round) => () => inner(round).launch(),
      check: (round) => {
        device.synchronize()
        holds(out(round), out(round).array, value(round % 2))
      },
    }
  },
  "a conditional": (device) => {
    const flag = device.full("int32", 1, 1)
    return writing(device, (out, round) => runIf(flag, () => setting(out, value(round))))
  },
  "a conditional that copies": (device) => {
    const flag = device.full("int32", 1, 1)
    const source = pair((which) => device.full("int32", length, value(which)))
    const out = pair(() => device.zeros("int32", length))
    return {
      program: (round) => () => runIf(flag, () => void out(round).copyFrom(source(round))),
      check: (round) => holds(out(round), out(round).readSync(), value(round % 2)),
    }
  },
  "a loop": (device) => {
    const count = device.zeros("int32", 1)
    return writing(device, (out, round) => {
      setting(out, 0)
      setting(count, value(round))
      runWhile(count, () => {
        affine.launch(over(length), length, out, 1, 1)
        affine.launch(once, 1, count, 1, -1)
      })
    })
  },
}

function toPinned(whole: number, part: number): Kind {
  return (device) => {
    const source = pair((which) => device.full("int32", whole, value(which)))
    const out = pair(() => device.pinned("int32", part))
    return {
      program: (round) => () => void out(round).copyFrom(source(round).subarray(whole - part, whole)),
      check: (round) => {
        device.synchronize()
        holds(out(round), out(round).array, value(round % 2))
      },
    }
  }
}

/** The sum that each launch of a graph gives: it shows whether the operation ran between the others. */
function between(device: Device, program: () => void): { fn: () => void; check(launches: number): void } {
  const [before, after] = [device.zeros("int32", 1), device.zeros("int32", 1)]
  return {
    fn: () => {
      affine.launch(once, 1, before, 1, 1)
      program()
      combine.launch(once, 1, before, after)
    },
    check: (launches) => {
      let sum = 0
      for (let launch = 1; launch <= launches; launch++) sum = Math.imul(sum, 3) + launch
      assert.deepEqual([...after.readSync()], [sum | 0])
    },
  }
}

/** The device's library may choose another kernel for other values. */
const maybeInPlace = /product/

for (const [name, kind] of Object.entries(kinds)) {
  describe(`graph.update with ${name}`, () => {
    forEachOpenDevice(name, (open) => {
      test("takes the new values and arrays each time, and launches give the right results", async () => {
        using device = open()
        await prepare(device)
        const operation = kind(device)
        using graph: Graph<void> = captureGraph(operation.program(0))
        for (let round = 0; round < rounds; round++) {
          const inPlace = round === 0 || graph.update(operation.program(round))
          if (!maybeInPlace.test(name)) assert.equal(inPlace, true, `round ${round}`)
          graph.launch()
          graph.launch()
          operation.check(round)
        }
      })

      test("keeps the operation's place among others", async () => {
        using device = open()
        await prepare(device)
        const operation = kind(device)
        const first = between(device, operation.program(0))
        const second = between(device, operation.program(1))
        using graph: Graph<void> = captureGraph(first.fn)
        graph.launch()
        for (const [round, { fn, check }] of [second, first, second].entries()) {
          graph.update(fn)
          graph.launch()
          operation.check(round % 2 === 0 ? 1 : 0)
          check(round === 0 ? 1 : 2)
        }
      })

      test("does not change queued launches", async () => {
        using device = open()
        await prepare(device)
        const operation = kind(device)
        // Loads what the operation needs, because loading waits for the device.
        using graph: Graph<void> = captureGraph(operation.program(0))
        graph.launch()
        graph.update(operation.program(1))
        graph.launch()
        graph.update(operation.program(2))
        device.synchronize()
        using latch = new Latch(device).hold().waitUntilEntered()
        graph.launch()
        graph.update(operation.program(1))
        graph.launch()
        graph.update(operation.program(3))
        latch.open()
        device.synchronize()
        assert.equal(latch.timedOut, false)
        for (const round of [2, 1]) operation.check(round)
        graph.launch()
        operation.check(3)
      })
    })
  })
}

describe("graph.update with another kind of operation", () => {
  forEachOpenDevice("every kind after every other", (open) => {
    for (const [name, kind] of Object.entries(kinds)) {
      test(`${name} is replaced by each of the others`, async () => {
        using device = open()
        await prepare(device)
        const operation = kind(device)
        using graph: Graph<void> = captureGraph(operation.program(0))
        graph.launch()
        operation.check(0)
        let round = 1
        for (const other of Object.values(kinds)) {
          const another = other(device)
          graph.update(another.program(round))
          graph.launch()
          another.check(round)
          round++
          graph.update(operation.program(round))
          graph.launch()
          operation.check(round)
        }
      })
    }
  })
})
