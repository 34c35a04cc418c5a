import assert from "node:assert/strict"
import { test } from "node:test"
import { matmul } from "../../src/blas/index.js"
import {
  captureGraph,
  currentStream,
  type Device,
  type DeviceArray,
  type Graph,
  type GraphNode,
  KernelError,
  parallel,
  runIf,
} from "../../src/index.js"
import { forEachOpenDevice, onHost, openOther } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, combine, once, over, shape, throwing } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"
import { change, valueOf } from "../support/two-branches.js"

const length = 4

function nodeAt<T>({ nodes }: Graph<T>, place: number): GraphNode {
  const node = nodes[place]
  assert.ok(node !== undefined)
  return node
}

/** The launch of `affine` at this place. */
function launchAt<T>(graph: Graph<T>, place: number): GraphNode<typeof affine.signature> {
  const node = nodeAt(graph, place)
  assert.ok(node.launches(affine))
  return node
}

forEachOpenDevice("nodes of graphs", (open) => {
  test("§11 nodes: kind and name of each operation, in the order of the calls", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using inner = captureGraph(() => x.fill(1))
    using graph = captureGraph(() => {
      change(x, 1, 1)
      x.fill(2)
      x.copyFrom(new Int32Array(length))
      x.copyFrom(x.device.full("int32", length, 3))
      currentStream(device).external({ writes: [x] }, () => {})
      inner.launch()
      runIf(x.subarray(0, 1), () => change(x, 1, 1))
    })
    assert.deepEqual(
      graph.nodes.map(({ kind, label }) => `${kind} ${label}`),
      [
        "kernel test_affine",
        "fill fill",
        "copy upload",
        "fill fill",
        "copy copy",
        "external external",
        "graph graph",
        "conditional if",
      ],
    )
    assert.equal(graph.nodes.length, graph.nodeCount)
    assert.ok(Object.isFrozen(graph.nodes) && graph.nodes.every((node) => Object.isFrozen(node)))
    assert.equal(graph.nodes, graph.nodes)
    assert.deepEqual(
      graph.nodes.map(({ nodes }) => nodes.map(({ label }) => label)),
      [[], [], [], [], [], [], ["fill"], ["test_affine"]],
    )
    assert.ok(nodeAt(graph, 0).launches(affine) && !nodeAt(graph, 0).launches(combine))
    assert.ok(nodeAt(graph, 7).nodes[0]?.launches(affine))
    assert.equal(nodeAt(graph, 0).kernel, affine)
    assert.equal(nodeAt(graph, 1).kernel, undefined)
    assert.ok(graph.nodes.every(({ enabled }) => enabled))
  })

  test("§11 setArguments: later launches have the new scalars and arrays", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using pinned = device.pinned("int32", length)
    using graph = captureGraph(() => {
      change(x, 2, 1)
      change(y, 3, 1)
    })
    graph.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [1, 1])
    launchAt(graph, 0).setArguments(length, x, 10, 5)
    graph.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [15, 4])
    launchAt(graph, 0).setArguments(length, y, 1, 1)
    graph.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [15, 16])
    launchAt(graph, 1).setArguments(length, pinned, 1, 7)
    launchAt(graph, 0).setArguments(1, x.subarray(2, 3), 0, 9)
    graph.launch()
    device.synchronize()
    assert.deepEqual([...x.readSync()], [15, 15, 9, 15])
    assert.deepEqual([valueOf(y), ...pinned.array], [16, 7, 7, 7, 7])
  })

  test("§11 setArguments and enabled: queued launches keep what they had", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using graph = captureGraph(() => {
      change(x, 1, 1)
      change(x, 10, 0)
    })
    graph.launch()
    device.synchronize()
    using latch = new Latch(device).hold()
    graph.launch() // (10 + 1) * 10
    nodeAt(graph, 1).enabled = false
    graph.launch() // 110 + 1
    launchAt(graph, 0).setArguments(length, y, 1, 5)
    nodeAt(graph, 1).enabled = true
    graph.launch() // 111 * 10
    launchAt(graph, 0).setArguments(length, y, 1, 100)
    assert.ok(isHeld(currentStream(device)))
    latch.open()
    assert.deepEqual([valueOf(x), valueOf(y)], [1110, 5])
    graph.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [11100, 105])
    assert.equal(latch.timedOut, false)
  })

  test("§11 enabled: a disabled kernel does nothing until it is enabled", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using graph = captureGraph(() => change(x, 1, 1))
    const node = nodeAt(graph, 0)
    node.enabled = false
    node.enabled = false
    assert.equal(node.enabled, false)
    graph.launch()
    assert.equal(valueOf(x), 0)
    node.enabled = true
    graph.launch()
    assert.equal(valueOf(x), 1)
  })

  test("§11 enabled: nodes behind a disabled one still run after those before it", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using latch = new Latch(device)
    using graph = captureGraph(() => {
      latch.hold()
      parallel([() => change(x, 1, 1), () => change(y, 1, 1)])
      combine.launch(over(length), length, x, y)
    })
    nodeAt(graph, 1).enabled = false
    nodeAt(graph, 2).enabled = false
    graph.launch()
    latch.waitUntilEntered()
    assert.ok(isHeld(currentStream(device)))
    latch.open()
    assert.deepEqual([valueOf(x), valueOf(y)], [0, 0])
    nodeAt(graph, 1).enabled = true
    graph.launch()
    assert.deepEqual([valueOf(x), valueOf(y)], [1, 1])
  })

  test("§11 setArguments: arguments set while a node is disabled count once it is enabled", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using graph = captureGraph(() => change(x, 1, 1))
    const node = launchAt(graph, 0)
    node.enabled = false
    node.setArguments(length, x, 1, 5)
    assert.equal(node.enabled, false)
    graph.launch()
    assert.equal(valueOf(x), 0)
    node.enabled = true
    graph.launch()
    assert.equal(valueOf(x), 5)
  })

  test("§8 setArguments: the graph keeps new arrays alive, and former ones until earlier launches are done", async () => {
    const device = open()
    const size = 1 << 16
    const value = 3
    using out = device.zeros("int32", size)
    device.synchronize()
    const { used } = device.memory
    const former = device.full("int32", size, 1)
    using graph = captureGraph(() => {
      combine.launch(over(size), size, former, out)
      combine.launch(over(size), size, former, out)
    })
    former.dispose()
    const later = device.full("int32", size, value)
    graph.launch()
    device.synchronize()
    using stream = device.createStream()
    using latch = new Latch(device).hold(stream)
    graph.launch(stream)
    for (const node of graph.nodes) {
      assert.ok(node.launches(combine))
      node.setArguments(size, later, out)
    }
    later.dispose()
    graph.launch(stream)
    // Memory that was freed too early would be taken, and overwritten, by these.
    for (let count = 0; count < 8; count++) device.full("int32", size, 1000).dispose()
    assert.ok(isHeld(stream))
    latch.open()
    device.synchronize()
    // Each launch does out = out * 3 + input twice: 0, 4, 40 with the former array, then with the later one.
    assert.equal(valueOf(out), (40 * 3 + value) * 3 + value)
    assert.equal(latch.timedOut, false)
    await device.completed()
    assert.equal(device.memory.used, used + 4 * size, "only the later array is kept")
    graph.dispose()
    await device.completed()
    assert.equal(device.memory.used, used)
  })

  test("§8 setArguments: an array that two operands name is kept until both are replaced", async () => {
    const device = open()
    using x = device.full("int32", length, 1)
    using y = device.zeros("int32", length)
    const shared = device.full("int32", length, 5)
    device.synchronize()
    using graph = captureGraph(() => {
      combine.launch(over(length), length, shared, y)
      combine.launch(over(length), length, shared, y)
    })
    shared.dispose()
    const [first, second] = graph.nodes
    assert.ok(first?.launches(combine) && second?.launches(combine))
    const { used } = device.memory
    first.setArguments(length, x, y)
    await device.completed()
    assert.equal(device.memory.used, used)
    graph.launch()
    assert.equal(valueOf(y), 3 + 5)
    second.setArguments(length, x, y)
    await device.completed()
    assert.ok(device.memory.used < used)
    graph.launch()
    assert.equal(valueOf(y), (8 * 3 + 1) * 3 + 1)
  })

  test("§4 whose order: a launch waits for the birth of an array that a node was given", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using graph = captureGraph(() => combine.launch(over(length), length, x, y))
    graph.launch()
    device.synchronize()
    using stream = device.createStream()
    using latch = new Latch(device).hold(stream)
    using made = stream.run(() => device.full("int32", length, 7))
    const [node] = graph.nodes
    assert.ok(node?.launches(combine))
    node.setArguments(length, made, y)
    graph.launch()
    assert.ok(isHeld(currentStream(device)))
    latch.open()
    assert.equal(valueOf(y), 7)
    assert.equal(latch.timedOut, false)
  })

  test("§7 launches of graphs that share an array since setArguments are ordered, on any streams", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using latch = new Latch(device)
    using writer = captureGraph(() => {
      latch.hold()
      change(x, 1, 1)
    })
    using reader = captureGraph(() => combine.launch(over(length), length, x.device.full("int32", length, 1), y))
    const [, node] = reader.nodes
    assert.ok(node?.launches(combine))
    node.setArguments(length, x, y)
    using first = device.createStream()
    using second = device.createStream()
    writer.launch(first)
    reader.launch(second)
    assert.ok(isHeld(second))
    latch.open()
    second.synchronize()
    assert.equal(valueOf(y), 1)
  })

  test("§7 setArguments: arrays that the graph makes are allowed once they are there", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using graph = captureGraph(() => {
      const made = device.full("int32", length, 5)
      change(x, 1, 1)
      const [late] = parallel([() => device.full("int32", length, 6), () => change(x, 1, 1)])
      change(x, 1, 1)
      return { made, late }
    })
    const { made, late } = graph.result
    const places = [...graph.nodes.entries()].filter(([, node]) => node.launches(affine)).map(([place]) => place)
    const [before, beside, behind] = places
    assert.ok(before !== undefined && beside !== undefined && behind !== undefined)
    launchAt(graph, before).setArguments(length, made, 2, 0)
    launchAt(graph, behind).setArguments(length, late, 2, 1)
    graph.launch()
    assert.deepEqual([valueOf(made), valueOf(late), valueOf(x)], [10, 13, 1])
    for (const place of [before, beside]) {
      refused(() => launchAt(graph, place).setArguments(length, late, 1, 1), "AUX_INVALID_ARGUMENT", "before the node")
    }
    graph.launch()
    assert.deepEqual([valueOf(made), valueOf(late), valueOf(x)], [10, 13, 2])
  })

  test("§5 rule 9: a graph that is launched in a capture comes with its arguments of that time", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    const z = device.zeros("int32", length)
    using inner = captureGraph(() => change(x, 1, 1))
    launchAt(inner, 0).setArguments(length, z, 1, 2)
    using outer = captureGraph(() => inner.launch())
    launchAt(inner, 0).setArguments(length, y, 1, 4)
    const kept = z.subarray(0, length)
    outer.launch()
    inner.launch()
    assert.deepEqual([valueOf(x), valueOf(y), valueOf(kept)], [0, 4, 2])
    z.dispose()
    for (let count = 0; count < 8; count++) device.full("int32", length, 1000).dispose()
    outer.launch()
    device.synchronize()
  })

  test("graph.update replaces arguments and enables every node; former nodes are refused", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using graph = captureGraph(() => {
      change(x, 1, 1)
      change(x, 1, 10)
    })
    const [first, second] = [launchAt(graph, 0), nodeAt(graph, 1)]
    first.setArguments(length, x, 1, 5)
    second.enabled = false
    assert.equal(
      graph.update(() => {
        change(x, 1, 2)
        change(x, 1, 20)
      }),
      true,
    )
    graph.launch()
    assert.equal(valueOf(x), 22)
    refused(() => first.setArguments(length, x, 1, 1), "AUX_DISPOSED", "graph.update()")
    refused(() => (second.enabled = true), "AUX_DISPOSED", "graph.update()")
    assert.deepEqual(
      graph.nodes.map(({ enabled }) => enabled),
      [true, true],
    )
    launchAt(graph, 0).setArguments(length, x, 1, 3)
    nodeAt(graph, 1).enabled = false
    graph.launch()
    assert.equal(valueOf(x), 25)
  })

  test("§8 bad arguments are refused, with a code and a message, and change nothing", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using floats = device.zeros("float32", length)
    using other = openOther()
    using elsewhere = other.zeros("int32", length)
    const gone = device.zeros("int32", length)
    gone.dispose()
    using graph = captureGraph(() => change(x, 1, 1))
    const node: { setArguments(...args: unknown[]): void } = nodeAt(graph, 0)
    refused(() => node.setArguments(length, x, 1), "AUX_INVALID_ARGUMENT", "must have 4 arguments", "test_affine")
    refused(() => node.setArguments(length, 5, 1, 1), "AUX_INVALID_ARGUMENT", "5", "inout int32*")
    refused(() => node.setArguments(length, [1], 1, 1), "AUX_INVALID_ARGUMENT", "inout int32*")
    refused(() => node.setArguments(length, x, 1.5, 1), "AUX_INVALID_ARGUMENT", "1.5")
    refused(() => node.setArguments(length, floats, 1, 1), "AUX_DTYPE_MISMATCH", "float32", "int32")
    refused(() => node.setArguments(length, elsewhere, 1, 1), "AUX_DEVICE_MISMATCH", other.id)
    refused(() => node.setArguments(length, gone, 1, 1), "AUX_DISPOSED")
    const switched: { enabled: unknown } = nodeAt(graph, 0)
    refused(() => (switched.enabled = 0), "AUX_INVALID_ARGUMENT", "`enabled`", "0")
    graph.launch()
    assert.equal(valueOf(x), 1)
    graph.dispose()
    refused(() => node.setArguments(length, x, 1, 1), "AUX_DISPOSED", "captureGraph()")
    refused(() => (switched.enabled = false), "AUX_DISPOSED", "captureGraph()")
    refused(() => graph.nodes, "AUX_DISPOSED")
  })

  test("§11 only launches have arguments; nothing else can be disabled", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using a = device.zeros("float32", 1)
    using out = device.zeros("float32", 1)
    using inner = captureGraph(() => change(x, 1, 1))
    using graph = captureGraph(() => {
      // On the host device, products are launches of kernels.
      if (device.kind === "cuda") matmul({ a, b: a, out, m: 1, n: 1, k: 1 })
      else x.fill(1)
      currentStream(device).external({ writes: [x] }, () => {})
      inner.launch()
      runIf(x.subarray(0, 1), () => change(x, 1, 1))
      x.fill(0)
      x.copyFrom(new Int32Array(length))
    })
    for (const node of graph.nodes) {
      refused(() => node.setArguments(), "AUX_INVALID_ARGUMENT", node.kind, "graph.update()")
      refused(() => (node.enabled = false), "AUX_INVALID_ARGUMENT", node.kind, "only a launch of a kernel")
      assert.equal(node.enabled, true)
    }
    for (const [place, where] of [
      [2, "inside a graph"],
      [3, "inside a conditional"],
    ] as const) {
      const [node] = nodeAt(graph, place).nodes
      assert.ok(node?.launches(affine))
      refused(() => node.setArguments(length, x, 1, 1), "AUX_INVALID_ARGUMENT", where)
      refused(() => (node.enabled = false), "AUX_INVALID_ARGUMENT", where)
    }
  })

  test("§5 rule 9: a graph with disabled nodes is refused in a capture", () => {
    const device = open()
    using x = device.zeros("int32", length)
    using inner = captureGraph(() => change(x, 1, 1))
    nodeAt(inner, 0).enabled = false
    using outer = captureGraph(() => {
      refused(() => inner.launch(), "AUX_INVALID_ARGUMENT", "disabled nodes")
      change(x, 1, 2)
    })
    assert.equal(outer.nodeCount, 1)
    outer.launch()
    assert.equal(valueOf(x), 2)
    nodeAt(inner, 0).enabled = true
    outer.update(() => inner.launch())
    outer.launch()
    assert.equal(valueOf(x), 3)
  })

  test("§4 setArguments: grid, block and shared memory stay", () => {
    const device = open()
    using x = device.zeros("int32", 7)
    using y = device.zeros("int32", 7)
    using graph = captureGraph(() => shape.launch({ grid: [2, 3, 4], block: [5, 6, 7], sharedMemory: 128 }, x))
    const [node] = graph.nodes
    assert.ok(node?.launches(shape))
    node.setArguments(y)
    graph.launch()
    assert.deepEqual([...x.readSync(), ...y.readSync()], [0, 0, 0, 0, 0, 0, 0, 2, 3, 4, 5, 6, 7, 128])
  })
})

onHost("nodes of graphs on streams that break", (open) => {
  /** Breaks a stream and with it this array, which a skipped kernel should have written. */
  function garbage(device: Device): DeviceArray<"int32"> {
    const array = device.zeros("int32", length)
    using stream = device.createStream()
    using latch = new Latch(device).hold(stream)
    stream.run(() => {
      throwing.launch(once, 1)
      change(array, 1, 1)
    })
    latch.open()
    assert.throws(() => stream.synchronize(), KernelError)
    return array
  }

  test("§5.12 a launch refuses garbage that a node was given, unless the node is disabled or overwrites it", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using bad = garbage(device)
    using graph = captureGraph(() => {
      x.fill(1)
      combine.launch(over(length), length, x, y)
    })
    const [, node] = graph.nodes
    assert.ok(node?.launches(combine))
    node.setArguments(length, bad, y)
    assert.throws(() => graph.launch(), KernelError)
    node.enabled = false
    graph.launch()
    node.enabled = true
    assert.throws(() => graph.launch(), KernelError)
    node.setArguments(length, x, y)
    graph.launch()
    assert.equal(valueOf(y), 1)
  })

  test("§5.12 a failed launch leaves garbage in the arrays that its nodes were given, and in no former one", () => {
    using device = open()
    using x = device.zeros("int32", length)
    using y = device.zeros("int32", length)
    using graph = captureGraph(() => {
      throwing.launch(once, 1)
      change(x, 1, 1)
    })
    launchAt(graph, 1).setArguments(length, y, 1, 1)
    using stream = device.createStream()
    graph.launch(stream)
    assert.throws(() => stream.synchronize(), KernelError)
    assert.throws(() => y.readSync(), KernelError)
    assert.equal(valueOf(x), 0)
  })
})
