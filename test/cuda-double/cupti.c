/*
 * A double of CUPTI: records of kernels, copies and fills in the layouts of CUDA 13, in buffers that it requests and returns
 * through callbacks, on the threads that real CUPTI uses: requests on any thread that has a record, returns on a thread of its
 * own while a flush waits for it.
 */
#include "double.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CUPTI_SUCCESS = 0, CUPTI_INVALID_PARAMETER = 1, CUPTI_INVALID_OPERATION = 3, CUPTI_MAX_LIMIT_REACHED = 12, CUPTI_QUEUE_EMPTY = 17 };
enum { COPY = 1, FILL = 2, KERNEL_RECORD = 10, LINK = 39, KINDS = 64, MOST_CALLS = 1024 };
enum { COPY_BYTES = 96, FILL_BYTES = 88, KERNEL_BYTES = 216, LINK_BYTES = 24 };
#define MAX_NESTING 64
/* The clock of the records differs from the host's. */
#define CLOCK_OFFSET 1700000000000000000u

typedef void (*request_callback)(uint8_t **buffer, size_t *size, size_t *max);
typedef void (*return_callback)(void *context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid);

_Atomic bool double_profiles;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static request_callback request;
static return_callback give_back;
static bool enabled[KINDS];
static _Atomic bool recorded_calls[MOST_CALLS];
static uint8_t *buffer;
static size_t buffer_size, valid, dropped;
/* Profiled commands that are queued and have not run. Only a forced flush returns a buffer meanwhile. */
static _Atomic int running;

static _Atomic uint32_t calls;
static _Thread_local uint32_t current_call, linked_call;
static _Thread_local uint64_t ids[MAX_NESTING];
static _Thread_local int depth;

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return CLOCK_OFFSET + (uint64_t)time.tv_sec * 1000000000u + time.tv_nsec;
}

/* Under the lock. */
static void return_buffer(void) {
  if (buffer) give_back(NULL, 0, buffer, buffer_size, valid);
  buffer = NULL;
}

/* Under the lock: room for a record, zeroed by whoever gave the buffer; NULL if there is none. */
static uint8_t *room(size_t bytes) {
  if (buffer && valid + bytes > buffer_size) return_buffer();
  if (!buffer) {
    size_t max;
    request(&buffer, &buffer_size, &max);
    valid = 0;
  }
  if (!buffer) {
    dropped++;
    return NULL;
  }
  valid += bytes;
  return buffer + valid - bytes;
}

#define PUT(type, offset, value) \
  do {                           \
    type put_ = (type)(value);   \
    memcpy(record + (offset), &put_, sizeof put_); \
  } while (0)

void double_profile_call(void) { current_call = ++calls; }

void double_profile_hidden_call(void) { linked_call = current_call = ++calls; }

static void link_call(void) {
  linked_call = current_call;
  if (depth == 0 || !enabled[LINK]) return;
  pthread_mutex_lock(&lock);
  uint8_t *record = room(LINK_BYTES);
  if (record) {
    PUT(uint32_t, 0, LINK);
    PUT(uint32_t, 4, 3);
    PUT(uint64_t, 8, ids[depth - 1]);
    PUT(uint32_t, 16, current_call);
  }
  pthread_mutex_unlock(&lock);
}

void double_profile_query(uint32_t call) {
  if (double_profiles && call < MOST_CALLS && recorded_calls[call]) link_call();
}

void double_profile_queued(struct command *command) {
  /* Records, waits and frees have no size. */
  if (command->size == 0) return;
  if (current_call != linked_call) link_call();
  command->call = current_call;
  running++;
}

static uint32_t stream_id(const struct stream *stream) { return (uintptr_t)stream >> 4; }

static int device_of(const struct command *command) { return command->context->device; }

static void put_kernel(uint8_t *record, const struct command *command, uint64_t start, uint64_t end) {
  PUT(uint32_t, 0, KERNEL_RECORD);
  PUT(uint64_t, 16, start);
  PUT(uint64_t, 24, end);
  PUT(uint32_t, 40, device_of(command));
  PUT(uint32_t, 48, stream_id(command->stream));
  PUT(uint32_t, 92, command->call);
  PUT(uint64_t, 104, (uintptr_t)double_kernel_name(command->kernel));
  PUT(uint64_t, 144, command->node);
  PUT(uint32_t, 156, command->node >> 32);
}

static void put_transfer(uint8_t *record, const struct command *command, uint64_t start, uint64_t end) {
  PUT(uint32_t, 0, command->fills ? FILL : COPY);
  PUT(uint64_t, 16, start);
  PUT(uint64_t, 24, end);
  PUT(uint32_t, 32, device_of(command));
  PUT(uint32_t, 40, stream_id(command->stream));
  PUT(uint32_t, 44, command->call);
  PUT(uint64_t, 64, command->node);
  PUT(uint32_t, 72, command->node >> 32);
}

uint64_t double_profile_now(void) { return now(); }

void double_profile_ran(struct command *command, uint64_t start, uint64_t end) {
  int kind = command->kernel ? KERNEL_RECORD : command->fills ? FILL : COPY;
  pthread_mutex_lock(&lock);
  if (double_profiles && enabled[kind] && !command->is_graph) {
    uint8_t *record = room(command->kernel ? KERNEL_BYTES : command->fills ? FILL_BYTES : COPY_BYTES);
    if (record && command->kernel) put_kernel(record, command, start, end);
    else if (record) put_transfer(record, command, start, end);
  }
  pthread_mutex_unlock(&lock);
}

void double_profile_run(struct command *command) {
  uint64_t start = now();
  command->run(command);
  double_profile_ran(command, start, now());
  running--;
}

EXPORT int cuptiGetVersion(uint32_t *version) {
  ENTER(cuptiGetVersion);
  *version = 130001;
  return CUPTI_SUCCESS;
}

EXPORT int cuptiGetResultString(int result, const char **text) {
  *text = result == 1 ? "CUPTI_ERROR_INVALID_PARAMETER" : "CUPTI_ERROR_UNKNOWN";
  return CUPTI_SUCCESS;
}

EXPORT int cuptiGetTimestamp(uint64_t *time) {
  *time = now();
  return CUPTI_SUCCESS;
}

EXPORT int cuptiActivitySetAttribute(int attribute, size_t *size, void *value) {
  return attribute == 5 && *size == 1 && value ? CUPTI_SUCCESS : CUPTI_INVALID_PARAMETER;
}

EXPORT int cuptiActivityRegisterCallbacks(request_callback request_, return_callback return_) {
  ENTER(cuptiActivityRegisterCallbacks, A(request_), A(return_));
  request = request_;
  give_back = return_;
  return CUPTI_SUCCESS;
}

EXPORT int cuptiActivityEnable(int kind) {
  ENTER(cuptiActivityEnable, A(kind));
  if (kind < 0 || kind >= KINDS) return CUPTI_INVALID_PARAMETER;
  if (!request) return CUPTI_INVALID_OPERATION;
  enabled[kind] = true;
  double_profiles = true;
  return CUPTI_SUCCESS;
}

EXPORT int cuptiActivityDisable(int kind) {
  ENTER(cuptiActivityDisable, A(kind));
  if (kind < 0 || kind >= KINDS) return CUPTI_INVALID_PARAMETER;
  enabled[kind] = false;
  return CUPTI_SUCCESS;
}

EXPORT int cuptiActivityEnableDriverApi(uint32_t call, uint8_t enable) {
  if (call >= MOST_CALLS) return CUPTI_INVALID_PARAMETER;
  recorded_calls[call] = enable;
  return CUPTI_SUCCESS;
}

EXPORT int cuptiGetStreamIdEx(struct context *context, struct stream *stream, uint8_t per_thread, uint32_t *id) {
  if (!double_is_stream(stream) || double_stream_context(stream) != context) return CUPTI_INVALID_PARAMETER;
  *id = stream_id(stream);
  return CUPTI_SUCCESS;
}

EXPORT int cuptiActivityPushExternalCorrelationId(int kind, uint64_t id) {
  if (kind != 3 || depth == MAX_NESTING) return CUPTI_INVALID_PARAMETER;
  ids[depth++] = id;
  return CUPTI_SUCCESS;
}

EXPORT int cuptiActivityPopExternalCorrelationId(int kind, uint64_t *last) {
  if (depth == 0) return CUPTI_QUEUE_EMPTY;
  *last = ids[--depth];
  return CUPTI_SUCCESS;
}

static void *flush(void *argument) {
  pthread_mutex_lock(&lock);
  if (argument || running == 0) return_buffer();
  pthread_mutex_unlock(&lock);
  return argument;
}

EXPORT int cuptiActivityFlushAll(uint32_t flag) {
  ENTER(cuptiActivityFlushAll, flag);
  if (!give_back) return CUPTI_INVALID_OPERATION;
  pthread_t thread;
  pthread_create(&thread, NULL, flush, flag & 1 ? &thread : NULL);
  pthread_join(thread, NULL);
  return CUPTI_SUCCESS;
}

/* The next record, of which only the size is used. */
EXPORT int cuptiActivityGetNextRecord(uint8_t *first, size_t bytes, uint8_t **record) {
  if (!*record) return *record = first, CUPTI_SUCCESS;
  int kind = *(int *)*record;
  size_t size = kind == COPY ? COPY_BYTES : kind == FILL ? FILL_BYTES : kind == LINK ? LINK_BYTES : KERNEL_BYTES;
  if (*record + size >= first + bytes) return CUPTI_MAX_LIMIT_REACHED;
  *record += size;
  return CUPTI_SUCCESS;
}

EXPORT int cuptiActivityGetNumDroppedRecords(void *context, uint32_t stream, size_t *out) {
  *out = dropped;
  dropped = 0;
  return CUPTI_SUCCESS;
}

EXPORT int cuptiFinalize(void) {
  ENTER(cuptiFinalize);
  pthread_mutex_lock(&lock);
  double_profiles = false;
  memset(enabled, 0, sizeof enabled);
  buffer = NULL;
  request = NULL;
  give_back = NULL;
  pthread_mutex_unlock(&lock);
  return CUPTI_SUCCESS;
}
