/* Events. */
#include "double.h"

#include <stdlib.h>

#define DISABLE_TIMING 2u

/* A record may be replaced while another thread begins to wait for it. */
static pthread_mutex_t latest_lock = PTHREAD_MUTEX_INITIALIZER;

static void replace_latest(struct event *event, struct record *record, struct point *captured) {
  pthread_mutex_lock(&latest_lock);
  struct record *before = event->latest;
  struct point *point_before = event->captured;
  event->latest = record;
  event->captured = captured;
  pthread_mutex_unlock(&latest_lock);
  double_record_drop(before);
  double_point_drop(point_before);
}

static struct record *keep_latest(struct event *event) {
  pthread_mutex_lock(&latest_lock);
  struct record *record = double_record_keep(event->latest);
  pthread_mutex_unlock(&latest_lock);
  return record;
}

#define NEED_EVENT(event)                                                     \
  REQUIRE((event) && (event)->kind == EVENT, CUDA_ERROR_INVALID_HANDLE); \
  NEED_OWN((event)->context)

EXPORT CUresult cuEventCreate(struct event **out, unsigned flags) {
  ENTER(cuEventCreate, flags);
  NEED_CURRENT(context);
  struct event *event = calloc(1, sizeof *event);
  event->kind = EVENT;
  event->context = context;
  event->flags = flags;
  double_live.events++;
  *out = event;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventDestroy_v2(struct event *event) {
  ENTER(cuEventDestroy_v2, A(event));
  REQUIRE(event && event->kind == EVENT, CUDA_ERROR_INVALID_HANDLE);
  double_live.events--;
  replace_latest(event, NULL, NULL);
  double_bury(event);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventRecord(struct event *event, struct stream *stream) {
  ENTER(cuEventRecord, A(event), A(stream));
  IDLE();
  NEED_EVENT(event);
  REQUIRE(double_is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
  REQUIRE(double_stream_context(stream) == event->context, CUDA_ERROR_INVALID_HANDLE);
  if (double_stream_capture(stream)) {
    struct point *point;
    CHECK(double_capture_record(stream, &point));
    replace_latest(event, NULL, point);
    return CUDA_SUCCESS;
  }
  struct record *record = double_record_make();
  double_record_queue(stream, record);
  replace_latest(event, record, NULL);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventQuery(struct event *event) {
  ENTER(cuEventQuery, A(event));
  IDLE();
  NEED_EVENT(event);
  NOT_BESIDE_CAPTURES();
  CHECK(double_point_look(event->captured));
  return !event->latest || event->latest->done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

EXPORT CUresult cuEventSynchronize(struct event *event) {
  ENTER(cuEventSynchronize, A(event));
  REQUIRE(event && event->kind == EVENT, CUDA_ERROR_INVALID_HANDLE);
  struct context *context = event->context;
  HEALTHY(context);
  NOT_BESIDE_CAPTURES();
  CHECK(double_point_look(event->captured));
  struct record *record = keep_latest(event);
  if (record) double_record_await(record);
  double_record_drop(record);
  HEALTHY(context);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuEventElapsedTime(float *milliseconds, struct event *start, struct event *end) {
  ENTER(cuEventElapsedTime, A(start), A(end));
  NEED_EVENT(start);
  NEED_EVENT(end);
  REQUIRE(!start->captured && !end->captured, CUDA_ERROR_CAPTURED_EVENT);
  REQUIRE(start->latest && end->latest, CUDA_ERROR_INVALID_HANDLE);
  REQUIRE(!((start->flags | end->flags) & DISABLE_TIMING), CUDA_ERROR_INVALID_HANDLE);
  REQUIRE(start->latest->done && end->latest->done, CUDA_ERROR_NOT_READY);
  *milliseconds = (float)((double)(int64_t)(end->latest->nanoseconds - start->latest->nanoseconds) / 1e6);
  return CUDA_SUCCESS;
}

/* The flags that an event was created with. */
EXPORT int double_event_flags(struct event *event) { return (int)event->flags; }
