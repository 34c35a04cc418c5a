/* The kernels that the double knows, by name. A test that needs another one adds it here. */
#include "double.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define P(index, type) (*(type *const *)arguments[index])
#define S(index, type) (*(const type *)arguments[index])

static uint64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void rest(void) {
  const struct timespec pause = {0, 20000};
  nanosleep(&pause, NULL);
}

static void noop(const struct launch *launch, void *const *arguments) {}

/* test_saxpy(int n, float a, const float *x, float *y) */
static void saxpy(const struct launch *launch, void *const *arguments) {
  for (int i = 0; i < S(0, int); i++) P(3, float)[i] += S(1, float) * P(2, const float)[i];
}

/* test_add(int n, const float *a, const float *b, float *out) */
static void add(const struct launch *launch, void *const *arguments) {
  for (int i = 0; i < S(0, int); i++) P(3, float)[i] = P(1, const float)[i] + P(2, const float)[i];
}

/* test_fill(int n, float value, float *out) */
static void fill(const struct launch *launch, void *const *arguments) {
  for (int i = 0; i < S(0, int); i++) P(2, float)[i] = S(1, float);
}

/* test_affine(int n, int *x, int a, int b): x = x * a + b */
static void affine(const struct launch *launch, void *const *arguments) {
  for (int i = 0; i < S(0, int); i++) P(1, unsigned)[i] = P(1, unsigned)[i] * S(2, unsigned) + S(3, unsigned);
}

/* test_combine(int n, const int *x, int *y): y = y * 3 + x */
static void combine(const struct launch *launch, void *const *arguments) {
  for (int i = 0; i < S(0, int); i++) P(2, unsigned)[i] = P(2, unsigned)[i] * 3 + P(1, const unsigned)[i];
}

/* test_spin(int iterations) */
static void spin(const struct launch *launch, void *const *arguments) {
  volatile unsigned value = 1;
  for (int i = 0; i < S(0, int); i++) value = value * 1664525u + 1013904223u;
}

static int64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* test_timed(int microseconds, long long *times) */
static void timed(const struct launch *launch, void *const *arguments) {
  const struct timespec pause = {S(0, int) / 1000000, S(0, int) % 1000000 * 1000};
  int64_t begin = nanoseconds();
  nanosleep(&pause, NULL);
  P(1, int64_t)[0] = begin;
  P(1, int64_t)[1] = nanoseconds();
}

/* Ends all latches, which no test will open any more. */
static _Atomic bool latches_open;
EXPORT void double_open_latches(void) { latches_open = true; }

/*
 * test_latch(int *flags, int limit): sets flags[1], then waits until flags[0] is not 0; after limit milliseconds it
 * gives up and sets flags[2].
 */
static void latch(const struct launch *launch, void *const *arguments) {
  int *flags = P(0, int);
  uint64_t end = milliseconds() + S(1, int);
  __atomic_store_n(&flags[1], 1, __ATOMIC_RELEASE);
  while (!__atomic_load_n(&flags[0], __ATOMIC_ACQUIRE) && !launch->context->broken && !latches_open) {
    if (milliseconds() > end) {
      __atomic_store_n(&flags[2], 1, __ATOMIC_RELEASE);
      return;
    }
    rest();
  }
}

/* test_fault(): behaves like an illegal address. */
static void fault(const struct launch *launch, void *const *arguments) {
  double_break(CUDA_ERROR_ILLEGAL_ADDRESS);
}

/* test_echo: writes each of twelve scalars, float16 to uint64, to the array of its type. */
static void echo(const struct launch *launch, void *const *arguments) {
  static const int sizes[] = {2, 2, 4, 8, 1, 1, 2, 2, 4, 4, 8, 8};
  for (int i = 0; i < 12; i++) memcpy(P(12 + i, char), arguments[i], sizes[i]);
}

/* test_shape(int *out): grid, block and dynamic shared memory of the launch */
static void shape(const struct launch *launch, void *const *arguments) {
  int *out = P(0, int);
  for (int i = 0; i < 3; i++) {
    out[i] = (int)launch->grid[i];
    out[3 + i] = (int)launch->block[i];
  }
  out[6] = (int)launch->shared_memory;
}

/* test_reverse_DTYPE(int n, const DTYPE *source, DTYPE *destination) */
static void reverse(int size, void *const *arguments) {
  int n = S(0, int);
  for (int i = 0; i < n; i++) memcpy(P(2, char) + (size_t)i * size, P(1, const char) + (size_t)(n - 1 - i) * size, size);
}
static void reverse1(const struct launch *launch, void *const *arguments) { reverse(1, arguments); }
static void reverse2(const struct launch *launch, void *const *arguments) { reverse(2, arguments); }
static void reverse4(const struct launch *launch, void *const *arguments) { reverse(4, arguments); }
static void reverse8(const struct launch *launch, void *const *arguments) { reverse(8, arguments); }

/* What test_struct takes by value. */
struct test_params {
  int n;
  float scale;
  const float *table;
  float lut[4];
  long long big;
  struct __attribute__((aligned(16))) {
    unsigned char tag;
    float *outs[2];
  } inner;
  unsigned raw[3];
};

/* test_struct(int added, struct test_params p, long long *sums) */
static void take_struct(const struct launch *launch, void *const *arguments) {
  const struct test_params *p = arguments[1];
  for (int i = 0; i < p->n; i++) {
    p->inner.outs[0][i] = p->scale * p->table[i] + p->lut[i % 4];
    p->inner.outs[1][i] = p->inner.outs[0][i] + p->inner.tag;
  }
  P(2, long long)[0] = p->big + S(0, int);
  P(2, long long)[1] = (long long)p->raw[0] + p->raw[1] + p->raw[2];
}

/* The kernels of examples/filters. */
struct line {
  int n;
  float first, step;
};

static void ramp(const struct launch *launch, void *const *arguments) {
  struct line line = S(0, struct line);
  for (int i = 0; i < line.n; i++) P(1, float)[i] = line.first + i * line.step;
}
static void convolve(const struct launch *launch, void *const *arguments) {
  const float *taps = double_global(launch->library, "taps"), *x = P(1, const float);
  for (int i = 0; i < S(0, int); i++) {
    float sum = 0;
    for (int k = 0; k < 4 && k <= i; k++) sum += taps[k] * x[i - k];
    P(2, float)[i] = sum;
  }
}
static void clip(const struct launch *launch, void *const *arguments) {
  int *clipped = double_global(launch->library, "clipped");
  for (int i = 0; i < S(0, int); i++) {
    if (P(2, float)[i] <= S(1, float)) continue;
    P(2, float)[i] = S(1, float);
    ++*clipped;
  }
}
static void scale_by_4(const struct launch *launch, void *const *arguments) {
  for (int i = 0; i < S(0, int); i++) P(1, float)[i] *= 4;
}
static void total(const struct launch *launch, void *const *arguments) {
  float sum = 0;
  for (int i = 0; i < S(0, int); i++) sum += P(1, const float)[i];
  *P(2, float) = sum;
}

struct test_affine_params {
  unsigned a, *x, b;
  int n;
};

/* test_affine_of_struct(struct test_affine_params p): x = x * a + b */
static void affine_of_struct(const struct launch *launch, void *const *arguments) {
  const struct test_affine_params *p = arguments[0];
  for (int i = 0; i < p->n; i++) p->x[i] = p->x[i] * p->a + p->b;
}

int double_struct_size(const char *name) {
  static const struct {
    const char *name;
    size_t size;
  } structs[] = {
      {"test_params", sizeof(struct test_params)},
      {"test_affine_params", sizeof(struct test_affine_params)},
      {"Line", sizeof(struct line)},
  };
  for (size_t i = 0; i < sizeof structs / sizeof *structs; i++) {
    if (strcmp(structs[i].name, name) == 0) return (int)structs[i].size;
  }
  return 0;
}

/* auxstream_set_condition(handle, const int *condition, int zero): the double's handles are addresses. */
static void set_condition(const struct launch *launch, void *const *arguments) {
  *P(0, unsigned) = (*P(1, const int) == 0) == (S(2, int) != 0);
}

/* auxstream_fill64(uint64_t *destination, uint64_t width, uint64_t pitch, uint64_t rows, uint64_t value), and for 32, 16 and 8 bits */
static void fill_rows(size_t size, const struct launch *launch, void *const *arguments) {
  uint64_t across = (uint64_t)launch->grid[0] * launch->block[0], down = (uint64_t)launch->grid[1] * launch->block[1];
  for (uint64_t y = 0; y < down; y++) {
    for (uint64_t row = y; row < S(3, uint64_t); row += down) {
      char *at = P(0, char) + row * S(2, uint64_t);
      for (uint64_t i = 0; i < S(1, uint64_t) && i < across; i++) memcpy(at + i * size, arguments[4], size);
    }
  }
}
static void fill64(const struct launch *launch, void *const *arguments) { fill_rows(8, launch, arguments); }
static void fill32(const struct launch *launch, void *const *arguments) { fill_rows(4, launch, arguments); }
static void fill16(const struct launch *launch, void *const *arguments) { fill_rows(2, launch, arguments); }
static void fill8(const struct launch *launch, void *const *arguments) { fill_rows(1, launch, arguments); }

static const struct kernel_entry entries[] = {
    {"auxstream_fill64", fill64},
    {"auxstream_fill32", fill32},
    {"auxstream_fill16", fill16},
    {"auxstream_fill8", fill8},
    {"auxstream_set_condition", set_condition},
    {"test_noop", noop},
    {"test_touch", noop},
    {"test_saxpy", saxpy},
    {"test_add", add},
    {"test_fill", fill},
    {"_Z9test_fillIfEv", fill},
    {"_Z9test_noopv", noop},
    {"ramp", ramp},
    {"convolve", convolve},
    {"clip", clip},
    {"total", total},
    {"_ZN7filters5scaleIfLi4EEEv", scale_by_4},
    {"test_affine", affine},
    {"test_combine", combine},
    {"test_spin", spin},
    {"test_timed", timed},
    {"test_latch", latch},
    {"test_fault", fault},
    {"test_echo", echo},
    {"test_shape", shape},
    {"test_struct", take_struct},
    {"test_affine_of_struct", affine_of_struct},
    {"test_static_shared", shape, .static_shared = 8192},
    {"test_local", noop, .local = 16384},
    {"test_registers", noop, .registers = 128},
    {"test_reverse_int8", reverse1},
    {"test_reverse_uint8", reverse1},
    {"test_reverse_float8_e4m3fn", reverse1},
    {"test_reverse_int16", reverse2},
    {"test_reverse_uint16", reverse2},
    {"test_reverse_float16", reverse2},
    {"test_reverse_bfloat16", reverse2},
    {"test_reverse_int32", reverse4},
    {"test_reverse_uint32", reverse4},
    {"test_reverse_float32", reverse4},
    {"test_reverse_int64", reverse8},
    {"test_reverse_uint64", reverse8},
    {"test_reverse_float64", reverse8},
};

const struct kernel_entry *double_find_kernel(const char *name) {
  for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
    if (strcmp(entries[i].name, name) == 0) return &entries[i];
  }
  return NULL;
}
