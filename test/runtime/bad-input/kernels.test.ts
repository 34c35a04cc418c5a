import { describe } from "node:test"
import { defineKernel } from "../../../src/index.js"
import { affine, bodiless, combine, once, over } from "../../support/kernels.js"
import {
  at,
  device,
  x,
  floats,
  gone,
  foreign,
  foreignStream,
  goneStream,
  each,
  loose,
  type Case,
  type Loose,
  noObjects,
  noSignals,
  noStreams,
  refuses,
  rejects,
} from "./bench.js"

describe("§8 bad input: kernels", () => {
  const define: Loose = (definition) => Reflect.apply(defineKernel, undefined, [definition])
  refuses("defineKernel", () => [
    ...each([undefined, ...noObjects], define, "AUX_INVALID_ARGUMENT", "definition"),
    ...each([undefined, null, 5, "", "a b"], (name) => define({ name, signature: [] }), "AUX_INVALID_ARGUMENT", "name"),
    [() => define({ name: "k", signature: [] }), "AUX_INVALID_ARGUMENT", 'Kernel "k"', "code", "cuda", "host"],
    [
      () => define({ name: "k", signature: [], cuda: undefined, host: undefined }),
      "AUX_INVALID_ARGUMENT",
      'Kernel "k"',
      "code",
    ],
    ...each(
      ["\ud800", "x = '\udc00'", 5],
      (source) => define({ name: "k", signature: [], host: { source } }),
      "AUX_INVALID_ARGUMENT",
      "source",
      "surrogate",
    ),
    ...["\ud800", "a\0b"].flatMap((source) => [
      ...each(
        [{ source }, { source: "", options: ["-O3", source] }, { ptx: source }],
        (cuda) => define({ name: "k", signature: [], cuda }),
        "AUX_INVALID_ARGUMENT",
        "cuda",
        "surrogate",
      ).map(([call, code, , ...words]): Case => [call, code, ...words]),
    ]),
    ...each(
      [{ module: "./kernel.js" }, { module: "kernel.js" }, { module: "../a/kernel.js" }],
      (host) => define({ name: "k", signature: [], host }),
      "AUX_INVALID_ARGUMENT",
      "`host.module`",
      "absolute path",
      "import.meta.url",
    ).map(([call, code, , ...words]): Case => [call, code, ...words]),
    ...each(
      [{ module: "https://example.org/kernel.js" }],
      (host) => define({ name: "k", signature: [], host }),
      "AUX_INVALID_ARGUMENT",
      "`host.module`",
      "file: or data:",
    ).map(([call, code, , ...words]): Case => [call, code, ...words]),
    ...each(
      [{ file: "kernel.cu" }, { source: "", includePaths: ["include"] }],
      (cuda) => define({ name: "k", signature: [], cuda }),
      "AUX_INVALID_ARGUMENT",
      "cuda",
      "absolute path",
    ).map(([call, code, , ...words]): Case => [call, code, ...words]),
    ...each(
      [{ module: "/\ud800" }, { source: "", export: "\udfff" }],
      (host) => define({ name: "k", signature: [], host }),
      "AUX_INVALID_ARGUMENT",
      "host",
    ).map(([call, code, , ...words]): Case => [call, code, ...words]),
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
  const withParameter: Loose = (parameter) =>
    define({ name: "k", signature: ["int32", parameter], host: { source: "" } })
  const withField: Loose = (field) => withParameter({ struct: { first: "int32", f: field } })
  const cyclic: Record<string, unknown> = {}
  cyclic["struct"] = { again: cyclic }
  refuses("defineKernel: structs", () => [
    ...each(
      [{}, [], ["float32", 4], { structs: {} }],
      withParameter,
      "AUX_INVALID_ARGUMENT",
      'Parameter 1 of kernel "k"',
    ),
    ...each(
      [{}, null, 5, "int32", ["int32"]],
      (struct) => withParameter({ struct }),
      "AUX_INVALID_ARGUMENT",
      '1 of kernel "k"',
    ),
    ...each(
      ["1a", "a b", "", "a-b", "ä", "$a"],
      (name) => withParameter({ struct: { [String(name)]: "int32" } }),
      "AUX_INVALID_ARGUMENT",
      "Parameter 1",
      "C identifiers",
    ),
    [() => withParameter({ struct: { ["__proto__"]: "int32" } }), "AUX_INVALID_ARGUMENT", "__proto__"],
    [() => withParameter({ struct: { n: "int32" }, aligned: 4 }), "AUX_INVALID_ARGUMENT", "'aligned'", "struct, align"],
    ...each(
      [0, 3, 512, -1, "4", null, 0.5],
      (align) => withParameter({ struct: { n: "int32" }, align: align ?? 6 }),
      "AUX_INVALID_ARGUMENT",
      "align",
      "power of two",
    ).map(([call, code, , ...words]): Case => [call, code, ...words]),
    [() => withParameter({ struct: { x: "float64" }, align: 4 }), "AUX_INVALID_ARGUMENT", "Parameter 1", "at least 8"],
    [
      () => withField({ struct: { inner: { struct: { n: "int32" }, align: 64 } }, align: 16 }),
      "AUX_INVALID_ARGUMENT",
      "Parameter 1.f",
      "at least 64",
    ],
    ...each(
      [0, -1, 0.5, "4", null, 40_000, 13],
      (bytes) => withParameter({ bytes, align: 4 }),
      "AUX_INVALID_ARGUMENT",
      "bytes",
      "multiple",
    ),
    ...each(["float", "int32*", 5, null, {}], withField, "AUX_INVALID_ARGUMENT", 'Parameter 1.f of kernel "k"'),
    ...each(
      [["float32"], ["float32", 0], ["float32", 0.5], ["float32", "4"], ["float32", 4, 4], []],
      withField,
      "AUX_INVALID_ARGUMENT",
      "Parameter 1.f",
      '["float32", 4]',
    ),
    [() => withField([["int", 2], 3]), "AUX_INVALID_ARGUMENT", 'Parameter 1.f[][] of kernel "k"', "'int'"],
    [() => withField({ struct: { g: "int" } }), "AUX_INVALID_ARGUMENT", 'Parameter 1.f.g of kernel "k"', "'int'"],
    [() => withParameter(cyclic), "AUX_INVALID_ARGUMENT", "nested deeper than 32"],
    [() => withField(["float64", 5000]), "AUX_INVALID_ARGUMENT", "32764 bytes", "40012"],
    [() => withField([["float64", 30_000], 30_000]), "AUX_INVALID_ARGUMENT", "32764 bytes"],
  ])
  const struct = defineKernel({
    name: "with_struct",
    signature: [
      "int32",
      {
        struct: {
          n: "int32",
          big: "uint64",
          table: "in int32*",
          lut: ["float32", 4],
          bits: ["bfloat16", 2],
          inner: { struct: { tag: "uint8", outs: ["out int32*", 2] } },
          raw: { bytes: 4 },
        },
      },
    ],
    host: { source: "export function with_struct() {}" },
  })
  const inner = { tag: 1, outs: [x, x] }
  const value = { n: 1, big: 1n, table: x, lut: [1, 2, 3, 4], bits: [1, 2], inner, raw: new Uint8Array(4) }
  const launchStruct: Loose = (given) =>
    at.main.run(() => Reflect.apply(struct.launch, struct, [once, 1, given]) as unknown)
  /** A launch whose struct has one other field. */
  const launchField = (name: string, field: unknown) => launchStruct({ ...value, [name]: field })
  const launchInner = (name: string, field: unknown) => launchField("inner", { ...inner, [name]: field })
  const without = (name: string): object => Object.fromEntries(Object.entries(value).filter(([key]) => key !== name))
  refuses("launch: structs", () => [
    [
      () => at.main.run(() => Reflect.apply(struct.launch, struct, [once, 1]) as unknown),
      "AUX_INVALID_ARGUMENT",
      "got 1",
      "lut",
    ],
    ...each(
      [undefined, null, 5, "n", [1], [value]],
      launchStruct,
      "AUX_INVALID_ARGUMENT",
      "Argument 1 of kernel",
      "n, big",
    ),
    ...Object.keys(value).map((name): Case => [
      () => launchStruct(without(name)),
      "AUX_INVALID_ARGUMENT",
      'Argument 1 of kernel "with_struct"',
      `the field \`${name}\``,
    ]),
    [() => launchField("N", 1), "AUX_INVALID_ARGUMENT", 'Argument 1 of kernel "with_struct"', "'N'", "n, big"],
    [
      () => launchInner("Tag", 1),
      "AUX_INVALID_ARGUMENT",
      'Argument 1.inner of kernel "with_struct"',
      "'Tag'",
      "tag, outs",
    ],
    ...each(
      [null, "4", 4n, 0.5, NaN, 2 ** 31, {}, x],
      (n) => launchField("n", n),
      "AUX_INVALID_ARGUMENT",
      'Argument 1.n of kernel "with_struct"',
      "int32",
    ),
    ...each([-1, -1n, 2n ** 64n, 0.5, 2 ** 53], (n) => launchField("big", n), "AUX_INVALID_ARGUMENT", "Argument 1.big"),
    ...each([256, -1, 1n], (n) => launchInner("tag", n), "AUX_INVALID_ARGUMENT", "Argument 1.inner.tag", "uint8"),
    ...each(
      [null, 5, {}, new Int32Array(4)],
      (table) => launchField("table", table),
      "AUX_INVALID_ARGUMENT",
      "Argument 1.table",
      "in int32*",
    ),
    [() => launchField("table", floats), "AUX_DTYPE_MISMATCH", "Argument 1.table", "float32", "int32"],
    [() => launchField("table", gone), "AUX_DISPOSED", "Argument", ".table of kernel", "4 elements"],
    [() => launchInner("outs", [x, foreign]), "AUX_DEVICE_MISMATCH", "Argument 1.inner.outs[1]", "cuda:99", "host"],
    [() => launchInner("outs", [x, null]), "AUX_INVALID_ARGUMENT", "Argument 1.inner.outs[1]", "out int32*"],
    [() => launchInner("outs", [x]), "AUX_LENGTH_MISMATCH", "Argument 1.inner.outs", "2 elements", "got 1"],
    ...each([5, null, x, {}], (outs) => launchInner("outs", outs), "AUX_INVALID_ARGUMENT", "Argument 1.inner.outs"),
    [() => launchField("lut", [1, 2, 3]), "AUX_LENGTH_MISMATCH", "Argument 1.lut", "4 float32", "got 3"],
    [() => launchField("lut", new Float32Array(5)), "AUX_LENGTH_MISMATCH", "Argument 1.lut", "Float32Array", "got 5"],
    [() => launchField("lut", [1, 2, 3, "4"]), "AUX_INVALID_ARGUMENT", "Argument 1.lut[3]", "'4'", "float32"],
    [() => launchField("lut", [1, undefined, 3, 4]), "AUX_INVALID_ARGUMENT", "Argument 1.lut[1]", "undefined"],
    ...each(
      [new Float64Array(4), new Int32Array(4), 5, null, {}, "1234", x],
      (lut) => launchField("lut", lut),
      "AUX_INVALID_ARGUMENT",
      "Argument 1.lut",
      "Float32Array",
    ),
    [() => launchField("bits", new Float32Array(2)), "AUX_INVALID_ARGUMENT", "Argument 1.bits", "Uint16Array"],
    ...each(
      [new Uint8Array(3), new Uint8Array(5), new Int8Array(4), [1, 2, 3, 4], "1234", new ArrayBuffer(4)],
      (raw) => launchField("raw", raw),
      "AUX_INVALID_ARGUMENT",
      "Argument 1.raw",
      "4 bytes",
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
    ...each(
      [17, [4, 5], [2, 3, 3], [16, 2]],
      (cluster) => launch({ grid: [48, 30, 51], block: 1, cluster }),
      "AUX_OUT_OF_RANGE",
      "cluster",
      "16",
    ),
    [() => launch({ grid: 3, block: 1, cluster: 2 }), "AUX_INVALID_ARGUMENT", "grid.x", "3", "2"],
    [() => launch({ grid: [4, 5], block: 1, cluster: [2, 2] }), "AUX_INVALID_ARGUMENT", "grid.y", "5", "2"],
    [() => launch({ grid: 4, block: 1, cluster: [2, 1, 2] }), "AUX_INVALID_ARGUMENT", "grid.z", "1", "2"],
    ...each([0, 17, 0.5], (cluster) => launch({ ...once, cluster }), "AUX_OUT_OF_RANGE", "cluster"),
    ...each(noSignals, (signal) => launch({ ...once, signal }), "AUX_INVALID_ARGUMENT", "signal"),
    ...each([null, ...noStreams], (stream) => launch({ ...once, stream }), "AUX_INVALID_ARGUMENT", "stream"),
    [() => launch({ ...once, stream: goneStream }), "AUX_DISPOSED", "gone stream"],
    [
      () => affine.launch(over(4), 4, gone, 1, 0),
      "AUX_DISPOSED",
      'Argument 1 of kernel "test_affine", the int32 array of 4 elements on host, was disposed of',
    ],
    [() => launch({ ...once, stream: foreignStream }), "AUX_DEVICE_MISMATCH", "Argument 1", "cuda:99", "host"],
    ...each(noObjects, (uses) => launch({ ...once, uses }), "AUX_INVALID_ARGUMENT", "uses"),
    ...each([5, null, {}], (reads) => launch({ ...once, uses: { reads } }), "AUX_INVALID_ARGUMENT", "reads"),
    ...each([5, null, {}], (array) => launch({ ...once, uses: { writes: [array] } }), "AUX_INVALID_ARGUMENT", "uses"),
    [() => launch({ ...once, uses: { reads: [gone] } }), "AUX_DISPOSED", "4 elements"],
    [() => launch({ ...once, uses: { reads: [foreign] } }), "AUX_DEVICE_MISMATCH", "cuda:99", "host"],
  ])
  const launchWith: Loose = (...args) =>
    at.main.run(() => Reflect.apply(affine.launch, affine, [over(4), ...args]) as unknown)
  refuses("launch: the arguments", () => [
    [() => launchWith(), "AUX_INVALID_ARGUMENT", "test_affine", "4 arguments", "got 0"],
    [() => launchWith(4, x, 1, 1, 1), "AUX_INVALID_ARGUMENT", "test_affine", "4 arguments", "got 5"],
    ...each(
      [undefined, null, "4", 4n, 0.5, NaN, 2 ** 31, {}, x],
      (value) => launchWith(value, x, 1, 1),
      "AUX_INVALID_ARGUMENT",
      "Argument 0",
      "int32",
    ),
    ...each(
      [undefined, null, 5, {}, new Int32Array(4)],
      (value) => launchWith(4, value, 1, 1),
      "AUX_INVALID_ARGUMENT",
      "Argument 1",
      "inout int32*",
    ),
    [() => launchWith(4, floats, 1, 1), "AUX_DTYPE_MISMATCH", "Argument 1", "float32", "int32"],
    [() => launchWith(4, gone, 1, 1), "AUX_DISPOSED", "4 elements"],
    [() => combine.launch(over(4), 4, x, foreign), "AUX_DEVICE_MISMATCH", "Argument 2", "cuda:99", "host"],
    [() => bodiless.host.launch({ ...once, stream: at.main }, 1), "AUX_KERNEL_UNAVAILABLE", "test_bodiless", "host"],
  ])
  rejects("prepare", () => [
    ...each([undefined, null, 5, "host", {}], loose(affine, "prepare"), "AUX_INVALID_ARGUMENT", "device"),
    [() => bodiless.host.prepare(device), "AUX_KERNEL_UNAVAILABLE", "test_bodiless", "host"],
  ])
  refuses("attributes, occupancy, suggestBlock", () => [
    ...["attributes", "occupancy", "suggestBlock"].flatMap((method) =>
      each([undefined, null, 5, "host", {}], loose(affine, method), "AUX_INVALID_ARGUMENT", "device"),
    ),
    ...each(
      [undefined, ...noObjects],
      (options) => loose(affine, "occupancy")(device, options),
      "AUX_INVALID_ARGUMENT",
    ),
    ...each(noObjects, (options) => loose(affine, "suggestBlock")(device, options), "AUX_INVALID_ARGUMENT", "options"),
    ...each([0, 1025, 1.5], (block) => loose(affine, "occupancy")(device, { block }), "AUX_OUT_OF_RANGE", "block"),
    ...each(
      [undefined, "1", [], [1, 1, 1, 1]],
      (block) => loose(affine, "occupancy")(device, { block }),
      "AUX_INVALID_ARGUMENT",
      "block",
    ),
    ...["occupancy", "suggestBlock"].flatMap((method) =>
      each(
        [-1, 0.5, "1", null, 2 ** 30],
        (sharedMemory) =>
          loose(affine, method)(device, method === "occupancy" ? { block: 1, sharedMemory } : { sharedMemory }),
        "AUX_OUT_OF_RANGE",
        "sharedMemory",
      ),
    ),
    ...each(
      [0, 1025, 1.5, null, "64"],
      (maxThreads) => loose(affine, "suggestBlock")(device, { maxThreads }),
      "AUX_OUT_OF_RANGE",
      "maxThreads",
    ),
    [() => loose(affine, "occupancy")(device, { block: 1, grid: 1 }), "AUX_INVALID_ARGUMENT", "grid", "sharedMemory"],
    [() => loose(affine, "suggestBlock")(device, { block: 1 }), "AUX_INVALID_ARGUMENT", "block", "maxThreads"],
  ])
})
