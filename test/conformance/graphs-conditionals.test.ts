import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  currentStream,
  type Device,
  type DeviceArray,
  fork,
  maybeExecuteInParallel,
  runIf,
  runWhile,
} from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, combine, once, over } from "../support/kernels.js"

const length = 200

const number = (device: Device, value: number) => device.from(Int32Array.of(value))
const set = (array: DeviceArray<"int32">, value: number) => array.copyFrom(Int32Array.of(value))
/** x = x * a + b */
const change = (x: DeviceArray<"int32">, a: number, b: number) => affine.launch(over(x.length), x.length, x, a, b)

forEachOpenDevice("conditionals", (open) => {
  test("runIf: the value when the graph gets there decides, at each launch", () => {
    using device = open()
    using flag = number(device, 0)
    using x = number(device, 1)
    using graph = captureGraph(() => {
      change(flag, 1, -1)
      runIf(flag, () => {
        change(x, 10, 0)
        change(x, 1, 5)
      })
      change(x, 1, 1)
    })
    assert.equal(graph.nodeCount, 3)
    for (const [value, start, expected] of [
      [1, 1, 2],
      [2, 1, 16],
      [0, 3, 36],
    ] as const) {
      set(flag, value)
      set(x, start)
      graph.launch()
      assert.deepEqual([...x.readSync()], [expected])
    }
  })

  test("runIf: exactly one of the two bodies runs, whatever the first one writes to the condition", () => {
    using device = open()
    using flag = number(device, 0)
    using x = number(device, 0)
    using graph = captureGraph(() => {
      runIf(
        flag,
        () => {
          change(flag, 0, 0)
          change(x, 1, 1)
        },
        () => {
          change(flag, 0, 7)
          change(x, 1, 100)
        },
      )
    })
    const seen = [5, 0, -1].map((value) => {
      set(flag, value)
      set(x, 0)
      graph.launch()
      return [x.readSync()[0], flag.readSync()[0]]
    })
    assert.deepEqual(seen, [
      [1, 0],
      [100, 7],
      [1, 0],
    ])
  })

  test("runIf: both bodies may use a stream that was joined before", () => {
    using device = open()
    using flag = number(device, 0)
    using x = number(device, 1)
    const aux = device.createStream()
    /** Queues on the auxiliary stream, forked from the current one and joined to it. */
    const aside = (a: number, b: number) => {
      aux.wait(currentStream())
      aux.run(() => change(x, a, b))
      currentStream().wait(aux)
    }
    using graph = captureGraph(() => {
      aside(2, 0)
      runIf(
        flag,
        () => aside(10, 0),
        () => aside(100, 0),
      )
      runIf(flag, () => aside(1, 1))
      aside(1, 3)
    })
    const seen = [1, 0].map((value) => {
      set(flag, value)
      set(x, 1)
      graph.launch()
      return x.readSync()[0]
    })
    assert.deepEqual(seen, [24, 203])
  })

  test("runIf: inside a body, too, both bodies may use a stream that was joined before, one after the other", () => {
    using device = open()
    using flag = number(device, 1)
    using x = number(device, 1)
    using y = number(device, 1)
    const aux = device.createStream()
    const aside = (array: DeviceArray<"int32">, a: number, b: number) => {
      aux.wait(currentStream())
      aux.run(() => change(array, a, b))
      currentStream().wait(aux)
    }
    using graph = captureGraph(() => {
      aside(x, 2, 0)
      runIf(flag, () => {
        runIf(flag, () => aside(x, 10, 0))
        runIf(flag, () => runIf(flag, () => aside(x, 1, 5)))
      })
      aside(x, 1, 3)
    })
    graph.launch()
    assert.deepEqual([...x.readSync()], [28])
    const unordered = () =>
      captureGraph(() => {
        aside(x, 2, 0)
        runIf(flag, () => {
          using forked = fork(() => runIf(flag, () => aside(x, 10, 0)))
          runIf(flag, () => aside(y, 1, 5))
          forked.join()
        })
      })
    refused(unordered, "AUX_STREAM_CAPTURING", aux.name)
  })

  test("runIf: the condition may be pinned memory", () => {
    using device = open()
    using flag = device.pinned("int32", 1)
    using x = number(device, 0)
    using graph = captureGraph(() => runIf(flag, () => change(x, 1, 1)))
    for (const value of [0, 3, 0, 1]) {
      flag.array[0] = value
      graph.launch()
      device.synchronize()
    }
    assert.deepEqual([...x.readSync()], [2])
  })

  test("runWhile: runs until the number is zero, and not at all if it is", () => {
    using device = open()
    using count = number(device, 0)
    using x = number(device, 1)
    using graph = captureGraph(() => {
      runWhile(count, () => {
        change(x, 2, 0)
        change(count, 1, -1)
      })
      change(x, 1, 1)
    })
    for (const turns of [0, 1, 10]) {
      set(count, turns)
      set(x, 1)
      graph.launch()
      assert.deepEqual([...x.readSync()], [2 ** turns + 1])
    }
  })

  test("§5 rule 9: a body may fork, and each run of it waits for its branches", () => {
    using device = open()
    using count = number(device, 5)
    using x = device.from(new Int32Array(length).fill(1))
    using y = device.from(new Int32Array(length).fill(1))
    using graph = captureGraph(() => {
      runWhile(count, () => {
        using forked = fork(() => change(y, 3, 1))
        change(x, 2, 1)
        forked.join()
        combine.launch(over(length), length, x, y)
        combine.launch(over(length), length, y, x)
        change(count, 1, -1)
      })
    })
    graph.launch()
    let [a, b] = [1, 1]
    for (let turn = 0; turn < 5; turn++) {
      b = Math.imul(b, 3) + 1
      a = Math.imul(a, 2) + 1
      b = (Math.imul(b, 3) + a) | 0
      a = (Math.imul(a, 3) + b) | 0
    }
    assert.deepEqual(x.readSync(), new Int32Array(length).fill(a))
    assert.deepEqual(y.readSync(), new Int32Array(length).fill(b))
  })

  test("conditionals nest, and may contain graphs", () => {
    using device = open()
    using outerCount = number(device, 0)
    using innerCount = number(device, 0)
    using odd = number(device, 0)
    using x = number(device, 0)
    using inner = captureGraph(() => change(x, 1, 1))
    using graph = captureGraph(() => {
      runWhile(outerCount, () => {
        innerCount.copyFrom(outerCount)
        runWhile(innerCount, () => {
          inner.launch()
          change(innerCount, 1, -1)
        })
        runIf(odd, () => change(x, 1, 100))
        change(outerCount, 1, -1)
      })
    })
    set(outerCount, 4)
    set(odd, 1)
    graph.launch()
    assert.deepEqual([...x.readSync()], [4 + 3 + 2 + 1 + 400])
  })

  test("§7: arrays made in a body belong to the graph, and inputs that only a body uses are kept", () => {
    using device = open()
    device.synchronize()
    const before = device.memory.used
    const input = number(device, 6)
    const flag = number(device, 1)
    const graph = captureGraph(() => {
      const made = new Set<DeviceArray<"int32">>()
      runIf(flag, () => {
        const y = device.full("int32", 1, 7)
        combine.launch(once, 1, input, y)
        made.add(y)
      })
      return [...made]
    })
    input.dispose()
    flag.dispose()
    const others = [number(device, 0), number(device, 0)]
    graph.launch()
    const [y] = graph.result
    assert.deepEqual([...(y?.readSync() ?? [])], [7 * 3 + 6])
    graph.dispose()
    assert.equal(y?.disposed, true)
    for (const array of others) array.dispose()
    device.synchronize()
    assert.equal(device.memory.used, before)
  })

  test("graph.update changes the arrays and scalars of a conditional", () => {
    using device = open()
    using flag = number(device, 1)
    using x = number(device, 1)
    using y = number(device, 1)
    using graph = captureGraph(() => runIf(flag, () => change(x, 2, 0)))
    graph.launch()
    graph.update(() => runIf(flag, () => change(y, 1, 9)))
    graph.launch()
    assert.deepEqual([x.readSync()[0], y.readSync()[0]], [2, 10])
  })

  test("toDot shows the body of a conditional", () => {
    using device = open()
    using flag = number(device, 1)
    using graph = captureGraph(() => {
      change(flag, 1, 0)
      runIf(flag, () => change(flag, 1, 2))
    })
    const dot = graph.toDot()
    assert.match(dot, /n1 \[label="if"\]/)
    assert.match(dot, /n1 -> n1_0 \[style=dashed/)
    assert.match(dot, /n1_0 \[label="test_affine"\]/)
  })

  test("outside a capture, runIf and runWhile are refused", () => {
    using device = open()
    using flag = number(device, 1)
    const nothing = () => {}
    for (const call of [
      () => runIf(flag, nothing),
      () => runIf(flag, nothing, nothing),
      () => runWhile(flag, nothing),
    ]) {
      refused(call, "AUX_NOT_CAPTURING", "captureGraph")
    }
  })

  test("bad conditions and functions are refused before anything is captured", () => {
    using device = open()
    using flag = number(device, 1)
    using two = device.zeros("int32", 2)
    using float = device.zeros("float32", 1)
    using graph = captureGraph(() => {
      const nothing = () => {}
      for (const [call, args, code, words] of [
        [runIf, [two, nothing], "AUX_LENGTH_MISMATCH", "2 elements"],
        [runIf, [float, nothing], "AUX_DTYPE_MISMATCH", "float32"],
        [runWhile, [1, nothing], "AUX_INVALID_ARGUMENT", "`condition` must be an int32 array"],
        [runIf, [flag, 3], "AUX_INVALID_ARGUMENT", "`then` must be a function; got 3"],
        [runIf, [flag, nothing, 3], "AUX_INVALID_ARGUMENT", "`otherwise` must be a function; got 3"],
      ] as const) {
        refused(() => Reflect.apply(call, undefined, args), code, words)
      }
      change(flag, 1, 1)
    })
    assert.equal(graph.nodeCount, 1)
  })

  for (const [what, body, expected] of [
    ["throws", () => assert.fail("on purpose"), /on purpose/],
    ["is async", async () => {}, /must not return a promise/],
  ] as const) {
    test(`§5 rule 5: a body that ${what} ends the capture, even if the error is caught inside; another capture can begin`, () => {
      using device = open()
      using flag = number(device, 1)
      using x = number(device, 1)
      const capture = () =>
        captureGraph(() => {
          change(x, 2, 0)
          try {
            Reflect.apply(runIf, undefined, [flag, body])
          } catch {}
        })
      assert.throws(capture, expected)
      assert.deepEqual([...x.readSync()], [1])
      using graph = captureGraph(() => runIf(flag, () => change(x, 2, 0)))
      graph.launch()
      assert.deepEqual([...x.readSync()], [2])
    })
  }

  test("§5 rule 7: one aux stream serves the capture, its bodies and bodies inside them, each in order", () => {
    using device = open()
    using aux = device.createStream({ name: "aux" })
    const [event0, event1] = [device.createEvent(), device.createEvent()]
    using x = number(device, 1)
    using y = number(device, 1)
    using onAux = number(device, 1)
    using flag = number(device, 1)
    const step = (factor: number) => {
      maybeExecuteInParallel(
        () => change(x, factor, 1),
        () => {
          change(y, factor, 2)
          change(onAux, factor, 3)
        },
        event0,
        event1,
        aux,
      )
      combine.launch(once, 1, x, y)
    }
    const program = (when: (body: () => void) => void) => {
      step(3)
      when(() => {
        step(5)
        when(() => step(7))
        step(11)
      })
      // No wait is needed on one stream.
      affine.launch({ ...once, stream: aux }, 1, onAux, 13, 1)
      currentStream(device).wait(aux)
      step(17)
    }
    aux.wait(device.defaultStream)
    program((body) => body())
    const all = [x, y, onAux]
    const expected = all.map((array) => array.readSync()[0])
    for (const array of all) set(array, 1)
    using graph = captureGraph(() => program((body) => runIf(flag, body)))
    graph.launch()
    assert.deepEqual(
      all.map((array) => array.readSync()[0]),
      expected,
    )
    aux.wait(device.defaultStream)
    aux.run(() => change(y, 1, 1))
    assert.equal(aux.run(() => y.readSync())[0], (expected[1] ?? 0) + 1)
    for (const event of [event0, event1]) event.dispose()
  })

  test("a body refuses a stream with outer work that is not ordered before the conditional", () => {
    using device = open()
    using aux = device.createStream({ name: "aux" })
    using flag = number(device, 1)
    using x = number(device, 1)
    using y = number(device, 1)
    using graph = captureGraph(() => {
      aux.wait(currentStream(device))
      affine.launch({ ...once, stream: aux }, 1, y, 3, 0)
      runIf(flag, () => {
        refused(() => aux.wait(currentStream(device)), "AUX_STREAM_CAPTURING", "aux", "not ordered before")
        change(x, 5, 0)
      })
    })
    graph.launch()
    assert.deepEqual([x.readSync()[0], y.readSync()[0]], [5, 3])
  })

  test("a body is a capture of its own: it refuses streams and events of the outer capture", () => {
    using device = open()
    using aux = device.createStream({ name: "aux" })
    using event = device.createEvent()
    using flag = number(device, 1)
    using x = number(device, 1)
    using graph = captureGraph(() => {
      const around = currentStream(device)
      event.record()
      runIf(flag, () => {
        refused(() => affine.launch({ ...once, stream: around }, 1, x, 1, 1), "AUX_STREAM_CAPTURING", around.name)
        refused(() => aux.wait(around), "AUX_STREAM_CAPTURING", "captured stream")
        refused(() => around.wait(currentStream(device)), "AUX_STREAM_CAPTURING", around.name)
        refused(() => event.wait(), "AUX_STREAM_CAPTURING", "border")
        change(x, 5, 0)
      })
    })
    graph.launch()
    assert.deepEqual([...x.readSync()], [5])
  })
})
