import { describe } from "node:test"
import { fromFloat32, toFloat32 } from "../../../src/index.js"
import {
  device,
  x,
  floats,
  gone,
  foreign,
  pinned,
  type Case,
  each,
  loose,
  noIntegers,
  noObjects,
  noSignals,
  refuses,
  rejects,
} from "./bench.js"

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
    [() => x.copyFrom(foreign), "AUX_DEVICE_MISMATCH", "cuda:99", "host"],
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
    [() => pinned.copyFrom(foreign), "AUX_DEVICE_MISMATCH", "cuda:99", "host"],
    [() => pinned.copyFrom(gone), "AUX_DISPOSED", "4 elements"],
  ])
  const shape = { width: 1, height: 2, pitch: 2 }
  const copy2D = (options: unknown) => loose(x, "copyFrom2D")(new Int32Array(4), options)
  const shapes = (call: (options: unknown) => unknown): Case[] => [
    ...each([undefined, ...noObjects], call, "AUX_INVALID_ARGUMENT", "shape"),
    ...each(noIntegers, (width) => call({ ...shape, width }), "AUX_OUT_OF_RANGE", "width"),
    ...each(noIntegers, (height) => call({ ...shape, height }), "AUX_OUT_OF_RANGE", "height"),
    ...each([...noIntegers, 0], (pitch) => call({ ...shape, pitch }), "AUX_OUT_OF_RANGE", "pitch", "from 1"),
    [() => call({ width: 1 }), "AUX_OUT_OF_RANGE", "height", "undefined"],
    [() => call({ width: 5, height: 1 }), "AUX_OUT_OF_RANGE", "5 elements", "1 rows of 5", "got 4"],
    [() => call({ width: 1, height: 3, pitch: 2 }), "AUX_OUT_OF_RANGE", "destination", "5 elements", "2 apart"],
    [() => call({ width: 2, height: 2, pitch: 3 }), "AUX_OUT_OF_RANGE", "destination", "5 elements", "got 4"],
    [() => call({ width: 1, height: 2 ** 52, pitch: 2 ** 50 }), "AUX_OUT_OF_RANGE", "destination"],
    [() => call({ ...shape, heigth: 2 }), "AUX_INVALID_ARGUMENT", "heigth", "width, height, pitch"],
  ]
  const detached = new Int32Array(4)
  structuredClone(detached.buffer, { transfer: [detached.buffer] })
  refuses("typed arrays without their buffer", () => [
    [() => device.from(detached), "AUX_INVALID_ARGUMENT", "`source`", "Int32Array", "transferred"],
    [() => x.copyFrom(detached), "AUX_INVALID_ARGUMENT", "`source`", "transferred"],
    [() => x.copyFrom2D(detached, shape), "AUX_INVALID_ARGUMENT", "`source`", "transferred"],
  ])
  refuses("copyFrom2D", () => [
    ...each(
      [undefined, null, 5],
      (given) => loose(x, "copyFrom2D")(x, given),
      "AUX_INVALID_ARGUMENT",
      "shape",
      "{ width",
    ),
    ...shapes(copy2D),
    ...each([...noIntegers, 0], (sourcePitch) => copy2D({ ...shape, sourcePitch }), "AUX_OUT_OF_RANGE", "sourcePitch"),
    [() => copy2D({ ...shape, sourcePitch: 4 }), "AUX_OUT_OF_RANGE", "source", "5 elements", "got 4"],
    ...each(
      [undefined, null, 5, [1, 2, 3, 4], {}, new Float32Array(4)],
      (source) => loose(x, "copyFrom2D")(source, shape),
      "AUX_DTYPE_MISMATCH",
      "Int32Array",
    ),
    [() => loose(x, "copyFrom2D")(floats, shape), "AUX_DTYPE_MISMATCH", "float32", "int32"],
    [() => x.copyFrom2D(x.subarray(1), { ...shape, sourcePitch: 1 }), "AUX_INVALID_ARGUMENT", "overlap"],
    [() => x.copyFrom2D(foreign, shape), "AUX_DEVICE_MISMATCH", "cuda:99", "host"],
    [() => x.copyFrom2D(gone, shape), "AUX_DISPOSED", "4 elements"],
    [() => gone.copyFrom2D(x, shape), "AUX_DISPOSED", "4 elements"],
  ])
  refuses("pinned.copyFrom2D", () => [
    ...shapes((options) => loose(pinned, "copyFrom2D")(x, options)),
    ...each(
      [undefined, null, 5, new Int32Array(4), pinned],
      (source) => loose(pinned, "copyFrom2D")(source, shape),
      "AUX_INVALID_ARGUMENT",
      "source",
    ),
    [() => loose(pinned, "copyFrom2D")(floats, shape), "AUX_DTYPE_MISMATCH", "float32", "int32"],
    [() => pinned.copyFrom2D(foreign, shape), "AUX_DEVICE_MISMATCH", "cuda:99", "host"],
  ])
  refuses("fill2D", () => [
    ...shapes((options) => loose(x, "fill2D")(1, options)),
    ...each(
      [undefined, null, "1", 0.5, 1n],
      (value) => loose(x, "fill2D")(value, shape),
      "AUX_INVALID_ARGUMENT",
      "value",
    ),
    [() => loose(x, "fill2D")(1, { ...shape, sourcePitch: 2 }), "AUX_INVALID_ARGUMENT", "sourcePitch", "pitch"],
    [() => gone.fill2D(1, shape), "AUX_DISPOSED", "4 elements"],
  ])
  refuses("readSync", () => [[() => gone.readSync(), "AUX_DISPOSED", "4 elements"]])
  rejects("read", () => [
    ...each(noObjects, loose(x, "read"), "AUX_INVALID_ARGUMENT", "options"),
    ...each(noSignals, (signal) => loose(x, "read")({ signal }), "AUX_INVALID_ARGUMENT", "signal"),
    [() => loose(x, "read")({ abort: 1 }), "AUX_INVALID_ARGUMENT", "abort", "signal"],
    [() => gone.read(), "AUX_DISPOSED", "4 elements"],
  ])
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
      [undefined, null, 5, [1, 2], new Float32Array(2), "x", new DataView(new ArrayBuffer(8)), new Int16Array(1)],
      (source) => Reflect.apply(toFloat32, undefined, [source, "float16"]),
      "AUX_INVALID_ARGUMENT",
      "source",
    ),
    ...each(
      [undefined, null, 5, {}, "12", new DataView(new ArrayBuffer(8)), new ArrayBuffer(8), { length: 1, 0: 1 }],
      (source) => Reflect.apply(fromFloat32, undefined, [source, "float16"]),
      "AUX_INVALID_ARGUMENT",
      "source",
    ),
    ...each(
      ["1", 1n, null, undefined, {}],
      (element) => Reflect.apply(fromFloat32, undefined, [[1, element], "bfloat16"]),
      "AUX_INVALID_ARGUMENT",
      "source[1]",
    ),
  ])
})
