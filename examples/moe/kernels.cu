// The example's kernels for CUDA, compute capability 8.0 and later. No header is needed.
//
// Nothing is added up atomically, so that a result depends on its inputs alone, bit for bit.

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "these kernels multiply bfloat16 matrices, for which a device needs compute capability 8.0 or later"
#endif

typedef unsigned short bfloat16;

__device__ float toFloat(bfloat16 bits) {
  return __uint_as_float((unsigned)bits << 16);
}

// To the nearest, ties to even. There are no infinities and NaNs to care for.
__device__ bfloat16 toBfloat16(float value) {
  unsigned bits = __float_as_uint(value);
  return (bfloat16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

__device__ float sigmoid(float x) {
  return 1.0f / (1.0f + expf(-x));
}

__device__ float silu(float x) {
  return x * sigmoid(x);
}

__device__ float sumOfWarp(float value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffff, value, offset);
  return value;
}

// The sum of all threads' values, for each thread. Called once in a kernel.
__device__ float sumOfBlock(float value) {
  __shared__ float partial[32];
  value = sumOfWarp(value);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / 32; warp++) sum += partial[warp];
  return sum;
}

// The finaliser of MurmurHash3.
__device__ unsigned hashOf(unsigned x) {
  x = (x ^ x >> 16) * 0x85ebca6bu;
  x = (x ^ x >> 13) * 0xc2b2ae35u;
  return x ^ x >> 16;
}

// Odd multiples of scale / 256, which bfloat16 holds exactly: the same bits as on any other device. A thread for each.
extern "C" __global__ void fill_weights(bfloat16* out, unsigned count, unsigned seed, float scale) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  int odd = 2 * (int)(hashOf(i + seed * 0x9e3779b9u) >> 24) - 255;
  out[i] = (bfloat16)(__float_as_uint((float)odd * (scale / 256.0f)) >> 16);
}

// hidden[t] = table[tokens[t]]. A block for each token.
extern "C" __global__ void embed(const unsigned char* tokens, const bfloat16* table, float* hidden, unsigned count,
                                 unsigned width) {
  const bfloat16* row = table + (size_t)tokens[blockIdx.x] * width;
  hidden += (size_t)blockIdx.x * width;
  for (unsigned i = threadIdx.x; i < width; i += blockDim.x) hidden[i] = toFloat(row[i]);
}

// out = x / sqrt(mean of x^2 + epsilon) * weight. A block for each row.
extern "C" __global__ void rms_norm(const float* x, const bfloat16* weight, bfloat16* out, unsigned rows,
                                    unsigned width, float epsilon) {
  x += (size_t)blockIdx.x * width;
  out += (size_t)blockIdx.x * width;
  float squares = 0;
  for (unsigned i = threadIdx.x; i < width; i += blockDim.x) squares += x[i] * x[i];
  float scale = 1.0f / sqrtf(sumOfBlock(squares) / width + epsilon);
  for (unsigned i = threadIdx.x; i < width; i += blockDim.x) out[i] = toBfloat16(x[i] * scale * toFloat(weight[i]));
}

// out = silu(gate) * up for rows of `width` gates and `width` ups. A thread for each result, a row for each y.
extern "C" __global__ void swiglu(const float* gateUp, bfloat16* out, unsigned rows, unsigned width) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= width) return;
  const float* gate = gateUp + (size_t)blockIdx.y * 2 * width;
  out[(size_t)blockIdx.y * width + i] = toBfloat16(silu(gate[i]) * gate[width + i]);
}

// next[t] = hidden[t] + sigmoid(x[t] . gate) * shared[t] + the weighted results of t's experts, which stand in the rows
// `slots`. A block for each token.
extern "C" __global__ void combine(const float* hidden, const bfloat16* x, const bfloat16* gate, const float* shared,
                                   const float* routed, const int* slots, const float* weights, float* next,
                                   unsigned tokens, unsigned topK, unsigned width) {
  size_t row = (size_t)blockIdx.x * width;
  slots += blockIdx.x * topK;
  weights += blockIdx.x * topK;
  float product = 0;
  for (unsigned i = threadIdx.x; i < width; i += blockDim.x) product += toFloat(x[row + i]) * toFloat(gate[i]);
  float share = sigmoid(sumOfBlock(product));
  for (unsigned i = threadIdx.x; i < width; i += blockDim.x) {
    float sum = hidden[row + i] + share * shared[row + i];
    for (unsigned choice = 0; choice < topK; choice++) {
      sum += weights[choice] * routed[(size_t)slots[choice] * width + i];
    }
    next[row + i] = sum;
  }
}

// ---- Routing: one block for all tokens, as sorting needs all of them.

#define LOWEST -3.0e38f

// The place of a warp's largest logit, the first of several equal ones, for each of its threads.
__device__ unsigned placeOfLargest(const float* logits, unsigned count) {
  unsigned best = threadIdx.x % 32;
  float largest = best < count ? logits[best] : LOWEST;
  for (unsigned i = best + 32; i < count; i += 32) {
    if (logits[i] > largest) {
      largest = logits[i];
      best = i;
    }
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    float other = __shfl_xor_sync(0xffffffff, largest, offset);
    unsigned place = __shfl_xor_sync(0xffffffff, best, offset);
    if (other > largest || (other == largest && place < best)) {
      largest = other;
      best = place;
    }
  }
  return best;
}

// A token's `topK` most probable experts and their probabilities. A taken logit is overwritten. Done by one warp.
__device__ void choose(float* logits, unsigned count, int* experts, float* weights, unsigned topK) {
  unsigned lane = threadIdx.x % 32;
  float largest = logits[placeOfLargest(logits, count)];
  float sum = 0;
  for (unsigned i = lane; i < count; i += 32) sum += expf(logits[i] - largest);
  sum = sumOfWarp(sum);
  for (unsigned choice = 0; choice < topK; choice++) {
    unsigned best = placeOfLargest(logits, count);
    if (lane == 0) {
      experts[choice] = best;
      weights[choice] = expf(logits[best] - largest) / sum;
      logits[best] = LOWEST;
    }
    __syncwarp();
  }
}

// Visits all choices of an expert, in their order, with the number of those before it. Gives their number. Done by one
// warp.
template <typename Visit>
__device__ unsigned visitChoices(const int* experts, unsigned choices, int expert, Visit visit) {
  unsigned lane = threadIdx.x % 32;
  unsigned seen = 0;
#pragma unroll 4
  for (unsigned first = 0; first < choices; first += 32) {
    unsigned choice = first + lane;
    bool mine = choice < choices && experts[choice] == expert;
    unsigned all = __ballot_sync(0xffffffff, mine);
    if (mine) visit(choice, seen + __popc(all & ((1u << lane) - 1)));
    seen += __popc(all);
  }
  return seen;
}

// See Routing in kernels.ts. `offsets` holds the experts' counts on the way.
extern "C" __global__ void __launch_bounds__(1024)
    route(float* logits, int* experts, float* weights, int* offsets, int* rows, int* slots, unsigned tokens,
          unsigned expertCount, unsigned topK) {
  unsigned warp = threadIdx.x / 32;
  unsigned warps = blockDim.x / 32;
  for (unsigned token = warp; token < tokens; token += warps) {
    unsigned first = token * topK;
    choose(logits + (size_t)token * expertCount, expertCount, experts + first, weights + first, topK);
  }
  __syncthreads();
  for (unsigned expert = warp; expert < expertCount; expert += warps) {
    unsigned count = visitChoices(experts, tokens * topK, expert, [](unsigned, unsigned) {});
    if (threadIdx.x % 32 == 0) offsets[expert + 1] = count;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    offsets[0] = 0;
    for (unsigned expert = 0; expert < expertCount; expert++) offsets[expert + 1] += offsets[expert];
  }
  __syncthreads();
  for (unsigned expert = warp; expert < expertCount; expert += warps) {
    unsigned begin = offsets[expert];
    visitChoices(experts, tokens * topK, expert, [=](unsigned choice, unsigned place) {
      rows[begin + place] = choice / topK;
      slots[choice] = begin + place;
    });
  }
}

// ---- The experts' products: a block for each expert and each 128 columns of its matrix. It reads them once for each 64
// of the expert's rows, 16 bytes a thread, three steps ahead of the tensor cores.

#define THREADS 128
#define ROWS 64
#define COLUMNS 128
#define DEPTH 32
#define STAGES 3

// A step's part of both matrices. Rows are 16 bytes longer than they need to be: eight below each other lie in
// different banks.
struct __align__(16) Stage {
  bfloat16 left[ROWS][DEPTH + 8];
  bfloat16 right[DEPTH][COLUMNS + 8];
};

__device__ unsigned sharedAddress(const void* pointer) {
  unsigned long long address;
  asm("cvta.to.shared.u64 %0, %1;" : "=l"(address) : "l"(pointer));
  return (unsigned)address;
}

__device__ void startCopy(bfloat16* to, const bfloat16* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(sharedAddress(to)), "l"(from) : "memory");
}

__device__ void endStage() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

__device__ void awaitOldestStage() {
  asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
}

// Four 8 x 8 matrices. Lane 8 i + j names the j-th row of the i-th.
__device__ void loadMatrices(unsigned (&parts)[4], const bfloat16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(parts[0]), "=r"(parts[1]), "=r"(parts[2]), "=r"(parts[3])
               : "r"(sharedAddress(row))
               : "memory");
}

__device__ void loadTransposed(unsigned (&parts)[4], const bfloat16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(parts[0]), "=r"(parts[1]), "=r"(parts[2]), "=r"(parts[3])
               : "r"(sharedAddress(row))
               : "memory");
}

// sums += left * right, 16 x 16 times 16 x 8.
__device__ void multiplyAdd(float (&sums)[4], const unsigned (&left)[4], unsigned right0, unsigned right1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

// What a block multiplies: up to 64 rows, and two strips of 64 columns.
struct Operands {
  const bfloat16* left;
  // Which rows of `left`; null for `first` and those behind it.
  const int* rows;
  unsigned first;
  unsigned count;
  unsigned depth;
  // The strips' first row, and from a row to the next.
  const bfloat16* strips[2];
  unsigned stride;
};

// A warp's results: 16 columns of each strip. The sums [m][2 strip + n] are of the rows 16 m and the columns 8 n on, in
// the order of the tensor cores: see forEachPair.
typedef float Sums[ROWS / 16][4][4];

__device__ void multiplyStage(Sums& sums, const Stage& stage, unsigned count) {
  unsigned lane = threadIdx.x % 32;
  unsigned warp = threadIdx.x / 32;
  unsigned low = lane % 16;
  unsigned high = lane / 16 * 8;
#pragma unroll
  for (unsigned k = 0; k < DEPTH; k += 16) {
    unsigned right[2][4];
    for (unsigned strip = 0; strip < 2; strip++) {
      loadTransposed(right[strip], &stage.right[k + low][strip * 64 + warp * 16 + high]);
    }
#pragma unroll
    for (unsigned m = 0; m < ROWS / 16; m++) {
      if (m * 16 >= count) break;
      unsigned left[4];
      loadMatrices(left, &stage.left[m * 16 + low][k + high]);
#pragma unroll
      for (unsigned n = 0; n < 4; n++) {
        const unsigned* both = &right[n / 2][n % 2 * 2];
        multiplyAdd(sums[m][n], left, both[0], both[1]);
      }
    }
  }
}

// Rows beyond `count` are never loaded; what stands there instead reaches only sums that nobody looks at.
__device__ void multiply(Sums& sums, Stage (&stages)[STAGES], const Operands& operands) {
  unsigned thread = threadIdx.x;
  const bfloat16* left[2];
  for (unsigned i = 0; i < 2; i++) {
    unsigned row = min(thread / 4 + 32 * i, operands.count - 1);
    size_t from = operands.rows == nullptr ? operands.first + row : operands.rows[operands.first + row];
    left[i] = operands.left + from * operands.depth + thread % 4 * 8;
  }
  const bfloat16* right = operands.strips[thread % 16 / 8] + (size_t)(thread / 16) * operands.stride + thread % 8 * 8;

  unsigned steps = operands.depth / DEPTH;
  auto load = [&](unsigned step) {
    if (step < steps) {
      Stage& stage = stages[step % STAGES];
      for (unsigned i = 0; i < 2; i++) {
        unsigned row = thread / 4 + 32 * i;
        if (row < operands.count) startCopy(&stage.left[row][thread % 4 * 8], left[i] + step * DEPTH);
      }
      for (unsigned i = 0; i < DEPTH; i += 8) {
        startCopy(&stage.right[thread / 16 + i][thread % 16 * 8], right + (size_t)(step * DEPTH + i) * operands.stride);
      }
    }
    endStage();
  };
  for (unsigned step = 0; step < STAGES - 1; step++) load(step);
  for (unsigned step = 0; step < steps; step++) {
    awaitOldestStage();
    __syncthreads();
    load(step + STAGES - 1);
    multiplyStage(sums, stages[step % STAGES], operands.count);
  }
  __syncthreads();
}

// Calls `visit` with the row, the column within a strip, and the sums of that column and the next in both strips.
template <typename Visit>
__device__ void forEachPair(const Sums& sums, unsigned count, Visit visit) {
  unsigned lane = threadIdx.x % 32;
  unsigned warp = threadIdx.x / 32;
#pragma unroll
  for (unsigned m = 0; m < ROWS / 16; m++) {
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
      unsigned row = m * 16 + half * 8 + lane / 4;
      if (row >= count) continue;
#pragma unroll
      for (unsigned n = 0; n < 2; n++) {
        visit(row, warp * 16 + n * 8 + lane % 4 * 2, &sums[m][n][half * 2], &sums[m][2 + n][half * 2]);
      }
    }
  }
}

// inner = silu(gate) * up, where gate and up are the two halves of x[rows] * weights[expert]. One strip is of gates, the
// other of their ups: 64 columns of the result.
extern "C" __global__ void __launch_bounds__(THREADS)
    expert_up(const bfloat16* x, const int* rows, const bfloat16* weights, const int* offsets, bfloat16* inner,
              unsigned char* scratch, unsigned experts, unsigned depth, unsigned width) {
  __shared__ Stage stages[STAGES];
  unsigned column = blockIdx.x * 64;
  const bfloat16* gates = weights + (size_t)blockIdx.y * depth * 2 * width + column;
  unsigned end = offsets[blockIdx.y + 1];
  for (unsigned first = offsets[blockIdx.y]; first < end; first += ROWS) {
    Operands operands = {x, rows, first, min(end - first, (unsigned)ROWS), depth, {gates, gates + width}, 2 * width};
    Sums sums = {};
    multiply(sums, stages, operands);
    forEachPair(sums, operands.count, [&](unsigned row, unsigned i, const float* gate, const float* up) {
      unsigned low = toBfloat16(silu(gate[0]) * up[0]);
      unsigned high = toBfloat16(silu(gate[1]) * up[1]);
      *(unsigned*)&inner[(size_t)(first + row) * width + column + i] = high << 16 | low;
    });
  }
}

// out = inner * weights[expert]: 128 columns of the result.
extern "C" __global__ void __launch_bounds__(THREADS)
    expert_down(const bfloat16* inner, const bfloat16* weights, const int* offsets, float* out, unsigned char* scratch,
                unsigned experts, unsigned depth, unsigned width) {
  __shared__ Stage stages[STAGES];
  unsigned column = blockIdx.x * COLUMNS;
  const bfloat16* strip = weights + (size_t)blockIdx.y * depth * width + column;
  unsigned end = offsets[blockIdx.y + 1];
  for (unsigned first = offsets[blockIdx.y]; first < end; first += ROWS) {
    Operands operands = {inner, nullptr, first, min(end - first, (unsigned)ROWS), depth, {strip, strip + 64}, width};
    Sums sums = {};
    multiply(sums, stages, operands);
    forEachPair(sums, operands.count, [&](unsigned row, unsigned i, const float* near, const float* far) {
      float* to = out + (size_t)(first + row) * width + column + i;
      *(float2*)to = make_float2(near[0], near[1]);
      *(float2*)(to + 64) = make_float2(far[0], far[1]);
    });
  }
}
