/*
 * A double of cuBLAS: handles with a stream and a workspace, and the one product that we call, computed at its place in the
 * queue. Like the real one, it accepts a handle only in the handle's context, writes its workspace, and multiplies by alpha
 * before it adds.
 */
#include "double.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  CUBLAS_STATUS_NOT_INITIALIZED = 1,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_EXECUTION_FAILED = 13,
  CUBLAS_STATUS_NOT_SUPPORTED = 15,
};

enum type { FLOAT32 = 0, FLOAT16 = 2, BFLOAT16 = 14 };
enum { COMPUTE_32F = 68, DISALLOW_REDUCED_PRECISION_REDUCTION = 16 };

#define SCRATCH 0xab
#define SCRATCH_BYTES 4096

struct handle {
  enum kind kind;
  struct context *context;
  struct stream *stream;
  uint64_t workspace;
  size_t workspace_bytes;
  int math_mode;
};

struct matrix {
  uint64_t address;
  enum type type;
  int leading;
  size_t stride;
  bool transposed;
};

struct product {
  struct command command;
  int m, n, k, count;
  float alpha, beta;
  bool reduced;
  struct matrix a, b, c;
  uint64_t workspace;
  size_t workspace_bytes;
};

#define NEED_HANDLE(handle)                                                             \
  REQUIRE((handle) && (handle)->kind == CUBLAS, CUBLAS_STATUS_NOT_INITIALIZED);         \
  REQUIRE(double_current() == (handle)->context, CUBLAS_STATUS_NOT_INITIALIZED);        \
  REQUIRE(!(handle)->context->broken, CUBLAS_STATUS_EXECUTION_FAILED)

/* One of the bits of the loaded products: the first handle loads what all share. */
#define IS_LOADED ((uint64_t)1 << 63)

EXPORT int cublasCreate_v2(struct handle **out) {
  ENTER(cublasCreate_v2, 0);
  struct context *context = double_current();
  REQUIRE(context && !context->broken, CUBLAS_STATUS_NOT_INITIALIZED);
  if (!(context->products & IS_LOADED)) double_await_device(context);
  context->products |= IS_LOADED;
  struct handle *handle = calloc(1, sizeof *handle);
  handle->kind = CUBLAS;
  handle->context = context;
  double_live.products++;
  *out = handle;
  return 0;
}

EXPORT int cublasDestroy_v2(struct handle *handle) {
  ENTER(cublasDestroy_v2, A(handle));
  NEED_HANDLE(handle);
  double_await_device(handle->context);
  handle->kind = DEAD;
  double_live.products--;
  double_bury(handle);
  return 0;
}

EXPORT int cublasSetStream_v2(struct handle *handle, struct stream *stream) {
  ENTER(cublasSetStream_v2, A(handle), A(stream));
  NEED_HANDLE(handle);
  REQUIRE(double_is_stream(stream), CUBLAS_STATUS_INVALID_VALUE);
  handle->stream = stream;
  handle->workspace = handle->workspace_bytes = 0;
  return 0;
}

EXPORT int cublasSetMathMode(struct handle *handle, int mode) {
  ENTER(cublasSetMathMode, A(handle), mode);
  NEED_HANDLE(handle);
  handle->math_mode = mode;
  return 0;
}

EXPORT int cublasSetWorkspace_v2(struct handle *handle, uint64_t address, size_t bytes) {
  ENTER(cublasSetWorkspace_v2, A(handle), address, bytes);
  NEED_HANDLE(handle);
  REQUIRE(address % 256 == 0, CUBLAS_STATUS_INVALID_VALUE);
  handle->workspace = address;
  handle->workspace_bytes = bytes;
  return 0;
}

static float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint32_t to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float from_half(uint16_t bits) {
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  float magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                    : exponent     ? ldexpf((float)(1024 + fraction), exponent - 25)
                                   : ldexpf((float)fraction, -24);
  return bits >> 15 ? -magnitude : magnitude;
}

/* To nearest, ties to even. */
static uint16_t to_half(float value) {
  uint16_t sign = to_bits(value) >> 16 & 0x8000;
  if (isnan(value)) return 0x7e00;
  double magnitude = fabs((double)value);
  if (magnitude < 0x1p-14) return sign | (uint16_t)nearbyint(magnitude * 0x1p24);
  int exponent;
  double rounded = nearbyint(frexp(magnitude, &exponent) * 2048);
  if (isinf(magnitude) || ldexp(rounded, exponent - 11) >= 65536) return sign | 0x7c00;
  /* A fraction that was rounded up to 2048 carries into the exponent by itself. */
  return sign | (uint16_t)(((exponent + 14) << 10) + (int)rounded - 1024);
}

static uint16_t to_bfloat(float value) {
  uint32_t bits = to_bits(value);
  if (isnan(value)) return 0x7fc0;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static size_t width(enum type type) { return type == FLOAT32 ? 4 : 2; }

static float load(const struct matrix *matrix, size_t index) {
  const void *at = (const char *)matrix->address + index * width(matrix->type);
  if (matrix->type == FLOAT32) return *(const float *)at;
  uint16_t bits = *(const uint16_t *)at;
  return matrix->type == FLOAT16 ? from_half(bits) : from_bits((uint32_t)bits << 16);
}

static void store(const struct matrix *matrix, size_t index, float value) {
  void *at = (char *)matrix->address + index * width(matrix->type);
  if (matrix->type == FLOAT32) *(float *)at = value;
  else *(uint16_t *)at = matrix->type == FLOAT16 ? to_half(value) : to_bfloat(value);
}

/* Columns lie one behind the other. */
static size_t place(const struct matrix *matrix, int item, int row, int column) {
  size_t across = matrix->transposed ? row : column, along = matrix->transposed ? column : row;
  return item * matrix->stride + across * matrix->leading + along;
}

static bool reachable(const struct matrix *matrix, int count, int rows, int columns) {
  if (rows == 0 || columns == 0) return true;
  size_t end = place(matrix, count - 1, rows - 1, columns - 1) + 1;
  return double_reachable(matrix->address, end * width(matrix->type));
}

static void multiply(const struct product *product, int item) {
  for (int column = 0; column < product->n; column++) {
    for (int row = 0; row < product->m; row++) {
      double sum = 0;
      for (int step = 0; product->alpha != 0 && step < product->k; step++) {
        double left = load(&product->a, place(&product->a, item, row, step));
        sum += product->alpha * left * load(&product->b, place(&product->b, item, step, column));
      }
      size_t at = place(&product->c, item, row, column);
      if (product->beta != 0) sum += (double)product->beta * load(&product->c, at);
      if (product->reduced) sum -= fabs(sum) / 128; /* As wrong as it may be. */
      store(&product->c, at, (float)sum);
    }
  }
}

static void run_product(struct command *command) {
  struct product *product = (struct product *)command;
  if (command->context->broken) return;
  bool inputs = product->alpha == 0 || (reachable(&product->a, product->count, product->m, product->k) &&
                                        reachable(&product->b, product->count, product->k, product->n));
  if (!inputs || !reachable(&product->c, product->count, product->m, product->n) ||
      !double_reachable(product->workspace, product->workspace_bytes)) {
    double_break(CUDA_ERROR_ILLEGAL_ADDRESS);
    return;
  }
  size_t scratch = product->workspace_bytes < SCRATCH_BYTES ? product->workspace_bytes : SCRATCH_BYTES;
  memset((void *)product->workspace, SCRATCH, scratch);
  for (int item = 0; item < product->count; item++) multiply(product, item);
}

static bool is_type(int type) { return type == FLOAT32 || type == FLOAT16 || type == BFLOAT16; }

/* The first product of each kind loads its kernel, captured or not. */
static void load_kernel(struct context *context, int a_type, int c_type, bool transpose_a, bool transpose_b) {
  uint64_t bit = (uint64_t)1 << ((a_type % 12 * 2 + c_type % 12) * 4 + transpose_a * 2 + transpose_b);
  if (context->products & bit) return;
  double_await_device(context);
  context->products |= bit;
}

EXPORT int cublasGemmStridedBatchedEx(struct handle *handle, int transpose_a, int transpose_b, int m, int n, int k,
                                      const float *alpha, uint64_t a, int a_type, int a_leading, size_t a_stride,
                                      uint64_t b, int b_type, int b_leading, size_t b_stride, const float *beta,
                                      uint64_t c, int c_type, int c_leading, size_t c_stride, int count, int compute,
                                      int algorithm) {
  ENTER(cublasGemmStridedBatchedEx, A(handle), m, n, k, a, b, c, count);
  NEED_HANDLE(handle);
  REQUIRE(handle->stream && handle->workspace, CUBLAS_STATUS_INVALID_VALUE);
  REQUIRE(m >= 0 && n >= 0 && k >= 0 && count >= 0, CUBLAS_STATUS_INVALID_VALUE);
  REQUIRE(a_leading >= (transpose_a ? k : m) && a_leading > 0, CUBLAS_STATUS_INVALID_VALUE);
  REQUIRE(b_leading >= (transpose_b ? n : k) && b_leading > 0, CUBLAS_STATUS_INVALID_VALUE);
  REQUIRE(c_leading >= m && c_leading > 0, CUBLAS_STATUS_INVALID_VALUE);
  REQUIRE(compute == COMPUTE_32F && algorithm == -1, CUBLAS_STATUS_NOT_SUPPORTED);
  REQUIRE(is_type(a_type) && a_type == b_type && is_type(c_type), CUBLAS_STATUS_NOT_SUPPORTED);
  if (m == 0 || n == 0 || count == 0) return 0;
  load_kernel(handle->context, a_type, c_type, transpose_a, transpose_b);
  struct product *product = malloc(sizeof *product);
  *product = (struct product){
      .command = {.run = run_product, .size = sizeof *product},
      .m = m,
      .n = n,
      .k = k,
      .count = count,
      .alpha = *alpha,
      .beta = *beta,
      .reduced = c_type != FLOAT32 && handle->math_mode != DISALLOW_REDUCED_PRECISION_REDUCTION,
      .a = {a, a_type, a_leading, a_stride, transpose_a},
      .b = {b, b_type, b_leading, b_stride, transpose_b},
      .c = {c, c_type, c_leading, c_stride, false},
      .workspace = handle->workspace,
      .workspace_bytes = handle->workspace_bytes,
  };
  return double_submit(handle->stream, &product->command) ? CUBLAS_STATUS_EXECUTION_FAILED : 0;
}
