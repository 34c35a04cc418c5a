/* Five kernels of one file, as nvcc would compile them. */
#include "filters.h"

/** The weights of a value and of the three before it. */
__constant__ float taps[4];
/** How many values have been clipped. */
__device__ int clipped;

namespace filters {
template <typename T, int FACTOR> __global__ void scale(int n, T* x) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] *= FACTOR;
}
}

__global__ void ramp(Line line, float* x) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < line.n) x[i] = line.first + i * line.step;
}

__global__ void convolve(int n, const float* x, float* y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float sum = 0;
  for (int k = 0; k < 4 && k <= i; k++) sum += taps[k] * x[i - k];
  y[i] = sum;
}

__global__ void clip(int n, float limit, float* x) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n || x[i] <= limit) return;
  x[i] = limit;
  atomicAdd(&clipped, 1);
}

extern "C" __global__ void total(int n, const float* x, float* sum) {
  float s = 0;
  for (int i = 0; i < n; i++) s += x[i];
  *sum = s;
}
