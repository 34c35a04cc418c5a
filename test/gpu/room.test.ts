/** §6: memory that the driver needs for itself while all memory is idle in the library's pool, or in arrays. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { matmul } from "../../src/blas/index.js"
import {
  captureGraph,
  defineKernel,
  type Device,
  type DeviceArray,
  type Kernel,
  openDevice,
  OutOfMemoryError,
} from "../../src/index.js"
import { affine, once } from "../support/kernels.js"
import { findGpu } from "./gpu.js"

const gpu = findGpu()
const skip =
  gpu === undefined ? "NOT TESTED: what a GPU's driver needs memory for. The driver's double needs none." : false

const GIB = 2 ** 30

/** Kernels that need more memory than the driver has in reserve, a new one for each launch. */
const withGlobals = [0, 1].map((number) =>
  kernel(
    `test_globals_${number}`,
    "bytes[threadIdx.x] = (char)x[0]; x[0] = bytes[threadIdx.x];",
    `__device__ char bytes[${GIB}];`,
  ),
)
const withLocalMemory = kernel(
  "test_local_memory",
  `float a[16384];
  for (int i = 0; i < 16384; i++) a[i] = x[0] * i;
  int at = (int)x[0];
  for (int i = 0; i < 100; i++) at = (int)a[(at * 7 + i) & 16383] & 16383;
  x[0] = at;`,
)

function kernel(name: string, body: string, before = ""): Kernel<readonly ["inout float32*"]> {
  const source = `${before}\nextern "C" __global__ void ${name}(float* x) { ${body} }`
  return defineKernel({ name, signature: ["inout float32*"], cuda: { source } })
}

/** Allocates all memory, in large arrays that are not used. */
function takeAll(device: Device): DeviceArray[] {
  const taken: DeviceArray[] = []
  for (let length = 4 * GIB; length >= 2 ** 20; length /= 2) {
    try {
      for (;;) taken.push(device.empty("uint8", length))
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error
    }
  }
  return taken
}

/** The tested operations: each runs while memory is in use, then while it is idle. */
const needs: Readonly<Record<string, (device: Device, turn: number) => void>> = {
  "a kernel's globals": (device, turn) => {
    using x = device.zeros("float32", 1)
    withGlobals[turn]?.launch(once, x)
  },
  "a large graph": (device) => {
    using x = device.zeros("int32", 1)
    using graph = captureGraph(() => {
      for (let count = 0; count < 20_000; count++) affine.launch(once, 1, x, 1, 1)
    })
    graph.launch()
    assert.equal(x.readSync()[0], 20_000)
  },
  "the first product": (device) => {
    const sizes = { m: 256, n: 256, k: 256 }
    using a = device.full("float32", 256 * 256, 1)
    using out = device.zeros("float32", 256 * 256)
    matmul({ a, b: a, out, ...sizes })
    assert.equal(out.readSync()[0], 256)
  },
  "local memory": (device) => {
    using x = device.zeros("float32", 1)
    withLocalMemory.launch({ grid: 64, block: 256 }, x)
    x.readSync()
  },
}

for (const [name, need] of Object.entries(needs)) {
  test(`§6 ${name}: fails with an error while arrays hold all memory, and succeeds from idle memory`, { skip }, () => {
    using device = openDevice("cuda:0")
    using x = device.zeros("int32", 1)
    affine.launch(once, 1, x, 1, 1)
    const taken = takeAll(device)
    try {
      need(device, 0)
    } catch (error) {
      assert.ok(error instanceof OutOfMemoryError, String(error))
    }
    for (const array of taken) array.dispose()
    for (const array of takeAll(device)) array.dispose()
    device.synchronize()
    need(device, 1)
    device.synchronize()
    affine.launch(once, 1, x, 1, 1)
    assert.equal(x.readSync()[0], 2)
  })
}
