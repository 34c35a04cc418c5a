import {
  defineKernel,
  type Device,
  type DeviceArray,
  type DType,
  type Kernel,
  type LaunchOptions,
} from "../../src/index.js"
import { dtypes, isDType } from "../../src/common/dtype/elements.js"
import { latchText } from "./latch-flags.js"

/**
 * The kernels of the suites, each with a body for every device. The symbols begin with `test_`, so that the driver's double,
 * which finds kernels by name, can have others. Where JavaScript wraps around, CUDA C++ computes with unsigned integers,
 * because overflow of signed ones is undefined.
 */

/** One thread for each of `count` elements. */
export function over(count: number): LaunchOptions {
  return { grid: Math.max(1, Math.ceil(count / 256)), block: 256 }
}

/** One block of one thread. */
export const once: LaunchOptions = { grid: 1, block: 1 }

/**
 * Holds its stream. `flags` is a pinned array of three: the kernel sets `flags[1]` when it begins, and waits until `flags[0]`
 * is not 0. After `limit` milliseconds it gives up and sets `flags[2]`. Used by {@link Latch}.
 */
export const latch = defineKernel({
  name: "test_latch",
  signature: ["inout int32*", "int32"],
  cuda: {
    source: `
      __device__ unsigned long long now() {
        unsigned long long nanoseconds;
        asm volatile("mov.u64 %0, %globaltimer;" : "=l"(nanoseconds));
        return nanoseconds;
      }
      extern "C" __global__ void test_latch(int* given, int limit) {
        if (blockIdx.x != 0 || threadIdx.x != 0) return;
        volatile int* flags = given;
        unsigned long long end = now() + 1000000ull * limit;
        flags[1] = 1;
        __threadfence_system();
        while (flags[0] == 0) {
          if (now() > end) {
            flags[2] = 1;
            break;
          }
          __nanosleep(1000);
        }
        __threadfence_system();
      }`,
  },
  host: { source: latchText },
})

/** `x = x * a + b` in wrapping integers. Two of them with other factors give another result in the other order. */
export const affine = defineKernel({
  name: "test_affine",
  signature: ["int32", "inout int32*", "int32", "int32"],
  cuda: {
    source: `
      extern "C" __global__ void test_affine(int n, int* x, int a, int b) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) x[i] = (int)((unsigned)x[i] * (unsigned)a + (unsigned)b);
      }`,
  },
  host: {
    source: `
      export function test_affine(launch, n, x, a, b) {
        for (let i = 0; i < n; i++) x[i] = Math.imul(x[i], a) + b
      }`,
  },
})

/** The same, with everything in a struct. */
export const affineOfStruct = defineKernel({
  name: "test_affine_of_struct",
  signature: [{ struct: { a: "int32", x: "inout int32*", b: "int32", n: "int32" } }],
  cuda: {
    source: `
      struct test_affine_params { int a; int* x; int b; int n; };
      extern "C" __global__ void test_affine_of_struct(test_affine_params p) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < p.n) p.x[i] = (int)((unsigned)p.x[i] * (unsigned)p.a + (unsigned)p.b);
      }`,
  },
  host: {
    source: `
      export function test_affine_of_struct(launch, { a, x, b, n }) {
        for (let i = 0; i < n; i++) x[i] = Math.imul(x[i], a) + b
      }`,
  },
})

/** `y = y * 3 + x` in wrapping integers: depends on the order both on what it reads and on what it writes. */
export const combine = defineKernel({
  name: "test_combine",
  signature: ["int32", "in int32*", "inout int32*"],
  cuda: {
    source: `
      extern "C" __global__ void test_combine(int n, const int* x, int* y) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = (int)((unsigned)y[i] * 3u + (unsigned)x[i]);
      }`,
  },
  host: {
    source: `
      export function test_combine(launch, n, x, y) {
        for (let i = 0; i < n; i++) y[i] = Math.imul(y[i], 3) + x[i]
      }`,
  },
})

/** Keeps one thread busy for about `iterations` steps of arithmetic. */
export const spin = defineKernel({
  name: "test_spin",
  signature: ["int32"],
  cuda: {
    source: `
      extern "C" __global__ void test_spin(int iterations) {
        if (blockIdx.x != 0 || threadIdx.x != 0) return;
        volatile unsigned value = 1;
        for (int i = 0; i < iterations; i++) value = value * 1664525u + 1013904223u;
      }`,
  },
  host: {
    source: `
      let last = 1
      export function test_spin(launch, iterations) {
        let value = last
        for (let i = 0; i < iterations; i++) value = (Math.imul(value, 1664525) + 1013904223) | 0
        last = value
      }`,
  },
})

/**
 * Runs for so many microseconds, and writes when it began and ended: nanoseconds of a clock that all kernels of the device share,
 * read by the kernel itself.
 */
export const timed = defineKernel({
  name: "test_timed",
  signature: ["int32", "out int64*"],
  cuda: {
    source: `
      __device__ long long now() {
        long long nanoseconds;
        asm volatile("mov.u64 %0, %globaltimer;" : "=l"(nanoseconds));
        return nanoseconds;
      }
      extern "C" __global__ void test_timed(int microseconds, long long* times) {
        if (blockIdx.x != 0 || threadIdx.x != 0) return;
        long long begin = now();
        while (now() < begin + 1000ll * microseconds) {}
        times[0] = begin;
        times[1] = now();
      }`,
  },
  host: {
    source: `
      const pause = new Int32Array(new SharedArrayBuffer(4))
      export function test_timed(launch, microseconds, times) {
        const begin = process.hrtime.bigint()
        Atomics.wait(pause, 0, 0, microseconds / 1000)
        times[0] = begin
        times[1] = process.hrtime.bigint()
      }`,
  },
})

/** `out = value`. */
export const fill = defineKernel({
  name: "test_fill",
  signature: ["int32", "float32", "out float32*"],
  cuda: {
    source: `
      extern "C" __global__ void test_fill(int n, float value, float* out) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) out[i] = value;
      }`,
  },
  host: { source: "export function test_fill(launch, n, value, out) { out.fill(value, 0, n) }" },
})

/** `out = a + b`. */
export const add = defineKernel({
  name: "test_add",
  signature: ["int32", "in float32*", "in float32*", "out float32*"],
  cuda: {
    source: `
      extern "C" __global__ void test_add(int n, const float* a, const float* b, float* out) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) out[i] = a[i] + b[i];
      }`,
  },
  host: {
    source: "export function test_add(launch, n, a, b, out) { for (let i = 0; i < n; i++) out[i] = a[i] + b[i] }",
  },
})

/** Writes the launch's grid x, y, z, block x, y, z, and shared memory in bytes. */
export const shape = defineKernel({
  name: "test_shape",
  signature: ["out int32*"],
  cuda: {
    source: `
      extern "C" __global__ void test_shape(int* out) {
        if (blockIdx.x + blockIdx.y + blockIdx.z + threadIdx.x + threadIdx.y + threadIdx.z != 0) return;
        int bytes;
        asm("mov.u32 %0, %dynamic_smem_size;" : "=r"(bytes));
        out[0] = gridDim.x; out[1] = gridDim.y; out[2] = gridDim.z;
        out[3] = blockDim.x; out[4] = blockDim.y; out[5] = blockDim.z;
        out[6] = bytes;
      }`,
  },
  host: {
    source: `
      export function test_shape(launch, out) {
        out.set([...launch.grid, ...launch.block, launch.sharedMemory])
      }`,
  },
})

/** Each scalar is written into the first element of the array of its type, in the order of the list of types. */
export const echo = defineKernel({
  name: "test_echo",
  signature: [
    ...(["float16", "bfloat16", "float32", "float64", "int8", "uint8"] as const),
    ...(["int16", "uint16", "int32", "uint32", "int64", "uint64"] as const),
    ...(["out float16*", "out bfloat16*", "out float32*", "out float64*", "out int8*", "out uint8*"] as const),
    ...(["out int16*", "out uint16*", "out int32*", "out uint32*", "out int64*", "out uint64*"] as const),
  ],
  cuda: {
    source: `
      extern "C" __global__ void test_echo(
          unsigned short a, unsigned short b, float c, double d, signed char e, unsigned char f,
          short g, unsigned short h, int i, unsigned int j, long long k, unsigned long long l,
          unsigned short* A, unsigned short* B, float* C, double* D, signed char* E, unsigned char* F,
          short* G, unsigned short* H, int* I, unsigned int* J, long long* K, unsigned long long* L) {
        *A = a; *B = b; *C = c; *D = d; *E = e; *F = f; *G = g; *H = h; *I = i; *J = j; *K = k; *L = l;
      }`,
  },
  host: {
    source: `
      const scratch = new DataView(new ArrayBuffer(4))
      // The value is already a float16's, so converting the float32 needs no rounding.
      function float16Bits(value) {
        if (value === 0 || Math.abs(value) < 2 ** -14) return (Object.is(value, -0) || value < 0 ? 0x8000 : 0) | (Math.abs(value) * 2 ** 24)
        scratch.setFloat32(0, value)
        const bits = scratch.getUint32(0)
        return ((bits >>> 16) & 0x8000) | ((((bits >>> 23) & 0xff) - 112) << 10) | ((bits >>> 13) & 0x3ff)
      }
      function bfloat16Bits(value) {
        scratch.setFloat32(0, value)
        return scratch.getUint16(0)
      }
      export function test_echo(launch, ...args) {
        const scalars = args.slice(0, 12)
        scalars[0] = float16Bits(scalars[0])
        scalars[1] = bfloat16Bits(scalars[1])
        scalars.forEach((value, index) => { args[12 + index][0] = value })
      }`,
  },
})

/**
 * Takes a struct by value: `outs[0] = scale * table + lut`, where `lut` repeats every four elements, and `outs[1] = outs[0] +
 * tag`. `sums` gets `big + added`, and the sum of the three unsigned integers in `raw`.
 */
export const struct = defineKernel({
  name: "test_struct",
  signature: [
    "int32",
    {
      struct: {
        n: "int32",
        scale: "float32",
        table: "in float32*",
        lut: ["float32", 4],
        big: "int64",
        inner: { struct: { tag: "uint8", outs: ["out float32*", 2] }, align: 16 },
        raw: { bytes: 12, align: 4 },
      },
    },
    "out int64*",
  ],
  cuda: {
    source: `
      struct test_params {
        int n;
        float scale;
        const float* table;
        float lut[4];
        long long big;
        struct __align__(16) { unsigned char tag; float* outs[2]; } inner;
        unsigned raw[3];
      };
      extern "C" __global__ void test_struct(int added, test_params p, long long* sums) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < p.n) {
          float value = __fadd_rn(__fmul_rn(p.scale, p.table[i]), p.lut[i % 4]);
          p.inner.outs[0][i] = value;
          p.inner.outs[1][i] = value + p.inner.tag;
        }
        if (i != 0) return;
        sums[0] = p.big + added;
        sums[1] = (long long)p.raw[0] + p.raw[1] + p.raw[2];
      }`,
  },
  host: {
    source: `
      export function test_struct(launch, added, { n, scale, table, lut, big, inner, raw }, sums) {
        for (let i = 0; i < n; i++) {
          inner.outs[0][i] = Math.fround(scale * table[i]) + lut[i % 4]
          inner.outs[1][i] = inner.outs[0][i] + inner.tag
        }
        sums[0] = big + BigInt(added)
        const words = new DataView(raw.buffer, raw.byteOffset)
        sums[1] = BigInt(words.getUint32(0, true) + words.getUint32(4, true) + words.getUint32(8, true))
      }`,
  },
})

/** Copies an array in reverse, which reveals a wrong element size. */
export function reverse<D extends DType>(source: DeviceArray<D>, destination: DeviceArray<D>): void {
  const kernel = reversing.get(source.dtype) ?? bodiless.host
  // The dtype is not known when this is compiled, so the launch cannot be checked by the compiler.
  Reflect.apply(kernel.launch, kernel, [over(source.length), source.length, source, destination])
}

/** The CUDA types of each dtype's size: reversing does not look at what the bits mean. */
const wordTypes: Readonly<Record<DType, string>> = {
  float16: "unsigned short",
  bfloat16: "unsigned short",
  float8_e4m3fn: "unsigned char",
  float32: "float",
  float64: "double",
  int8: "signed char",
  uint8: "unsigned char",
  int16: "short",
  uint16: "unsigned short",
  int32: "int",
  uint32: "unsigned int",
  int64: "long long",
  uint64: "unsigned long long",
}

const reversing = new Map<DType, Kernel>(dtypes.filter(isDType).map((dtype) => [dtype, reverseOf(dtype)]))

function reverseOf(dtype: DType): Kernel {
  const name = `test_reverse_${dtype}`
  const word = wordTypes[dtype]
  return defineKernel({
    name,
    signature: ["int32", `in ${dtype}*`, `out ${dtype}*`],
    cuda: {
      source: `
        extern "C" __global__ void ${name}(int n, const ${word}* source, ${word}* destination) {
          int i = blockIdx.x * blockDim.x + threadIdx.x;
          if (i < n) destination[i] = source[n - 1 - i];
        }`,
    },
    host: {
      source: `
        export function ${name}(launch, n, source, destination) {
          for (let i = 0; i < n; i++) destination[i] = source[n - 1 - i]
        }`,
    },
  })
}

/** Throws. Host only: on CUDA a fault in a kernel loses the device. */
export const throwing = defineKernel({
  name: "test_throwing",
  signature: ["int32"],
  host: { source: "export function test_throwing(launch, code) { throw new Error(`thrown on purpose: ${code}`) }" },
})

/** Waits like {@link latch}, then throws. Host only. */
export const throwingLater = defineKernel({
  name: "test_throwing_later",
  signature: ["inout int32*"],
  host: {
    source: `
      export function test_throwing_later(launch, flags) {
        Atomics.store(flags, 1, 1)
        Atomics.notify(flags, 1)
        while (Atomics.load(flags, 0) === 0) {
          if (Atomics.wait(flags, 0, 0, 20000) === "timed-out") break
        }
        throw new Error("thrown on purpose, later")
      }`,
  },
})

/** Ends its worker thread. Host only. */
export const dying = defineKernel({
  name: "test_dying",
  signature: [],
  host: { source: "export function test_dying() { process.exit(7) }" },
})

/** For each kind of device, a kernel without code for it. */
export const bodiless = {
  cuda: defineKernel({
    name: "test_bodiless",
    signature: ["int32"],
    host: { source: "export function test_bodiless() {}" },
  }),
  host: defineKernel({
    name: "test_bodiless",
    signature: ["int32"],
    cuda: { source: 'extern "C" __global__ void test_bodiless(int value) {}' },
  }),
}

/** Loads the kernels of a test, so that nothing is compiled while a latch is closed. */
export async function prepare(device: Device): Promise<void> {
  await Promise.all([latch, affine, affineOfStruct, combine, spin, fill, add].map((kernel) => kernel.prepare(device)))
}
