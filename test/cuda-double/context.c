/* Devices, primary contexts, the current context of each thread, and the counts of live objects. */
#include "double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STACK_DEPTH 64
#define DEFAULT_LOCAL 1024
#define BURIAL_PLOTS 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool initialized;
static int device_count = 1;
static int driver_version = 13000;
static int attributes[256];
static struct context *primaries[MAX_DEVICES];
static bool attributes_set;
static _Atomic long released_while_busy;
static void *graves[BURIAL_PLOTS];
static unsigned next_grave;

static _Thread_local struct context *stack[STACK_DEPTH];
static _Thread_local int depth;

_Atomic bool double_strict;
static _Atomic long waits;
static size_t most_local = 1 << 19;
struct live double_live;

struct context *double_current(void) {
  struct context *context = depth ? stack[depth - 1] : NULL;
  return context && context->kind == CONTEXT ? context : NULL;
}

void double_await_device(struct context *context) {
  if (context->busy > 0) waits++;
  const struct timespec pause = {0, 50000};
  while (context->busy > 0 && !context->broken) nanosleep(&pause, NULL);
}

void double_await_devices(void) {
  for (int device = 0; device < MAX_DEVICES; device++) {
    if (primaries[device]) double_await_device(primaries[device]);
  }
}

/* The most bytes of local memory that can be reserved. */
EXPORT void double_set_most_local(int bytes) { most_local = bytes; }

/* How often a call had to wait for the device: each would hang behind a kernel that the caller would release. */
EXPORT double double_waits(void) { return waits; }

/* A fault ends CUDA for the process: every device's context is lost (seen with two H100, driver 580). */
void double_break(CUresult status) {
  for (int device = 0; device < MAX_DEVICES; device++) {
    int healthy = 0;
    if (primaries[device]) atomic_compare_exchange_strong(&primaries[device]->broken, &healthy, status);
  }
}

void double_bury(void *object) {
  *(enum kind *)object = DEAD;
  pthread_mutex_lock(&lock);
  void *oldest = graves[next_grave];
  graves[next_grave] = object;
  next_grave = (next_grave + 1) % BURIAL_PLOTS;
  pthread_mutex_unlock(&lock);
  free(oldest);
}

/* The attributes of an H200 that the library reads. */
static void set_attributes(void) {
  if (attributes_set) return;
  attributes_set = true;
  attributes[1] = 1024;
  attributes[2] = attributes[3] = 1024;
  attributes[4] = 64;
  attributes[5] = 2147483647;
  attributes[6] = attributes[7] = 65535;
  attributes[8] = 49152;
  attributes[9] = 65536;
  attributes[10] = 32;
  attributes[11] = 2147483647;
  attributes[12] = 65536;
  attributes[13] = 1980000;
  attributes[16] = 132;
  attributes[31] = 1;
  attributes[32] = 1;
  attributes[36] = 3201000;
  attributes[37] = 6016;
  attributes[38] = 62914560;
  attributes[39] = 2048;
  attributes[40] = 3;
  attributes[75] = 9;
  attributes[76] = 0;
  attributes[81] = 233472;
  attributes[82] = 65536;
  attributes[95] = 1;
  attributes[97] = 232448;
  attributes[106] = 32;
  attributes[111] = 1024;
  attributes[115] = 1;
  attributes[120] = 1;
  /* The device is near the host's memory of node 0, and can map it. */
  attributes[134] = 0;
  attributes[141] = 1;
}

EXPORT void double_set_devices(int count) { device_count = count; }
EXPORT void double_set_version(int version) { driver_version = version; }
EXPORT void double_set_attribute(int attribute, int value) {
  set_attributes();
  attributes[attribute] = value;
}
/* In strict mode, every call with a stream also needs its context current. */
EXPORT void double_set_strict(int strict) { double_strict = strict; }
/* How often a primary context was released while commands were queued on it. */
EXPORT double double_released_while_busy(void) { return released_while_busy; }

/* The counts of live objects, in the order of struct live. */
EXPORT double double_alive(int which) {
  _Atomic long *counters = (_Atomic long *)&double_live;
  return counters[which];
}

EXPORT CUresult cuInit(unsigned flags) {
  ENTER(cuInit, flags);
  REQUIRE(device_count > 0, CUDA_ERROR_NO_DEVICE);
  initialized = true;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDriverGetVersion(int *version) {
  ENTER(cuDriverGetVersion, 0);
  *version = driver_version;
  return CUDA_SUCCESS;
}

static const struct {
  CUresult status;
  const char *name, *text;
} statuses[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {401, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {902, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {907, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture sequence from another thread"},
    {910, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE", "the graph update was not performed because it included changes which violated constraints specific to instantiated graph update"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

static CUresult describe(CUresult status, const char **out, bool name) {
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
    if (statuses[i].status != status) continue;
    *out = name ? statuses[i].name : statuses[i].text;
    return CUDA_SUCCESS;
  }
  *out = NULL;
  return CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuGetErrorName(CUresult status, const char **out) { return describe(status, out, true); }
EXPORT CUresult cuGetErrorString(CUresult status, const char **out) { return describe(status, out, false); }

EXPORT CUresult cuDeviceGetCount(int *count) {
  ENTER(cuDeviceGetCount, 0);
  REQUIRE(initialized, CUDA_ERROR_NOT_INITIALIZED);
  *count = device_count;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  ENTER(cuDeviceGet, A(ordinal));
  REQUIRE(initialized, CUDA_ERROR_NOT_INITIALIZED);
  REQUIRE(ordinal >= 0 && ordinal < device_count, CUDA_ERROR_INVALID_DEVICE);
  *device = ordinal;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
  ENTER(cuDeviceGetName, A(device));
  snprintf(name, length, "CUDA double %d", device);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
  ENTER(cuDeviceGetAttribute, A(attribute), A(device));
  set_attributes();
  *value = attributes[attribute];
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetUuid_v2(unsigned char *uuid, CUdevice device) {
  ENTER(cuDeviceGetUuid_v2, A(device));
  for (int i = 0; i < 16; i++) uuid[i] = (unsigned char)(i * 17);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetPCIBusId(char *id, int length, CUdevice device) {
  ENTER(cuDeviceGetPCIBusId, A(device));
  snprintf(id, length, "0000:%02X:00.0", 0x65 + device);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
  ENTER(cuDevicePrimaryCtxGetState, A(device));
  REQUIRE(initialized, CUDA_ERROR_NOT_INITIALIZED);
  pthread_mutex_lock(&lock);
  *flags = 0;
  *active = primaries[device] != NULL;
  pthread_mutex_unlock(&lock);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(struct context **out, CUdevice device) {
  ENTER(cuDevicePrimaryCtxRetain, A(device));
  REQUIRE(initialized, CUDA_ERROR_NOT_INITIALIZED);
  pthread_mutex_lock(&lock);
  if (!primaries[device]) {
    struct context *context = calloc(1, sizeof *context);
    context->kind = CONTEXT;
    context->device = device;
    context->local = DEFAULT_LOCAL;
    primaries[device] = context;
    double_live.contexts++;
  }
  primaries[device]->references++;
  *out = primaries[device];
  pthread_mutex_unlock(&lock);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  ENTER(cuDevicePrimaryCtxRelease_v2, A(device));
  pthread_mutex_lock(&lock);
  struct context *context = primaries[device];
  if (context && --context->references == 0) {
    if (context->busy > 0 && !context->broken) released_while_busy++;
    primaries[device] = NULL;
    double_live.contexts--;
    /* Never freed: commands that outlive it, which is a fault that was counted, still point to it. */
    context->kind = DEAD;
  }
  pthread_mutex_unlock(&lock);
  return context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

EXPORT CUresult cuCtxGetCurrent(struct context **out) {
  ENTER(cuCtxGetCurrent, 0);
  *out = double_current();
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(struct context *context) {
  ENTER(cuCtxSetCurrent, A(context));
  if (depth == 0) depth = 1;
  stack[depth - 1] = context;
  if (!context) depth--;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPushCurrent_v2(struct context *context) {
  ENTER(cuCtxPushCurrent_v2, A(context));
  REQUIRE(context && context->kind == CONTEXT, CUDA_ERROR_INVALID_CONTEXT);
  REQUIRE(depth < STACK_DEPTH, CUDA_ERROR_INVALID_VALUE);
  stack[depth++] = context;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxPopCurrent_v2(struct context **out) {
  ENTER(cuCtxPopCurrent_v2, 0);
  REQUIRE(depth > 0, CUDA_ERROR_INVALID_CONTEXT);
  struct context *context = stack[--depth];
  if (out) *out = context;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  ENTER(cuCtxGetStreamPriorityRange, 0);
  NEED_CURRENT(context);
  *least = 0;
  *greatest = -5;
  return CUDA_SUCCESS;
}

/* CU_LIMIT_STACK_SIZE is 0. Lowering it waits for the device, too, because memory is released. */
EXPORT CUresult cuCtxSetLimit(int limit, size_t value) {
  ENTER(cuCtxSetLimit, A(limit), value);
  NEED_CURRENT(context);
  NOT_BESIDE_CAPTURES();
  REQUIRE(limit == 0, CUDA_ERROR_INVALID_VALUE);
  if ((int)value == context->local) return CUDA_SUCCESS;
  REQUIRE(value <= most_local, CUDA_ERROR_OUT_OF_MEMORY);
  double_await_device(context);
  context->local = (int)value;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetLimit(size_t *value, int limit) {
  ENTER(cuCtxGetLimit, A(limit));
  NEED_CURRENT(context);
  REQUIRE(limit == 0, CUDA_ERROR_INVALID_VALUE);
  *value = context->local;
  return CUDA_SUCCESS;
}

/* A lost device frees everything: the counts are reset. */
EXPORT void double_forget_lost(void) {
  for (size_t i = 0; i < sizeof double_live / sizeof(_Atomic long); i++) ((_Atomic long *)&double_live)[i] = 0;
}
