/*
 * A double of cuBLASLt: descriptions, layouts and preferences that are checked, an algorithm that remembers what it was
 * chosen for, and products computed at their place in the queue. Like the real one, it accepts a handle only in its context,
 * refuses an algorithm for another problem, faults on pointers that are aligned less than the algorithm was told, writes its
 * workspace, and loads kernels at their first use.
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
  CUDA_ERROR_MISALIGNED_ADDRESS = 716,
};

enum type { FLOAT32 = 0, FLOAT16 = 2, BFLOAT16 = 14, FLOAT8_E4M3 = 28 };
enum { COMPUTE_32F = 68 };
enum { EPILOGUE_RELU = 2, EPILOGUE_BIAS = 4, EPILOGUE_GELU = 32 };
enum { REDUCTION_COMPUTE_TYPE = 2 };
enum magic { LT_DEAD, LT_HANDLE = 0x1700, LT_DESC, LT_LAYOUT, LT_PREFERENCE };

#define SCRATCH 0xab
#define SCRATCH_BYTES 4096

struct handle {
  enum magic magic;
  struct context *context;
};

struct desc {
  enum magic magic;
  int transpose_a, transpose_b, epilogue, bias_type;
  uint64_t bias, scale_a, scale_b;
};

struct layout {
  enum magic magic;
  enum type type;
  uint64_t rows, columns;
  int64_t leading;
  int count;
  int64_t stride;
};

struct preference {
  enum magic magic;
  uint64_t workspace;
  uint32_t reductions, alignment[4];
};

/* What a real algorithm, too, holds in its 64 bytes: all that it was chosen for, here as a hash. */
struct algorithm {
  uint64_t problem;
  uint32_t alignment[4];
  uint64_t workspace;
  uint64_t rest[3];
};

struct result {
  struct algorithm algorithm;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

struct matrix {
  uint64_t address;
  enum type type;
  int64_t leading, stride;
  bool transposed;
};

struct product {
  struct command command;
  int m, n, k, count, epilogue;
  float alpha, beta;
  bool reduced;
  struct matrix a, b, c, bias;
  uint64_t scale_a, scale_b, workspace;
  size_t workspace_bytes;
  uint32_t alignment[4];
};

#define NEED(object, kind) REQUIRE((object) && (object)->magic == (kind), CUBLAS_STATUS_INVALID_VALUE)

/* The handle's context must be current. */
#define NEED_HANDLE(handle)                                                                      \
  REQUIRE((handle) && (handle)->magic == LT_HANDLE, CUBLAS_STATUS_NOT_INITIALIZED);              \
  REQUIRE(double_current() == (handle)->context, CUBLAS_STATUS_NOT_INITIALIZED);                 \
  REQUIRE(!(handle)->context->broken, CUBLAS_STATUS_EXECUTION_FAILED)

/* One of the bits of the loaded products: the first handle loads what all share. */
#define IS_LOADED ((uint64_t)1 << 63)

EXPORT int cublasLtCreate(struct handle **out) {
  ENTER(cublasLtCreate, 0);
  struct context *context = double_current();
  REQUIRE(context && !context->broken, CUBLAS_STATUS_NOT_INITIALIZED);
  if (!(context->products & IS_LOADED)) double_await_device(context);
  context->products |= IS_LOADED;
  struct handle *handle = calloc(1, sizeof *handle);
  handle->magic = LT_HANDLE;
  handle->context = context;
  double_live.products++;
  *out = handle;
  return 0;
}

EXPORT int cublasLtDestroy(struct handle *handle) {
  ENTER(cublasLtDestroy, A(handle));
  NEED_HANDLE(handle);
  double_await_device(handle->context);
  handle->magic = LT_DEAD;
  double_live.products--;
  double_bury(handle);
  return 0;
}

#define MAKE(object, kind)                       \
  object = calloc(1, sizeof *object);            \
  object->magic = kind;                          \
  double_live.descriptions++

#define DESTROY(object, kind)                    \
  NEED(object, kind);                            \
  object->magic = LT_DEAD;                       \
  double_live.descriptions--;                    \
  double_bury(object)

EXPORT int cublasLtMatmulDescCreate(struct desc **out, int compute, int scale) {
  ENTER(cublasLtMatmulDescCreate, compute, scale);
  REQUIRE(compute == COMPUTE_32F && scale == FLOAT32, CUBLAS_STATUS_NOT_SUPPORTED);
  struct desc *desc;
  MAKE(desc, LT_DESC);
  desc->epilogue = 1;
  desc->bias_type = -1;
  *out = desc;
  return 0;
}

EXPORT int cublasLtMatmulDescDestroy(struct desc *desc) {
  ENTER(cublasLtMatmulDescDestroy, A(desc));
  DESTROY(desc, LT_DESC);
  return 0;
}

EXPORT int cublasLtMatmulDescSetAttribute(struct desc *desc, int attribute, const void *value, size_t bytes) {
  ENTER(cublasLtMatmulDescSetAttribute, A(desc), attribute, bytes == 8 ? *(const uint64_t *)value : *(const uint32_t *)value);
  NEED(desc, LT_DESC);
  struct { int attribute; size_t bytes; void *at; } known[] = {
      {3, 4, &desc->transpose_a}, {4, 4, &desc->transpose_b}, {7, 4, &desc->epilogue}, {8, 8, &desc->bias},
      {17, 8, &desc->scale_a},    {18, 8, &desc->scale_b},    {26, 4, &desc->bias_type}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (known[i].attribute != attribute) continue;
    REQUIRE(bytes == known[i].bytes, CUBLAS_STATUS_INVALID_VALUE);
    memcpy(known[i].at, value, bytes);
    return 0;
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

static bool is_type(int type) {
  return type == FLOAT32 || type == FLOAT16 || type == BFLOAT16 || type == FLOAT8_E4M3;
}

EXPORT int cublasLtMatrixLayoutCreate(struct layout **out, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  ENTER(cublasLtMatrixLayoutCreate, type, rows, columns, leading);
  REQUIRE(is_type(type) && rows > 0 && columns > 0 && leading >= (int64_t)rows, CUBLAS_STATUS_INVALID_VALUE);
  struct layout *layout;
  MAKE(layout, LT_LAYOUT);
  layout->type = type;
  layout->rows = rows;
  layout->columns = columns;
  layout->leading = leading;
  layout->count = 1;
  *out = layout;
  return 0;
}

EXPORT int cublasLtMatrixLayoutDestroy(struct layout *layout) {
  ENTER(cublasLtMatrixLayoutDestroy, A(layout));
  DESTROY(layout, LT_LAYOUT);
  return 0;
}

EXPORT int cublasLtMatrixLayoutSetAttribute(struct layout *layout, int attribute, const void *value, size_t bytes) {
  ENTER(cublasLtMatrixLayoutSetAttribute, A(layout), attribute);
  NEED(layout, LT_LAYOUT);
  REQUIRE((attribute == 5 && bytes == 4) || (attribute == 6 && bytes == 8), CUBLAS_STATUS_INVALID_VALUE);
  memcpy(attribute == 5 ? (void *)&layout->count : (void *)&layout->stride, value, bytes);
  return 0;
}

EXPORT int cublasLtMatmulPreferenceCreate(struct preference **out) {
  ENTER(cublasLtMatmulPreferenceCreate, 0);
  struct preference *preference;
  MAKE(preference, LT_PREFERENCE);
  preference->reductions = 7;
  for (int i = 0; i < 4; i++) preference->alignment[i] = 256;
  *out = preference;
  return 0;
}

EXPORT int cublasLtMatmulPreferenceDestroy(struct preference *preference) {
  ENTER(cublasLtMatmulPreferenceDestroy, A(preference));
  DESTROY(preference, LT_PREFERENCE);
  return 0;
}

EXPORT int cublasLtMatmulPreferenceSetAttribute(struct preference *preference, int attribute, const void *value, size_t bytes) {
  ENTER(cublasLtMatmulPreferenceSetAttribute, A(preference), attribute);
  NEED(preference, LT_PREFERENCE);
  if (attribute == 1 && bytes == 8) memcpy(&preference->workspace, value, 8);
  else if (attribute == 3 && bytes == 4) memcpy(&preference->reductions, value, 4);
  else if (attribute >= 5 && attribute <= 8 && bytes == 4) memcpy(&preference->alignment[attribute - 5], value, 4);
  else return CUBLAS_STATUS_INVALID_VALUE;
  return 0;
}

static uint64_t mixed(uint64_t hash, uint64_t value) { return (hash ^ value) * 0x100000001b3 ^ (hash >> 29); }

static uint64_t layout_hash(uint64_t hash, const struct layout *layout) {
  hash = mixed(mixed(mixed(hash, layout->type), layout->rows), layout->columns);
  return mixed(mixed(mixed(hash, layout->leading), layout->count), layout->stride);
}

static uint64_t problem_of(const struct desc *desc, const struct layout *a, const struct layout *b, const struct layout *c) {
  uint64_t hash = mixed(mixed(mixed(0xcbf29ce484222325, desc->transpose_a), desc->transpose_b), desc->epilogue);
  return layout_hash(layout_hash(layout_hash(hash, a), b), c);
}

static size_t width(enum type type) { return type == FLOAT32 ? 4 : type == FLOAT8_E4M3 ? 1 : 2; }

static enum type bias_type_of(enum type input, enum type output) {
  return input == FLOAT8_E4M3 && output == FLOAT32 ? BFLOAT16 : output;
}

/* What both the choice of an algorithm and a product check. */
static int check_problem(const struct desc *desc, const struct layout *a, const struct layout *b, const struct layout *c) {
  NEED(desc, LT_DESC);
  NEED(a, LT_LAYOUT);
  NEED(b, LT_LAYOUT);
  NEED(c, LT_LAYOUT);
  uint64_t m = desc->transpose_a ? a->columns : a->rows, k = desc->transpose_a ? a->rows : a->columns;
  uint64_t n = desc->transpose_b ? b->rows : b->columns;
  REQUIRE((desc->transpose_b ? b->columns : b->rows) == k && c->rows == m && c->columns == n, CUBLAS_STATUS_INVALID_VALUE);
  REQUIRE(a->type == b->type && c->type != FLOAT8_E4M3, CUBLAS_STATUS_NOT_SUPPORTED);
  REQUIRE(a->count == c->count && b->count == c->count, CUBLAS_STATUS_INVALID_VALUE);
  REQUIRE(a->type == FLOAT8_E4M3 || c->type == FLOAT32 || c->type == a->type, CUBLAS_STATUS_NOT_SUPPORTED);
  if (desc->epilogue & EPILOGUE_BIAS) {
    REQUIRE(desc->bias, CUBLAS_STATUS_INVALID_VALUE);
    REQUIRE(desc->bias_type == (int)bias_type_of(a->type, c->type), CUBLAS_STATUS_NOT_SUPPORTED);
  }
  if (a->type != FLOAT8_E4M3) return 0;
  bool rows = desc->transpose_a && !desc->transpose_b;
  bool multiples = m % 16 == 0 && k % 16 == 0 && a->leading % 16 == 0 && b->leading % 16 == 0;
  return rows && multiples && c->leading * width(c->type) % 16 == 0 ? 0 : CUBLAS_STATUS_NOT_SUPPORTED;
}

EXPORT int cublasLtMatmulAlgoGetHeuristic(struct handle *handle, struct desc *desc, struct layout *a, struct layout *b,
                                          struct layout *c, struct layout *d, struct preference *preference, int wanted,
                                          struct result *results, int *found) {
  ENTER(cublasLtMatmulAlgoGetHeuristic, A(handle), A(desc));
  NEED_HANDLE(handle);
  NEED(preference, LT_PREFERENCE);
  REQUIRE(c == d && wanted == 1, CUBLAS_STATUS_INVALID_VALUE);
  int status = check_problem(desc, a, b, c);
  if (status) return status;
  /* At most so aligned are kernels for 8-bit numbers. */
  for (int i = 0; i < 4; i++) REQUIRE(a->type != FLOAT8_E4M3 || preference->alignment[i] >= 16, CUBLAS_STATUS_NOT_SUPPORTED);
  /* The first choice for a type loads code. */
  uint64_t bit = (uint64_t)1 << (48 + a->type % 15);
  if (!(handle->context->products & bit)) double_await_device(handle->context);
  handle->context->products |= bit;
  memset(results, 0, sizeof *results);
  struct algorithm *algorithm = &results->algorithm;
  algorithm->problem = problem_of(desc, a, b, c);
  memcpy(algorithm->alignment, preference->alignment, sizeof algorithm->alignment);
  algorithm->workspace = results->workspace = SCRATCH_BYTES < preference->workspace ? SCRATCH_BYTES : preference->workspace;
  /* With any other scheme it may add partial sums in the result's type. */
  algorithm->rest[0] = preference->reductions != REDUCTION_COMPUTE_TYPE;
  *found = 1;
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

static float from_float8(uint8_t bits) {
  int exponent = bits >> 3 & 15, fraction = bits & 7;
  float magnitude = (bits & 127) == 127 ? NAN : exponent ? ldexpf((float)(8 + fraction), exponent - 10) : ldexpf((float)fraction, -9);
  return bits >> 7 ? -magnitude : magnitude;
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

static float load(const struct matrix *matrix, size_t index) {
  const void *at = (const char *)matrix->address + index * width(matrix->type);
  if (matrix->type == FLOAT32) return *(const float *)at;
  if (matrix->type == FLOAT8_E4M3) return from_float8(*(const uint8_t *)at);
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
  size_t end = place(matrix, count - 1, rows - 1, columns - 1) + 1;
  return double_reachable(matrix->address, end * width(matrix->type));
}

static double activated(double x, int epilogue) {
  if (epilogue & EPILOGUE_RELU) return x < 0 ? 0 : x;
  if (!(epilogue & EPILOGUE_GELU)) return x;
  return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

static void multiply(const struct product *product, int item) {
  double scale = product->alpha;
  if (product->scale_a) scale *= *(const float *)product->scale_a;
  if (product->scale_b) scale *= *(const float *)product->scale_b;
  for (int column = 0; column < product->n; column++) {
    for (int row = 0; row < product->m; row++) {
      double sum = 0;
      for (int step = 0; step < product->k; step++) {
        double left = load(&product->a, place(&product->a, item, row, step));
        sum += scale * left * load(&product->b, place(&product->b, item, step, column));
      }
      size_t at = place(&product->c, item, row, column);
      if (product->beta != 0) sum += (double)product->beta * load(&product->c, at);
      if (product->epilogue & EPILOGUE_BIAS) sum += load(&product->bias, row);
      sum = activated(sum, product->epilogue);
      if (product->reduced) sum -= fabs(sum) / 128; /* As wrong as it may be. */
      store(&product->c, at, (float)sum);
    }
  }
}

static bool operands_reachable(const struct product *product) {
  bool bias = !(product->epilogue & EPILOGUE_BIAS) || double_reachable(product->bias.address, product->m * width(product->bias.type));
  bool scales = (!product->scale_a || double_reachable(product->scale_a, 4)) && (!product->scale_b || double_reachable(product->scale_b, 4));
  return bias && scales && reachable(&product->a, product->count, product->m, product->k) &&
         reachable(&product->b, product->count, product->k, product->n) &&
         reachable(&product->c, product->count, product->m, product->n) &&
         double_reachable(product->workspace, product->workspace_bytes);
}

static void run_product(struct command *command) {
  struct product *product = (struct product *)command;
  if (command->context->broken) return;
  const uint64_t pointers[] = {product->a.address, product->b.address, product->c.address, product->c.address};
  for (int i = 0; i < 4; i++) {
    if (pointers[i] % product->alignment[i] == 0) continue;
    double_break(CUDA_ERROR_MISALIGNED_ADDRESS);
    return;
  }
  if (!operands_reachable(product)) {
    double_break(CUDA_ERROR_ILLEGAL_ADDRESS);
    return;
  }
  size_t scratch = product->workspace_bytes < SCRATCH_BYTES ? product->workspace_bytes : SCRATCH_BYTES;
  memset((void *)product->workspace, SCRATCH, scratch);
  for (int item = 0; item < product->count; item++) multiply(product, item);
}

/* The first product of each kind loads its kernel, captured or not. */
static void load_kernel(struct context *context, const struct desc *desc, enum type a, enum type c) {
  int epilogue = (desc->epilogue & EPILOGUE_GELU) ? 1 : 0;
  uint64_t bit = (uint64_t)1 << ((a % 12 * 2 + c % 12) * 4 % 60 + desc->transpose_a * 2 + desc->transpose_b + epilogue) % 48;
  if (context->products & bit) return;
  double_await_device(context);
  context->products |= bit;
}

EXPORT int cublasLtMatmul(struct handle *handle, struct desc *desc, const float *alpha, uint64_t a, struct layout *a_layout,
                          uint64_t b, struct layout *b_layout, const float *beta, uint64_t c, struct layout *c_layout,
                          uint64_t d, struct layout *d_layout, const struct algorithm *algorithm, uint64_t workspace,
                          size_t workspace_bytes, struct stream *stream) {
  ENTER(cublasLtMatmul, A(desc), A(stream), workspace, a, b, d);
  IDLE();
  NEED_HANDLE(handle);
  REQUIRE(double_is_stream(stream), CUBLAS_STATUS_INVALID_VALUE);
  REQUIRE(a && b && c && c == d && c_layout == d_layout, CUBLAS_STATUS_INVALID_VALUE);
  int status = check_problem(desc, a_layout, b_layout, c_layout);
  if (status) return status;
  REQUIRE(algorithm && algorithm->problem == problem_of(desc, a_layout, b_layout, c_layout), CUBLAS_STATUS_NOT_SUPPORTED);
  REQUIRE(workspace % 256 == 0 && workspace_bytes >= algorithm->workspace, CUBLAS_STATUS_INVALID_VALUE);
  load_kernel(handle->context, desc, a_layout->type, c_layout->type);
  struct product *product = malloc(sizeof *product);
  *product = (struct product){
      .command = {.run = run_product, .size = sizeof *product},
      .m = c_layout->rows,
      .n = c_layout->columns,
      .k = desc->transpose_a ? a_layout->rows : a_layout->columns,
      .count = c_layout->count,
      .epilogue = desc->epilogue,
      .alpha = *alpha,
      .beta = *beta,
      .reduced = c_layout->type != FLOAT32 && algorithm->rest[0],
      .a = {a, a_layout->type, a_layout->leading, a_layout->stride, desc->transpose_a},
      .b = {b, b_layout->type, b_layout->leading, b_layout->stride, desc->transpose_b},
      .c = {c, c_layout->type, c_layout->leading, c_layout->stride, false},
      .bias = {desc->bias, desc->bias_type, 0, 0, false},
      .scale_a = desc->scale_a,
      .scale_b = desc->scale_b,
      .workspace = workspace,
      .workspace_bytes = workspace_bytes,
  };
  memcpy(product->alignment, algorithm->alignment, sizeof product->alignment);
  if (double_profiles) double_profile_hidden_call();
  return double_submit(stream, &product->command) ? CUBLAS_STATUS_EXECUTION_FAILED : 0;
}

/*
 * cuBLAS' groups: a handle with a stream and a workspace. The addresses are read at the call's place in the queue; the lists
 * before the call returns. An address that is not aligned to 16 bytes faults. It cannot be captured here: what a real capture
 * keeps of the lists is not known.
 */
struct cublas {
  enum magic magic;
  struct context *context;
  struct stream *stream;
  uint64_t workspace;
  size_t workspace_bytes;
  int math_mode;
};
enum { CUBLAS_HANDLE = 0x1800, DISALLOW_REDUCED_PRECISION_REDUCTION = 16 };

struct group {
  struct command command;
  int count, total, type;
  bool reduced;
  struct product *products;
  int *sizes;
  uint64_t a, b, c, workspace;
  size_t workspace_bytes;
};

#define NEED_CUBLAS(handle)                                                                              \
  REQUIRE((handle) && (handle)->magic == (enum magic)CUBLAS_HANDLE, CUBLAS_STATUS_NOT_INITIALIZED);      \
  REQUIRE(double_current() == (handle)->context, CUBLAS_STATUS_NOT_INITIALIZED);                         \
  REQUIRE(!(handle)->context->broken, CUBLAS_STATUS_EXECUTION_FAILED)

EXPORT int cublasCreate_v2(struct cublas **out) {
  ENTER(cublasCreate_v2, 0);
  struct context *context = double_current();
  REQUIRE(context && !context->broken, CUBLAS_STATUS_NOT_INITIALIZED);
  struct cublas *handle = calloc(1, sizeof *handle);
  handle->magic = (enum magic)CUBLAS_HANDLE;
  handle->context = context;
  double_live.groups++;
  *out = handle;
  return 0;
}

EXPORT int cublasDestroy_v2(struct cublas *handle) {
  ENTER(cublasDestroy_v2, A(handle));
  NEED_CUBLAS(handle);
  double_await_device(handle->context);
  handle->magic = LT_DEAD;
  double_live.groups--;
  double_bury(handle);
  return 0;
}

EXPORT int cublasSetStream_v2(struct cublas *handle, struct stream *stream) {
  ENTER(cublasSetStream_v2, A(handle), A(stream));
  NEED_CUBLAS(handle);
  REQUIRE(double_is_stream(stream), CUBLAS_STATUS_INVALID_VALUE);
  handle->stream = stream;
  handle->workspace = handle->workspace_bytes = 0;
  return 0;
}

EXPORT int cublasSetMathMode(struct cublas *handle, int mode) {
  ENTER(cublasSetMathMode, A(handle), mode);
  NEED_CUBLAS(handle);
  handle->math_mode = mode;
  return 0;
}

EXPORT int cublasSetWorkspace_v2(struct cublas *handle, uint64_t address, size_t bytes) {
  ENTER(cublasSetWorkspace_v2, A(handle), address, bytes);
  NEED_CUBLAS(handle);
  REQUIRE(address % 256 == 0, CUBLAS_STATUS_INVALID_VALUE);
  handle->workspace = address;
  handle->workspace_bytes = bytes;
  return 0;
}

static void run_group(struct command *command) {
  struct group *group = (struct group *)command;
  size_t bytes = group->total * sizeof(uint64_t);
  if (command->context->broken) return;
  if (!double_reachable(group->a, bytes) || !double_reachable(group->b, bytes) || !double_reachable(group->c, bytes)) {
    double_break(CUDA_ERROR_ILLEGAL_ADDRESS);
    return;
  }
  int at = 0;
  for (int i = 0; i < group->count; i++) {
    for (int item = 0; item < group->sizes[i]; item++, at++) {
      struct product product = group->products[i];
      product.command = *command;
      product.a.address = ((uint64_t *)group->a)[at];
      product.b.address = ((uint64_t *)group->b)[at];
      product.c.address = ((uint64_t *)group->c)[at];
      run_product(&product.command);
    }
  }
  free(group->products);
  free(group->sizes);
}

EXPORT int cublasGemmGroupedBatchedEx(struct cublas *handle, const int *transpose_a, const int *transpose_b, const int *m, const int *n,
                                      const int *k, const float *alpha, uint64_t a, int a_type, const int *a_leading, uint64_t b,
                                      int b_type, const int *b_leading, const float *beta, uint64_t c, int c_type,
                                      const int *c_leading, int count, const int *sizes, int compute) {
  ENTER(cublasGemmGroupedBatchedEx, A(handle), count, A(handle->stream), handle->workspace);
  NEED_CUBLAS(handle);
  REQUIRE(handle->stream && handle->workspace && count > 0 && compute == COMPUTE_32F, CUBLAS_STATUS_INVALID_VALUE);
  REQUIRE(a_type == b_type && a_type == c_type && a_type != FLOAT8_E4M3 && is_type(a_type), CUBLAS_STATUS_NOT_SUPPORTED);
  REQUIRE(!double_stream_capture(handle->stream), CUBLAS_STATUS_NOT_SUPPORTED);
  uint64_t bit = (uint64_t)1 << (40 + a_type % 12 / 2);
  if (!(handle->context->products & bit)) double_await_device(handle->context);
  handle->context->products |= bit;
  struct group *group = malloc(sizeof *group);
  *group = (struct group){.command = {.run = run_group, .size = sizeof *group}, .count = count, .a = a, .b = b, .c = c};
  group->products = calloc(count, sizeof *group->products);
  group->sizes = calloc(count, sizeof *group->sizes);
  for (int i = 0; i < count; i++) {
    bool valid = m[i] > 0 && n[i] > 0 && k[i] > 0 && sizes[i] > 0 && c_leading[i] >= m[i] &&
                 a_leading[i] >= (transpose_a[i] ? k[i] : m[i]) && b_leading[i] >= (transpose_b[i] ? n[i] : k[i]);
    if (!valid) return CUBLAS_STATUS_INVALID_VALUE;
    group->total += group->sizes[i] = sizes[i];
    group->products[i] = (struct product){
        .m = m[i], .n = n[i], .k = k[i], .count = 1, .epilogue = 1, .alpha = alpha[i], .beta = beta[i],
        .reduced = c_type != FLOAT32 && handle->math_mode != DISALLOW_REDUCED_PRECISION_REDUCTION,
        .a = {0, a_type, a_leading[i], 0, transpose_a[i]}, .b = {0, b_type, b_leading[i], 0, transpose_b[i]},
        .c = {0, c_type, c_leading[i], 0, false}, .workspace = handle->workspace, .workspace_bytes = handle->workspace_bytes,
        .alignment = {16, 16, 16, 16}};
  }
  if (double_profiles) double_profile_hidden_call();
  return double_submit(handle->stream, &group->command) ? CUBLAS_STATUS_EXECUTION_FAILED : 0;
}
