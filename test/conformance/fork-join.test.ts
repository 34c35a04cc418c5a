import assert from "node:assert/strict"
import { test } from "node:test"
import {
  currentStream,
  type Device,
  type Event,
  executeInParallel,
  fork,
  maybeExecuteInParallel,
  parallel,
  type Stream,
  withMultiStream,
} from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, over, spin } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

type Fn = () => unknown

/** A main function and an aux function, called by one of the four functions. */
interface Way {
  readonly name: string
  call(main: Fn, beside: Fn): unknown
}

function waysOn(device: Device, aux: Stream): readonly Way[] {
  const start = device.createEvent()
  const done = device.createEvent()
  return [
    { name: "maybeExecuteInParallel", call: (main, beside) => maybeExecuteInParallel(main, beside, start, done, aux) },
    { name: "executeInParallel", call: (main, beside) => executeInParallel(main, [beside], start, [done], [aux]) },
    { name: "parallel", call: (main, beside) => parallel([main, beside]) },
    {
      name: "fork",
      call: (main, beside) => {
        using forked = fork(beside)
        const result = main()
        return [result, forked.join()]
      },
    },
    {
      name: "fork on a stream",
      call: (main, beside) => {
        using forked = fork(beside, { stream: aux })
        const result = main()
        return [result, forked.join()]
      },
    },
  ]
}

/** Runs a test for each of the four functions, with one new stream as the current stream and another as the aux stream. */
function eachWay(device: Device, run: (way: Way, main: Stream, aux: Stream) => void): void {
  const count = waysOn(device, device.defaultStream).length
  for (let index = 0; index < count; index++) {
    using main = device.createStream()
    using aux = device.createStream()
    const way = waysOn(device, aux)[index]
    if (way !== undefined) main.run(() => run(way, main, aux))
  }
}

forEachOpenDevice("fork and join", (open) => {
  test("§5.1 the aux function runs beside the main one: either ends while the other is held", () => {
    using device = open()
    eachWay(device, ({ name, call }, main) => {
      using held = new Latch(device)
      using event = device.createEvent()
      call(
        () => {
          spin.launch({ grid: 1, block: 1 }, 1)
          event.record()
        },
        () => held.hold(),
      )
      event.synchronize()
      assert.ok(isHeld(main), name)
      held.open()
      main.synchronize()
      assert.equal(held.timedOut, false)

      using heldMain = new Latch(device)
      let aux: Stream | undefined
      call(
        () => heldMain.hold(),
        () => {
          aux = currentStream(device)
          spin.launch({ grid: 1, block: 1 }, 1)
          event.record()
        },
      )
      event.synchronize()
      assert.notEqual(aux, main, name)
      assert.ok(isHeld(main), name)
      heldMain.open()
      main.synchronize()
      assert.equal(heldMain.timedOut, false)
    })
  })

  test("§5.1 the aux function runs after work queued before the call, but not after the main function", () => {
    using device = open()
    eachWay(device, ({ name, call }, main) => {
      using before = new Latch(device).hold()
      using inside = new Latch(device)
      using event = device.createEvent()
      call(
        () => inside.hold(),
        () => {
          spin.launch({ grid: 1, block: 1 }, 1)
          event.record()
        },
      )
      before.waitUntilEntered()
      assert.ok(isHeld(event), name)
      before.open()
      event.synchronize()
      assert.ok(isHeld(main), name)
      inside.open()
      main.synchronize()
      assert.equal(before.timedOut || inside.timedOut, false)
    })
  })

  test("§5.1 work queued after the call runs after both functions", () => {
    using device = open()
    eachWay(device, ({ name, call }, main) => {
      using held = new Latch(device)
      using x = device.full("int32", 4, 1)
      using y = device.full("int32", 4, 1)
      call(
        () => affine.launch(over(4), 4, x, 2, 0),
        () => {
          held.hold()
          affine.launch(over(4), 4, y, 3, 0)
        },
      )
      affine.launch(over(4), 4, y, 5, 1)
      assert.ok(isHeld(main), name)
      held.open()
      assert.deepEqual(y.readSync(), Int32Array.of(16, 16, 16, 16), name)
      assert.deepEqual(x.readSync(), Int32Array.of(2, 2, 2, 2), name)
      assert.equal(held.timedOut, false)
    })
  })

  test("§5.5 the aux stream is joined after a throw, and the current stream is restored", () => {
    using device = open()
    eachWay(device, ({ name, call }, main) => {
      using held = new Latch(device)
      const error = new Error("on purpose")
      assert.throws(
        () =>
          call(
            () => 1,
            () => {
              held.hold()
              throw error
            },
          ),
        (thrown) => thrown === error,
        name,
      )
      assert.equal(currentStream(device), main)
      assert.ok(isHeld(main), name)
      held.open()
      main.synchronize()
      assert.equal(held.timedOut, false)
    })
  })

  test("§5.5 the join happens even if a function disposes of the event or the aux stream", async () => {
    using device = open()
    const calls = {
      maybeExecuteInParallel: (main: Fn, beside: Fn, start: Event, done: Event, aux: Stream) =>
        maybeExecuteInParallel(main, beside, start, done, aux),
      executeInParallel: (main: Fn, beside: Fn, start: Event, done: Event, aux: Stream) =>
        executeInParallel(main, [beside], start, [done], [aux]),
    }
    for (const [name, call] of Object.entries(calls)) {
      for (const what of ["event", "stream"] as const) {
        for (const way of ["main", "beside", "beside, throwing", "later"] as const) {
          if (what === "stream" && way === "main") continue // Nothing more can be queued there.
          using main = device.createStream()
          using aux = device.createStream()
          using start = device.createEvent()
          using done = device.createEvent()
          using held = new Latch(device)
          const dispose = () => (what === "event" ? done : aux).dispose()
          const error = new Error("on purpose")
          const functions: Record<typeof way, [Fn, Fn]> = {
            main: [dispose, () => held.hold()],
            beside: [
              () => 1,
              () => {
                held.hold()
                dispose()
              },
            ],
            "beside, throwing": [
              () => 1,
              () => {
                held.hold()
                dispose()
                throw error
              },
            ],
            later: [
              async () => 1,
              async () => {
                held.hold()
                await Promise.resolve()
                dispose()
              },
            ],
          }
          const label = `${name}, the ${what}, ${way}`
          await assert.rejects(
            async () => main.run(() => call(...functions[way], start, done, aux)),
            way === "beside, throwing" ? (thrown) => thrown === error : { code: "AUX_DISPOSED" },
            label,
          )
          assert.ok(isHeld(main), label)
          held.open()
          main.synchronize()
          assert.equal(held.timedOut, false)
        }
      }
    }
  })

  test("§5.4 async functions: the join follows once both have settled, and covers everything they queued", async () => {
    using device = open()
    for (let index = 0; index < waysOn(device, device.defaultStream).length; index++) {
      using main = device.createStream()
      using aux = device.createStream()
      const { name, call } = waysOn(device, aux)[index] ?? assert.fail()
      using held = new Latch(device)
      await main.run(async () => {
        // A fork is joined in another way than the others.
        const functions: [Fn, Fn] = [
          async () => {
            await new Promise(setImmediate)
            assert.equal(currentStream(device), main)
          },
          async () => {
            await new Promise(setImmediate)
            await Promise.resolve()
            assert.notEqual(currentStream(device), main)
            held.hold()
          },
        ]
        const result = call(...functions)
        await (Array.isArray(result) ? Promise.all(result) : result)
        assert.equal(currentStream(device), main)
      })
      assert.ok(isHeld(main), name)
      held.open()
      main.synchronize()
      assert.equal(held.timedOut, false)
    }
  })

  test("§5.7 a nested call with the same events: the outer call still joins its own branches", () => {
    using device = open()
    using main = device.createStream()
    const aux = Array.from({ length: 3 }, () => device.createStream())
    const start = device.createEvent()
    const done = [device.createEvent(), device.createEvent()]
    using held = new Latch(device)
    main.run(() =>
      executeInParallel(
        () => maybeExecuteInParallel(touch, touch, start, done[0] ?? null, aux[2]),
        [
          () => held.hold(),
          () => executeInParallel(touch, [touch, touch], start, done, [aux[2] ?? null, aux[2] ?? null]),
        ],
        start,
        done,
        aux.slice(0, 2),
      ),
    )
    assert.ok(isHeld(main))
    held.open()
    main.synchronize()
    assert.equal(held.timedOut, false)
    for (const thing of [...aux, start, ...done]) thing.dispose()
  })

  test("§5.7 concurrent async calls with the same events and aux stream: each call joins its own work", async () => {
    using device = open()
    using aux = device.createStream()
    using start = device.createEvent()
    using done = device.createEvent()
    const mains = [device.createStream(), device.createStream()] as const
    const helds = [new Latch(device), new Latch(device)]
    const gates = helds.map(() => {
      let openGate = () => {}
      const gate = new Promise<void>((resolve) => (openGate = resolve))
      return { gate, openGate }
    })
    const calls = mains.map((main, index) =>
      main.run(() =>
        maybeExecuteInParallel(
          async () => gates[index]?.gate,
          async () => {
            await gates[index]?.gate
            helds[index]?.hold()
          },
          start,
          done,
          aux,
        ),
      ),
    )
    for (const index of [1, 0] as const) {
      gates[index]?.openGate()
      await calls[index]
      assert.ok(isHeld(mains[index]))
    }
    helds[1]?.open()
    mains[1].synchronize()
    assert.ok(isHeld(mains[0]))
    helds[0]?.open()
    mains[0].synchronize()
    assert.ok(helds.every((held) => !held.timedOut))
    for (const main of mains) main.dispose()
  })

  test("§5.11 fork: another stream may join it later, and a second one again", () => {
    using device = open()
    const [origin, first, second] = [device.createStream(), device.createStream(), device.createStream()]
    using held = new Latch(device)
    const forked = origin.run(() => fork(() => held.hold() && 42))
    for (const stream of [first, second]) {
      assert.equal(stream.query(), true)
      assert.equal(
        stream.run(() => forked.join()),
        42,
      )
      assert.ok(isHeld(stream))
    }
    assert.equal(origin.query(), true)
    held.open()
    device.synchronize()
    assert.equal(
      origin.run(() => forked.join()),
      42,
    )
    assert.equal(held.timedOut, false)
    for (const stream of [origin, first, second]) stream.dispose()
  })

  test("§5.11 fork: a second join waits for the fork's work, even if its stream has other work by then", () => {
    using device = open()
    using main = device.createStream()
    using late = device.createStream()
    using held = new Latch(device)
    const forked = main.run(() => fork(() => held.hold()))
    main.run(() => forked.join())
    // The pool hands the stream to the next fork.
    const next = device.defaultStream.run(() => fork(() => spin.launch({ grid: 1, block: 1 }, 1)))
    late.run(() => forked.join())
    assert.ok(isHeld(late))
    held.open()
    next.join()
    late.synchronize()
    assert.equal(held.timedOut, false)
  })

  test("§5.11 fork: disposing of it makes the current stream join", () => {
    using device = open()
    using main = device.createStream()
    using other = device.createStream()
    using held = new Latch(device)
    const forked = main.run(() => fork(() => held.hold()))
    other.run(() => forked.dispose())
    assert.ok(isHeld(other))
    assert.equal(main.query(), true)
    held.open()
    other.synchronize()
    assert.equal(held.timedOut, false)
  })

  test("§5.2 with multi-stream off, everything runs in sequence on the current stream", () => {
    using device = open()
    eachWay(device, ({ name, call }, main, aux) => {
      using held = new Latch(device).hold(aux)
      const streams: Stream[] = []
      withMultiStream(false, () =>
        call(
          () => streams.push(currentStream(device)),
          () => streams.push(currentStream(device)),
        ),
      )
      assert.equal(
        streams.every((stream) => stream === main),
        true,
        name,
      )
      main.synchronize()
      assert.ok(isHeld(aux))
      held.open()
      aux.synchronize()
      assert.equal(held.timedOut, false)
    })
  })

  test("§5.2 in sequence, events may be null and event lists empty, and no event or stream is touched", () => {
    using device = open()
    const aux = device.createStream()
    aux.dispose()
    const one = () => 1
    const two = () => 2
    withMultiStream(false, () => {
      assert.deepEqual(maybeExecuteInParallel(one, two, null, null, device.defaultStream), [1, 2])
      assert.deepEqual(executeInParallel(one, [two, null], null, [], [device.defaultStream, null]), [1, [2, undefined]])
    })
    assert.deepEqual(executeInParallel(one, [two], null, [], [device.defaultStream], { enable: false }), [1, [2]])
    assert.deepEqual(executeInParallel(one, [two], null, [], []), [1, [2]])
    assert.deepEqual(executeInParallel(one, [two], null, [], null), [1, [2]])
    assert.deepEqual(executeInParallel(one, [two], null, [], [device.defaultStream]), [1, [2]])
    assert.deepEqual(maybeExecuteInParallel(one, two, null, null, device.defaultStream), [1, 2])
  })

  test("§5.7 many nested calls: more forks than the pool has streams", () => {
    using device = open()
    using x = device.zeros("int32", 200)
    const element = (index: number) => x.subarray(index, index + 1)
    const forks = Array.from({ length: 100 }, (_, index) =>
      fork(() => affine.launch(over(1), 1, element(index), 1, index)),
    )
    const nest = (depth: number): void => {
      affine.launch(over(1), 1, element(100 + depth), 1, depth)
      if (depth < 60) parallel([() => {}, () => nest(depth + 1)])
    }
    nest(0)
    for (const forked of forks) forked.join()
    const expected = Array.from({ length: 200 }, (_, index) => (index < 100 ? index : index <= 160 ? index - 100 : 0))
    assert.deepEqual([...x.readSync()], expected)
  })
})

function touch(): void {
  spin.launch({ grid: 1, block: 1 }, 1)
}
