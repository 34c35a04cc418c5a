/*
 * A double of the CUDA driver: the same symbols, real in-order queues and events on threads, its own memory, and kernels
 * written in C that are found by name. It proves what our side of the boundary does, never what a GPU does.
 *
 * Each file has one concern: calls.c counts, logs and fails calls; context.c devices and contexts; stream.c queues; event.c
 * events; memory.c pools, pinned memory, copies and fills; library.c images and launches; kernels.c the kernels;
 * graph.c captures and graphs; nvrtc.c the compiler; cublas-lt.c matrix products and groups of them; cupti.c the profiler. The tests' controls have the prefix double_.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

typedef int CUresult;
typedef int CUdevice;
typedef uint64_t CUdeviceptr;

enum {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_IMAGE = 200,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_INVALID_PTX = 218,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_ILLEGAL_STATE = 401,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_NOT_READY = 600,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900,
  CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901,
  CUDA_ERROR_STREAM_CAPTURE_MERGE = 902,
  CUDA_ERROR_STREAM_CAPTURE_UNMATCHED = 903,
  CUDA_ERROR_STREAM_CAPTURE_UNJOINED = 904,
  CUDA_ERROR_STREAM_CAPTURE_ISOLATION = 905,
  CUDA_ERROR_CAPTURED_EVENT = 907,
  CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD = 908,
  CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE = 910,
};

/* The first word of every object, which tells live handles from destroyed ones. */
enum kind { DEAD = 0x0dead000, CONTEXT = 0x0c0ffee0, STREAM, EVENT, POOL, LIBRARY, KERNEL, FUNCTION, GRAPH, NODE, EXECUTABLE };

#define MAX_DEVICES 4

struct context {
  enum kind kind;
  int device;
  int references;
  /* A sticky error: every later call returns it, until the context is created again. */
  _Atomic int broken;
  /* Commands queued and not yet run, on all streams. */
  _Atomic long busy;
  /* The bytes of local memory that are reserved for every thread. */
  _Atomic int local;
  /* The kinds of products whose kernels are loaded, a bit for each. */
  _Atomic uint64_t products;
};

/* A point in a stream's order. An event's record, a free, a synchronisation: all are one of these. */
struct record {
  _Atomic int references;
  _Atomic bool done;
  uint64_t nanoseconds;
};

struct stream;

struct command {
  struct command *next;
  void (*run)(struct command *);
  struct context *context;
  struct stream *stream;
  /* Whether it no longer counts as queued. */
  bool left;
  /* Of those that can be captured: the size of the whole, and the kernel if it launches one. */
  size_t size;
  const void *kernel;
  /* For the profiler: whether it is a fill or a whole graph, the driver call that queued it, its node in a graph, 0 for none. */
  bool fills, is_graph;
  uint32_t call;
  uint64_t node;
  /* Of copies and fills: the context that was current at the call. A graph keeps it. */
  const struct context *current;
  bool keeps_current;
  /* Of those that hold on to something: one more copy does, or one less. */
  void (*hold)(struct command *, int change);
};

/* An event's record in a capture. */
struct point;
struct capture;

struct event {
  enum kind kind;
  struct context *context;
  unsigned flags;
  struct record *latest;
  /* The latest record was captured. */
  struct point *_Atomic captured;
};

/* calls.c */
struct call {
  const char *name;
  _Atomic long count;
  _Atomic bool registered;
  struct call *next;
};
CUresult double_enter(struct call *call, const uint64_t *arguments, int count);
bool double_is_sticky(CUresult status);

/* Counts and logs a call of this function with its arguments. Returns at once if a test made it fail. */
#define ENTER(function, ...)                                                              \
  static struct call call_ = {.name = #function};                                         \
  do {                                                                                    \
    const uint64_t arguments_[] = {__VA_ARGS__};                                          \
    CUresult failed_ = double_enter(&call_, arguments_, sizeof arguments_ / sizeof *arguments_); \
    if (failed_) return failed_;                                                          \
  } while (0)
/* cupti.c */
extern _Atomic bool double_profiles;
/* This thread makes a driver call. */
void double_profile_call(void);
/* The CUDA runtime inside of a library makes one. CUPTI's records link it to no operation (seen on an H200, cuBLAS 13). */
void double_profile_hidden_call(void);
/* A driver call that queues nothing, by CUPTI's number of the call. */
void double_profile_query(uint32_t call);
/* The command is queued by this thread's latest driver call. */
void double_profile_queued(struct command *command);
/* Runs the command, and records when. */
void double_profile_run(struct command *command);
/* The profiler's time, and its record of a command in a graph that is itself a command. */
uint64_t double_profile_now(void);
void double_profile_ran(struct command *command, uint64_t start, uint64_t end);

/* Arguments of a call, for its log. */
#define A(value) ((uint64_t)(value))

#define REQUIRE(condition, status) \
  do {                             \
    if (!(condition)) return status; \
  } while (0)

/* With double_idle(1), a hot call ends here, so that only the cost of the call itself remains. */
extern _Atomic bool double_is_idle;
#define IDLE() \
  if (double_is_idle) return CUDA_SUCCESS

/* context.c */
extern _Atomic bool double_strict;
struct context *double_current(void);
void double_break(CUresult status);
#define HEALTHY(context)                                       \
  do {                                                         \
    if ((context)->broken) return (context)->broken;           \
  } while (0)
/* For calls that use the current context. */
#define NEED_CURRENT(context)                                  \
  struct context *context = double_current();                  \
  REQUIRE(context, CUDA_ERROR_INVALID_CONTEXT);                \
  HEALTHY(context)
/* For calls that take their context from a handle. In strict mode it must be current. */
#define NEED_OWN(context)                                                             \
  do {                                                                                \
    HEALTHY(context);                                                                 \
    REQUIRE(!double_strict || double_current() == (context), CUDA_ERROR_INVALID_CONTEXT); \
  } while (0)

/* Some calls wait until the context is idle (seen on an H200, driver 580). Counts those that find work there. */
void double_await_device(struct context *context);
/* The same for every context. */
void double_await_devices(void);

/* The live objects, which the tests check for leaks. */
struct live {
  _Atomic long contexts, streams, events, pools, allocations, pinned, libraries, programs, graphs, executables, products, descriptions, groups;
};
extern struct live double_live;

/* Destroyed objects are kept for a while, so that a use after destruction is detected and does not crash. */
void double_bury(void *object);

/* stream.c */
struct context *double_stream_context(struct stream *stream);
bool double_is_stream(const struct stream *stream);
void double_queue(struct stream *stream, struct command *command);
/* Queues a command that can be captured. On a capturing stream it becomes part of the graph. Owns the command either way. */
CUresult double_submit(struct stream *stream, struct command *command);
struct command *double_command_copy(const struct command *command);
void double_command_free(struct command *command);
/* A stream that is not counted; NULL if no thread can be created. It ends when its queue is empty. */
struct stream *double_stream_make(struct context *context, int priority);
void double_stream_end(struct stream *stream);
struct capture *double_stream_capture(const struct stream *stream);
void double_stream_set_capture(struct stream *stream, struct capture *capture);
/* Marks the command as done for other threads. */
void double_leave(struct command *command);
struct record *double_record_make(void);
void double_record_queue(struct stream *stream, struct record *record);
void double_record_wait(struct stream *stream, struct record *record);
void double_record_finish(struct record *record);
void double_record_await(struct record *record);
struct record *double_record_keep(struct record *record);
void double_record_drop(struct record *record);

/* library.c */
/* CUDA_KERNEL_NODE_PARAMS_v2 */
struct kernel_node {
  struct function *function;
  unsigned grid[3], block[3], shared_memory;
  void *const *parameters;
  void **extra;
  void *kernel, *context;
};
/* The parameters of a captured launch. */
CUresult double_launch_get(struct command *command, struct kernel_node *out);
/* Replaces its arguments. */
CUresult double_launch_set(struct command *command, const struct kernel_node *parameters);

/* graph.c */
/* Refuses calls that cannot be captured, and invalidates the stream's capture if it is part of one. */
CUresult double_capture_refuse(struct stream *stream);
/*
 * Refuses the calls that CUDA regards as unsafe during a capture, unless this thread's mode is relaxed, and invalidates the
 * capture. Seen on an H200, driver 580: queries, waits, allocations, unloading and instantiation.
 */
CUresult double_capture_unsafe(void);
/* On a capturing stream. */
CUresult double_capture_command(struct stream *stream, struct command *command);
CUresult double_capture_record(struct stream *stream, struct point **out);
/* For a captured point, or a capturing stream and a record from outside, which is no point. */
CUresult double_capture_wait(struct stream *stream, struct point *point);
/* The stream is being destroyed. */
void double_capture_forget(struct stream *stream);
/* Refuses to query a captured event, and invalidates the capture. */
CUresult double_point_look(struct point *point);
void double_point_drop(struct point *point);
#define CHECK(call)                  \
  do {                               \
    CUresult checked_ = call;        \
    if (checked_) return checked_;   \
  } while (0)
#define NOT_CAPTURED(stream) CHECK(double_capture_refuse(stream))
#define NOT_BESIDE_CAPTURES() CHECK(double_capture_unsafe())

/* memory.c */
/* Zeroed memory that a loaded library holds, and its end. */
uint64_t double_hold_memory(size_t bytes);
void double_end_memory(uint64_t address);
/* Whether all of [address, address + bytes) is in one allocation that is alive at this place in the queue's order. */
bool double_reachable(uint64_t address, size_t bytes);

/* kernels.c */
struct launch {
  unsigned grid[3], block[3], shared_memory;
  struct context *context;
  /* The kernel's own, with its globals. */
  struct library *library;
};
typedef void (*kernel_body)(const struct launch *launch, void *const *arguments);
struct kernel_entry {
  const char *name;
  kernel_body body;
  /* The bytes of a block's static shared memory and of a thread's local memory, and a thread's registers: 16 unless given. */
  int static_shared, local, registers;
};
const struct kernel_entry *double_find_kernel(const char *name);
/* The size of a struct that kernels take by value; 0 if there is none of that name. */
int double_struct_size(const char *name);

/* library.c: a kernel's name; a pointer that the profiler's records may keep. */
const char *double_kernel_name(const void *kernel);
/* library.c: the address of a global by its symbol. */
void *double_global(struct library *library, const char *name);

/* nvrtc.c: takes as long as a test says that compiling takes, or until the test releases the compiler. */
void double_compile_pause(void);

/*
 * library.c: the image that the compiler's double writes. A first line with the architecture, then a line a kernel: .entry, its
 * name, and for each parameter p or s, a pointer or a scalar, and its size. Globals are as in PTX, of bytes.
 */
#define IMAGE_HEADER "CUDA-DOUBLE "
#define MAX_PARAMETERS 1024
