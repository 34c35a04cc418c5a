// The kernels of the GPU benchmarks, the same for all libraries: auxstream compiles this text at run time, the others load
// the PTX that nvcc compiles from it.
#include <cuda_bf16.h>

typedef __nv_bfloat16 bf16;

// An almost empty kernel with four arguments.
extern "C" __global__ void bench_touch(int n, float a, const float* x, float* y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] += a * x[i];
}

__device__ unsigned long long nanoseconds() {
  unsigned long long now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  return now;
}

// Occupies its blocks' multiprocessors for this long by the GPU's clock.
extern "C" __global__ void __launch_bounds__(1024) bench_spin(int microseconds) {
  unsigned long long end = nanoseconds() + 1000ull * microseconds;
  while (nanoseconds() < end) {}
}

// The same, in nanoseconds.
extern "C" __global__ void __launch_bounds__(1024) bench_spin_for(int duration) {
  unsigned long long end = nanoseconds() + duration;
  while (nanoseconds() < end) {}
}

// Evenly spread numbers between -scale and scale.
extern "C" __global__ void bench_random(unsigned n, unsigned seed, float scale, bf16* out) {
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    unsigned h = i * 2654435761u ^ seed * 2246822519u;
    h = (h ^ h >> 15) * 2246822519u;
    h = (h ^ h >> 13) * 3266489917u;
    h ^= h >> 16;
    out[i] = __float2bfloat16(scale * ((float)h / 2147483648.0f - 1.0f));
  }
}

// Row i of out is row rows[i] of x. One block for each row.
extern "C" __global__ void bench_gather(int columns, const int* rows, const bf16* x, bf16* out) {
  const bf16* from = x + (size_t)rows[blockIdx.x] * columns;
  bf16* to = out + (size_t)blockIdx.x * columns;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) to[i] = from[i];
}

// Each row of gateUp is a gate and an up, of `columns` elements each: out = silu(gate) * up.
extern "C" __global__ void bench_silu_mul(int rows, int columns, const bf16* gateUp, bf16* out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * columns) return;
  size_t row = i / columns;
  size_t column = i % columns;
  float gate = __bfloat162float(gateUp[row * 2 * columns + column]);
  float up = __bfloat162float(gateUp[row * 2 * columns + columns + column]);
  out[i] = __float2bfloat16(gate / (1.0f + __expf(-gate)) * up);
}

// Row t of out is the weighted sum of the rows slots[t, 0..top) of y. One block for each row.
extern "C" __global__ void bench_combine(int columns, int top, const int* slots, const float* weights, const bf16* y,
                                         bf16* out) {
  const int* slot = slots + blockIdx.x * top;
  const float* weight = weights + blockIdx.x * top;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) {
    float sum = 0;
    for (int k = 0; k < top; k++) sum += weight[k] * __bfloat162float(y[(size_t)slot[k] * columns + i]);
    out[(size_t)blockIdx.x * columns + i] = __float2bfloat16(sum);
  }
}

// y += x
extern "C" __global__ void bench_add(int n, const bf16* x, bf16* y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = __float2bfloat16(__bfloat162float(y[i]) + __bfloat162float(x[i]));
}

// out = x / rms(x) * weight for each row. A block of 256 threads for each row.
extern "C" __global__ void bench_rms_norm(int columns, float epsilon, const bf16* x, const bf16* weight, bf16* out) {
  __shared__ float partial[8];
  x += (size_t)blockIdx.x * columns;
  out += (size_t)blockIdx.x * columns;
  float sum = 0;
  for (int i = threadIdx.x; i < columns; i += 256) {
    float value = __bfloat162float(x[i]);
    sum += value * value;
  }
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = 0;
  for (int warp = 0; warp < 8; warp++) sum += partial[warp];
  float scale = rsqrtf(sum / columns + epsilon);
  for (int i = threadIdx.x; i < columns; i += 256) {
    out[i] = __float2bfloat16(__bfloat162float(x[i]) * scale * __bfloat162float(weight[i]));
  }
}
