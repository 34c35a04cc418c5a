import assert from "node:assert/strict"
import { test } from "node:test"
import {
  autoParallel,
  captureGraph,
  currentStream,
  defineKernel,
  defineModule,
  inOrder,
  openDevice,
  type PlacementReport,
  runIf,
  startSanitizer,
  startTrace,
  withMultiStream,
} from "../../src/index.js"
import { matmul, matmulGrouped } from "../../src/blas/index.js"
import { forEachDevice } from "../support/devices.js"
import { affine, affineOfStruct, over } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"
import { edgesOf, firsts, fourArrays, type Ints, mix, placed, step, streamsOf } from "../support/placed.js"

/** Two branches from x, joined in z. */
function diamond([x, y0, y1, z]: readonly [Ints, Ints, Ints, Ints]): void {
  step(x)
  mix(x, y0)
  mix(x, y1)
  mix(y0, z)
  mix(y1, z)
}
const afterDiamond = [4, 10, 13, (4 * 3 + 10) * 3 + 13]

forEachDevice("autoParallel", (open) => {
  test("§14 where: an operation follows its newest predecessor, another branch gets a stream of its own", () => {
    using device = open()
    const all = fourArrays(device)
    const report = placed(() => diamond(all))
    assert.deepEqual(streamsOf(report), [0, 0, 1, 0, 0])
    assert.deepEqual(edgesOf(report), ["", "0 stream", "0 wait", "1 stream", "3 stream, 2 wait"])
    assert.deepEqual(firsts(...all), afterDiamond)
  })

  test("§14 where: edges name the memory, its bytes, the argument, and which side reads or writes", () => {
    using device = open()
    const [x, y] = fourArrays(device)
    const report = placed(() => {
      step(x)
      mix(x.subarray(1, 3), y.subarray(0, 2))
    })
    assert.deepEqual(report.edges, [
      {
        from: 0,
        to: 1,
        by: "stream",
        why: "memory",
        earlier: "write",
        later: "read",
        memory: 0,
        begin: 4,
        end: 12,
        argument: "1",
      },
    ])
    assert.deepEqual(
      [report.streamCount, report.operations[1]?.label, report.operations[1]?.kind],
      [1, "test_combine", "launch"],
    )
    assert.match(report.toDot(), /n0 -> n1/)
  })

  test("§14 where: independent operations run while one is held, dependent ones wait", () => {
    using device = open()
    using latch = new Latch(device)
    const [x, y, z, w] = fourArrays(device)
    device.synchronize()
    autoParallel(() => {
      inOrder(() => {
        latch.holdUnnamed()
        step(x)
      })
      mix(x, z)
      step(y)
      assert.deepEqual(firsts(y, w), [7, 4])
    })
    assert.equal(isHeld(currentStream(device)), true)
    latch.open()
    assert.deepEqual(firsts(x, y, z), [4, 7, 13])
    assert.equal(latch.timedOut, false)
  })

  test("§14 where: a write waits for earlier reads, and a read only for the writers of its array", async () => {
    using device = open()
    const [x, y, z] = fourArrays(device)
    const reads: Promise<Int32Array>[] = []
    const report = placed(() => {
      reads.push(x.read(), x.read())
      mix(y, z)
      step(x)
      reads.push(x.read())
    })
    assert.deepEqual(streamsOf(report), [0, 1, 2, 1, 1])
    assert.deepEqual(edgesOf(report), ["", "", "", "1 stream, 0 wait", "3 stream"])
    const values = await Promise.all(reads)
    assert.deepEqual(
      values.map(([first]) => first),
      [1, 1, 4],
    )
  })

  test("§14 where: parts of an array conflict only if they overlap, rows only with rows", () => {
    using device = open()
    const x = device.zeros("int32", 16)
    const report = placed(() => {
      step(x.subarray(0, 8))
      step(x.subarray(8, 16))
      step(x.subarray(4, 12))
      x.subarray(0).fill2D(1, { width: 1, height: 4, pitch: 4 })
      x.subarray(1).fill2D(2, { width: 1, height: 4, pitch: 4 })
      x.subarray(1, 2).fill(3)
      x.subarray(2, 3).fill(4)
    })
    assert.deepEqual(edgesOf(report), [
      "",
      "",
      "1 stream, 0 wait",
      "2 stream, 1 stream, 0 other edges",
      "2 wait, 1 other edges, 0 stream",
      "4 stream, 0 stream",
      "0 wait",
    ])
    assert.deepEqual([...x.readSync().subarray(0, 6)], [1, 3, 4, 1, 1, 2])
  })

  test("§14 where: arrays that wrap the same memory conflict, by address", () => {
    using device = open()
    using x = device.full("int32", 4, 1)
    const [one, other] = [device.wrap(x.address, "int32", 4), device.wrap(x.address + 8, "int32", 2)]
    const report = placed(() => {
      step(one)
      step(other)
      step(x.subarray(0, 2))
    })
    assert.deepEqual(edgesOf(report), ["", "0 stream", "0 wait"])
    assert.deepEqual([...x.readSync()], [13, 13, 13, 13])
  })

  test("§14 where: pointers inside structs and what `uses` names are accesses, too", () => {
    using device = open()
    const [x, y, z] = fourArrays(device)
    const report = placed(() => {
      affineOfStruct.launch(over(4), { a: 2, x, b: 0, n: 4 })
      affineOfStruct.launch({ ...over(4), uses: { reads: [x] } }, { a: 2, x: y, b: 0, n: 4 })
      affineOfStruct.launch(over(4), { a: 2, x: z, b: 0, n: 4 })
    })
    assert.deepEqual(edgesOf(report), ["", "0 stream", ""])
    assert.deepEqual(report.edges[0]?.begin, 0)
  })

  test("§14 where: launches of a module conflict by its globals", async () => {
    using device = open()
    const text = "export function clip(launch, n, limit, x) { launch.globals.clipped[0] += n }"
    using filters = defineModule({
      cuda: { file: new URL("../../examples/filters/filters.cu", import.meta.url) },
      host: { source: text },
      globals: { taps: ["float32", 4, "constant"], clipped: ["int32", 1] },
    })
    const clip = filters.kernel({ name: "clip", signature: ["int32", "float32", "inout float32*"] })
    await filters.prepare(device)
    const [x, y] = [device.full("float32", 4, 9), device.full("float32", 4, 9)]
    const reads: Promise<unknown>[] = []
    const report = placed(() => {
      clip.launch(over(4), 4, 1, x)
      clip.launch(over(4), 4, 1, y)
      reads.push(filters.global(device, "clipped").read())
    })
    await Promise.all(reads)
    assert.deepEqual(edgesOf(report), ["", "0 stream", "1 stream"])
    assert.equal(report.edges[0]?.argument, "clipped")
  })

  test("§14 where: an operation that writes the same bytes twice holds up no other one", () => {
    using device = open()
    const [x, y] = fourArrays(device)
    const writing = (uses: Ints) => affine.launch({ ...over(4), uses: { writes: [uses] } }, 4, x, 3, 1)
    using graph = captureGraph(() =>
      autoParallel(() => {
        writing(y)
        writing(x)
        step(y)
      }),
    )
    assert.deepEqual(graph.edges, [
      [0, 1],
      [0, 2],
    ])
  })

  test("§14 where: at the limit, an operation gets the stream with the fewest operations that are not before it", () => {
    using device = open()
    const arrays = Array.from({ length: 6 }, () => device.zeros("int32", 4))
    const [a, b, c, d, e, f] = arrays as [Ints, Ints, Ints, Ints, Ints, Ints]
    const report = placed(() => {
      for (const x of [a, a, b, c, d]) step(x)
      mix(d, e)
      step(f)
    }, 2)
    assert.deepEqual(streamsOf(report), [0, 0, 1, 1, 0, 0, 1])
    assert.equal(placed(() => arrays.forEach((x) => step(x)), 1).streamCount, 1)
  })

  test("§14 where: in a capture the same program becomes a graph with branches", () => {
    using device = open()
    const all = fourArrays(device)
    using graph = captureGraph(() => autoParallel(() => diamond(all)))
    assert.equal(graph.branchCount, 2)
    assert.deepEqual(graph.edges, [
      [0, 1],
      [0, 2],
      [1, 3],
      [3, 4],
      [2, 4],
    ])
    graph.launch()
    assert.deepEqual(firsts(...all), afterDiamond)
  })

  test("§14 where: in a capture and in the bodies of conditionals, every kind of operation is placed", () => {
    using device = open()
    const [x, y, z, flag] = fourArrays(device)
    using inner = captureGraph(() => step(y))
    using graph = captureGraph(() => {
      autoParallel(() => {
        x.fill(5)
        z.copyFrom(Int32Array.of(1, 2, 3, 4))
        if (device.kind === "host") inner.launch()
        else step(y)
        runIf(flag.subarray(0, 1), () =>
          autoParallel(() => {
            step(x)
            step(y)
            step(z)
          }),
        )
      })
    })
    graph.launch()
    assert.deepEqual(firsts(x, y, z), [16, 22, 4])
    assert.match(graph.toDot(), /pool stream/)
  })

  test("§14 where: the same program is placed the same way: again, while the device is busy, and in a capture", () => {
    using device = open()
    using latch = new Latch(device)
    const all = fourArrays(device)
    const program = () => {
      diamond(all)
      const made = [1, 2, 3].map((value) => device.full("int32", 4, value))
      for (const array of made) mix(all[0], array)
      for (const array of made) array.dispose()
      const more = device.empty("int32", 3).fill(7)
      mix(more, all[1].subarray(0, 3))
      more.dispose()
    }
    const first = placed(program)
    assert.deepEqual(placed(program), first)
    device.synchronize()
    latch.hold()
    assert.deepEqual(placed(program), first)
    latch.open()
    device.synchronize()
    let captured
    captureGraph(() => (captured = placed(program))).dispose()
    assert.deepEqual(captured, first)
    // The numbers are the same on every device.
    assert.deepEqual(streamsOf(first), [0, 0, 1, 0, 0, 2, 3, 4, 2, 3, 4, 5, 5])
    assert.equal(latch.timedOut, false)
  })

  test("§14 where: products look the same on every device, also in groups, without inputs, and in a capture", () => {
    using device = open()
    const [a, b, c, d, bias] = [1, 2, 3, 4, 5].map((value) => device.full("float32", 16, value))
    assert.ok(a && b && c && d && bias)
    const square = { m: 4, n: 4, k: 4 }
    const program = () => {
      matmul({ a, b, out: c, ...square, bias, activation: "relu" })
      matmul({ a, b, out: d, ...square })
      matmulGrouped([
        { a: c, b: d, out: bias, ...square },
        { a: c, b: d, out: a, ...square, alpha: 0, beta: 1 },
        { a: c, b: c, out: b, ...square },
      ])
      matmul({ a: b, b: a, out: c, m: 4, n: 4, k: 0 })
    }
    program()
    device.synchronize()
    const first = placed(program)
    let captured
    using graph = captureGraph(() => (captured = placed(program)))
    assert.deepEqual(captured, first)
    assert.deepEqual(
      first.operations.map(({ kind, label, stream }) => `${kind} ${label} on ${stream}`),
      ["matmul matmul on 0", "matmul matmul on 1", "matmul matmulGrouped on 1", "matmul matmul on 1"],
    )
    assert.deepEqual(
      [...new Set(first.edges.map(({ from, to, by, memory }) => `${from} ${to} ${by} ${memory}`))],
      [
        ...["1 2 stream 0", "1 2 stream 1", "1 2 stream 4", "0 2 wait 0", "0 2 wait 1", "0 2 wait 2", "0 2 wait 3"],
        ...["2 3 stream 0", "2 3 stream 1", "2 3 stream 2", "0 3 other edges 2"],
      ],
    )
    for (const array of [a, b, c, d, bias]) array.fill(1)
    graph.launch()
    assert.deepEqual(
      [a, b, c, d, bias].map((array) => array.readSync()[0]),
      [1, 100, 0, 4, 80],
    )
  })

  test("§14 where: an operation follows the longest chain that it depends on, and a kernel counts more than a fill", () => {
    using device = open()
    const [x, y, z, sum] = fourArrays(device)
    const report = placed(() => {
      step(x)
      step(x)
      step(y)
      mix(x, y) // the chain of x is longer
      step(z)
      sum.fill(0)
      mix(z, sum) // as many operations before it on either side
    })
    assert.deepEqual(streamsOf(report), [0, 0, 1, 0, 2, 3, 2])
    assert.deepEqual(edgesOf(report), ["", "0 stream", "", "2 wait, 1 stream", "", "", "5 wait, 4 stream"])
  })

  test("§14 where: operations of inOrder keep the order of their calls, beside others", () => {
    using device = open()
    const [x, y, z] = fourArrays(device)
    const report = placed(() => {
      assert.equal(
        inOrder(() => {
          step(x)
          step(y)
          return 5
        }),
        5,
      )
      step(z)
    })
    assert.deepEqual(edgesOf(report), ["", "0 stream", ""])
    assert.deepEqual(report.edges[0]?.why, "inOrder")
    assert.equal(
      inOrder(() => 3),
      3,
    )
  })

  test("§14 where: a region inside a region is a part of it", () => {
    using device = open()
    const [x, y, z] = fourArrays(device)
    let inner: PlacementReport | undefined
    const outer = placed(() => {
      step(x)
      inner = placed(() => {
        step(y)
        mix(x, z)
      }, 1)
      mix(y, z)
    })
    assert.deepEqual(streamsOf(outer), [0, 1, 0, 0])
    assert.deepEqual(inner?.operations, outer.operations.slice(1, 3))
  })

  test("explain of a region inside one that explains nothing tells of its own operations, and from which earlier ones they follow", () => {
    using device = open()
    const [x, y] = [device.zeros("int32", 64), device.zeros("int32", 64)]
    let inner: PlacementReport | undefined
    autoParallel(() => {
      affine.launch(over(64), 64, x, 1, 1)
      autoParallel(
        () => {
          affine.launch(over(64), 64, y, 1, 1)
          affine.launch(over(64), 64, x, 1, 1)
        },
        { explain: (report) => void (inner = report) },
      )
      affine.launch(over(64), 64, x, 1, 1)
    })
    assert.deepEqual(
      inner?.operations.map(({ index, edges }) => [index, edges.map(({ from, by }) => [from, by])]),
      [
        [1, []],
        [2, [[0, "stream"]]],
      ],
    )
  })

  test("§14 where: with aux streams forbidden, everything stays on the current stream", () => {
    using device = open()
    const all = fourArrays(device)
    assert.equal(withMultiStream(false, () => placed(() => diamond(all))).streamCount, 1)
    const report = placed(() => withMultiStream(false, () => diamond(all)))
    assert.equal(report.operations.length, 0)
  })

  test("§14 where: a kernel that needs the whole device never runs beside another operation", () => {
    using device = open()
    const alone = defineKernel({
      name: "test_fill",
      signature: ["int32", "float32", "out float32*"],
      resident: true,
      cuda: {
        source:
          'extern "C" __global__ void test_fill(int n, float value, float* out) { if (threadIdx.x < n) out[threadIdx.x] = value; }',
      },
      host: { source: "export function test_fill(launch, n, value, out) { out.fill(value) }" },
    })
    assert.equal(alone.resident, true)
    const [x, y] = fourArrays(device)
    const z = device.zeros("float32", 4)
    const program = () => {
      step(x)
      step(y)
      alone.launch(over(4), 4, 2, z)
      step(x)
      step(y)
    }
    const report = placed(program)
    assert.deepEqual(
      report.operations.map(({ section, stream }) => [section, stream]),
      [
        [0, 0],
        [0, 1],
        [1, 0],
        [2, 0],
        [2, 1],
      ],
    )
    using graph = captureGraph(() => autoParallel(program))
    assert.deepEqual(graph.edges, [
      [0, 2],
      [1, 2],
      [2, 3],
      [2, 4],
    ])
    // A graph that contains one is alone, too.
    const whole = placed(() => {
      step(x)
      graph.launch()
      step(y)
    })
    assert.deepEqual(
      whole.operations.map(({ section }) => section),
      [0, 1, 2],
    )
  })

  test("§14 where: products, groups of them, and launches of graphs are placed", () => {
    using device = open()
    const [a, b, c, d] = [1, 2, 0, 0].map((value) => device.full("float32", 16, value))
    assert.ok(a && b && c && d)
    const shape = { m: 4, n: 4, k: 4 }
    using graph = captureGraph(() => d.fill(3))
    const report = placed(() => {
      matmul({ a, b, out: c, ...shape })
      graph.launch()
      matmulGrouped([{ a: c, b: a, out: d, ...shape }])
    })
    const kinds = report.operations.filter(({ kind }) => kind !== "upload")
    assert.deepEqual(new Set(kinds.slice(0, 2).map(({ stream }) => stream)), new Set([0, 1]))
    assert.equal(d.readSync()[0], 32)
  })

  test("§14 where: a device that is closed inside ends the region quietly", () => {
    const device = open()
    const [x] = fourArrays(device)
    autoParallel(() => {
      step(x)
      device.dispose()
    })
    assert.equal(device.disposed, true)
  })

  test("§12, §13 with the sanitizer and a trace: no race, and the trace shows the region with its streams", async () => {
    using device = open()
    const all = fourArrays(device)
    device.synchronize()
    using sanitizer = startSanitizer()
    const trace = startTrace()
    autoParallel(() => diamond(all))
    const { data } = await trace.stop()
    sanitizer.stop()
    const [region] = data.regions
    assert.deepEqual([region?.name, region?.mode, region?.streams.length], ["autoParallel", "parallel", 2])
    assert.deepEqual(
      data.spans.map(({ region: index, branch }) => [index, branch]),
      [
        [0, 0],
        [0, 0],
        [0, 1],
        [0, 0],
        [0, 0],
      ],
    )
    assert.deepEqual(firsts(...all), afterDiamond)
  })

  test("§13 the sanitizer sees a race between a region and a stream that does not wait for it", () => {
    using device = open()
    const [x, y] = fourArrays(device)
    using other = device.createStream()
    device.synchronize()
    using _sanitizer = startSanitizer()
    autoParallel(() => {
      step(x)
      step(y)
    })
    assert.throws(() => other.run(() => step(y)), { name: "DataRaceError" })
  })
})

test("§14 where: a region needs a device", () => {
  assert.throws(() => autoParallel(() => 1), { code: "AUX_AMBIGUOUS_DEVICE" })
  const device = openDevice("host")
  device.dispose()
  assert.throws(() => autoParallel(() => 1, { device }), { code: "AUX_DISPOSED" })
})
