/* Streams are in-order queues, each with its own thread. Records are points in their order. */
#include "double.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct stream {
  enum kind kind;
  struct context *context;
  int priority;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_cond_t drained;
  struct command *first, *last;
  bool closing, asleep;
  /* Commands queued and not yet done. */
  _Atomic long queued;
  int waiting;
  struct capture *_Atomic capture;
};

/* Few threads wait for records, so one condition variable serves all. */
static pthread_mutex_t record_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t record_done = PTHREAD_COND_INITIALIZER;
static _Atomic int record_waiters;

bool double_is_stream(const struct stream *stream) { return (uintptr_t)stream > 2 && stream->kind == STREAM; }

struct capture *double_stream_capture(const struct stream *stream) { return stream->capture; }

void double_stream_set_capture(struct stream *stream, struct capture *capture) { stream->capture = capture; }

struct context *double_stream_context(struct stream *stream) { return stream->context; }

#define NEED_STREAM(stream)                                            \
  REQUIRE(double_is_stream(stream), CUDA_ERROR_INVALID_HANDLE); \
  NEED_OWN((stream)->context)

struct record *double_record_make(void) {
  struct record *record = calloc(1, sizeof *record);
  record->references = 1;
  return record;
}

struct record *double_record_keep(struct record *record) {
  if (record) record->references++;
  return record;
}

void double_record_drop(struct record *record) {
  if (record && --record->references == 0) free(record);
}

void double_record_finish(struct record *record) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  record->nanoseconds = (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec;
  record->done = true;
  if (!record_waiters) return;
  pthread_mutex_lock(&record_lock);
  pthread_cond_broadcast(&record_done);
  pthread_mutex_unlock(&record_lock);
}

void double_record_await(struct record *record) {
  if (record->done) return;
  pthread_mutex_lock(&record_lock);
  record_waiters++;
  while (!record->done) pthread_cond_wait(&record_done, &record_lock);
  record_waiters--;
  pthread_mutex_unlock(&record_lock);
}

struct record_command {
  struct command command;
  struct record *record;
};

void double_leave(struct command *command) {
  command->left = true;
  command->stream->queued--;
  command->context->busy--;
}

static void run_record(struct command *command) {
  /* Before the record, because a thread that sees it must also see the queue as empty. */
  double_leave(command);
  struct record *record = ((struct record_command *)command)->record;
  double_record_finish(record);
  double_record_drop(record);
}

static void run_wait(struct command *command) {
  struct record *record = ((struct record_command *)command)->record;
  double_record_await(record);
  double_record_drop(record);
}

static struct command *record_command(struct record *record, void (*run)(struct command *)) {
  struct record_command *command = calloc(1, sizeof *command);
  command->command.run = run;
  command->record = double_record_keep(record);
  return &command->command;
}

void double_record_queue(struct stream *stream, struct record *record) {
  double_queue(stream, record_command(record, run_record));
}

void double_record_wait(struct stream *stream, struct record *record) {
  double_queue(stream, record_command(record, run_wait));
}

struct command *double_command_copy(const struct command *command) {
  struct command *copy = memcpy(malloc(command->size), command, command->size);
  if (copy->hold) copy->hold(copy, 1);
  return copy;
}

void double_command_free(struct command *command) {
  if (command && command->hold) command->hold(command, -1);
  free(command);
}

CUresult double_submit(struct stream *stream, struct command *command) {
  if (stream->capture) return double_capture_command(stream, command);
  double_queue(stream, command);
  return CUDA_SUCCESS;
}

void double_queue(struct stream *stream, struct command *command) {
  command->context = stream->context;
  command->stream = stream;
  command->left = false;
  if (double_profiles) double_profile_queued(command);
  stream->queued++;
  stream->context->busy++;
  pthread_mutex_lock(&stream->lock);
  command->next = NULL;
  if (stream->last) stream->last->next = command;
  else stream->first = command;
  stream->last = command;
  if (stream->asleep) pthread_cond_signal(&stream->wake);
  pthread_mutex_unlock(&stream->lock);
}

static void *serve(void *argument) {
  struct stream *stream = argument;
  pthread_mutex_lock(&stream->lock);
  for (;;) {
    while (!stream->first && !stream->closing) {
      stream->asleep = true;
      pthread_cond_wait(&stream->wake, &stream->lock);
      stream->asleep = false;
    }
    struct command *command = stream->first;
    if (!command) break;
    stream->first = command->next;
    if (!stream->first) stream->last = NULL;
    pthread_mutex_unlock(&stream->lock);
    /* Commands themselves skip their work on a broken context, so that records and waits still settle. */
    if (command->call) double_profile_run(command);
    else command->run(command);
    if (!command->left) double_leave(command);
    double_command_free(command);
    pthread_mutex_lock(&stream->lock);
    if (stream->waiting && stream->queued == 0) pthread_cond_broadcast(&stream->drained);
  }
  pthread_mutex_unlock(&stream->lock);
  double_bury(stream);
  return NULL;
}

struct stream *double_stream_make(struct context *context, int priority) {
  struct stream *stream = calloc(1, sizeof *stream);
  stream->kind = STREAM;
  stream->context = context;
  stream->priority = priority;
  pthread_mutex_init(&stream->lock, NULL);
  pthread_cond_init(&stream->wake, NULL);
  pthread_cond_init(&stream->drained, NULL);
  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&detached, 1 << 18);
  pthread_t thread;
  int failed = pthread_create(&thread, &detached, serve, stream);
  pthread_attr_destroy(&detached);
  if (failed) {
    free(stream);
    return NULL;
  }
  return stream;
}

void double_stream_end(struct stream *stream) {
  pthread_mutex_lock(&stream->lock);
  stream->kind = DEAD;
  stream->closing = true;
  pthread_cond_signal(&stream->wake);
  pthread_mutex_unlock(&stream->lock);
}

EXPORT CUresult cuStreamCreateWithPriority(struct stream **out, unsigned flags, int priority) {
  ENTER(cuStreamCreateWithPriority, flags, A(priority));
  NEED_CURRENT(context);
  struct stream *stream = double_stream_make(context, priority);
  REQUIRE(stream, CUDA_ERROR_OUT_OF_MEMORY);
  double_live.streams++;
  *out = stream;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamDestroy_v2(struct stream *stream) {
  ENTER(cuStreamDestroy_v2, A(stream));
  REQUIRE(double_is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
  double_live.streams--;
  double_capture_forget(stream);
  double_stream_end(stream);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamQuery(struct stream *stream) {
  ENTER(cuStreamQuery, A(stream));
  NEED_STREAM(stream);
  NOT_BESIDE_CAPTURES();
  NOT_CAPTURED(stream);
  bool drained = stream->queued == 0;
  HEALTHY(stream->context);
  return drained ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

EXPORT CUresult cuStreamSynchronize(struct stream *stream) {
  ENTER(cuStreamSynchronize, A(stream));
  NEED_STREAM(stream);
  NOT_BESIDE_CAPTURES();
  NOT_CAPTURED(stream);
  pthread_mutex_lock(&stream->lock);
  stream->waiting++;
  while (stream->queued > 0) pthread_cond_wait(&stream->drained, &stream->lock);
  stream->waiting--;
  pthread_mutex_unlock(&stream->lock);
  HEALTHY(stream->context);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamWaitEvent(struct stream *stream, struct event *event, unsigned flags) {
  ENTER(cuStreamWaitEvent, A(stream), A(event), flags);
  IDLE();
  NEED_STREAM(stream);
  REQUIRE(event && event->kind == EVENT, CUDA_ERROR_INVALID_HANDLE);
  if (event->captured) return double_capture_wait(stream, event->captured);
  if (!event->latest) return CUDA_SUCCESS;
  if (stream->capture) return double_capture_wait(stream, NULL);
  double_record_wait(stream, event->latest);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetPriority(struct stream *stream, int *priority) {
  ENTER(cuStreamGetPriority, A(stream));
  NEED_STREAM(stream);
  *priority = stream->priority;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamGetCtx(struct stream *stream, struct context **out) {
  ENTER(cuStreamGetCtx, A(stream));
  NEED_STREAM(stream);
  *out = stream->context;
  return CUDA_SUCCESS;
}

/* The priority that a stream was created with. */
EXPORT int double_stream_priority(struct stream *stream) { return stream->priority; }
