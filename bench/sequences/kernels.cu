/* The kernels of kernels.ts for CUDA. Each thread does every so many elements, so any grid is right. */

#define FOR_EACH(i, n) for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += gridDim.x * blockDim.x)

/** Adds up a value of each thread of a warp. Only the first thread gets the sum. */
static __device__ float warpSum(float value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
  return value;
}

extern "C" __global__ void square(int n, const float* x, float* out) {
  FOR_EACH(i, n) out[i] = x[i] * x[i];
}

extern "C" __global__ void addDifferences(int n, const float* x, const float* y, float* sum) {
  float part = 0;
  FOR_EACH(i, n) part += x[i] - y[i];
  part = warpSum(part);
  if (threadIdx.x % 32 == 0) atomicAdd(sum, part);
}

static __device__ double normal(double x) { return 0.5 * (1 + erf(x * 0.70710678118654752440)); }

extern "C" __global__ void blackScholes(int n, double rate, double volatility, double years, double strike,
                                        const double* prices, double* values) {
  FOR_EACH(i, n) {
    double spread = volatility * sqrt(years);
    double d1 = (log(prices[i] / strike) + (rate + 0.5 * volatility * volatility) * years) / spread;
    values[i] = prices[i] * normal(d1) - strike * exp(-rate * years) * normal(d1 - spread);
  }
}

extern "C" __global__ void blur(int side, int radius, const float* weights, const float* image, float* out) {
  int diameter = 2 * radius + 1;
  FOR_EACH(i, side * side) {
    int row = i / side, column = i % side;
    float sum = 0;
    for (int y = -radius; y <= radius; y++) {
      for (int x = -radius; x <= radius; x++) {
        int r = row + y, c = column + x;
        if (r < 0 || c < 0 || r >= side || c >= side) continue;
        sum += weights[(y + radius) * diameter + x + radius] * image[r * side + c];
      }
    }
    out[i] = sum;
  }
}

extern "C" __global__ void edges(int side, const float* image, float* out) {
  FOR_EACH(i, side * side) {
    int row = i / side, column = i % side;
    float across = 0, down = 0;
    for (int y = -1; y <= 1; y++) {
      for (int x = -1; x <= 1; x++) {
        int r = row + y, c = column + x;
        if (r < 0 || c < 0 || r >= side || c >= side) continue;
        float value = image[r * side + c];
        across += x * (2 - y * y) * value;
        down += y * (2 - x * x) * value;
      }
    }
    out[i] = sqrtf(across * across + down * down);
  }
}

/* Non-negative floats are ordered as their bits are. */
extern "C" __global__ void minimum(int n, const float* x, float* out) {
  float part = 3.4e38f;
  FOR_EACH(i, n) part = fminf(part, x[i]);
  for (int offset = 16; offset > 0; offset /= 2) part = fminf(part, __shfl_down_sync(0xffffffffu, part, offset));
  if (threadIdx.x % 32 == 0) atomicMin((int*)out, __float_as_int(part));
}

extern "C" __global__ void maximum(int n, const float* x, float* out) {
  float part = 0;
  FOR_EACH(i, n) part = fmaxf(part, x[i]);
  for (int offset = 16; offset > 0; offset /= 2) part = fmaxf(part, __shfl_down_sync(0xffffffffu, part, offset));
  if (threadIdx.x % 32 == 0) atomicMax((int*)out, __float_as_int(part));
}

extern "C" __global__ void extend(int n, const float* least, const float* most, float* x) {
  FOR_EACH(i, n) x[i] = fminf(5 * (x[i] - *least) / (*most - *least), 1.0f);
}

extern "C" __global__ void sharpen(int n, float amount, const float* x, const float* blurred, float* out) {
  FOR_EACH(i, n) out[i] = fminf(fmaxf(x[i] * (1 + amount) - blurred[i] * amount, 0.0f), 1.0f);
}

extern "C" __global__ void blend(int n, const float* x, const float* y, const float* mask, float* out) {
  FOR_EACH(i, n) out[i] = x[i] * mask[i] + y[i] * (1 - mask[i]);
}

extern "C" __global__ void standardize(int rows, int features, const float* x, float* out) {
  FOR_EACH(j, features) {
    float sum = 0, squares = 0;
    for (int i = 0; i < rows; i++) {
      float value = x[i * features + j];
      sum += value;
      squares += value * value;
    }
    float mean = sum / rows, deviation = sqrtf(squares / rows - mean * mean);
    for (int i = 0; i < rows; i++) out[i * features + j] = (x[i * features + j] - mean) / deviation;
  }
}

extern "C" __global__ void scores(int rows, int features, int classes, const float* x, const float* weights,
                                  const float* bias, float* out) {
  FOR_EACH(i, rows) {
    for (int c = 0; c < classes; c++) {
      float sum = bias[c];
      for (int j = 0; j < features; j++) sum += x[i * features + j] * weights[c * features + j];
      out[i * classes + c] = sum;
    }
  }
}

extern "C" __global__ void rowMaximum(int rows, int classes, const float* x, float* out) {
  FOR_EACH(i, rows) {
    float most = x[i * classes];
    for (int c = 1; c < classes; c++) most = fmaxf(most, x[i * classes + c]);
    out[i] = most;
  }
}

extern "C" __global__ void logSumExp(int rows, int classes, const float* x, const float* most, float* out) {
  FOR_EACH(i, rows) {
    float sum = 0;
    for (int c = 0; c < classes; c++) sum += expf(x[i * classes + c] - most[i]);
    out[i] = logf(sum) + most[i];
  }
}

extern "C" __global__ void exponential(int rows, int classes, const float* logs, float* x) {
  FOR_EACH(i, rows * classes) x[i] = expf(x[i] - logs[i / classes]);
}

extern "C" __global__ void softmax(int rows, int classes, float* x) {
  FOR_EACH(i, rows) {
    float most = x[i * classes], sum = 0;
    for (int c = 1; c < classes; c++) most = fmaxf(most, x[i * classes + c]);
    for (int c = 0; c < classes; c++) sum += expf(x[i * classes + c] - most);
    for (int c = 0; c < classes; c++) x[i * classes + c] = expf(x[i * classes + c] - most) / sum;
  }
}

extern "C" __global__ void vote(int rows, int classes, const float* x, const float* y, int* out) {
  FOR_EACH(i, rows) {
    int best = 0;
    for (int c = 1; c < classes; c++) {
      if (x[i * classes + c] + y[i * classes + c] > x[i * classes + best] + y[i * classes + best]) best = c;
    }
    out[i] = best;
  }
}

extern "C" __global__ void gather(int rows, const int* starts, const int* columns, const float* x, float* out) {
  FOR_EACH(i, rows) {
    float sum = 0;
    for (int at = starts[i]; at < starts[i + 1]; at++) sum += x[columns[at]];
    out[i] = sum;
  }
}

extern "C" __global__ void addUp(int n, const float* x, float* sum) {
  float part = 0;
  FOR_EACH(i, n) part += x[i];
  part = warpSum(part);
  if (threadIdx.x % 32 == 0) atomicAdd(sum, part);
}

extern "C" __global__ void divide(int n, const float* x, const float* by, float* out) {
  FOR_EACH(i, n) out[i] = x[i] / *by;
}

extern "C" __global__ void convolve(int side, int inputs, int outputs, const float* x, const float* weights, float* out) {
  FOR_EACH(i, side * side * outputs) {
    int filter = i / (side * side), row = i / side % side, column = i % side;
    float sum = 0;
    for (int plane = 0; plane < inputs; plane++) {
      for (int y = -1; y <= 1; y++) {
        for (int z = -1; z <= 1; z++) {
          int r = row + y, c = column + z;
          if (r < 0 || c < 0 || r >= side || c >= side) continue;
          sum += weights[(filter * inputs + plane) * 9 + (y + 1) * 3 + z + 1] * x[(plane * side + r) * side + c];
        }
      }
    }
    out[i] = fmaxf(sum, 0.0f);
  }
}

extern "C" __global__ void pool(int side, int planes, const float* x, float* out) {
  int half = side / 2;
  FOR_EACH(i, half * half * planes) {
    int plane = i / (half * half), row = 2 * (i / half % half), column = 2 * (i % half);
    const float* at = x + (plane * side + row) * side + column;
    out[i] = fmaxf(fmaxf(at[0], at[1]), fmaxf(at[side], at[side + 1]));
  }
}

extern "C" __global__ void dense(int n, const float* x, const float* y, const float* weights, float* sum) {
  float part = 0;
  FOR_EACH(i, n) part += x[i] * weights[i] + y[i] * weights[n + i];
  part = warpSum(part);
  if (threadIdx.x % 32 == 0) atomicAdd(sum, part);
}
