/** §4, §7: kernels in every form, with the real compiler and driver. The double uses other images. */
import assert from "node:assert/strict"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { captureGraph, defineKernel, type Device, openDevice } from "../../src/index.js"
import { runNow } from "../../src/cuda/native/steps.js"
import { nvrtc } from "../../src/cuda/toolkit/nvrtc.js"
import { collect } from "../support/collect.js"
import { withEnvironment } from "../support/environment.js"
import { refused, rejected } from "../support/errors.js"
import { findGpu } from "./gpu.js"

const gpu = findGpu()
const skip = gpu === undefined ? "NOT TESTED: kernels as PTX and cubin. That needs an NVIDIA GPU." : false
// A warning as well, because the test reporter's line is easily missed.
if (skip !== false) process.emitWarning(skip)

const signature = ["int32", "float32", "in float32*", "inout float32*"] as const
const source = `
  extern "C" __global__ void saxpy(int n, float a, const float* x, float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] += a * x[i];
  }`
const count = 1000
const shape = { grid: 4, block: 256 }

describe(`kernels on ${gpu}`, { skip }, () => {
  let device: Device
  const cache = mkdtempSync(join(tmpdir(), "auxstream-kernels-"))
  const outside = process.env["AUXSTREAM_CACHE_DIR"]

  before(() => {
    process.env["AUXSTREAM_CACHE_DIR"] = cache
    device = openDevice("cuda:0")
  })
  after(() => {
    device.dispose()
    if (outside === undefined) delete process.env["AUXSTREAM_CACHE_DIR"]
    else process.env["AUXSTREAM_CACHE_DIR"] = outside
    rmSync(cache, { recursive: true })
  })

  /** The compiler's PTX. */
  function image(output: "ptx" | "cubin", ...options: string[]): Uint8Array {
    const program = { label: "saxpy", source, file: "saxpy.cu", headers: new Map(), expressions: [], options, output }
    return runNow(nvrtc(13).compile(program)).image
  }

  /** The source's cubin for this GPU, from the cache. */
  function compiled(): Uint8Array {
    const folder = join(cache, "alone")
    return withEnvironment({ AUXSTREAM_CACHE_DIR: folder }, () => {
      defineKernel({ name: "saxpy", signature, cuda: { source } }).load(device)
      const [entry] = readdirSync(folder)
      // A hash, the length of the names, the names, and the image.
      const kept = readFileSync(join(folder, entry ?? assert.fail("nothing was kept"))).subarray(32)
      return kept.subarray(4 + kept.readUInt32LE())
    })
  }

  function computes(kernel: ReturnType<typeof defineKernel<typeof signature>>): void {
    using x = device.from(Float32Array.from({ length: count }, (_, i) => i))
    using y = device.full("float32", count, 1)
    kernel.launch(shape, count, 2, x, y)
    assert.deepEqual(
      y.readSync(),
      Float32Array.from({ length: count }, (_, i) => 2 * i + 1),
    )
  }

  test("§4 CUDA C++, PTX as text and as bytes, and cubin compute the same", () => {
    const ptx = image("ptx", "--gpu-architecture=compute_80")
    const text = new TextDecoder().decode(ptx).replace(/\0+$/, "")
    assert.match(text, /\.visible \.entry saxpy\(/)
    computes(defineKernel({ name: "saxpy", signature, cuda: { source } }))
    computes(defineKernel({ name: "saxpy", signature, cuda: { ptx } }))
    computes(defineKernel({ name: "saxpy", signature, cuda: { ptx: text } }))
    computes(defineKernel({ name: "saxpy", signature, cuda: { cubin: compiled() } }))
  })

  test("§7 the error has the compiler's messages, with lines", async () => {
    const broken = source.replace("a * x[i]", "b * x[i]")
    const kernel = defineKernel({ name: "saxpy", signature, cuda: { source: broken, options: ["--use_fast_math"] } })
    const words = [
      /does not compile \(NVRTC_ERROR_COMPILATION, NVRTC 1\d\.\d/,
      "--use_fast_math",
      /saxpy\.cu\(4\): error: identifier "b" is undefined/,
    ]
    using x = device.zeros("float32", count)
    refused(() => kernel.launch(shape, count, 2, x, x), "AUX_KERNEL_INVALID", ...words)
    await rejected(() => kernel.prepare(device), "AUX_KERNEL_INVALID", ...words)
  })

  test("§7 the error has the driver's messages about PTX; an invalid image, or one for another GPU, is refused", () => {
    const text = new TextDecoder().decode(image("ptx", "--gpu-architecture=compute_80")).replace(/\0+$/, "")
    const wrong = defineKernel({ name: "saxpy", signature, cuda: { ptx: text.replace("fma.rn.f32", "fmx.rn.f32") } })
    refused(() => wrong.load(device), "AUX_KERNEL_INVALID", "CUDA_ERROR_INVALID_PTX", /fmx/)
    const none = defineKernel({ name: "saxpy", signature, cuda: { cubin: new TextEncoder().encode("none") } })
    refused(
      () => none.load(device),
      "AUX_KERNEL_INVALID",
      /CUDA_ERROR_(INVALID_IMAGE|NO_BINARY_FOR_GPU|INVALID_SOURCE)/,
    )
    const older = defineKernel({
      name: "saxpy",
      signature,
      cuda: { cubin: image("cubin", "--gpu-architecture=sm_75") },
    })
    refused(() => older.load(device), "AUX_KERNEL_INVALID", "CUDA_ERROR_NO_BINARY_FOR_GPU")
    computes(defineKernel({ name: "saxpy", signature, cuda: { source } }))
  })

  test("§7 an incomplete cubin is refused, and the device still works", async () => {
    const cubin = compiled()
    for (const share of [0.01, 0.03, 0.1, 0.5, 0.9, 0.97, 0.999]) {
      const part = cubin.subarray(0, Math.floor(cubin.length * share))
      const kernel = defineKernel({ name: "saxpy", signature, cuda: { cubin: part } })
      refused(() => kernel.load(device), "AUX_KERNEL_INVALID", /truncated cubin/)
      await rejected(() => kernel.prepare(device), "AUX_KERNEL_INVALID", /truncated cubin/)
    }
    computes(defineKernel({ name: "saxpy", signature, cuda: { cubin } }))
  })

  test("§11 a changed header causes a new compilation, wherever it is; options may be in two strings", () => {
    const folder = mkdtempSync(join(tmpdir(), "auxstream-headers-"))
    const includes = [`#include "${folder}/value.h"`, "#include <value.h>", '#include "outer.h"']
    writeFileSync(join(folder, "outer.h"), '#include "value.h"')
    try {
      for (const include of includes) {
        for (const value of [5, 6, 5]) {
          writeFileSync(join(folder, "value.h"), `#define VALUE ${value}`)
          const kernel = defineKernel({
            name: "set",
            signature: ["out int32*"],
            cuda: {
              source: `${include}\nextern "C" __global__ void set(int* x) { *x = VALUE * A + B; }`,
              options: ["-I", folder, "-D", "A=10", "-D", "B=2"],
            },
          })
          using x = device.zeros("int32", 1)
          kernel.launch({ grid: 1, block: 1 }, x)
          assert.equal(x.readSync()[0], value * 10 + 2, include)
        }
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test("§7 a graph keeps its kernels loaded; unreachable kernels are unloaded", async () => {
    const define = (value: number) =>
      defineKernel({
        name: "set",
        signature: ["out int32*"],
        cuda: { source: `extern "C" __global__ void set(int* x) { *x = ${value}; }` },
      })
    using x = device.zeros("int32", 1)
    using graph = captureGraph(() => define(1).launch({ grid: 1, block: 1 }, x))
    for (let value = 2; value < 40; value++) {
      define(value).launch({ grid: 1, block: 1 }, x)
      assert.equal(x.readSync()[0], value)
      await collect()
    }
    graph.launch()
    assert.equal(x.readSync()[0], 1)
  })

  test("§7 a missing symbol and a wrong signature are refused, and the error shows both sides", () => {
    computes(defineKernel({ name: "saxpy", signature, cuda: { source: source.replace('extern "C"', "") } }))
    const missing = defineKernel({ name: "saxpz", signature, cuda: { source } })
    refused(() => missing.load(device), "AUX_KERNEL_INVALID", 'extern "C"', "Its kernels are saxpy.")
    const short = defineKernel({ name: "saxpy", signature: ["int32", "float32", "in float32*"], cuda: { source } })
    refused(() => short.load(device), "AUX_KERNEL_INVALID", "3 parameters", "4 parameters of 4, 4, 8, 8 bytes")
    const wide = defineKernel({
      name: "saxpy",
      signature: ["int32", "float64", "in float32*", "inout float32*"],
      cuda: { source },
    })
    refused(() => wide.load(device), "AUX_KERNEL_INVALID", "float64 (8 bytes)", "parameter 1")
  })

  test("§4 launch: shared memory declared in the kernel counts towards the limit", () => {
    const both = defineKernel({
      name: "declares_shared",
      signature: ["inout int32*"],
      cuda: {
        source: `
          extern __shared__ int dynamic[];
          extern "C" __global__ void declares_shared(int* x) {
            __shared__ int declared[2048];
            declared[threadIdx.x] = x[threadIdx.x];
            dynamic[threadIdx.x] = 10 * threadIdx.x;
            __syncthreads();
            x[threadIdx.x] = declared[31 - threadIdx.x] + dynamic[31 - threadIdx.x];
          }`,
      },
    })
    const numbers = Int32Array.from({ length: 32 }, (_, i) => i)
    const expected = numbers.map((_, i) => 11 * (31 - i))
    for (const kibibytes of [40, 44, 48, 100, 44]) {
      using x = device.from(numbers)
      both.launch({ grid: 1, block: 32, sharedMemory: kibibytes * 1024 }, x)
      assert.deepEqual(x.readSync(), expected, `${kibibytes} KiB`)
    }
    const { sharedMemory } = device.driver.limits
    using x = device.from(numbers)
    const tooMuch = () => both.launch({ grid: 1, block: 32, sharedMemory }, x)
    refused(tooMuch, "AUX_OUT_OF_RANGE", "declares_shared", String(sharedMemory - 8192), String(sharedMemory))
  })

  test("§4 launch: more than the default shared memory, clusters, and cooperative launches", () => {
    const bytes = 100 * 1024
    const shared = defineKernel({
      name: "mirrored",
      signature: ["int32", "inout int32*"],
      cuda: {
        source: `
          extern "C" __global__ void mirrored(int n, int* x) {
            extern __shared__ int staged[];
            for (int i = threadIdx.x; i < n; i += blockDim.x) staged[i] = x[i];
            __syncthreads();
            for (int i = threadIdx.x; i < n; i += blockDim.x) x[i] = staged[n - 1 - i];
          }`,
      },
    })
    const numbers = Int32Array.from({ length: bytes / 4 }, (_, i) => i)
    using x = device.from(numbers)
    shared.launch({ grid: 1, block: 256, sharedMemory: bytes }, numbers.length, x)
    assert.deepEqual(x.readSync(), numbers.toReversed())

    const ranks = defineKernel({
      name: "ranks",
      signature: ["out uint32*"],
      cuda: {
        source: `
          extern "C" __global__ void ranks(unsigned* out) {
            unsigned rank, size;
            asm("mov.u32 %0, %cluster_ctarank;" : "=r"(rank));
            asm("mov.u32 %0, %cluster_nctarank;" : "=r"(size));
            if (threadIdx.x == 0) out[blockIdx.x] = 10 * size + rank;
          }`,
      },
    })
    using out = device.zeros("uint32", 8)
    ranks.launch({ grid: 8, block: 32, cluster: [4, 1, 1] }, out)
    assert.deepEqual([...out.readSync()], [40, 41, 42, 43, 40, 41, 42, 43])

    const barrier = defineKernel({
      name: "barrier",
      signature: ["inout uint32*", "out uint32*"],
      cuda: {
        source: `
          extern "C" __global__ void barrier(unsigned* arrived, unsigned* seen) {
            if (threadIdx.x != 0) return;
            atomicAdd(arrived, 1);
            while (atomicAdd(arrived, 0) < gridDim.x) __nanosleep(100);
            seen[blockIdx.x] = 1;
          }`,
      },
    })
    using arrived = device.zeros("uint32", 1)
    using seen = device.zeros("uint32", 64)
    barrier.launch({ grid: 64, block: 32, cooperative: true }, arrived, seen)
    assert.deepEqual(seen.readSync(), new Uint32Array(64).fill(1))
    refused(
      () => barrier.launch({ grid: 1_000_000, block: 32, cooperative: true }, arrived, seen),
      "AUX_CUDA_FAILED",
      "COOPERATIVE_LAUNCH_TOO_LARGE",
    )
  })

  test("§7 the cache has one file for each source with its options; a damaged one is compiled again", () => {
    const files = () => readdirSync(cache)
    const marked = source.replace("saxpy(int", "marked(int")
    const load = () => computes(defineKernel({ name: "marked", signature, cuda: { source: marked } }))
    const known = new Set(files())
    load()
    const [added, ...others] = files().filter((name) => !known.has(name))
    assert.ok(added !== undefined && others.length === 0, files().join())
    load()
    assert.equal(files().length, known.size + 1)
    writeFileSync(join(cache, added), "not what it was")
    load()
    assert.equal(files().length, known.size + 1)
  })
})
