import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  currentStream,
  type Device,
  type DeviceArray,
  fork,
  parallel,
  runIf,
  runWhile,
  type Stream,
} from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, combine, over } from "../support/kernels.js"
import { accessesOf, mend, Races, raceOf, sanitized, unsanitized } from "../support/races.js"

function write(x: DeviceArray<"int32">, stream?: Stream): void {
  affine.launch({ ...over(x.length), stream }, x.length, x, 1, 1)
}

function setUp(device: Device, isLate = false) {
  const [a, b] = [device.createStream({ name: "a" }), device.createStream({ name: "b" })]
  const [x, y, z] = [device.zeros("int32", 64), device.zeros("int32", 64), device.zeros("int32", 64)]
  let sanitizer = isLate ? undefined : sanitized()
  return {
    ...{ a, b, x, y, z },
    start: () => (sanitizer = sanitized()),
    [Symbol.dispose]() {
      sanitizer?.stop()
      device.synchronize() // The library does not know of uses through wrap().
      for (const each of [a, b, x, y, z]) each.dispose()
    },
  }
}

forEachOpenDevice("§13 the sanitizer and graphs:", (open) => {
  test("a race in the captured program is reported at the capture", unsanitized, () => {
    using t = setUp(open())
    const race = raceOf(() => captureGraph(() => parallel([() => write(t.x), () => write(t.x)])))
    assert.deepEqual(race.current.region, { name: "parallel", function: 1 })
    captureGraph(() => parallel([() => write(t.x), () => write(t.y)])).dispose()
  })

  test("in a capture, only the capture's order counts", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    t.a.wait(device.defaultStream)
    t.b.wait(t.a)
    device.synchronize()
    captureGraph(() => {
      t.a.wait(currentStream(device))
      t.b.wait(currentStream(device))
      write(t.x, t.a)
      const race = raceOf(() => write(t.x, t.b))
      mend(race)
      write(t.x, t.b)
    }).dispose()
  })

  test("a launch is one operation with the accesses of all nodes", unsanitized, () => {
    using t = setUp(open())
    using graph = captureGraph(() => {
      parallel([() => write(t.x), () => combine.launch(over(64), 64, t.y, t.z)])
    })
    write(t.y, t.a)
    const race = raceOf(() => graph.launch(t.b))
    assert.deepEqual(accessesOf(race), ["test_combine 1 read on b", "test_affine 1 readwrite on a"])
    assert.equal(race.current.kind, "graph")
    mend(race)
    graph.launch(t.b)
    assert.deepEqual(accessesOf(raceOf(() => write(t.x, t.a))), [
      "test_affine 1 readwrite on a",
      "test_affine 1 readwrite on b",
    ])
    raceOf(() => write(t.y, t.a))
    t.a.run(() => t.y.readSync())
  })

  test("launches of one graph are ordered on whatever streams, and so is what follows them", unsanitized, () => {
    using t = setUp(open())
    using graph = captureGraph(() => write(t.x))
    write(t.y, t.a)
    graph.launch(t.a)
    write(t.z, t.a)
    graph.launch(t.b)
    write(t.x, t.b)
    write(t.y, t.b)
    raceOf(() => write(t.z, t.b))
  })

  test("graphs that share memory are ordered, even if they come to share it later", unsanitized, () => {
    using t = setUp(open())
    using first = captureGraph(() => write(t.x))
    using second = captureGraph(() => write(t.y))
    first.launch(t.a)
    second.launch(t.b)
    write(t.z, t.a)
    using both = captureGraph(() => combine.launch(over(64), 64, t.x, t.y))
    // Ordered after both launches, but not after what their streams did since, even if the library waits for the streams.
    using third = t.a.device.createStream()
    both.launch(third)
    write(t.x, third)
    raceOf(() => write(t.z, third))
    raceOf(() => write(t.y, t.a))
  })

  for (const larger of ["earlier", "later"] as const) {
    test(
      `graphs that come to share memory stay ordered after both launches: the ${larger} one has more arrays`,
      unsanitized,
      () => {
        const device = open()
        using t = setUp(device)
        using third = device.createStream()
        const more = Array.from({ length: 4 }, () => device.zeros("int32", 64))
        const writeMore = (which: string) => larger === which && more.forEach((each) => write(each))
        using earlier = captureGraph(() => writeMore("earlier"))
        using later = captureGraph(() => {
          combine.launch(over(64), 64, t.x, t.z)
          writeMore("later")
        })
        earlier.launch(t.a)
        write(t.x, t.a)
        t.b.wait(t.a)
        later.launch(t.b)
        write(t.y, t.b)
        earlier.update(() => combine.launch(over(64), 64, t.x, t.z))
        later.launch(third) // After the launch on b, and so after the write on a, too.
        raceOf(() => write(t.y, third))
        device.synchronize()
        for (const each of more) each.dispose()
      },
    )
  }

  test("graphs of two `wrap`s of one address are not ordered, and race", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    using first = captureGraph(() => write(device.wrap(t.x.address, "int32", 64)))
    using second = captureGraph(() => write(device.wrap(t.x.address, "int32", 64)))
    first.launch(t.a)
    raceOf(() => second.launch(t.b))
  })

  test(
    "a graph waits as a whole for the first contents of its arrays; a graph of a `wrap` does not",
    unsanitized,
    () => {
      const device = open()
      using t = setUp(device)
      using x = t.a.run(() => device.zeros("int32", 64))
      const wrapped = device.wrap(x.address, "int32", 64)
      using alone = captureGraph(() => write(wrapped))
      using alike = captureGraph(() => {
        write(wrapped)
        write(x) // The same bytes in the same mode.
      })
      raceOf(() => alone.launch(t.b))
      alike.launch(t.b)
      alone.launch(t.b)
      device.synchronize()
      using next = t.a.run(() => device.zeros("int32", 64))
      const other = device.wrap(next.address, "int32", 64)
      using both = captureGraph(() => {
        write(other)
        combine.launch(over(4), 4, next.subarray(0, 4), t.z)
      })
      both.launch(t.b)
      write(other, t.b)
      raceOf(() =>
        captureGraph(() => {
          t.a.wait(currentStream(device))
          const inside = device.zeros("int32", 64)
          write(device.wrap(inside.address, "int32", 64), t.a)
        }),
      )
      device.synchronize()
    },
  )

  test("a graph that was captured before the start is checked, against others and in itself", unsanitized, () => {
    using t = setUp(open(), true)
    using good = captureGraph(() => parallel([() => write(t.x), () => write(t.y)]))
    using bad = captureGraph(() => parallel([() => write(t.z), () => write(t.z.subarray(10, 20))]))
    t.start()
    const race = raceOf(() => bad.launch(t.a))
    assert.match(race.message, /In the graph that is about to be launched/)
    assert.deepEqual(race.range, { address: t.z.address + 40, byteLength: 40 })
    good.launch(t.a)
    raceOf(() => write(t.y, t.b))
    write(t.z, t.b)
  })

  test("other arguments of a node, and disabled nodes, count for later launches", unsanitized, () => {
    using t = setUp(open())
    using graph = captureGraph(() => parallel([() => write(t.x), () => write(t.y)]))
    const second = graph.nodes.find((node) => node.launches(affine) && node !== graph.nodes[0])
    if (second?.launches(affine) !== true) return assert.fail("there is no second node")
    write(t.z, t.a)
    graph.launch(t.b)
    second.setArguments(64, t.z, 1, 1)
    raceOf(() => graph.launch(t.b))
    second.enabled = false
    graph.launch(t.b)
    second.enabled = true
    t.b.wait(t.a)
    graph.launch(t.b)
    second.setArguments(64, t.x, 1, 1)
    assert.match(raceOf(() => graph.launch(t.b)).message, /In the graph/)
    graph.update(() => parallel([() => write(t.x), () => write(t.y)]))
    graph.launch(t.b)
  })

  test("a graph inside a graph, and inside a capture with its own order", unsanitized, () => {
    using t = setUp(open())
    using inner = captureGraph(() => write(t.x))
    using outer = captureGraph(() => {
      parallel([() => inner.launch(), () => write(t.y)])
      write(t.x)
    })
    raceOf(() => captureGraph(() => parallel([() => inner.launch(), () => write(t.x)])))
    // Launches of one graph are ordered in a capture, too.
    captureGraph(() => parallel([() => inner.launch(), () => inner.launch()])).dispose()
    outer.launch(t.a)
    raceOf(() => write(t.y, t.b))
    inner.launch(t.b)
    write(t.x, t.b)
    write(t.y, t.b)
  })

  test("the bodies of conditionals: among themselves, with their surroundings, and at a launch", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    using flag = device.full("int32", 1, 0)
    device.synchronize()
    raceOf(() => captureGraph(() => runIf(flag, () => void parallel([() => write(t.x), () => write(t.x)]))))
    raceOf(() =>
      captureGraph(() => {
        const forked = fork(() => write(t.x))
        runIf(flag, () => write(t.x))
        forked.join()
      }),
    )
    raceOf(() =>
      captureGraph(() => {
        const forked = fork(() => runWhile(flag, () => write(t.x)))
        write(t.x)
        forked.join()
      }),
    )
    raceOf(() =>
      captureGraph(() => {
        const forked = fork(() => write(flag))
        runWhile(flag, () => write(t.x))
        forked.join()
      }),
    )
    using graph = captureGraph(() => {
      write(t.x)
      runIf(
        flag,
        () => void parallel([() => write(t.x), () => runIf(flag, () => write(t.y))]),
        () => write(t.x),
      )
      write(t.y)
    })
    graph.launch(t.a)
    raceOf(() => write(t.x, t.b))
    assert.equal(raceOf(() => write(t.y, t.b)).previous.kind, "graph")
    raceOf(() => write(flag, t.b))
    device.synchronize()
  })

  test("arrays that are made inside are born inside, and their memory is used again inside", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    using graph = captureGraph(() => {
      const made = device.zeros("int32", 500)
      const forked = fork(() => write(made))
      forked.join()
      made.dispose()
      const again = device.full("int32", 500, 7)
      const other = fork(() => write(again))
      raceOf(() => write(again))
      other.join()
      return again
    })
    graph.launch(t.a)
    raceOf(() => t.b.run(() => graph.result.readSync()))
    t.b.wait(t.a)
    t.b.run(() => graph.result.readSync())
    graph.launch(t.a)
    graph.launch(t.b)
  })

  test("warnings and functions let racing graphs run", unsanitized, () => {
    const device = open()
    const [x, y] = [device.zeros("int32", 64), device.zeros("int32", 64)]
    using graph = captureGraph(() => parallel([() => write(x), () => write(x)]))
    using races = new Races()
    using a = device.createStream({ name: "a" })
    graph.launch(a)
    assert.equal(races.take().length, 1)
    using other = captureGraph(() => parallel([() => write(y), () => write(y)]))
    assert.equal(races.take().length, 1)
    other.launch(a)
    assert.equal(races.take().length, 0, "it was reported at the capture")
    device.synchronize()
    x.dispose()
    y.dispose()
  })
})
