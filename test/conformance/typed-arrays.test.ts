import assert from "node:assert/strict"
import { test } from "node:test"
import { runInNewContext } from "node:vm"
import {
  defineKernel,
  type DType,
  type DeviceArray,
  fromFloat32,
  type Kernel,
  toFloat32,
  type TypedArray,
} from "../../src/index.js"
import { wasmModule } from "../host/wasm.js"
import { forEachOpenDevice, onHost } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { once } from "../support/kernels.js"

/** A typed array of another realm, as code in a vm context or under a test runner has it. */
function foreign(text: string): TypedArray {
  return runInNewContext(text) as TypedArray
}

const sources: { readonly [D in Exclude<DType, "float16" | "bfloat16" | "float8_e4m3fn">]: string } = {
  float32: "new Float32Array([1, -2.5])",
  float64: "new Float64Array([1, -2.5])",
  int8: "new Int8Array([1, -2])",
  uint8: "new Uint8Array([1, 2])",
  int16: "new Int16Array([1, -2])",
  uint16: "new Uint16Array([1, 2])",
  int32: "new Int32Array([1, -2])",
  uint32: "new Uint32Array([1, 2])",
  int64: "new BigInt64Array([1n, -2n])",
  uint64: "new BigUint64Array([1n, 2n])",
}

/** Numbers as a `Float16Array`; undefined before Node.js 24. */
function float16Array(numbers: readonly number[]): TypedArray | undefined {
  const constructor: unknown = Reflect.get(globalThis, "Float16Array")
  return typeof constructor === "function" ? (Reflect.construct(constructor, [numbers]) as TypedArray) : undefined
}

onHost("forms of a kernel's code", (open) => {
  test("§4 defineKernel: accepts a URL of a test's DOM, and bytes of another realm", () => {
    using device = open()
    using x = device.zeros("int32", 1)
    const { href } = new URL("data:text/javascript,export function one(launch, x) { x[0] = 1 }")
    const module: unknown = { href, protocol: "data:" }
    const definition = { name: "one", signature: ["out int32*"], host: { module } }
    const kernel = Reflect.apply(defineKernel, undefined, [definition]) as Kernel
    kernel.launch(once, x)
    assert.deepEqual(x.readSync(), Int32Array.of(1))
    const wasm = foreign(`new Uint8Array([${wasmModule({ parameters: [], code: [] }).join()}])`) as Uint8Array
    defineKernel({ name: "k", signature: [], host: { wasm } }).launch(once)
    device.synchronize()
  })
})

forEachOpenDevice("typed arrays", (open) => {
  test("§4 from, copyFrom: accept typed arrays of another realm", () => {
    using device = open()
    for (const [dtype, text] of Object.entries(sources)) {
      const source = foreign(text)
      using x: DeviceArray = device.from(source)
      assert.equal(x.dtype, dtype)
      assert.deepEqual(Array.from<unknown>(x.readSync()), Array.from<unknown>(source))
      using y: DeviceArray = device.empty(x.dtype, 2).copyFrom(source)
      assert.deepEqual(y.readSync(), x.readSync())
    }
    using half = device.from(foreign("new Uint16Array([0x3c00])") as Uint16Array, "float16")
    assert.deepEqual(toFloat32(foreign("new Uint16Array([0x3c00])") as Uint16Array, "float16"), Float32Array.of(1))
    assert.deepEqual(half.readSync(), Uint16Array.of(0x3c00))
    assert.deepEqual(fromFloat32(foreign("new Float64Array([1])") as Float64Array, "float16"), Uint16Array.of(0x3c00))
    refused(
      () => device.from(foreign("new Uint8ClampedArray(2)") as Uint8Array),
      "AUX_INVALID_ARGUMENT",
      "Uint8ClampedArray",
    )
    refused(() => half.copyFrom(foreign("new Int16Array(1)") as Uint16Array), "AUX_DTYPE_MISMATCH", "Int16Array")
  })

  test("§4 scope: arrays in maps and sets of another realm are kept", () => {
    using device = open()
    const made: DeviceArray[] = []
    const make = (value: number) => made[made.push(device.full("int32", 1, value)) - 1]
    device.scope(() => {
      const map = runInNewContext("new Map()") as Map<string, unknown>
      const set = runInNewContext("new Set()") as Set<unknown>
      make(3)
      return map.set("one", make(1)).set("set", set.add(make(2)))
    })
    assert.deepEqual(
      made.map(({ disposed }) => disposed),
      [true, false, false],
    )
    for (const array of made) array.dispose()
  })

  test("§4 from, copyFrom: use the engine's sizes, even if a typed array's own properties differ", () => {
    using device = open()
    const three = [5, 6, 7].map((value) => device.full("int32", 4, value))
    const [x] = three
    for (const lie of ["length", "byteLength", "byteOffset", "buffer"]) {
      const values = { length: 4, byteLength: 16, byteOffset: 8, buffer: new ArrayBuffer(4096) }
      const source = Object.defineProperty(new Int32Array(256).fill(99), lie, { value: Reflect.get(values, lie) })
      refused(() => x?.copyFrom(source), "AUX_LENGTH_MISMATCH", "256", "4")
      using y = device.from(source)
      assert.deepEqual(y.readSync(), new Int32Array(256).fill(99))
    }
    class Liar extends Int32Array {
      override get length(): never {
        throw new Error("asked")
      }
    }
    x?.copyFrom(new Liar(4).fill(1))
    assert.deepEqual(
      three.map((array) => Array.from(array.readSync())),
      [1, 6, 7].map((value) => [value, value, value, value]),
    )
    for (const array of three) array.dispose()
  })

  test("§4 from, copyFrom, toFloat32: accept a Float16Array as float16", (context) => {
    const source = float16Array([1, -2.5, 65504])
    if (source === undefined) return context.skip("this Node.js has no Float16Array")
    using device = open()
    using x: DeviceArray = device.from(source)
    assert.equal(x.dtype, "float16")
    assert.deepEqual(x.readSync(), fromFloat32([1, -2.5, 65504], "float16"))
    using y = device.zeros("float16", 3)
    Reflect.apply(y.copyFrom, y, [source])
    assert.deepEqual(y.readSync(), x.readSync())
    assert.deepEqual(Reflect.apply(toFloat32, undefined, [source, "float16"]), Float32Array.of(1, -2.5, 65504))
    for (const dtype of ["bfloat16", "uint16"] as const) {
      refused(() => device.from(source as Uint16Array, dtype), "AUX_DTYPE_MISMATCH", "Float16Array", dtype)
      using z = device.zeros(dtype, 3)
      refused(() => z.copyFrom(source as Uint16Array), "AUX_DTYPE_MISMATCH", "Float16Array", dtype)
    }
  })
})
