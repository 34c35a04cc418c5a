/** Files that are loaded into arrays. */
import assert from "node:assert/strict"
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { type FileHandle, open as openFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { pathToFileURL } from "node:url"
import { captureGraph, currentStream } from "../../src/index.js"
import { isFileHandle } from "../../src/runtime/load/load-options.js"
import { forEachDevice } from "../support/devices.js"
import { rejected } from "../support/errors.js"
import { affine, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

const MIB = 2 ** 20
const folder = mkdtempSync(join(tmpdir(), "auxstream-load-"))
after(() => rmSync(folder, { recursive: true, force: true }))

/** A file of int32: 0, 1, 2, … */
function fileOf(name: string, elements: number, before = 0): string {
  const path = join(folder, name)
  const bytes = new Uint8Array(before + elements * 4)
  const numbers = new Int32Array(elements)
  for (let index = 0; index < elements; index++) numbers[index] = index
  bytes.set(new Uint8Array(numbers.buffer), before)
  writeFileSync(path, bytes)
  return path
}

const small = fileOf("small", 1000, 3)
/** More than all staging. */
const LARGE = 9 * MIB
const large = fileOf("large", LARGE)

/** The first element that is not its own index. */
function firstWrong(elements: Int32Array, first = 0): number {
  return elements.findIndex((value, index) => value !== index + first)
}

/** An open file of ones whose reads last until they are told to end. */
class SlowFile {
  readonly reading: Promise<void>
  readonly handle: FileHandle
  #begin = (): void => {}
  #finish = (): void => {}

  constructor(size: number) {
    const finished = new Promise<void>((resolve) => {
      this.#finish = resolve
    })
    this.reading = new Promise((resolve) => {
      this.#begin = resolve
    })
    const read = async (into: Uint8Array, offset: number, length: number): Promise<{ bytesRead: number }> => {
      this.#begin()
      await finished
      into.fill(1, offset, offset + length)
      return { bytesRead: length }
    }
    const handle: unknown = { fd: 99, read, stat: async () => ({ size, isFile: () => true }) }
    assert.ok(isFileHandle(handle))
    this.handle = handle
  }

  finish(): void {
    this.#finish()
  }
}

forEachDevice("load", (open) => {
  test("§11 load: a path, a URL, or an open file, from an offset, of a dtype", async () => {
    using device = open()
    const handle = await openFile(small)
    for (const file of [small, pathToFileURL(small), pathToFileURL(small).href, handle]) {
      using x = await device.load(file, { dtype: "int32", offset: 3, length: 1000 })
      assert.deepEqual([x.dtype, x.length], ["int32", 1000])
      assert.equal(firstWrong(await x.read()), -1)
      using part = await device.load(file, { dtype: "int32", offset: 3 + 40, length: 5 })
      assert.deepEqual(part.readSync(), Int32Array.of(10, 11, 12, 13, 14))
      using rest = await device.load(file, { dtype: "uint8", offset: 3996 })
      assert.deepEqual(rest.readSync().subarray(3), Uint8Array.of(231, 3, 0, 0).subarray(0))
    }
    assert.equal((await handle.stat()).size, 4003, "an open file stays open")
    await handle.close()
    for (const length of [0, undefined]) {
      using none = await device.load(small, { dtype: "int64", offset: 4003, length })
      assert.equal(none.length, 0)
    }
  })

  test("§11 load: a file larger than all staging, whole and in parts at the same time", async () => {
    using device = open()
    const lengths = [LARGE, LARGE, 5 * MIB, 1, 4 * MIB + 7]
    const arrays = await Promise.all(lengths.map((length) => device.load(large, { dtype: "int32", length })))
    for (const [index, x] of arrays.entries()) {
      assert.equal(x.length, lengths[index])
      assert.equal(firstWrong(x.readSync()), -1, `load ${index}`)
      x.dispose()
    }
  })

  test("§11 load: in the order of the current stream, and usable on every stream at once", async () => {
    using device = open()
    using stream = device.createStream()
    using other = device.createStream()
    using latch = new Latch(device).hold(stream)
    const x = await stream.run(() => device.load(large, { dtype: "int32", length: 4 * MIB }))
    const y = await stream.run(async () => {
      await Promise.resolve()
      return device.load(small, { dtype: "int32", offset: 3 + 40 })
    })
    // The other stream waits for the arrays' birth, which is behind the latch.
    other.run(() => {
      affine.launch(over(1000), 1000, x, 2, 1)
      affine.launch(over(990), 990, y, 3, 0)
    })
    assert.equal(stream.query(), false)
    assert.equal(currentStream(device).query(), true)
    latch.open()
    other.run(() => {
      const elements = x.readSync()
      assert.deepEqual(elements.subarray(0, 3), Int32Array.of(1, 3, 5), "its buffer was not reused before")
      assert.deepEqual(elements.subarray(998, 1002), Int32Array.of(1997, 1999, 1000, 1001))
      assert.deepEqual(y.readSync().subarray(0, 3), Int32Array.of(30, 33, 36))
    })
    assert.equal(latch.timedOut, false)
    for (const array of [x, y]) array.dispose()
  })

  test("§11 load: memory that queued work may still use is not written to before", async () => {
    using device = open()
    using kept = device.zeros("int32", 1000)
    device.synchronize()
    using latch = new Latch(device).hold()
    const former = device.full("int32", 1000, 7)
    kept.copyFrom(former)
    former.dispose()
    // It may get the memory of the former one, whose copy has not run.
    using x = await device.load(small, { dtype: "int32", offset: 3 })
    latch.open()
    assert.equal(
      kept.readSync().every((value) => value === 7),
      true,
    )
    assert.equal(firstWrong(x.readSync()), -1)
    assert.equal(latch.timedOut, false)
  })

  test("§11 load: a scope keeps the array that it returns, and ends a load that it does not", async () => {
    using device = open()
    const x = await device.scope(async () => {
      const lost = device.load(large, { dtype: "int32" })
      lost.catch(() => {})
      return device.load(small, { dtype: "int32", offset: 3 })
    })
    assert.equal(firstWrong(x.readSync()), -1)
    x.dispose()
  })

  test("§6 load: while a read still writes to memory, nobody else gets it", async () => {
    using device = open()
    device.synchronize()
    const file = new SlowFile(4 * MIB)
    const loading = device.scope(() => {
      const started = device.load(file.handle, { dtype: "uint8" })
      return file.reading.then(() => [started.then(() => "loaded").catch(() => "ended")] as const)
    })
    // The scope is over, and with it the array, while the file is still being read.
    const [ended] = await loading
    using others = device.full("uint8", 4 * MIB, 7)
    device.synchronize()
    file.finish()
    assert.equal(await ended, "ended")
    assert.ok(others.readSync().every((value) => value === 7))
  })

  test("§8 load: what cannot be loaded is refused by name, and nothing is left behind", async () => {
    using device = open()
    const { used } = device.memory
    const missing = join(folder, "missing")
    const error = await rejected(() => device.load(missing, { dtype: "int32" }), "AUX_FILE_FAILED", missing, "ENOENT")
    assert.equal(Reflect.get(Object(error.cause), "code"), "ENOENT")
    await rejected(() => device.load(folder, { dtype: "int32" }), "AUX_FILE_FAILED", folder, "regular file")
    await rejected(
      () => device.load("file://[", { dtype: "int32" }),
      "AUX_INVALID_ARGUMENT",
      "`file`",
      "file: URL",
      "file://[",
    )
    await rejected(
      () => Reflect.apply(device.load, device, [small, null]) as Promise<unknown>,
      "AUX_INVALID_ARGUMENT",
      "`options`",
      "{ dtype }",
      "got null",
    )
    await rejected(() => device.load(small, { dtype: "int32", length: 1001 }), "AUX_OUT_OF_RANGE", "4004", "4003")
    await rejected(
      () => device.load(small, { dtype: "int32", length: 1000, offset: 4 }),
      "AUX_OUT_OF_RANGE",
      "1000 elements of int32 from byte 4 on",
    )
    await rejected(() => device.load(small, { dtype: "int32", offset: 4004 }), "AUX_OUT_OF_RANGE", "4004", "got 4003")
    await rejected(() => device.load(small, { dtype: "int32" }), "AUX_OUT_OF_RANGE", "multiple of 4", "4003", "length")
    await rejected(
      () => device.load(large, { dtype: "float64", length: 2 ** 50 }),
      "AUX_OUT_OF_RANGE",
      "float64",
      String(LARGE * 4),
    )
    const closed = await openFile(small)
    await closed.close()
    await rejected(() => device.load(closed, { dtype: "int32" }), "AUX_FILE_FAILED", "descriptor")
    assert.equal(device.memory.used, used)
  })

  test("§8 load: a file that becomes shorter while it is loaded", async () => {
    using device = open()
    const { used } = device.memory
    const path = fileOf("shrinking", LARGE)
    const loading = device.load(path, { dtype: "int32" })
    const shrunk = rejected(() => loading, "AUX_FILE_FAILED", "shrinking", "shorter", String(LARGE * 4))
    // The size is asked for once the file is open, and the first piece is read only afterwards.
    while (device.memory.used === used) await new Promise((resolve) => setImmediate(resolve))
    truncateSync(path, LARGE * 2)
    await shrunk
    assert.equal(device.memory.used, used)
    using x = await device.load(large, { dtype: "int32" })
    assert.equal(firstWrong(x.readSync()), -1, "the staging is as good as before")
  })

  test("§8 load: aborted before, while it waits for staging, and between pieces", async () => {
    using device = open()
    const { used } = device.memory
    const reason = new Error("no longer wanted")
    await assert.rejects(device.load(small, { dtype: "uint8", signal: AbortSignal.abort(reason) }), reason)
    using stream = device.createStream()
    using latch = new Latch(device).hold(stream)
    const controller = new AbortController()
    const { signal } = controller
    // Of these, each waits for staging that the held stream does not give back.
    const held = stream.run(() => [1, 2, 3].map(() => device.load(large, { dtype: "int32", signal })))
    const running = device.load(large, { dtype: "int32", signal })
    const outcomes = Promise.allSettled([...held, running])
    while (device.memory.used < used + 4 * LARGE) await new Promise((resolve) => setImmediate(resolve))
    controller.abort(reason)
    for (const outcome of await outcomes) {
      if (outcome.status === "fulfilled") outcome.value.dispose()
      else assert.equal(outcome.reason, reason)
    }
    latch.open()
    assert.ok((await Promise.allSettled(held)).every(({ status }) => status === "rejected"))
    assert.equal(device.memory.used, used)
    using x = await device.load(large, { dtype: "int32" })
    assert.equal(firstWrong(x.readSync()), -1, "the staging is as good as before")
    assert.equal(latch.timedOut, false)
  })

  test("§8 load: the device is disposed of meanwhile", async () => {
    const device = open()
    const loads = [large, small, large].map((file) => device.load(file, { dtype: "uint8" }))
    for (const load of loads) load.catch(() => {})
    await new Promise((resolve) => setImmediate(resolve))
    device.dispose()
    for (const load of loads) await rejected(() => load, "AUX_DISPOSED")
    await rejected(() => device.load(small, { dtype: "uint8" }), "AUX_DISPOSED")
    using again = open()
    using x = await again.load(large, { dtype: "int32" })
    assert.equal(firstWrong(x.readSync()), -1)
  })

  test("§9 load: not inside a capture", async () => {
    using device = open()
    await assert.rejects(
      captureGraph(async () => await device.load(small, { dtype: "uint8" }), { device }),
      { code: "AUX_STREAM_CAPTURING" },
    )
  })

  test("§11 load: no file is left open", async () => {
    using device = open()
    const before = openSync(small, "r")
    for (let round = 0; round < 20; round++) {
      const x = await device.load(small, { dtype: "uint8" })
      x.dispose()
      await device.load(small, { dtype: "int32" }).catch(() => {})
    }
    const behind = openSync(small, "r")
    closeSync(behind)
    closeSync(before)
    // The runtime itself opens a few, for worker threads. A leak would be 20 or 40.
    assert.ok(behind < before + 20, `descriptor ${behind} after ${before}`)
  })
})
