/*
 * Captures and graphs. A graph is the list of captured calls, each on a branch. Its branches run concurrently, as those of a
 * real graph, and wait for each other where the captured streams did. The first branch is the launch stream.
 */
#include "double.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BRANCHES 128

enum capture_mode { MODE_GLOBAL, MODE_THREAD_LOCAL, MODE_RELAXED };

struct operation {
  enum { COMMAND, RECORD, WAIT } kind;
  int branch;
  /* For a record and its waits: the record's number. */
  int record;
  struct command *command;
  /* The command's node. Copies of a graph name the node of the original. */
  struct node *node;
  /* Of an executable: the command does nothing. */
  bool disabled;
};

struct graph {
  enum kind kind;
  _Atomic int references;
  bool is_copy;
  /* For the profiler: the upper half of the numbers of its nodes. */
  uint32_t id;
  struct context *context;
  struct operation *operations;
  int count, capacity, branches, records;
  /* Dependencies that were added by hand. Those of the captured order follow from the operations. */
  struct edge *added;
  int added_count;
  /* For a conditional's body: its condition. */
  struct condition *condition;
};

struct edge {
  const struct node *from, *to;
};

struct capture {
  _Atomic int references;
  struct graph *graph;
  struct stream *members[MAX_BRANCHES];
  /* The number of commands of each branch that a branch is ordered behind, including its own. */
  unsigned known[MAX_BRANCHES][MAX_BRANCHES];
  enum capture_mode mode;
  pthread_t thread;
  bool invalid, over;
  /* The capture is into an existing graph: the body of a conditional. */
  bool into;
  /* The node added behind a branch by hand. Until the branch continues after it, nothing may be captured there. */
  struct node *loose[MAX_BRANCHES];
  struct capture *next;
};

/* A captured command, or a place in a capture; returned as a dependency. The capture is valid until it ends. */
struct node {
  enum kind kind;
  struct capture *capture;
  int branch;
  struct command *command;
};

/* The condition of a conditional. Its address is the handle. */
struct condition {
  uint32_t value;
};

/* A command that is a whole graph: another one, or the body of a conditional. */
struct part_command {
  struct command command;
  struct graph *graph;
  bool repeats;
};

struct point {
  struct capture *capture;
  int record;
  unsigned known[MAX_BRANCHES];
};

struct executable {
  enum kind kind;
  struct graph *graph;
  struct stream *branches[MAX_BRANCHES];
  /* Behind the latest launch: launches of one executable run one after another. */
  struct record *latest;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* The current captures. */
static struct capture *_Atomic captures;
static _Atomic uint32_t graph_ids;
static _Thread_local enum capture_mode thread_mode = MODE_GLOBAL;

/* CU_STREAM_CAPTURE_MODE_GLOBAL, which is 0, unless it was exchanged. */
EXPORT int double_thread_capture_mode(void) { return thread_mode; }

static bool has_conditionals(const struct graph *graph);
CUresult cuCtxPushCurrent_v2(struct context *context);
CUresult cuStreamEndCapture(struct stream *stream, struct graph **out);
CUresult cuGraphDestroy(struct graph *graph);

static void append(struct graph *graph, struct operation operation) {
  if (graph->count == graph->capacity) {
    graph->capacity = graph->capacity ? graph->capacity * 2 : 16;
    graph->operations = realloc(graph->operations, graph->capacity * sizeof *graph->operations);
  }
  graph->operations[graph->count++] = operation;
}

static void run_part(struct command *command);

/* The command's graph, if the command is a graph. */
static struct graph *part_of(const struct command *command) {
  return command && command->run == run_part ? ((const struct part_command *)command)->graph : NULL;
}

static void discard(struct graph *graph) {
  if (!graph || --graph->references > 0) return;
  for (int i = 0; i < graph->count; i++) {
    double_command_free(graph->operations[i].command);
    if (!graph->is_copy && graph->operations[i].node) double_bury(graph->operations[i].node);
  }
  free(graph->operations);
  free(graph->added);
  free(graph->condition);
  double_bury(graph);
}

/* The profiler's number of a node: its graph's in the upper half, its place in the order of capture in the lower one. */
static uint64_t node_number(const struct graph *graph, uint32_t place) { return (uint64_t)graph->id << 32 | place; }

/* When a command ran, for the profiler. */
struct times {
  uint64_t start, end;
};

/* Runs the commands in the order of the calls, so no branch runs before one that it waits for. */
static void run_inline(const struct graph *graph, const struct command *by, struct times *times) {
  for (int i = 0; i < graph->count; i++) {
    if (graph->operations[i].kind != COMMAND) continue;
    struct command *command = double_command_copy(graph->operations[i].command);
    command->context = by->context;
    command->stream = by->stream;
    command->left = true;
    command->call = by->call;
    times[i].start = double_profile_now();
    command->run(command);
    times[i].end = double_profile_now();
    double_command_free(command);
  }
}

/* Records the commands of a graph that is itself a command. */
static void record_inline(const struct graph *graph, const struct command *by, const struct times *times) {
  uint32_t place = 0;
  for (int i = 0; i < graph->count; i++) {
    if (graph->operations[i].kind != COMMAND) continue;
    struct command *command = double_command_copy(graph->operations[i].command);
    command->context = by->context;
    command->stream = by->stream;
    command->call = by->call;
    command->node = node_number(graph, place++);
    double_profile_ran(command, times[i].start, times[i].end);
    double_command_free(command);
  }
}

static void hold_part(struct command *command, int change) {
  struct graph *graph = part_of(command);
  if (change > 0) graph->references++;
  else discard(graph);
}

static void run_part(struct command *command) {
  const struct part_command *own = (const struct part_command *)command;
  struct times *times = calloc(own->graph->count ? own->graph->count : 1, sizeof *times);
  bool has_run = !own->graph->condition;
  if (has_run) run_inline(own->graph, command, times);
  while (own->graph->condition && own->graph->condition->value && !command->context->broken) {
    run_inline(own->graph, command, times);
    has_run = true;
    if (!own->repeats) break;
  }
  /* CUPTI records the last iteration only (seen on an H200, driver 580). */
  if (has_run && command->call) record_inline(own->graph, command, times);
  free(times);
}

static struct graph *copy_of(const struct graph *graph) {
  struct graph *copy = calloc(1, sizeof *copy);
  *copy = *graph;
  copy->references = 1;
  copy->is_copy = true;
  copy->id = ++graph_ids;
  copy->operations = malloc((graph->count ? graph->count : 1) * sizeof *copy->operations);
  for (int i = 0; i < graph->count; i++) {
    struct operation *operation = &copy->operations[i];
    *operation = graph->operations[i];
    if (operation->command) operation->command = double_command_copy(operation->command);
  }
  copy->capacity = graph->count;
  copy->added = malloc((graph->added_count ? graph->added_count : 1) * sizeof *copy->added);
  if (graph->added_count) memcpy(copy->added, graph->added, graph->added_count * sizeof *copy->added);
  return copy;
}

static void drop_capture(struct capture *capture) {
  if (--capture->references > 0) return;
  free(capture);
}

static int branch_of(const struct capture *capture, const struct stream *stream) {
  for (int i = 0; i < capture->graph->branches; i++) {
    if (capture->members[i] == stream) return i;
  }
  return -1;
}

static bool admit(struct capture *capture, struct stream *stream) {
  if (capture->graph->branches == MAX_BRANCHES) return false;
  capture->members[capture->graph->branches++] = stream;
  double_stream_set_capture(stream, capture);
  return true;
}

CUresult double_capture_refuse(struct stream *stream) {
  struct capture *capture = double_stream_capture(stream);
  if (!capture) return CUDA_SUCCESS;
  capture->invalid = true;
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult double_capture_unsafe(void) {
  if (!captures || thread_mode == MODE_RELAXED) return CUDA_SUCCESS;
  bool refused = false;
  pthread_mutex_lock(&lock);
  for (struct capture *capture = captures; capture; capture = capture->next) {
    bool own = capture->mode != MODE_RELAXED && pthread_equal(capture->thread, pthread_self());
    if (!own && !(capture->mode == MODE_GLOBAL && thread_mode == MODE_GLOBAL)) continue;
    refused = capture->invalid = true;
  }
  pthread_mutex_unlock(&lock);
  return refused ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

CUresult double_capture_command(struct stream *stream, struct command *command) {
  pthread_mutex_lock(&lock);
  struct capture *capture = double_stream_capture(stream);
  int branch = branch_of(capture, stream);
  CUresult status = capture->invalid         ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
                    : capture->loose[branch] ? CUDA_ERROR_ILLEGAL_STATE
                                             : CUDA_SUCCESS;
  if (status) {
    double_command_free(command);
  } else {
    struct node *node = calloc(1, sizeof *node);
    *node = (struct node){NODE, capture, branch, command};
    append(capture->graph, (struct operation){COMMAND, branch, 0, command, node, false});
    capture->known[branch][branch]++;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

CUresult double_capture_record(struct stream *stream, struct point **out) {
  struct capture *capture = double_stream_capture(stream);
  if (capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  pthread_mutex_lock(&lock);
  int branch = branch_of(capture, stream);
  struct point *point = calloc(1, sizeof *point);
  point->capture = capture;
  point->record = capture->graph->records++;
  memcpy(point->known, capture->known[branch], sizeof point->known);
  capture->references++;
  append(capture->graph, (struct operation){.kind = RECORD, .branch = branch, .record = point->record});
  pthread_mutex_unlock(&lock);
  *out = point;
  return CUDA_SUCCESS;
}

void double_point_drop(struct point *point) {
  if (!point) return;
  drop_capture(point->capture);
  free(point);
}

/* Querying a captured event invalidates its capture, and the event cannot be queried afterwards (seen on an H100, driver 580). */
CUresult double_point_look(struct point *point) {
  if (!point) return CUDA_SUCCESS;
  pthread_mutex_lock(&lock);
  bool is_valid = !point->capture->over && !point->capture->invalid;
  point->capture->invalid = true;
  pthread_mutex_unlock(&lock);
  return is_valid ? CUDA_ERROR_CAPTURED_EVENT : CUDA_ERROR_INVALID_VALUE;
}

static CUresult wait_inside(struct stream *stream, struct point *point) {
  struct capture *own = double_stream_capture(stream), *other = point->capture;
  if (other->over) {
    if (own) own->invalid = true;
    return own ? CUDA_ERROR_STREAM_CAPTURE_ISOLATION : CUDA_ERROR_INVALID_VALUE;
  }
  if (own && own != other) {
    own->invalid = other->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  if (other->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (!own && !admit(other, stream)) return CUDA_ERROR_OUT_OF_MEMORY;
  int branch = branch_of(other, stream);
  for (int i = 0; i < MAX_BRANCHES; i++) {
    if (other->known[branch][i] < point->known[i]) other->known[branch][i] = point->known[i];
  }
  append(other->graph, (struct operation){.kind = WAIT, .branch = branch, .record = point->record});
  return CUDA_SUCCESS;
}

CUresult double_capture_wait(struct stream *stream, struct point *point) {
  pthread_mutex_lock(&lock);
  CUresult status = CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  if (point) status = wait_inside(stream, point);
  else double_stream_capture(stream)->invalid = true;
  pthread_mutex_unlock(&lock);
  return status;
}

void double_capture_forget(struct stream *stream) {
  pthread_mutex_lock(&lock);
  struct capture *capture = double_stream_capture(stream);
  if (capture) {
    capture->invalid = true;
    capture->members[branch_of(capture, stream)] = NULL;
    double_stream_set_capture(stream, NULL);
  }
  pthread_mutex_unlock(&lock);
}

#define NEED_STREAM(stream)                                     \
  REQUIRE(double_is_stream(stream), CUDA_ERROR_INVALID_HANDLE); \
  NEED_OWN(double_stream_context(stream))

#define NEED_GRAPH(graph) REQUIRE((graph) && (graph)->kind == GRAPH, CUDA_ERROR_INVALID_HANDLE)
#define NEED_EXECUTABLE(executable) \
  REQUIRE((executable) && (executable)->kind == EXECUTABLE, CUDA_ERROR_INVALID_HANDLE)

static struct graph *make_graph(struct context *context) {
  struct graph *graph = calloc(1, sizeof *graph);
  *graph = (struct graph){.kind = GRAPH, .references = 1, .id = ++graph_ids, .context = context};
  return graph;
}

static void begin_capture(struct stream *stream, struct graph *graph, int mode, bool into) {
  struct capture *capture = calloc(1, sizeof *capture);
  *capture = (struct capture){.references = 1, .graph = graph, .mode = mode, .thread = pthread_self(), .into = into};
  pthread_mutex_lock(&lock);
  admit(capture, stream);
  capture->next = captures;
  captures = capture;
  pthread_mutex_unlock(&lock);
}

EXPORT CUresult cuStreamBeginCapture_v2(struct stream *stream, int mode) {
  ENTER(cuStreamBeginCapture_v2, A(stream), A(mode));
  NEED_STREAM(stream);
  REQUIRE(mode >= MODE_GLOBAL && mode <= MODE_RELAXED, CUDA_ERROR_INVALID_VALUE);
  REQUIRE(!double_stream_capture(stream), CUDA_ERROR_ILLEGAL_STATE);
  begin_capture(stream, make_graph(double_stream_context(stream)), mode, false);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamBeginCaptureToGraph(struct stream *stream, struct graph *graph, struct node *const *nodes,
                                            const void *edges, size_t count, int mode) {
  ENTER(cuStreamBeginCaptureToGraph, A(stream), A(graph), A(count), A(mode));
  NEED_STREAM(stream);
  NEED_GRAPH(graph);
  REQUIRE(count == 0 && mode >= MODE_GLOBAL && mode <= MODE_RELAXED, CUDA_ERROR_INVALID_VALUE);
  REQUIRE(!double_stream_capture(stream), CUDA_ERROR_ILLEGAL_STATE);
  begin_capture(stream, graph, mode, true);
  return CUDA_SUCCESS;
}

/* Another library's capture, of its own stream on its own thread. */
static struct {
  struct context *context;
  int mode;
  struct stream *stream;
  CUresult ended;
  pthread_t thread;
  pthread_barrier_t barrier;
} elsewhere;

static void *capture_elsewhere(void *unused) {
  elsewhere.stream = double_stream_make(elsewhere.context, 0);
  begin_capture(elsewhere.stream, make_graph(elsewhere.context), elsewhere.mode, false);
  pthread_barrier_wait(&elsewhere.barrier);
  pthread_barrier_wait(&elsewhere.barrier);
  struct graph *graph = NULL;
  cuCtxPushCurrent_v2(elsewhere.context);
  elsewhere.ended = cuStreamEndCapture(elsewhere.stream, &graph);
  if (graph) cuGraphDestroy(graph);
  double_stream_end(elsewhere.stream);
  return NULL;
}

EXPORT void double_capture_elsewhere(struct stream *beside, int mode) {
  elsewhere.context = double_stream_context(beside);
  elsewhere.mode = mode;
  pthread_barrier_init(&elsewhere.barrier, NULL, 2);
  if (pthread_create(&elsewhere.thread, NULL, capture_elsewhere, NULL)) abort();
  pthread_barrier_wait(&elsewhere.barrier);
}

/* Ends it and returns the status. */
EXPORT int double_capture_elsewhere_end(void) {
  pthread_barrier_wait(&elsewhere.barrier);
  pthread_join(elsewhere.thread, NULL);
  return elsewhere.ended;
}

/* Restores the streams' state from before the capture. */
static void leave(struct capture *capture) {
  for (int i = 0; i < capture->graph->branches; i++) {
    if (capture->members[i]) double_stream_set_capture(capture->members[i], NULL);
  }
  if (captures == capture) {
    captures = capture->next;
  } else {
    struct capture *before = captures;
    while (before->next != capture) before = before->next;
    before->next = capture->next;
  }
  capture->over = true;
}

static bool joined(const struct capture *capture) {
  for (int i = 1; i < capture->graph->branches; i++) {
    if (capture->known[0][i] < capture->known[i][i]) return false;
  }
  return true;
}

EXPORT CUresult cuStreamEndCapture(struct stream *stream, struct graph **out) {
  /* A failure requested by a test ends the capture, too, as failures of the real call do. */
  static struct call call = {.name = "cuStreamEndCapture"};
  CUresult asked = double_enter(&call, (uint64_t[]){A(stream)}, 1);
  NEED_STREAM(stream);
  struct capture *capture = double_stream_capture(stream);
  *out = NULL;
  REQUIRE(capture, CUDA_ERROR_ILLEGAL_STATE);
  REQUIRE(capture->members[0] == stream, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
  bool elsewhere = capture->mode != MODE_RELAXED && !pthread_equal(capture->thread, pthread_self());
  REQUIRE(!elsewhere, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
  pthread_mutex_lock(&lock);
  leave(capture);
  CUresult status = asked               ? asked
                    : capture->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
                    : !joined(capture) ? CUDA_ERROR_STREAM_CAPTURE_UNJOINED
                                       : CUDA_SUCCESS;
  pthread_mutex_unlock(&lock);
  if (!status) *out = capture->graph;
  else if (!capture->into) discard(capture->graph);
  if (!status && !capture->into) double_live.graphs++;
  drop_capture(capture);
  return status;
}

EXPORT CUresult cuStreamIsCapturing(struct stream *stream, int *status) {
  ENTER(cuStreamIsCapturing, A(stream));
  NEED_STREAM(stream);
  double_profile_query(499);
  struct capture *capture = double_stream_capture(stream);
  *status = capture ? 1 + capture->invalid : 0;
  return CUDA_SUCCESS;
}

/* The node that the next command on a branch runs directly behind, if it is a single one of that branch. */
static struct node *last_node(const struct graph *graph, int branch) {
  for (int i = graph->count - 1; i >= 0; i--) {
    const struct operation *operation = &graph->operations[i];
    if (operation->branch == branch && operation->kind != RECORD) return operation->node;
  }
  return NULL;
}

EXPORT CUresult cuStreamGetCaptureInfo_v2(struct stream *stream, int *status, uint64_t *id, struct graph **graph,
                                          struct node *const **nodes, size_t *count) {
  /* Valid until the next call, because the arrays belong to the driver. */
  static struct node place;
  static struct node *places[1];
  ENTER(cuStreamGetCaptureInfo_v2, A(stream));
  NEED_STREAM(stream);
  struct capture *capture = double_stream_capture(stream);
  *status = capture ? 1 + capture->invalid : 0;
  if (*status != 1) return CUDA_SUCCESS;
  place = (struct node){NODE, capture, branch_of(capture, stream), NULL};
  struct node *last = last_node(capture->graph, place.branch);
  places[0] = last ? last : &place;
  *id = A(capture);
  *graph = capture->graph;
  *nodes = places;
  *count = 1;
  return CUDA_SUCCESS;
}

/* Adds a part behind the place. The caller must then make the place's branch continue after it. */
static CUresult add_part(struct node **out, struct graph *graph, struct node *const *nodes, size_t count,
                         struct part_command part) {
  REQUIRE(count == 1 && nodes[0]->kind == NODE && nodes[0]->capture->graph == graph, CUDA_ERROR_INVALID_VALUE);
  struct capture *capture = nodes[0]->capture;
  int branch = nodes[0]->branch;
  struct part_command *command = malloc(sizeof *command);
  *command = part;
  command->command = (struct command){.run = run_part, .size = sizeof *command, .is_graph = true, .hold = hold_part};
  CUresult status = double_capture_command(capture->members[branch], &command->command);
  if (status) return status;
  *out = capture->loose[branch] = last_node(graph, branch);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamUpdateCaptureDependencies(struct stream *stream, struct node **nodes, size_t count, unsigned flags) {
  ENTER(cuStreamUpdateCaptureDependencies, A(stream), A(count), flags);
  NEED_STREAM(stream);
  struct capture *capture = double_stream_capture(stream);
  REQUIRE(capture, CUDA_ERROR_ILLEGAL_STATE);
  int branch = branch_of(capture, stream);
  /* CU_STREAM_SET_CAPTURE_DEPENDENCIES is 1. */
  REQUIRE(count == 1 && flags == 1 && nodes[0] && nodes[0] == capture->loose[branch], CUDA_ERROR_INVALID_VALUE);
  capture->loose[branch] = NULL;
  return CUDA_SUCCESS;
}

static bool has_conditionals(const struct graph *graph) {
  for (int i = 0; i < graph->count; i++) {
    const struct graph *part = part_of(graph->operations[i].command);
    if (part && (part->condition || has_conditionals(part))) return true;
  }
  return false;
}

EXPORT CUresult cuGraphAddChildGraphNode(struct node **out, struct graph *graph, struct node *const *nodes, size_t count,
                                         struct graph *child) {
  ENTER(cuGraphAddChildGraphNode, A(graph), A(child));
  NEED_GRAPH(graph);
  NEED_GRAPH(child);
  REQUIRE(!has_conditionals(child), CUDA_ERROR_INVALID_VALUE);
  return add_part(out, graph, nodes, count, (struct part_command){.graph = copy_of(child)});
}

EXPORT CUresult cuGraphConditionalHandleCreate(struct condition **out, struct graph *graph, struct context *context,
                                               unsigned value, unsigned flags) {
  ENTER(cuGraphConditionalHandleCreate, A(graph), A(context), value, flags);
  NEED_GRAPH(graph);
  REQUIRE(context == graph->context, CUDA_ERROR_INVALID_CONTEXT);
  struct condition *condition = calloc(1, sizeof *condition);
  condition->value = value;
  *out = condition;
  return CUDA_SUCCESS;
}

struct node_parameters {
  int type, reserved[3];
  struct condition *condition;
  int kind;
  unsigned size;
  struct graph **bodies;
  struct context *context;
};

EXPORT CUresult cuGraphAddNode(struct node **out, struct graph *graph, struct node *const *nodes, size_t count,
                               struct node_parameters *parameters) {
  static struct graph *bodies[1];
  ENTER(cuGraphAddNode, A(graph), A(parameters->type), A(parameters->kind), parameters->size);
  NEED_GRAPH(graph);
  /* CU_GRAPH_NODE_TYPE_CONDITIONAL is 13; CU_GRAPH_COND_TYPE_WHILE is 1. */
  REQUIRE(parameters->type == 13 && parameters->size == 1 && parameters->condition, CUDA_ERROR_INVALID_VALUE);
  REQUIRE(parameters->kind == 0 || parameters->kind == 1, CUDA_ERROR_INVALID_VALUE);
  REQUIRE(parameters->context == graph->context, CUDA_ERROR_INVALID_CONTEXT);
  struct graph *body = make_graph(graph->context);
  struct part_command part = {.graph = body, .repeats = parameters->kind == 1};
  CUresult status = add_part(out, graph, nodes, count, part);
  if (status) return status;
  body->condition = parameters->condition;
  bodies[0] = body;
  parameters->bodies = bodies;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuThreadExchangeStreamCaptureMode(int *mode) {
  ENTER(cuThreadExchangeStreamCaptureMode, A(*mode));
  REQUIRE(*mode >= MODE_GLOBAL && *mode <= MODE_RELAXED, CUDA_ERROR_INVALID_VALUE);
  int before = thread_mode;
  thread_mode = *mode;
  *mode = before;
  return CUDA_SUCCESS;
}

static _Atomic bool lists_backwards;
/* Whether nodes are listed in the reverse of the order in which they were captured. */
EXPORT void double_list_backwards(int yes) { lists_backwards = yes; }

static int command_count(const struct graph *graph) {
  int count = 0;
  for (int i = 0; i < graph->count; i++) count += graph->operations[i].kind == COMMAND;
  return count;
}

EXPORT CUresult cuGraphGetNodes(struct graph *graph, struct node **nodes, size_t *count) {
  ENTER(cuGraphGetNodes, A(graph), A(nodes != NULL));
  NEED_GRAPH(graph);
  size_t total = command_count(graph);
  if (nodes) {
    /* An H200 (driver for CUDA 13.0) refuses a list without room, also of a graph without nodes. */
    REQUIRE(*count > 0 && *count >= total, CUDA_ERROR_INVALID_VALUE);
    size_t at = 0;
    for (int i = 0; i < graph->count; i++) {
      if (graph->operations[i].kind != COMMAND) continue;
      nodes[lists_backwards ? total - 1 - at : at] = graph->operations[i].node;
      at++;
    }
  }
  *count = total;
  return CUDA_SUCCESS;
}

/* Lists the edges, if the lists are not NULL. Returns their number. */
static size_t list_edges(const struct graph *graph, struct node **from, struct node **to) {
  /* For each branch, then for each record: the operations that the next command there directly depends on. */
  int rows = graph->branches + graph->records, columns = graph->count ? graph->count : 1;
  bool *tips = calloc((size_t)(rows ? rows : 1) * columns, sizeof *tips);
  size_t count = 0;
  for (int i = 0; i < graph->count; i++) {
    const struct operation *operation = &graph->operations[i];
    bool *own = tips + (size_t)operation->branch * columns;
    bool *record = tips + (size_t)(graph->branches + operation->record) * columns;
    if (operation->kind == RECORD) memcpy(record, own, columns);
    for (int j = 0; j < i; j++) {
      if (operation->kind == WAIT) own[j] |= record[j];
      if (operation->kind != COMMAND || !own[j]) continue;
      own[j] = false;
      if (from) from[count] = graph->operations[j].node;
      if (to) to[count] = operation->node;
      count++;
    }
    if (operation->kind == COMMAND) own[i] = true;
  }
  for (int i = 0; i < graph->added_count; i++, count++) {
    if (from) from[count] = (struct node *)graph->added[i].from;
    if (to) to[count] = (struct node *)graph->added[i].to;
  }
  free(tips);
  return count;
}

static CUresult get_edges(struct graph *graph, struct node **from, struct node **to, size_t *count) {
  NEED_GRAPH(graph);
  size_t total = list_edges(graph, NULL, NULL);
  REQUIRE(!from || *count >= total, CUDA_ERROR_INVALID_VALUE);
  *count = from ? list_edges(graph, from, to) : total;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphGetEdges(struct graph *graph, struct node **from, struct node **to, size_t *count) {
  ENTER(cuGraphGetEdges, A(graph), A(from != NULL));
  return get_edges(graph, from, to, count);
}

EXPORT CUresult cuGraphGetEdges_v2(struct graph *graph, struct node **from, struct node **to, void *data, size_t *count) {
  ENTER(cuGraphGetEdges_v2, A(graph), A(from != NULL));
  REQUIRE(!from == !data, CUDA_ERROR_INVALID_VALUE);
  return get_edges(graph, from, to, count);
}

/* The index of a node's operation; -1 if the graph has no such node. */
static int place_of(const struct graph *graph, const struct node *node) {
  for (int i = 0; i < graph->count; i++) {
    if (graph->operations[i].kind == COMMAND && graph->operations[i].node == node) return i;
  }
  return -1;
}

/* Whether one of the edges is there already, or is between nodes that the graph does not have. */
static bool refuses_edges(const struct graph *graph, struct node *const *from, struct node *const *to, size_t count) {
  size_t present = list_edges(graph, NULL, NULL);
  struct node **sources = malloc((present + 1) * sizeof *sources), **targets = malloc((present + 1) * sizeof *targets);
  list_edges(graph, sources, targets);
  bool refused = false;
  for (size_t i = 0; i < count; i++) {
    refused |= place_of(graph, from[i]) < 0 || place_of(graph, to[i]) < 0;
    for (size_t j = 0; j < present; j++) refused |= sources[j] == from[i] && targets[j] == to[i];
  }
  free(sources);
  free(targets);
  return refused;
}

EXPORT CUresult cuGraphAddDependencies(struct graph *graph, struct node *const *from, struct node *const *to, size_t count) {
  ENTER(cuGraphAddDependencies, A(graph), A(count));
  NEED_GRAPH(graph);
  REQUIRE(!refuses_edges(graph, from, to, count), CUDA_ERROR_INVALID_VALUE);
  graph->added = realloc(graph->added, (graph->added_count + count + 1) * sizeof *graph->added);
  for (size_t i = 0; i < count; i++) graph->added[graph->added_count++] = (struct edge){from[i], to[i]};
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphRemoveDependencies(struct graph *graph, struct node *const *from, struct node *const *to,
                                          size_t count) {
  ENTER(cuGraphRemoveDependencies, A(graph), A(count));
  NEED_GRAPH(graph);
  for (size_t i = 0; i < count; i++) {
    int place = 0;
    while (place < graph->added_count && (graph->added[place].from != from[i] || graph->added[place].to != to[i])) place++;
    REQUIRE(place < graph->added_count, CUDA_ERROR_INVALID_VALUE);
    graph->added[place] = graph->added[--graph->added_count];
  }
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphInstantiateWithFlags(struct executable **out, struct graph *graph, uint64_t flags) {
  ENTER(cuGraphInstantiateWithFlags, A(graph), flags);
  NOT_BESIDE_CAPTURES();
  NEED_GRAPH(graph);
  HEALTHY(graph->context);
  struct executable *executable = calloc(1, sizeof *executable);
  executable->kind = EXECUTABLE;
  executable->graph = copy_of(graph);
  for (int i = 1; i < graph->branches; i++) executable->branches[i] = double_stream_make(graph->context, 0);
  double_live.executables++;
  *out = executable;
  return CUDA_SUCCESS;
}

static bool same_shape(const struct graph *one, const struct graph *other);

static bool alike(const struct operation *one, const struct operation *other) {
  if (one->kind != other->kind || one->branch != other->branch || one->record != other->record) return false;
  if (one->kind != COMMAND) return true;
  if (one->command->run != other->command->run || one->command->kernel != other->command->kernel) return false;
  /* Without one, an H200 with driver 580 refuses every second update, or crashes at the next launch. */
  if (one->command->keeps_current && !(one->command->current && other->command->current)) return false;
  return !part_of(one->command) || same_shape(part_of(one->command), part_of(other->command));
}

static bool same_shape(const struct graph *one, const struct graph *other) {
  if (one->count != other->count || one->branches != other->branches) return false;
  if (one->added_count != other->added_count) return false;
  for (int i = 0; i < one->count; i++) {
    if (!alike(&one->operations[i], &other->operations[i])) return false;
  }
  for (int i = 0; i < one->added_count; i++) {
    if (place_of(one, one->added[i].from) != place_of(other, other->added[i].from)) return false;
    if (place_of(one, one->added[i].to) != place_of(other, other->added[i].to)) return false;
  }
  return true;
}

struct update_result {
  int result;
  void *node, *from;
};

EXPORT CUresult cuGraphExecUpdate_v2(struct executable *executable, struct graph *graph, struct update_result *result) {
  ENTER(cuGraphExecUpdate_v2, A(executable), A(graph));
  NEED_EXECUTABLE(executable);
  NEED_GRAPH(graph);
  HEALTHY(graph->context);
  bool same = same_shape(executable->graph, graph);
  /* CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED is 2. */
  *result = (struct update_result){same ? 0 : 2, NULL, NULL};
  REQUIRE(same, CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  struct graph *updated = copy_of(graph);
  /* It still knows its nodes by the graph that it was instantiated from, and enables none (seen on an H200, driver 580). */
  for (int i = 0; i < updated->added_count; i++) updated->added[i] = executable->graph->added[i];
  for (int i = 0; i < updated->count; i++) {
    updated->operations[i].node = executable->graph->operations[i].node;
    updated->operations[i].disabled = executable->graph->operations[i].disabled;
  }
  discard(executable->graph);
  executable->graph = updated;
  return CUDA_SUCCESS;
}

#define NEED_NODE(node) REQUIRE((node) && (node)->kind == NODE, CUDA_ERROR_INVALID_VALUE)

static struct operation *operation_of(struct executable *executable, const struct node *node) {
  for (int i = 0; i < executable->graph->count; i++) {
    struct operation *operation = &executable->graph->operations[i];
    if (operation->kind == COMMAND && operation->node == node) return operation;
  }
  return NULL;
}

EXPORT CUresult cuGraphKernelNodeGetParams_v2(struct node *node, struct kernel_node *out) {
  ENTER(cuGraphKernelNodeGetParams_v2, A(node));
  NEED_NODE(node);
  return double_launch_get(node->command, out);
}

EXPORT CUresult cuGraphKernelNodeSetParams_v2(struct node *node, const struct kernel_node *parameters) {
  ENTER(cuGraphKernelNodeSetParams_v2, A(node));
  NEED_NODE(node);
  return double_launch_set(node->command, parameters);
}

EXPORT CUresult cuGraphExecKernelNodeSetParams_v2(struct executable *executable, struct node *node,
                                                  const struct kernel_node *parameters) {
  ENTER(cuGraphExecKernelNodeSetParams_v2, A(executable), A(node));
  NEED_EXECUTABLE(executable);
  NEED_NODE(node);
  HEALTHY(executable->graph->context);
  struct operation *operation = operation_of(executable, node);
  REQUIRE(operation, CUDA_ERROR_INVALID_VALUE);
  return double_launch_set(operation->command, parameters);
}

EXPORT CUresult cuGraphNodeSetEnabled(struct executable *executable, struct node *node, unsigned enabled) {
  ENTER(cuGraphNodeSetEnabled, A(executable), A(node), enabled);
  NEED_EXECUTABLE(executable);
  NEED_NODE(node);
  HEALTHY(executable->graph->context);
  struct operation *operation = operation_of(executable, node);
  /* Kernels, copies and fills only. */
  REQUIRE(operation && !part_of(operation->command), CUDA_ERROR_INVALID_VALUE);
  operation->disabled = !enabled;
  return CUDA_SUCCESS;
}

static void replay(struct executable *executable, struct stream *stream) {
  const struct graph *graph = executable->graph;
  struct record **records = calloc(graph->records ? graph->records : 1, sizeof *records);
  struct record **added = malloc((graph->added_count ? graph->added_count : 1) * sizeof *added);
  for (int i = 0; i < graph->added_count; i++) added[i] = double_record_make();
  executable->branches[0] = stream;
  uint32_t place = 0;
  for (int i = 0; i < graph->count; i++) {
    const struct operation *operation = &graph->operations[i];
    struct stream *branch = executable->branches[operation->branch];
    if (operation->kind == COMMAND) {
      place++;
      for (int j = 0; j < graph->added_count; j++) {
        if (graph->added[j].to == operation->node) double_record_wait(branch, added[j]);
      }
      if (!operation->disabled) {
        struct command *command = double_command_copy(operation->command);
        command->node = node_number(graph, place - 1);
        double_queue(branch, command);
      }
      for (int j = 0; j < graph->added_count; j++) {
        if (graph->added[j].from == operation->node) double_record_queue(branch, added[j]);
      }
    }
    else if (operation->kind == WAIT) double_record_wait(branch, records[operation->record]);
    else double_record_queue(branch, records[operation->record] = double_record_make());
  }
  for (int i = 0; i < graph->added_count; i++) double_record_drop(added[i]);
  for (int i = 0; i < graph->records; i++) double_record_drop(records[i]);
  free(added);
  free(records);
}

/* The launch is over when all branches are over. */
static void join(struct executable *executable, struct stream *stream) {
  for (int i = 1; i < executable->graph->branches; i++) {
    struct record *end = double_record_make();
    double_record_queue(executable->branches[i], end);
    double_record_wait(stream, end);
    double_record_drop(end);
  }
  double_record_drop(executable->latest);
  double_record_queue(stream, executable->latest = double_record_make());
}

EXPORT CUresult cuGraphLaunch(struct executable *executable, struct stream *stream) {
  ENTER(cuGraphLaunch, A(executable), A(stream));
  IDLE();
  NEED_EXECUTABLE(executable);
  NEED_STREAM(stream);
  NOT_CAPTURED(stream);
  if (executable->latest) double_record_wait(stream, executable->latest);
  replay(executable, stream);
  join(executable, stream);
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphExecDestroy(struct executable *executable) {
  ENTER(cuGraphExecDestroy, A(executable));
  NOT_BESIDE_CAPTURES();
  NEED_EXECUTABLE(executable);
  if (has_conditionals(executable->graph)) double_await_device(executable->graph->context);
  for (int i = 1; i < executable->graph->branches; i++) double_stream_end(executable->branches[i]);
  double_record_drop(executable->latest);
  discard(executable->graph);
  double_bury(executable);
  double_live.executables--;
  return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphDestroy(struct graph *graph) {
  ENTER(cuGraphDestroy, A(graph));
  NEED_GRAPH(graph);
  discard(graph);
  double_live.graphs--;
  return CUDA_SUCCESS;
}
