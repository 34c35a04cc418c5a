import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"
import {
  currentStream,
  defineKernel,
  type DeviceArray,
  type ErrorCode,
  type Event,
  executeInParallel,
  fork,
  fromFloat32,
  maybeExecuteInParallel,
  parallel,
  type PinnedArray,
  type Stream,
  toFloat32,
  withMultiStream,
} from "../../src/index.js"
import type { Device } from "../../src/runtime/device.js"
import { show } from "../../src/runtime/show.js"
import { openOther } from "../support/devices.js"
import { refused, rejected, type Words } from "../support/errors.js"
import { affine, bodiless, combine, once, over, reverse } from "../support/kernels.js"
import { Recorded } from "../support/recorded.js"

/** What has to be refused: a call, the code of its error, and what its message has to say. */
type Case = readonly [call: () => unknown, code: ErrorCode, ...words: Words[]]

/** What is no integer from 0 on. */
const noIntegers: readonly unknown[] = [-1, 0.5, NaN, Infinity, -Infinity, 2 ** 53, "1", null, 1n, {}, [1], true]
const noFunctions: readonly unknown[] = [undefined, null, 5, "fn", {}, []]
const noObjects: readonly unknown[] = [null, 5, "options", true]
const noStreams: readonly unknown[] = [5, "stream", {}, 5n]
const noSignals: readonly unknown[] = [null, 5, {}, "signal"]

/** A function that may be called in every way, as the compiler would refuse what is tested here. */
type Loose = (...args: readonly unknown[]) => unknown

function loose(target: object, method: string): Loose {
  const member: unknown = Reflect.get(target, method)
  if (typeof member !== "function") throw new TypeError(`no method ${method}`)
  return (...args) => Reflect.apply(member, target, args) as unknown
}

/** The same refusal for each of several values, which the message shows. */
function each(
  values: readonly unknown[],
  call: (value: unknown) => unknown,
  code: ErrorCode,
  ...words: Words[]
): Case[] {
  return values.map((value) => [() => call(value), code, show(value), ...words])
}

let at: Recorded
let other: Device
let device: Device
let x: DeviceArray<"int32">
let gone: DeviceArray<"int32">
let foreign: DeviceArray<"int32">
let floats: DeviceArray<"float32">
let pinned: PinnedArray<"int32">
let foreignStream: Stream
let foreignEvent: Event
let goneStream: Stream
let goneEvent: Event
let event: Event
let called = 0

before(() => {
  at = new Recorded()
  ;({ device } = at)
  other = openOther()
  x = device.full("int32", 4, 1)
  floats = device.zeros("float32", 4)
  gone = device.zeros("int32", 4)
  gone.dispose()
  foreign = other.zeros("int32", 4)
  pinned = device.pinned("int32", 4)
  foreignStream = other.createStream({ name: "foreign stream" })
  foreignEvent = other.createEvent({ name: "foreign event" })
  goneStream = device.createStream({ name: "gone stream" })
  goneStream.dispose()
  goneEvent = device.createEvent({ name: "gone event" })
  goneEvent.dispose()
  event = device.createEvent({ name: "an event" })
  affine.launch(over(4), 4, x, 1, 0)
  reverse(x, x.subarray(0))
  device.synchronize()
})

after(() => {
  other.dispose()
  device.dispose()
})

const queueing = ["launch", "copy", "upload", "fill", "recordEvent", "waitEvent", "allocate", "free"] as const
const making = ["allocatePinned", "createStream", "createEvent", "adoptStream", "destroyStream"] as const

function fn(): void {
  called += 1
}

/** Every case is refused, queues and makes nothing, and leaves the device as it was. */
function refuses(name: string, cases: () => readonly Case[]): void {
  test(name, async () => {
    for (const [call, code, ...words] of cases()) {
      at.recording.take()
      called = 0
      let result: unknown
      const error = refused(
        () => {
          result = call()
          if (!(result instanceof Promise)) return
          // A promise tells of the refusal later.
          throw result
        },
        code,
        ...words,
      )
      assert.ok(error.message.length > 20, error.message)
      assert.equal(called, 0, "nothing of the caller's was called")
      assert.deepEqual(at.recording.take(...queueing, ...making), [], "nothing was queued, nothing made")
    }
    await works()
  })
}

/** The same for what gives a promise. */
function rejects(name: string, cases: () => readonly Case[]): void {
  test(name, async () => {
    for (const [call, code, ...words] of cases()) {
      at.recording.take()
      await rejected(async () => await call(), code, ...words)
      assert.deepEqual(at.recording.take(...queueing, ...making), [], "nothing was queued, nothing made")
    }
    await works()
  })
}

async function works(): Promise<void> {
  const before = x.readSync()
  affine.launch(over(4), 4, x, 1, 1)
  assert.deepEqual(
    await x.read(),
    before.map((value) => value + 1),
  )
}

describe("§8 bad input: devices", () => {
  refuses("createStream", () => [
    ...each(noObjects, loose(device, "createStream"), "AUX_INVALID_ARGUMENT", "options"),
    ...each(
      [1, -99, 0.5, NaN, "0", null, 0n],
      (priority) => loose(device, "createStream")({ priority }),
      "AUX_OUT_OF_RANGE",
      "priority",
    ),
    ...each([5, null, {}], (name) => loose(device, "createStream")({ name }), "AUX_INVALID_ARGUMENT", "name"),
  ])
  refuses("createEvent", () => [
    ...each(noObjects, loose(device, "createEvent"), "AUX_INVALID_ARGUMENT", "options"),
    ...each([1, "yes", null], (timing) => loose(device, "createEvent")({ timing }), "AUX_INVALID_ARGUMENT", "timing"),
    ...each([5, null, {}], (name) => loose(device, "createEvent")({ name }), "AUX_INVALID_ARGUMENT", "name"),
  ])
  refuses("streamFromHandle", () => [
    ...each([5, -1n, "5", null, undefined, {}], loose(device, "streamFromHandle"), "AUX_INVALID_ARGUMENT", "handle"),
  ])
  for (const method of ["empty", "zeros", "pinned", "full"]) {
    refuses(method, () => [
      ...each(
        ["float", "", "toString", 5, null, undefined, {}],
        (dtype) => loose(device, method)(dtype, 1, 1),
        "AUX_INVALID_ARGUMENT",
        "dtype",
        "float32",
      ),
      ...each(
        [...noIntegers, undefined],
        (length) => loose(device, method)("int32", length, 1),
        "AUX_OUT_OF_RANGE",
        "length",
      ),
    ])
  }
  refuses("full", () => [
    ...each(
      [undefined, null, "1", 0.5, NaN, 2 ** 31, 1n],
      (value) => loose(device, "full")("int32", 1, value),
      "AUX_INVALID_ARGUMENT",
      "value",
      "int32",
    ),
    ...each(
      [0.5, 2n ** 64n, "1"],
      (value) => loose(device, "full")("int64", 1, value),
      "AUX_INVALID_ARGUMENT",
      "value",
      "int64",
    ),
    ...each(
      [1n, "1", undefined],
      (value) => loose(device, "full")("float16", 1, value),
      "AUX_INVALID_ARGUMENT",
      "value",
      "float16",
    ),
  ])
  refuses("from", () => [
    ...each(
      [undefined, null, 5, [1, 2], "text", {}, new ArrayBuffer(8)],
      loose(device, "from"),
      "AUX_INVALID_ARGUMENT",
      "source",
    ),
    ...each(
      [new DataView(new ArrayBuffer(8)), new Uint8ClampedArray(4)],
      loose(device, "from"),
      "AUX_INVALID_ARGUMENT",
      "source",
    ),
    ...each(
      ["float", 5, null],
      (dtype) => loose(device, "from")(new Uint16Array(1), dtype),
      "AUX_INVALID_ARGUMENT",
      "dtype",
    ),
    [
      () => loose(device, "from")(new Float32Array(2), "int32"),
      "AUX_DTYPE_MISMATCH",
      "Float32Array",
      "Int32Array",
      "int32",
    ],
    [() => loose(device, "from")([1, 2], "int32"), "AUX_DTYPE_MISMATCH", "[ 1, 2 ]", "Int32Array"],
    [() => loose(device, "from")(new Float32Array(2), "float16"), "AUX_DTYPE_MISMATCH", "Float32Array", "Uint16Array"],
  ])
  refuses("wrap", () => [
    ...each(
      ["float", null, undefined],
      (dtype) => loose(device, "wrap")(256, dtype, 1),
      "AUX_INVALID_ARGUMENT",
      "dtype",
    ),
    ...each(noIntegers, (length) => loose(device, "wrap")(256, "int32", length), "AUX_OUT_OF_RANGE", "length"),
    ...each(
      [...noIntegers, 0, undefined],
      (address) => loose(device, "wrap")(address, "int32", 1),
      "AUX_OUT_OF_RANGE",
      "address",
    ),
    ...each(
      [257, 258, 259],
      (address) => loose(device, "wrap")(address, "int32", 1),
      "AUX_INVALID_ARGUMENT",
      "address",
      "4",
    ),
  ])
  refuses("scope", () => each(noFunctions, loose(device, "scope"), "AUX_INVALID_ARGUMENT", "fn", "function"))
  rejects("completed", () => [
    ...each(noObjects, loose(device, "completed"), "AUX_INVALID_ARGUMENT", "options"),
    ...each(noSignals, (signal) => loose(device, "completed")({ signal }), "AUX_INVALID_ARGUMENT", "signal"),
  ])
  refuses("currentStream", () =>
    each(
      [null, 5, "host", {}],
      (value) => Reflect.apply(currentStream, undefined, [value]) as unknown,
      "AUX_INVALID_ARGUMENT",
      "device",
    ),
  )
})

describe("§8 bad input: streams and events", () => {
  refuses("stream.record", () => [
    ...each([5, null, {}, at.main], loose(at.main, "record"), "AUX_INVALID_ARGUMENT", "event"),
    [() => at.main.record(foreignEvent), "AUX_DEVICE_MISMATCH", "other", "host", "foreign event"],
    [() => at.main.record(goneEvent), "AUX_DISPOSED", "gone event"],
    [() => goneStream.record(event), "AUX_DISPOSED", "gone stream"],
    [() => goneStream.record(), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("stream.wait", () => [
    ...each([undefined, ...noStreams], loose(at.main, "wait"), "AUX_INVALID_ARGUMENT", "target"),
    [() => at.main.wait(foreignStream), "AUX_DEVICE_MISMATCH", "foreign stream", "other", "host"],
    [() => at.main.wait(foreignEvent), "AUX_DEVICE_MISMATCH", "foreign event", "other", "host"],
    [() => at.main.wait(goneStream), "AUX_DISPOSED", "gone stream"],
    [() => at.main.wait(goneEvent), "AUX_DISPOSED", "gone event"],
    [() => goneStream.wait(at.main), "AUX_DISPOSED", "gone stream"],
    [() => goneStream.wait(event), "AUX_DISPOSED", "gone stream"],
    [() => goneStream.wait(goneStream), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("stream.run", () => [
    ...each(noFunctions, loose(at.main, "run"), "AUX_INVALID_ARGUMENT", "fn"),
    [() => goneStream.run(fn), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("stream.external", () => [
    ...each(noObjects, (uses) => loose(at.main, "external")(uses, fn), "AUX_INVALID_ARGUMENT", "uses"),
    ...each(noFunctions, (value) => loose(at.main, "external")({}, value), "AUX_INVALID_ARGUMENT", "fn"),
    ...each([5, null, "x", {}], (reads) => loose(at.main, "external")({ reads }, fn), "AUX_INVALID_ARGUMENT", "reads"),
    ...each(
      [5, null, {}, new Int32Array(2)],
      (array) => loose(at.main, "external")({ writes: [x, array] }, fn),
      "AUX_INVALID_ARGUMENT",
    ),
    [() => at.main.external({ reads: [gone] }, fn), "AUX_DISPOSED", "4 elements"],
    [() => at.main.external({ writes: [foreign] }, fn), "AUX_DEVICE_MISMATCH", "other", "host"],
    [() => goneStream.external({}, fn), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("a disposed stream", () => [
    [() => goneStream.query(), "AUX_DISPOSED", "gone stream"],
    [() => goneStream.synchronize(), "AUX_DISPOSED", "gone stream"],
    [() => goneStream.handle, "AUX_DISPOSED", "gone stream"],
  ])
  rejects("stream.completed", () => [
    ...each(noObjects, loose(at.main, "completed"), "AUX_INVALID_ARGUMENT", "options"),
    ...each(noSignals, (signal) => loose(at.main, "completed")({ signal }), "AUX_INVALID_ARGUMENT", "signal"),
    [() => goneStream.completed(), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("event.record, event.wait", () => [
    ...each([null, ...noStreams], loose(event, "record"), "AUX_INVALID_ARGUMENT", "stream"),
    ...each([null, ...noStreams], loose(event, "wait"), "AUX_INVALID_ARGUMENT", "stream"),
    [() => event.record(foreignStream), "AUX_DEVICE_MISMATCH", "foreign stream", "an event", "other", "host"],
    [() => event.wait(foreignStream), "AUX_DEVICE_MISMATCH", "foreign stream", "an event", "other", "host"],
    [() => event.record(goneStream), "AUX_DISPOSED", "gone stream"],
    [() => event.wait(goneStream), "AUX_DISPOSED", "gone stream"],
    [() => goneEvent.record(), "AUX_DISPOSED", "gone event"],
    [() => goneEvent.wait(), "AUX_DISPOSED", "gone event"],
    [() => goneEvent.query(), "AUX_DISPOSED", "gone event"],
    [() => goneEvent.synchronize(), "AUX_DISPOSED", "gone event"],
    [() => goneEvent.handle, "AUX_DISPOSED", "gone event"],
  ])
  refuses("event.elapsedTime", () => [
    ...each([undefined, null, 5, {}], loose(event, "elapsedTime"), "AUX_INVALID_ARGUMENT", "end"),
    [() => event.elapsedTime(foreignEvent), "AUX_DEVICE_MISMATCH", "foreign event", "other", "host"],
    [() => event.elapsedTime(event), "AUX_NOT_READY", "an event", "timing: true"],
    [() => event.elapsedTime(goneEvent), "AUX_NOT_READY", "an event"],
    [() => goneEvent.elapsedTime(event), "AUX_DISPOSED", "gone event"],
  ])
  rejects("event.completed", () => [
    ...each(noObjects, loose(event, "completed"), "AUX_INVALID_ARGUMENT", "options"),
    ...each(noSignals, (signal) => loose(event, "completed")({ signal }), "AUX_INVALID_ARGUMENT", "signal"),
    [() => goneEvent.completed(), "AUX_DISPOSED", "gone event"],
  ])
})

describe("§8 bad input: arrays", () => {
  refuses("subarray", () => [
    ...each(
      [...noIntegers, undefined, 5],
      (begin) => loose(x, "subarray")(begin),
      "AUX_OUT_OF_RANGE",
      "begin",
      "0",
      "4",
    ),
    ...each([...noIntegers, 1, 5], (end) => loose(x, "subarray")(2, end), "AUX_OUT_OF_RANGE", "end", "2", "4"),
    [() => gone.subarray(0), "AUX_DISPOSED", "4 elements"],
  ])
  refuses("fill", () => [
    ...each(
      [undefined, null, "1", 0.5, NaN, 2 ** 31, 1n, {}],
      loose(x, "fill"),
      "AUX_INVALID_ARGUMENT",
      "value",
      "int32",
    ),
    ...each([1n, "1"], loose(floats, "fill"), "AUX_INVALID_ARGUMENT", "value", "float32"),
    [() => gone.fill(1), "AUX_DISPOSED", "4 elements"],
  ])
  refuses("copyFrom", () => [
    ...each(
      [undefined, null, 5, [1, 2, 3, 4], {}, new Float32Array(4)],
      loose(x, "copyFrom"),
      "AUX_DTYPE_MISMATCH",
      "source",
      "Int32Array",
    ),
    [() => loose(x, "copyFrom")(floats), "AUX_DTYPE_MISMATCH", "float32", "int32"],
    [() => x.copyFrom(new Int32Array(3)), "AUX_LENGTH_MISMATCH", "3", "4"],
    [() => x.copyFrom(x.subarray(0, 3)), "AUX_LENGTH_MISMATCH", "3", "4"],
    [() => x.subarray(0, 3).copyFrom(x.subarray(1)), "AUX_INVALID_ARGUMENT", "overlap"],
    [() => x.copyFrom(foreign), "AUX_DEVICE_MISMATCH", "other", "host"],
    [() => x.copyFrom(gone), "AUX_DISPOSED", "4 elements"],
    [() => gone.copyFrom(x), "AUX_DISPOSED", "4 elements"],
  ])
  refuses("pinned.copyFrom", () => [
    ...each(
      [undefined, null, 5, new Int32Array(4), pinned],
      loose(pinned, "copyFrom"),
      "AUX_INVALID_ARGUMENT",
      "source",
    ),
    [() => loose(pinned, "copyFrom")(floats), "AUX_DTYPE_MISMATCH", "float32", "int32"],
    [() => pinned.copyFrom(x.subarray(1)), "AUX_LENGTH_MISMATCH", "3", "4"],
    [() => pinned.copyFrom(foreign), "AUX_DEVICE_MISMATCH", "other", "host"],
    [() => pinned.copyFrom(gone), "AUX_DISPOSED", "4 elements"],
  ])
  refuses("readSync", () => [[() => gone.readSync(), "AUX_DISPOSED", "4 elements"]])
  rejects("read", () => [[() => gone.read(), "AUX_DISPOSED", "4 elements"]])
  refuses("toFloat32, fromFloat32", () => [
    ...each(
      ["float32", 5, null, undefined],
      (dtype) => Reflect.apply(toFloat32, undefined, [new Uint16Array(1), dtype]),
      "AUX_INVALID_ARGUMENT",
      "dtype",
    ),
    ...each(
      ["float32", 5, null, undefined],
      (dtype) => Reflect.apply(fromFloat32, undefined, [[1], dtype]),
      "AUX_INVALID_ARGUMENT",
      "dtype",
    ),
    ...each(
      [undefined, null, 5, [1, 2], new Float32Array(2), "x"],
      (source) => Reflect.apply(toFloat32, undefined, [source, "float16"]),
      "AUX_INVALID_ARGUMENT",
      "source",
    ),
    ...each(
      [undefined, null, 5, {}, "12"],
      (source) => Reflect.apply(fromFloat32, undefined, [source, "float16"]),
      "AUX_INVALID_ARGUMENT",
      "source",
    ),
    ...each(
      [["1"], [1n], [null], [undefined], [1, {}]],
      (source) => Reflect.apply(fromFloat32, undefined, [source, "bfloat16"]),
      "AUX_INVALID_ARGUMENT",
      "source",
    ),
  ])
})

describe("§8 bad input: kernels", () => {
  const define: Loose = (definition) => Reflect.apply(defineKernel, undefined, [definition])
  refuses("defineKernel", () => [
    ...each([undefined, ...noObjects], define, "AUX_INVALID_ARGUMENT", "definition"),
    ...each([undefined, null, 5, "", "a b"], (name) => define({ name, signature: [] }), "AUX_INVALID_ARGUMENT", "name"),
    ...each(
      [undefined, null, 5, "int32"],
      (signature) => define({ name: "k", signature }),
      "AUX_INVALID_ARGUMENT",
      "signature",
    ),
    ...each(
      [null, 5, {}, { source: "", ptx: "" }],
      (cuda) => define({ name: "k", signature: [], cuda }),
      "AUX_INVALID_ARGUMENT",
      "cuda",
      "k",
    ),
    ...each(
      [null, 5, {}, { source: "", wasm: new Uint8Array(1) }],
      (host) => define({ name: "k", signature: [], host }),
      "AUX_INVALID_ARGUMENT",
      "host",
      "k",
    ),
    ...each(
      [5, null, undefined],
      (source) => define({ name: "k", signature: [], cuda: { source } }),
      "AUX_INVALID_ARGUMENT",
      "cuda",
      "source",
    ),
    ...each(
      ["-O3", [5], 5],
      (options) => define({ name: "k", signature: [], cuda: { source: "", options } }),
      "AUX_INVALID_ARGUMENT",
      "cuda",
      "options",
    ),
    ...each(
      [5, null, [1]],
      (ptx) => define({ name: "k", signature: [], cuda: { ptx } }),
      "AUX_INVALID_ARGUMENT",
      "cuda",
      "ptx",
    ),
    ...each(
      [5, "bytes", null],
      (cubin) => define({ name: "k", signature: [], cuda: { cubin } }),
      "AUX_INVALID_ARGUMENT",
      "cuda",
      "cubin",
    ),
    ...each(
      [5, null, undefined],
      (source) => define({ name: "k", signature: [], host: { source } }),
      "AUX_INVALID_ARGUMENT",
      "host",
      "source",
    ),
    ...each(
      [5, null],
      (module) => define({ name: "k", signature: [], host: { module } }),
      "AUX_INVALID_ARGUMENT",
      "host",
      "module",
    ),
    ...each(
      [5, "path", null],
      (wasm) => define({ name: "k", signature: [], host: { wasm } }),
      "AUX_INVALID_ARGUMENT",
      "host",
      "wasm",
    ),
    ...each(
      [5, null, ""],
      (name) => define({ name: "k", signature: [], host: { source: "", export: name } }),
      "AUX_INVALID_ARGUMENT",
      "host",
      "export",
    ),
  ])
  const launch: Loose = (options) => Reflect.apply(affine.launch, affine, [options, 4, x, 1, 1])
  refuses("launch: the options", () => [
    ...each([undefined, ...noObjects], launch, "AUX_INVALID_ARGUMENT", "options"),
    ...each(
      [undefined, null, "1", {}, [], [1, 1, 1, 1]],
      (grid) => launch({ grid, block: 1 }),
      "AUX_INVALID_ARGUMENT",
      "grid",
    ),
    ...each(
      [undefined, null, "1", {}, [], [1, 1, 1, 1]],
      (block) => launch({ grid: 1, block }),
      "AUX_INVALID_ARGUMENT",
      "block",
    ),
    ...each([0, -1, 0.5, NaN, 2 ** 31], (grid) => launch({ grid, block: 1 }), "AUX_OUT_OF_RANGE", "grid"),
    ...each([0, -1, 0.5, NaN, 1025], (block) => launch({ grid: 1, block }), "AUX_OUT_OF_RANGE", "block"),
    ...each([0, "1", null, 0.5], (y) => launch({ grid: [1, y], block: 1 }), "AUX_OUT_OF_RANGE", "grid.y"),
    ...each([0, 65, 1n], (z) => launch({ grid: 1, block: [1, 1, z] }), "AUX_OUT_OF_RANGE", "block.z"),
    ...each(
      [-1, 0.5, NaN, "0", null, 2 ** 40],
      (sharedMemory) => launch({ ...once, sharedMemory }),
      "AUX_OUT_OF_RANGE",
      "sharedMemory",
    ),
    ...each(["yes", 1, null], (cooperative) => launch({ ...once, cooperative }), "AUX_INVALID_ARGUMENT", "cooperative"),
    ...each(["2", null, {}, []], (cluster) => launch({ ...once, cluster }), "AUX_INVALID_ARGUMENT", "cluster"),
    ...each([0, 17, 0.5], (cluster) => launch({ ...once, cluster }), "AUX_OUT_OF_RANGE", "cluster"),
    ...each([null, ...noStreams], (stream) => launch({ ...once, stream }), "AUX_INVALID_ARGUMENT", "stream"),
    [() => launch({ ...once, stream: goneStream }), "AUX_DISPOSED", "gone stream"],
    [() => launch({ ...once, stream: foreignStream }), "AUX_DEVICE_MISMATCH", "argument 1", "other", "host"],
    ...each(noObjects, (uses) => launch({ ...once, uses }), "AUX_INVALID_ARGUMENT", "uses"),
    ...each([5, null, {}], (reads) => launch({ ...once, uses: { reads } }), "AUX_INVALID_ARGUMENT", "reads"),
    ...each([5, null, {}], (array) => launch({ ...once, uses: { writes: [array] } }), "AUX_INVALID_ARGUMENT", "uses"),
    [() => launch({ ...once, uses: { reads: [gone] } }), "AUX_DISPOSED", "4 elements"],
    [() => launch({ ...once, uses: { reads: [foreign] } }), "AUX_DEVICE_MISMATCH", "other", "host"],
  ])
  const launchWith: Loose = (...args) =>
    at.main.run(() => Reflect.apply(affine.launch, affine, [over(4), ...args]) as unknown)
  refuses("launch: the arguments", () => [
    [() => launchWith(), "AUX_INVALID_ARGUMENT", "test_affine", "0 arguments", "4"],
    [() => launchWith(4, x, 1, 1, 1), "AUX_INVALID_ARGUMENT", "test_affine", "5 arguments", "4"],
    ...each(
      [undefined, null, "4", 4n, 0.5, NaN, 2 ** 31, {}, x],
      (value) => launchWith(value, x, 1, 1),
      "AUX_INVALID_ARGUMENT",
      "argument 0",
      "int32",
    ),
    ...each(
      [undefined, null, 5, {}, new Int32Array(4)],
      (value) => launchWith(4, value, 1, 1),
      "AUX_INVALID_ARGUMENT",
      "argument 1",
      "inout int32*",
    ),
    [() => launchWith(4, floats, 1, 1), "AUX_DTYPE_MISMATCH", "argument 1", "float32", "int32"],
    [() => launchWith(4, gone, 1, 1), "AUX_DISPOSED", "4 elements"],
    [() => combine.launch(over(4), 4, x, foreign), "AUX_DEVICE_MISMATCH", "argument 2", "other", "host"],
    [() => bodiless.launch({ ...once, stream: at.main }, 1), "AUX_KERNEL_UNAVAILABLE", "test_bodiless", "host"],
  ])
  rejects("prepare", () => [
    ...each([undefined, null, 5, "host", {}], loose(affine, "prepare"), "AUX_INVALID_ARGUMENT", "device"),
    [() => bodiless.prepare(device), "AUX_KERNEL_UNAVAILABLE", "test_bodiless", "host"],
  ])
})

describe("§8 bad input: fork and join", () => {
  const maybe: Loose = (...args) => Reflect.apply(maybeExecuteInParallel, undefined, args)
  const execute: Loose = (...args) => Reflect.apply(executeInParallel, undefined, args)
  refuses("maybeExecuteInParallel", () => [
    ...each(noFunctions, (value) => maybe(value, fn, null, null, null), "AUX_INVALID_ARGUMENT", "fn0"),
    ...each(noFunctions, (value) => maybe(fn, value, null, null, null), "AUX_INVALID_ARGUMENT", "fn1"),
    ...each(noStreams, (stream) => maybe(fn, fn, event, event, stream), "AUX_INVALID_ARGUMENT", "auxStream"),
    ...each([null, undefined, 5, {}], (value) => maybe(fn, fn, value, event, at.aux), "AUX_INVALID_ARGUMENT", "event0"),
    ...each([null, undefined, 5, {}], (value) => maybe(fn, fn, event, value, at.aux), "AUX_INVALID_ARGUMENT", "event1"),
    [() => maybe(fn, fn, event, event, goneStream), "AUX_DISPOSED", "auxStream", "gone stream"],
    [() => maybe(fn, fn, goneEvent, event, at.aux), "AUX_DISPOSED", "event0", "gone event"],
    [() => maybe(fn, fn, event, goneEvent, at.aux), "AUX_DISPOSED", "event1", "gone event"],
    [() => maybe(fn, fn, foreignEvent, event, at.aux), "AUX_DEVICE_MISMATCH", "event0", "other", "host"],
    [() => maybe(fn, fn, event, foreignEvent, at.aux), "AUX_DEVICE_MISMATCH", "event1", "other", "host"],
    [() => maybe(fn, fn, event, event, foreignStream), "AUX_DEVICE_MISMATCH", "other", "host"],
  ])
  refuses("executeInParallel", () => [
    ...each(noFunctions, (value) => execute(value, [fn], event, [event], [at.aux]), "AUX_INVALID_ARGUMENT", "fn0"),
    ...each(
      [null, undefined, 5, {}, fn],
      (value) => execute(fn, value, event, [event], [at.aux]),
      "AUX_INVALID_ARGUMENT",
      "auxFns",
    ),
    ...each(
      [5, "fn", {}],
      (value) => execute(fn, [value], event, [event], [at.aux]),
      "AUX_INVALID_ARGUMENT",
      "auxFns[0]",
    ),
    ...each(
      [null, undefined, 5, {}],
      (value) => execute(fn, [fn], value, [event], [at.aux]),
      "AUX_INVALID_ARGUMENT",
      "startEvent",
    ),
    ...each(
      [null, 5, {}],
      (value) => execute(fn, [fn], event, [value], [at.aux]),
      "AUX_INVALID_ARGUMENT",
      "doneEvents[0]",
    ),
    ...each(
      [null, ...noStreams],
      (value) => execute(fn, [fn, fn], event, [event, event], [at.aux, value]),
      "AUX_INVALID_ARGUMENT",
      "auxStreams[1]",
    ),
    ...each(
      [5, "streams", {}],
      (value) => execute(fn, [fn], event, [event], value),
      "AUX_LENGTH_MISMATCH",
      "auxStreams",
    ),
    ...each([5, null, {}], (value) => execute(fn, [fn], event, value, [at.aux]), "AUX_LENGTH_MISMATCH", "doneEvents"),
    [() => execute(fn, [fn], event, [], [at.aux]), "AUX_LENGTH_MISMATCH", "doneEvents", "0", "1"],
    [() => execute(fn, [fn], event, [event], [at.aux, at.aux]), "AUX_LENGTH_MISMATCH", "auxStreams", "2", "1"],
    ...each(
      noObjects,
      (options) => execute(fn, [fn], event, [event], [at.aux], options),
      "AUX_INVALID_ARGUMENT",
      "options",
    ),
    ...each(
      [1, "no", null],
      (enable) => execute(fn, [fn], event, [event], [at.aux], { enable }),
      "AUX_INVALID_ARGUMENT",
      "enable",
    ),
    [() => execute(fn, [fn], event, [event], [goneStream]), "AUX_DISPOSED", "auxStreams[0]", "gone stream"],
    [() => execute(fn, [fn], goneEvent, [event], [at.aux]), "AUX_DISPOSED", "startEvent", "gone event"],
    [() => execute(fn, [fn], event, [foreignEvent], [at.aux]), "AUX_DEVICE_MISMATCH", "doneEvents[0]", "other", "host"],
    [
      () => execute(fn, [fn, fn], event, [event, event], [at.aux, foreignStream]),
      "AUX_DEVICE_MISMATCH",
      "auxStreams[1]",
      "other",
      "host",
    ],
  ])
  refuses("parallel", () => [
    ...each(
      [undefined, null, 5, fn, {}],
      (fns) => Reflect.apply(parallel, undefined, [fns]),
      "AUX_INVALID_ARGUMENT",
      "fns",
    ),
    ...each(
      noFunctions,
      (value) => Reflect.apply(parallel, undefined, [[fn, value]]),
      "AUX_INVALID_ARGUMENT",
      "fns[1]",
    ),
    ...each(
      noObjects,
      (options) => Reflect.apply(parallel, undefined, [[fn, fn], options]),
      "AUX_INVALID_ARGUMENT",
      "options",
    ),
    ...each(
      [1, "no", null],
      (enable) => Reflect.apply(parallel, undefined, [[fn, fn], { enable }]),
      "AUX_INVALID_ARGUMENT",
      "enable",
    ),
  ])
  refuses("fork", () => [
    ...each(noFunctions, (value) => Reflect.apply(fork, undefined, [value]), "AUX_INVALID_ARGUMENT", "fn"),
    ...each(noObjects, (options) => Reflect.apply(fork, undefined, [fn, options]), "AUX_INVALID_ARGUMENT", "options"),
    ...each(
      [null, ...noStreams],
      (stream) => Reflect.apply(fork, undefined, [fn, { stream }]),
      "AUX_INVALID_ARGUMENT",
      "stream",
    ),
    [() => fork(fn, { stream: goneStream }), "AUX_DISPOSED", "gone stream"],
  ])
  refuses("withMultiStream", () => [
    ...each(
      [undefined, null, 1, "yes"],
      (enabled) => Reflect.apply(withMultiStream, undefined, [enabled, fn]),
      "AUX_INVALID_ARGUMENT",
      "enabled",
    ),
    ...each(
      noFunctions,
      (value) => Reflect.apply(withMultiStream, undefined, [true, value]),
      "AUX_INVALID_ARGUMENT",
      "fn",
    ),
  ])
  test("fork: join after dispose", () => {
    const forked = at.main.run(() => fork(() => 42))
    at.main.run(() => forked.dispose())
    refused(() => forked.join(), "AUX_DISPOSED", "fork")
  })
})
