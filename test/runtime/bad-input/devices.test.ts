import { describe } from "node:test"
import { currentStream } from "../../../src/index.js"
import { device, each, loose, noIntegers, noFunctions, noObjects, noSignals, refuses, rejects } from "./bench.js"

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
      [() => loose(device, method)("int32", [2, 3], 1), "AUX_OUT_OF_RANGE", "[ 2, 3 ]", "not a shape"],
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
    [() => loose(device, "from")([1, 2]), "AUX_INVALID_ARGUMENT", "[ 1, 2 ]", "Float32Array.from(source)"],
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
  rejects("load", () => {
    const load = (options: unknown) => loose(device, "load")("/no/such/file", options)
    return [
      ...each(
        [undefined, null, 5, {}, ["x"], { fd: 1 }, new Uint8Array(1)],
        (file) => loose(device, "load")(file, { dtype: "int8" }),
        "AUX_INVALID_ARGUMENT",
        "file",
        "FileHandle",
      ),
      [() => device.load(new URL("https://x.test/y"), { dtype: "int8" }), "AUX_INVALID_ARGUMENT", "file:", "https:"],
      ...each([undefined, ...noObjects], load, "AUX_INVALID_ARGUMENT", "options"),
      ...each([undefined, null, "float31", 5], (dtype) => load({ dtype }), "AUX_INVALID_ARGUMENT", "dtype"),
      ...each(noIntegers, (length) => load({ dtype: "int8", length }), "AUX_OUT_OF_RANGE", "length"),
      ...each(noIntegers, (offset) => load({ dtype: "int8", offset }), "AUX_OUT_OF_RANGE", "offset"),
      ...each(noSignals, (signal) => load({ dtype: "int8", signal }), "AUX_INVALID_ARGUMENT", "signal"),
      [() => load({ dtype: "int8", lenght: 1 }), "AUX_INVALID_ARGUMENT", "lenght", "length"],
      [() => load({ dtype: "int8" }), "AUX_FILE_FAILED", "/no/such/file", "ENOENT"],
      ...each(["", "a\0b"], (file) => loose(device, "load")(file, { dtype: "int8" }), "AUX_FILE_FAILED"),
    ]
  })
})
