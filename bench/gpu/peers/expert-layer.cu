// A mixture-of-experts layer of DeepSeek-V2-Lite's sizes for one token or four, as inference engines write it: products of
// matrices and vectors, limited by the memory's bandwidth. A warp computes a row. It first requests all weights of the row,
// into shared memory, so that the pending loads take no registers. Sums are in float32 and in a fixed order, so results have
// the same bits each time. Only the device knows which experts a token is routed to.
#include <cuda_bf16.h>

typedef __nv_bfloat16 bf16;

constexpr int hidden = 2048, inner = 1408, shared = 2816, top = 6;
constexpr int lanes = 32;
// Numbers in a chunk: the 16 bytes that a lane loads at a time.
constexpr int chunk = 8;
// Warps of a block, limited by the shared memory for their rows' weights.
constexpr int warps = 4, routedDownWarps = 2;

__device__ int lane() { return threadIdx.x % lanes; }
__device__ int warp() { return threadIdx.x / lanes; }
__device__ int row() { return (blockIdx.x * blockDim.x + threadIdx.x) / lanes; }
// The start of a lane's nth chunk in a row.
__device__ int column(int n) { return (n * lanes + lane()) * chunk; }

// Requests a chunk. After arrived(), the lane that requested it may read it.
__device__ void ask(uint4* to, const bf16* from) {
  unsigned place = (unsigned)__cvta_generic_to_shared(to);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(place), "l"(from) : "memory");
}
__device__ void arrived() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Data that many warps read comes from the cache.
__device__ uint4 read(const bf16* from) { return __ldg((const uint4*)from); }

__device__ float low(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ float high(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }

__device__ float dot(unsigned a, unsigned b, float sum) {
  return fmaf(high(a), high(b), fmaf(low(a), low(b), sum));
}
__device__ float dot(uint4 a, uint4 b, float sum) {
  return dot(a.w, b.w, dot(a.z, b.z, dot(a.y, b.y, dot(a.x, b.x, sum))));
}

__device__ float warpSum(float sum) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  return sum;
}

// out[t * stride] = silu(gate · x[t]) * (up · x[t]) for each token t.
template <int tokens>
__device__ void gateUp(const bf16* gateRow, const bf16* upRow, const bf16* x, bf16* out, int stride) {
  constexpr int count = hidden / (lanes * chunk);
  __shared__ uint4 gates[warps][count][lanes], ups[warps][count][lanes];
#pragma unroll
  for (int n = 0; n < count; n++) {
    ask(&gates[warp()][n][lane()], gateRow + column(n));
    ask(&ups[warp()][n][lane()], upRow + column(n));
  }
#pragma unroll
  for (int token = 0; token < tokens; token++) {
    uint4 numbers[count];
#pragma unroll
    for (int n = 0; n < count; n++) numbers[n] = read(x + token * hidden + column(n));
    if (token == 0) arrived();
    float gate = 0, up = 0;
#pragma unroll
    for (int n = 0; n < count; n++) {
      gate = dot(gates[warp()][n][lane()], numbers[n], gate);
      up = dot(ups[warp()][n][lane()], numbers[n], up);
    }
    gate = warpSum(gate);
    up = warpSum(up);
    if (lane() == 0) out[token * stride] = __float2bfloat16(gate / (1.0f + __expf(-gate)) * up);
  }
}

// Pair p is expert experts[p] of token p / top, and row p of out. One warp for each row of the expert, one y for each pair.
extern "C" __global__ void __launch_bounds__(warps* lanes)
    bench_routed_up(const int* experts, const bf16* x, const bf16* weights, bf16* out) {
  int pair = blockIdx.y;
  const bf16* gate = weights + ((size_t)experts[pair] * 2 * inner + row()) * hidden;
  gateUp<1>(gate, gate + (size_t)inner * hidden, x + pair / top * hidden, out + pair * inner + row(), 0);
}

template <int tokens>
__device__ void sharedUp(const bf16* x, const bf16* weights, bf16* out) {
  const bf16* gate = weights + (size_t)row() * hidden;
  gateUp<tokens>(gate, gate + (size_t)shared * hidden, x, out + row(), shared);
}
extern "C" __global__ void __launch_bounds__(warps* lanes)
    bench_shared_up_1(const bf16* x, const bf16* weights, bf16* out) {
  sharedUp<1>(x, weights, out);
}
extern "C" __global__ void __launch_bounds__(warps* lanes)
    bench_shared_up_4(const bf16* x, const bf16* weights, bf16* out) {
  sharedUp<4>(x, weights, out);
}

// A token's row of out is the weighted sum of its experts' products. One warp computes a row of all its experts, joined to
// one long row; one y for each token.
extern "C" __global__ void __launch_bounds__(routedDownWarps* lanes)
    bench_routed_down(const int* experts, const float* shares, const bf16* x, const bf16* weights, bf16* out) {
  constexpr int count = top * inner / (lanes * chunk);
  __shared__ uint4 asked[routedDownWarps][count][lanes];
  int token = blockIdx.y;
  const bf16* rows[top];  // Minus the row's offset in the long row.
  float share[top];
#pragma unroll
  for (int k = 0; k < top; k++) {
    rows[k] = weights + ((size_t)experts[token * top + k] * hidden + row()) * inner - k * inner;
    share[k] = shares[token * top + k];
  }
  // A warp's nth chunks begin in the expert `first`, and may continue in the next one.
#pragma unroll
  for (int n = 0; n < count; n++) {
    int first = n * lanes * chunk / inner, next = min(first + 1, top - 1);
    ask(&asked[warp()][n][lane()], (column(n) < next * inner ? rows[first] : rows[next]) + column(n));
  }
  arrived();
  float sum = 0;
#pragma unroll
  for (int n = 0; n < count; n++) {
    int first = n * lanes * chunk / inner, next = min(first + 1, top - 1);
    float product = dot(asked[warp()][n][lane()], read(x + token * top * inner + column(n)), 0);
    sum = fmaf(column(n) < next * inner ? share[first] : share[next], product, sum);
  }
  sum = warpSum(sum);
  if (lane() == 0) out[token * hidden + row()] = __float2bfloat16(sum);
}

template <int tokens>
__device__ void sharedDown(const bf16* x, const bf16* weights, bf16* out) {
  constexpr int count = shared / (lanes * chunk);
  __shared__ uint4 asked[warps][count][lanes];
#pragma unroll
  for (int n = 0; n < count; n++) ask(&asked[warp()][n][lane()], weights + (size_t)row() * shared + column(n));
#pragma unroll
  for (int token = 0; token < tokens; token++) {
    uint4 numbers[count];
#pragma unroll
    for (int n = 0; n < count; n++) numbers[n] = read(x + token * shared + column(n));
    if (token == 0) arrived();
    float sum = 0;
#pragma unroll
    for (int n = 0; n < count; n++) sum = dot(asked[warp()][n][lane()], numbers[n], sum);
    sum = warpSum(sum);
    if (lane() == 0) out[token * hidden + row()] = __float2bfloat16(sum);
  }
}
extern "C" __global__ void __launch_bounds__(warps* lanes)
    bench_shared_down_1(const bf16* x, const bf16* weights, bf16* out) {
  sharedDown<1>(x, weights, out);
}
extern "C" __global__ void __launch_bounds__(warps* lanes)
    bench_shared_down_4(const bf16* x, const bf16* weights, bf16* out) {
  sharedDown<4>(x, weights, out);
}
