/* Counts, logs and fails calls. */
#include "double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FAILURES 64
#define MAX_LOGGED_ARGUMENTS 6

struct failure {
  const char *name;
  long nth;
  CUresult status;
};

struct entry {
  const char *name;
  int count;
  uint64_t arguments[MAX_LOGGED_ARGUMENTS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct call *calls;
static struct failure failures[MAX_FAILURES];
static int failure_count;
static struct entry *entries;
static size_t entry_count, entry_capacity;
static bool logging;
static _Atomic bool watching;
static char *text;

_Atomic bool double_is_idle;

bool double_is_sticky(CUresult status) {
  return (status >= 700 && status < 720 && status != 701 && status != 703) || status == 214 || status == 220;
}

static void append(const char *name, const uint64_t *arguments, int count) {
  if (entry_count == entry_capacity) {
    entry_capacity = entry_capacity ? entry_capacity * 2 : 256;
    entries = realloc(entries, entry_capacity * sizeof *entries);
  }
  struct entry *entry = &entries[entry_count++];
  entry->name = name;
  entry->count = count < MAX_LOGGED_ARGUMENTS ? count : MAX_LOGGED_ARGUMENTS;
  memcpy(entry->arguments, arguments, entry->count * sizeof *arguments);
}

static CUresult take_failure(const char *name) {
  CUresult status = CUDA_SUCCESS;
  int left = 0;
  for (int i = 0; i < failure_count; i++) {
    struct failure failure = failures[i];
    if (strcmp(failure.name, name) == 0 && --failure.nth == 0) {
      status = failure.status;
      free((char *)failure.name);
    } else {
      failures[left++] = failure;
    }
  }
  failure_count = left;
  return status;
}

CUresult double_enter(struct call *call, const uint64_t *arguments, int count) {
  call->count++;
  if (double_profiles) double_profile_call();
  if (call->registered && !watching) return CUDA_SUCCESS;
  pthread_mutex_lock(&lock);
  if (!call->registered) {
    call->next = calls;
    calls = call;
    call->registered = true;
  }
  if (logging) append(call->name, arguments, count);
  CUresult status = take_failure(call->name);
  watching = logging || failure_count > 0;
  pthread_mutex_unlock(&lock);
  if (double_is_sticky(status)) double_break(status);
  return status;
}

/* The nth call of this name from now on returns the status and does nothing. A sticky status loses the device. */
EXPORT void double_fail(const char *name, int nth, int status) {
  pthread_mutex_lock(&lock);
  if (failure_count == MAX_FAILURES) abort();
  failures[failure_count++] = (struct failure){strdup(name), nth, status};
  watching = true;
  pthread_mutex_unlock(&lock);
}

/* The number of requested failures that have not happened. */
EXPORT int double_failures_left(void) { return failure_count; }

EXPORT void double_fail_nothing(void) {
  pthread_mutex_lock(&lock);
  while (failure_count > 0) free((char *)failures[--failure_count].name);
  watching = logging;
  pthread_mutex_unlock(&lock);
}

EXPORT double double_count(const char *name) {
  double count = 0;
  pthread_mutex_lock(&lock);
  for (struct call *call = calls; call; call = call->next) {
    if (strcmp(call->name, name) == 0) count += call->count;
  }
  pthread_mutex_unlock(&lock);
  return count;
}

/* Hot calls are only counted, to measure what a call costs on our side. */
EXPORT void double_idle(int idle) { double_is_idle = idle; }

EXPORT void double_log_start(void) {
  pthread_mutex_lock(&lock);
  entry_count = 0;
  logging = watching = true;
  pthread_mutex_unlock(&lock);
}

/* Ends the log and returns it: a line for each call, with its name and arguments. Valid until the next log. */
EXPORT const char *double_log_stop(void) {
  pthread_mutex_lock(&lock);
  logging = false;
  watching = failure_count > 0;
  size_t capacity = entry_count * (64 + MAX_LOGGED_ARGUMENTS * 21) + 1, length = 0;
  text = realloc(text, capacity);
  text[0] = 0;
  for (size_t i = 0; i < entry_count; i++) {
    length += snprintf(text + length, capacity - length, "%s", entries[i].name);
    for (int j = 0; j < entries[i].count; j++) {
      length += snprintf(text + length, capacity - length, " %llu", (unsigned long long)entries[i].arguments[j]);
    }
    length += snprintf(text + length, capacity - length, "\n");
  }
  pthread_mutex_unlock(&lock);
  return text;
}
