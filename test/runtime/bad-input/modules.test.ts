import { describe } from "node:test"
import { defineModule } from "../../../src/index.js"
import { device, each, loose, type Loose, noIntegers, noObjects, refuses, rejects } from "./bench.js"

describe("§8 bad input: modules", () => {
  const define: Loose = (definition) => Reflect.apply(defineModule, undefined, [definition])
  const host = { source: "export function k() {}" }
  const withCuda = (cuda: unknown) => define({ name: "m", cuda })
  const invalid = "AUX_INVALID_ARGUMENT"

  refuses("defineModule", () => [
    ...each([undefined, ...noObjects], define, invalid, "definition"),
    [() => define({ name: "m" }), invalid, 'Module "m"', "cuda", "host"],
    [() => define({ name: "m", host, kernels: {} }), invalid, "kernels", "globals"],
    ...each([null, 5, "", 'a"b', "a/b", "a\0b"], (name) => define({ name, host }), invalid, "name"),
    [() => withCuda({ source: "", file: "/a.cu" }), invalid, "cuda", "exactly one of", "file", "fatbin"],
    ...each([5, null, "\ud800"], (file) => withCuda({ file }), invalid, "cuda.file", "URL"),
    ...each([5, "text", [1]], (fatbin) => withCuda({ fatbin }), invalid, "cuda.fatbin", "Uint8Array"),
    ...each(
      [5, "a.h", ["a.h"], { "a.h": 5 }, { "": "" }],
      (headers) => withCuda({ source: "", headers }),
      invalid,
      "cuda.headers",
    ),
    ...each(
      [5, "/inc", [5], ["/inc", null]],
      (includePaths) => withCuda({ file: "/a.cu", includePaths }),
      invalid,
      "cuda.includePaths",
    ),
    [() => withCuda({ ptx: "", headers: {} }), invalid, "headers", "ptx"],
    ...each([5, "k", [5]], (exports) => define({ host: { ...host, exports } }), invalid, "exports", "import * as"),
    [() => define({ host: { ...host, export: "k" } }), invalid, "export", "exports"],
    ...each([5, "table", null], (globals) => define({ name: "m", host, globals }), invalid, "globals"),
    ...each(
      ["a b", "", "1a", "a::"],
      (name) => define({ name: "m", host, globals: { [String(name)]: ["int32", 1] } }),
      invalid,
      "name of a global",
    ),
    ...each(
      [5, "int32", [], ["int"], ["int32", 1, "const"], ["int32", 1, "constant", 1]],
      (table) => define({ name: "m", host, globals: { table } }),
      invalid,
      "table",
    ),
    ...each(
      [0, ...noIntegers],
      (length) => define({ host, globals: { table: ["int32", length] } }),
      "AUX_OUT_OF_RANGE",
      "table",
      "length",
    ),
  ])

  const module = defineModule({ name: "m", host: { ...host, exports: ["k"] }, globals: { table: ["int32", 1] } })
  const kernel = loose(module, "kernel")
  const named = (parts: object) => kernel({ name: "k", signature: [], ...parts })
  refuses("module.kernel", () => [
    ...each([undefined, ...noObjects], kernel, invalid, "definition"),
    ...each([undefined, null, 5, "", "a b"], (name) => kernel({ name, signature: [] }), invalid, "name", "identifier"),
    ...each([undefined, null, 5], (signature) => kernel({ name: "k", signature }), invalid, "signature"),
    ...each([5, "f", null], (cuda) => named({ cuda }), invalid, "cuda", "symbol"),
    ...each([5, "", null, "a\0"], (symbol) => named({ cuda: { symbol } }), invalid, "cuda.symbol"),
    [() => named({ cuda: { source: "" } }), invalid, "source", "symbol"],
    ...each([5, "f", null], (part) => named({ host: part }), invalid, "host", "export"),
    ...each([5, "", null], (name) => named({ host: { export: name } }), invalid, "host.export"),
    [() => named({ host: { export: "other" } }), invalid, "other", "one of k"],
    [() => kernel({ name: "other", signature: [] }), invalid, "other", "one of k"],
  ])

  const global = loose(module, "global")
  refuses("module.global", () => [
    ...each([undefined, null, 5, "host", {}], (value) => global(value, "table"), invalid, "device"),
    ...each([undefined, null, 5, "tables", ""], (name) => global(device, name), invalid, "global of module", "table"),
  ])
  rejects("module.prepare", () => each([undefined, null, 5, {}], loose(module, "prepare"), invalid, "device"))
})
