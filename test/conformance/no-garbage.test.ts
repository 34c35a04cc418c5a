import assert from "node:assert/strict"
import { test } from "node:test"
import { matmul } from "../../src/blas/index.js"
import {
  captureGraph,
  defineKernel,
  type Device,
  type DeviceArray,
  KernelError,
  parallel,
  type PinnedArray,
  runIf,
  type Stream,
} from "../../src/index.js"
import { onHost } from "../support/devices.js"
import { add, affine, combine, fill, once, over, throwing, throwingLater } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { unsanitized } from "../support/races.js"

const length = 4

/** What a call throws. */
function thrownBy(fn: () => unknown): unknown {
  try {
    fn()
  } catch (error) {
    return error
  }
  return undefined
}

/** Kernels that throw once everything else is queued, because a launch on a broken stream would throw at once. */
class Failure {
  readonly #flags: PinnedArray<"int32">

  constructor(device: Device) {
    this.#flags = device.pinned("int32", 3)
  }

  queue(stream?: Stream): void {
    throwingLater.launch({ ...once, stream }, this.#flags)
  }

  happen(): void {
    Atomics.store(this.#flags.array, 0, 1)
    Atomics.notify(this.#flags.array, 0)
  }

  [Symbol.dispose](): void {
    this.happen()
    this.#flags.dispose()
  }
}

/** Breaks a stream. The operations that `skipped` queues are skipped. */
function breakStream(stream: Stream, skipped: () => void = () => {}): KernelError {
  using failure = new Failure(stream.device)
  stream.run(() => {
    failure.queue()
    skipped()
  })
  failure.happen()
  const error = thrownBy(() => stream.synchronize())
  assert.ok(error instanceof KernelError)
  return error
}

/** An array that a skipped kernel should have written, and the error of its stream, which has been disposed of. */
function garbage(device: Device): { x: DeviceArray<"int32">; error: KernelError } {
  const x = device.full("int32", length, 1)
  const stream = device.createStream()
  stream.wait(device.defaultStream)
  const error = breakStream(stream, () => affine.launch(over(length), length, x, 2, 1))
  stream.dispose()
  return { x, error }
}

const ints = (...values: number[]) => Int32Array.of(...values)

onHost("garbage is never read", (open) => {
  test("§5.12 every use, on any stream, of an array that a failed kernel should have written throws its KernelError", async () => {
    using device = open()
    using x = device.full("int32", length, 1)
    using y = device.full("int32", length, 1)
    using pinned = device.pinned("int32", length)
    using other = device.createStream()
    const half = defineKernel({
      name: "half",
      signature: ["inout int32*"],
      host: { source: "export function half(l, x) { x.fill(7, 0, 2); throw new Error('half way') }" },
    })
    using stream = device.createStream()
    stream.wait(device.defaultStream)
    half.launch({ ...once, stream }, x)
    const error = thrownBy(() => stream.synchronize())
    assert.ok(error instanceof KernelError)
    other.wait(device.defaultStream)
    for (const run of [(fn: () => unknown) => other.run(fn), (fn: () => unknown) => fn()]) {
      for (const [launch, argument] of [
        [() => combine.launch(over(length), length, x, y), 'Argument 1 of kernel "test_combine"'],
        [() => combine.launch(over(length), length, y, x), 'Argument 2 of kernel "test_combine"'],
        [() => reverse.launch(once, x), 'Argument 0 of kernel "test_reverse"'],
      ] as const) {
        const refusal = thrownBy(() => run(launch))
        assert.ok(refusal instanceof KernelError)
        assert.equal(refusal.cause, error)
        assert.equal(refusal.kernel, "half")
        assert.ok(refusal.message.startsWith(argument) && refusal.message.includes("half way"), refusal.message)
      }
      for (const use of [
        () => throwing.launch({ ...once, uses: { reads: [x] } }, 1),
        () => throwing.launch({ ...once, uses: { writes: [x] } }, 1),
        () => y.copyFrom(x),
        () => pinned.copyFrom(x),
        () => y.copyFrom2D(x, { width: 1, height: 2, pitch: 2, sourcePitch: 2 }),
        () => pinned.copyFrom2D(x, { width: 1, height: 2, sourcePitch: 2 }),
        () => x.fill2D(1, { width: 1, height: 2, pitch: 2 }), // It leaves some of the garbage.
        () => x.subarray(1, 2).readSync(),
        () => x.readSync(),
        () => other.external({ reads: [x] }, () => assert.fail("nothing may be queued")),
      ]) {
        assert.equal(
          thrownBy(() => run(use)),
          error,
          String(use),
        )
      }
      await assert.rejects(
        async () => run(() => x.read()),
        (reason) => reason === error,
      )
    }
    assert.deepEqual(y.readSync(), ints(1, 1, 1, 1))
    other.synchronize()
  })

  test("§5.12 the array is usable again once a copy or a fill has overwritten it entirely", () => {
    for (const overwrite of [
      (x: DeviceArray<"int32">) => x.fill(5),
      (x: DeviceArray<"int32">) => x.copyFrom(ints(5, 5, 5, 5)),
      (x: DeviceArray<"int32">, device: Device) => x.copyFrom(device.full("int32", length, 5)),
      (x: DeviceArray<"int32">, device: Device) => {
        const pinned = device.pinned("int32", length)
        pinned.array.fill(5)
        x.copyFrom(pinned)
      },
    ]) {
      using device = open()
      const { x } = garbage(device)
      overwrite(x, device)
      affine.launch(over(length), length, x, 2, 1)
      assert.deepEqual(x.readSync(), ints(11, 11, 11, 11))
      x.dispose()
    }
  })

  test("§5.12 overwritten parts of a garbage array can be used; other parts and the whole cannot", () => {
    using device = open()
    const { x, error } = garbage(device)
    const left = x.subarray(0, 2)
    const right = x.subarray(2)
    left.fill(3)
    assert.deepEqual(left.readSync(), ints(3, 3))
    for (const array of [x, right, x.subarray(1, 3)]) {
      assert.equal(
        thrownBy(() => array.readSync()),
        error,
      )
    }
    right.copyFrom(left)
    assert.deepEqual(x.readSync(), ints(3, 3, 3, 3))
    x.dispose()
  })

  test("§5.12 only the part that a failed kernel should have written is garbage", unsanitized, () => {
    using device = open()
    using all = device.zeros("int32", 40 * length)
    const part = (index: number) => all.subarray(index * length, (index + 1) * length)
    const streams = Array.from({ length: 40 }, () => device.createStream())
    using failure = new Failure(device)
    streams.forEach((stream, index) => {
      stream.wait(device.defaultStream)
      stream.run(() => {
        if (index % 4 === 1) failure.queue()
        affine.launch(over(length), length, part(index), 1, index)
      })
    })
    failure.happen()
    streams.forEach((stream, index) => {
      assert.equal(thrownBy(() => stream.synchronize()) instanceof KernelError, index % 4 === 1)
      stream.dispose()
    })
    for (let index = 0; index < 40; index++) {
      if (index % 4 === 1) assert.throws(() => part(index).readSync(), KernelError, `part ${index}`)
      else assert.deepEqual(part(index).readSync(), new Int32Array(length).fill(index))
    }
    assert.throws(() => all.readSync(), KernelError)
  })

  test("§5.12 arrays that skipped operations only read, and earlier results, stay valid", () => {
    using device = open()
    using weights = device.full("int32", length, 3)
    using before = device.full("int32", length, 1)
    using out = device.full("int32", length, 1)
    const stream = device.createStream()
    stream.wait(device.defaultStream)
    stream.run(() => combine.launch(over(length), length, weights, before))
    breakStream(stream, () => {
      combine.launch(over(length), length, weights, out)
      out.copyFrom(before)
    })
    stream.dispose()
    assert.deepEqual(weights.readSync(), ints(3, 3, 3, 3))
    assert.deepEqual(before.readSync(), ints(6, 6, 6, 6))
    assert.throws(() => out.readSync(), KernelError)
  })

  test("§5.12 skipped copies, fills, uploads and first contents leave garbage, as skipped kernels do", () => {
    using device = open()
    const stream = device.createStream()
    const arrays = Array.from({ length: 4 }, () => device.full("int32", length, 1))
    const [source, copied, filled, uploaded] = arrays
    assert.ok(source && copied && filled && uploaded)
    stream.wait(device.defaultStream)
    const born: DeviceArray<"int32">[] = []
    const error = breakStream(stream, () => {
      copied.copyFrom(source)
      filled.fill(4)
      uploaded.copyFrom(ints(4, 4, 4, 4))
      born.push(device.zeros("int32", length))
    })
    stream.dispose()
    for (const array of [copied, filled, uploaded, ...born]) {
      assert.equal(
        thrownBy(() => array.readSync()),
        error,
      )
    }
    assert.deepEqual(source.readSync(), ints(1, 1, 1, 1))
    for (const array of [...arrays, ...born]) array.dispose()
  })

  test("§5.12 skipped first contents do not break a stream that overwrites them, nor later users", () => {
    using device = open()
    const stream = device.createStream()
    const born: DeviceArray<"int32">[] = []
    breakStream(stream, () => born.push(device.zeros("int32", length), device.full("int32", length, 1)))
    stream.dispose()
    using next = device.createStream()
    for (const array of born) {
      array.fill(5)
      next.wait(device.defaultStream)
      next.run(() => affine.launch(over(length), length, array, 2, 1))
      assert.deepEqual(
        next.run(() => array.readSync()),
        ints(11, 11, 11, 11),
      )
      array.dispose()
    }
    device.synchronize()
  })

  test("§5.12 a refused overwrite leaves skipped first contents garbage", () => {
    using device = open()
    using broken = device.createStream()
    const error = breakStream(broken)
    using copy = device.empty("int32", length)
    for (const overwrite of [
      (array: DeviceArray<"int32">) => array.fill(5),
      (array: DeviceArray<"int32">) => array.copyFrom(ints(1, 2, 3, 4)),
    ]) {
      using failure = new Failure(device)
      using stream = device.createStream()
      using reader = device.createStream()
      failure.queue(stream)
      using array = stream.run(() => device.full("int32", length, 1))
      assert.equal(
        thrownBy(() => broken.run(() => overwrite(array))),
        error,
      )
      reader.run(() => copy.copyFrom(array))
      failure.happen()
      assert.ok(thrownBy(() => reader.synchronize()) instanceof KernelError)
    }
  })

  test("§5.12 the results of skipped products are garbage, their inputs are not", () => {
    using device = open()
    const a = device.full("float32", length, 1)
    const out = device.full("float32", length, 1)
    const stream = device.createStream()
    stream.wait(device.defaultStream)
    breakStream(stream, () => matmul({ a, b: a, out, m: 2, n: 2, k: 2 }))
    stream.dispose()
    assert.throws(() => out.readSync(), KernelError)
    const another = device.zeros("float32", length)
    assert.throws(() => matmul({ a: out, b: a, out: another, m: 2, n: 2, k: 2 }), KernelError)
    another.dispose()
    assert.deepEqual(a.readSync(), Float32Array.of(1, 1, 1, 1))
    a.dispose()
    out.dispose()
  })

  test(
    "§5.12 an array is garbage as soon as the failure is known, even before its operation is skipped",
    unsanitized,
    () => {
      using device = open()
      using held = device.createStream()
      using stream = device.createStream()
      using x = device.full("int32", length, 1)
      device.synchronize()
      using latch = new Latch(device).hold(held)
      using failure = new Failure(device)
      failure.queue(stream)
      using event = stream.record()
      stream.wait(held)
      affine.launch({ ...over(length), stream }, length, x, 2, 1)
      failure.happen()
      const error = thrownBy(() => event.synchronize())
      assert.ok(error instanceof KernelError)
      assert.equal(
        thrownBy(() => x.readSync()),
        error,
      )
      latch.open()
      assert.equal(latch.timedOut, false)
    },
  )

  test(
    "§5.12 an array written repeatedly on many streams only remembers writes that may still fail",
    unsanitized,
    () => {
      using device = open()
      using x = device.full("float32", length, 1)
      using y = device.full("float32", length, 1)
      for (let round = 0; round < 300; round++) {
        using stream = device.createStream()
        stream.wait(device.defaultStream)
        stream.run(() => {
          parallel([
            () => add.launch(over(2), 2, y.subarray(0, 2), y.subarray(0, 2), x.subarray(0, 2)),
            () => fill.launch(over(2), 2, round, x.subarray(2)),
          ])
        })
        device.defaultStream.wait(stream)
        if (round % 100 === 50) breakStream(device.createStream(), () => fill.launch(over(length), length, 0, y))
        if (round % 100 === 50) y.fill(1)
      }
      assert.deepEqual(x.readSync(), Float32Array.of(2, 2, 299, 299))
    },
  )

  test("§5.12 pinned memory is never garbage, because JavaScript writes to it, too", () => {
    using device = open()
    using pinned = device.pinned("int32", length)
    using x = device.zeros("int32", length)
    const stream = device.createStream()
    breakStream(stream, () => affine.launch(over(length), length, pinned, 2, 1))
    stream.dispose()
    pinned.array.fill(9)
    x.copyFrom(pinned)
    assert.deepEqual(x.readSync(), ints(9, 9, 9, 9))
  })
})

onHost("a graph's garbage is never read", (open) => {
  test("§5.12 after a failed launch, all that the graph writes is garbage, its result included; its inputs are not", () => {
    using device = open()
    using weights = device.full("int32", length, 1)
    using out = device.full("int32", length, 1)
    using whole = device.full("int32", length, 1)
    device.synchronize()
    using graph = captureGraph(() => {
      const made = device.full("int32", length, 2)
      throwing.launch(once, 1)
      whole.fill(3)
      combine.launch(over(length), length, weights, out)
      combine.launch(over(length), length, whole, made)
      return made
    })
    const stream = device.createStream()
    graph.launch(stream)
    const error = thrownBy(() => stream.synchronize())
    assert.ok(error instanceof KernelError)
    stream.dispose()
    assert.deepEqual(weights.readSync(), ints(1, 1, 1, 1))
    for (const array of [out, whole, graph.result]) {
      assert.equal(
        thrownBy(() => array.readSync()),
        error,
      )
    }
    assert.equal(
      thrownBy(() => graph.launch()),
      error,
      "out is read before it is written",
    )
    out.fill(1)
    using next = device.createStream()
    next.wait(device.defaultStream)
    graph.launch(next)
    assert.throws(() => next.synchronize(), KernelError)
    assert.throws(() => out.readSync(), KernelError)
  })

  test("§5.12 a launch behind the failure is skipped; a later launch elsewhere makes the results valid again", () => {
    using device = open()
    using out = device.full("int32", length, 1)
    device.synchronize()
    using graph = captureGraph(() => {
      out.fill(3)
      const made = device.full("int32", length, 2)
      combine.launch(over(length), length, out, made)
      return made
    })
    using outer = captureGraph(() => graph.launch())
    const stream = device.createStream()
    for (const one of [graph, outer]) {
      const error = breakStream(device.createStream(), () => one.launch())
      assert.equal(
        thrownBy(() => graph.result.readSync()),
        error,
      )
      assert.equal(
        thrownBy(() => out.readSync()),
        error,
      )
      one.launch()
      assert.deepEqual(graph.result.readSync(), ints(9, 9, 9, 9))
      assert.deepEqual(out.readSync(), ints(3, 3, 3, 3))
    }
    stream.dispose()
  })

  test("§5.12 a body may not run, so a launch refuses garbage even in arrays that the body overwrites", () => {
    using device = open()
    using flag = device.full("int32", 1, 0)
    using x = device.full("int32", length, 1)
    device.synchronize()
    using graph = captureGraph(() => runIf(flag, () => x.fill(3)))
    const error = breakStream(device.createStream(), () => x.fill(1))
    assert.equal(
      thrownBy(() => graph.launch()),
      error,
    )
    x.fill(2)
    graph.launch()
    assert.deepEqual(x.readSync(), ints(2, 2, 2, 2))
  })
})

onHost("the default stream breaks", (open) => {
  test("§5.12 it stays the default stream until its failure has been reported", () => {
    using device = open()
    const former = device.defaultStream
    throwing.launch(once, 1)
    while (former.state.failure === undefined);
    assert.equal(device.defaultStream, former)
    assert.throws(() => device.zeros("int32", 4), KernelError)
    assert.notEqual(device.defaultStream, former)
  })

  test("§5.12 it is replaced once the failure has been reported in any way; held references keep throwing the error", async () => {
    using device = open()
    using x = device.full("int32", length, 1)
    for (const reach of [
      async (stream: Stream) => stream.synchronize(),
      async (stream: Stream) => stream.completed(),
      async (stream: Stream) => {
        while (!stream.query());
      },
      async (stream: Stream) => stream.record().completed(),
      async (stream: Stream) => stream.record().synchronize(),
      async (stream: Stream) => stream.run(() => x.read()),
      async (stream: Stream) => stream.run(() => x.readSync()),
      async () => device.synchronize(),
      async () => device.completed(),
      async (stream: Stream) => {
        for (;;) affine.launch({ ...over(length), stream }, length, device.empty("int32", length), 1, 1)
      },
      async (stream: Stream) => {
        using other = device.createStream()
        other.wait(stream)
        await other.completed()
      },
    ]) {
      device.synchronize()
      const former = device.defaultStream
      throwing.launch(once, 1)
      await assert.rejects(async () => reach(former), KernelError, String(reach))
      const error = thrownBy(() => former.synchronize())
      assert.notEqual(device.defaultStream, former, String(reach))
      assert.equal(former.disposed, false)
      assert.equal(
        thrownBy(() => former.run(() => x.fill(1))),
        error,
      )
      device.zeros("int32", length).dispose()
      x.fill(2)
      assert.deepEqual(x.readSync(), ints(2, 2, 2, 2))
      device.synchronize()
      await device.completed()
    }
  })

  test("§5.12 arrays whose work was queued on it before the replacement are garbage afterwards, not stale", async () => {
    using device = open()
    using x = device.full("int32", length, 1)
    using y = device.full("int32", length, 1)
    device.synchronize()
    const error = breakStream(device.defaultStream, () => affine.launch(over(length), length, x, 2, 1))
    await assert.rejects(x.read(), (reason) => reason === error)
    assert.deepEqual(await y.read(), ints(1, 1, 1, 1))
  })
})

const reverse = defineKernel({
  name: "test_reverse",
  signature: ["out int32*"],
  host: { source: "export function test_reverse(l, x) { x.reverse() }" },
})
