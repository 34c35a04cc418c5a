// Graphs with a loop in each of two branches. The graph itself fills the loops' counters just before, so no memory is read
// before it is written, and the program checks its results. Anything that a tool reports here is a false report of the tool.
// Needs CUDA 13, whose calls take edge data.

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

static void check(cudaError_t error, const char *call) {
  if (error == cudaSuccess) return;
  fprintf(stderr, "%s: %s\n", call, cudaGetErrorString(error));
  exit(1);
}
#define CHECK(call) check(call, #call)

__global__ void decide(const int *left, cudaGraphConditionalHandle handle) {
  cudaGraphSetConditional(handle, *left != 0 ? 1 : 0);
}

__global__ void countDown(int *left, int step) { *left -= step; }

__global__ void add(const int *from, int *to) { *to += *from & 0xff; }

static const int turns = 3;
static const int step = 0x01010101;

struct Point {
  cudaGraph_t graph;
  const cudaGraphNode_t *nodes;
  size_t count;
};

static Point pointOf(cudaStream_t stream) {
  cudaStreamCaptureStatus status;
  const cudaGraphEdgeData *edges = nullptr;
  Point point{};
  CHECK(cudaStreamGetCaptureInfo(stream, &status, nullptr, &point.graph, &point.nodes, &edges, &point.count));
  return point;
}

/** A branch's own objects. */
struct Arrays {
  /** The turns left, the memory that the body fills with ones and reads, and the number of turns so far. */
  int *left, *one, *done;
};

/** The graph fills the counter and decides the loop; the body counts down, and decides again. */
static void capture(cudaStream_t stream, cudaStream_t body, const Arrays &arrays) {
  const auto [left, one, done] = arrays;
  CHECK(cudaMemsetAsync(left, turns, sizeof(int), stream));
  cudaGraphConditionalHandle handle;
  CHECK(cudaGraphConditionalHandleCreate(&handle, pointOf(stream).graph, 0, 0));
  decide<<<1, 1, 0, stream>>>(left, handle);
  cudaGraphNodeParams parameters = {};
  parameters.type = cudaGraphNodeTypeConditional;
  parameters.conditional.handle = handle;
  parameters.conditional.type = cudaGraphCondTypeWhile;
  parameters.conditional.size = 1;
  const Point point = pointOf(stream);
  cudaGraphNode_t node;
  CHECK(cudaGraphAddNode(&node, point.graph, point.nodes, nullptr, point.count, &parameters));
  CHECK(cudaStreamUpdateCaptureDependencies(stream, &node, nullptr, 1, cudaStreamSetCaptureDependencies));
  cudaGraph_t inside = parameters.conditional.phGraph_out[0];
  CHECK(cudaStreamBeginCaptureToGraph(body, inside, nullptr, nullptr, 0, cudaStreamCaptureModeRelaxed));
  CHECK(cudaMemsetAsync(one, 1, sizeof(int), body));
  add<<<1, 1, 0, body>>>(one, done);
  countDown<<<1, 1, 0, body>>>(left, step);
  decide<<<1, 1, 0, body>>>(left, handle);
  CHECK(cudaStreamEndCapture(body, &inside));
}

static const int branches = 2;
static const int launches = 2;

int main() {
  cudaStream_t stream, aux, body, source;
  for (cudaStream_t *one : {&stream, &aux, &body, &source}) CHECK(cudaStreamCreateWithFlags(one, cudaStreamNonBlocking));
  cudaEvent_t allocated, forked, joined;
  for (cudaEvent_t *one : {&allocated, &forked, &joined}) CHECK(cudaEventCreateWithFlags(one, cudaEventDisableTiming));
  int wrong = 0;
  for (int round = 0; round < 20; round++) {
    Arrays arrays[branches];
    for (auto &[left, one, done] : arrays) {
      for (int **array : {&left, &one, &done}) CHECK(cudaMallocAsync(array, sizeof(int), source));
      CHECK(cudaMemsetAsync(done, 0, sizeof(int), source));
    }
    CHECK(cudaEventRecord(allocated, source));
    CHECK(cudaStreamWaitEvent(stream, allocated, 0));
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    CHECK(cudaEventRecord(forked, stream));
    CHECK(cudaStreamWaitEvent(aux, forked, 0));
    capture(stream, body, arrays[0]);
    capture(aux, body, arrays[1]);
    CHECK(cudaEventRecord(joined, aux));
    CHECK(cudaStreamWaitEvent(stream, joined, 0));
    cudaGraph_t graph;
    CHECK(cudaStreamEndCapture(stream, &graph));
    cudaGraphExec_t executable;
    CHECK(cudaGraphInstantiate(&executable, graph, 0));
    for (int launch = 0; launch < launches; launch++) CHECK(cudaGraphLaunch(executable, stream));
    CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaGraphExecDestroy(executable));
    CHECK(cudaGraphDestroy(graph));
    for (const auto &[left, one, done] : arrays) {
      int found[2];
      CHECK(cudaMemcpy(&found[0], left, sizeof(int), cudaMemcpyDeviceToHost));
      CHECK(cudaMemcpy(&found[1], done, sizeof(int), cudaMemcpyDeviceToHost));
      wrong += found[0] != 0 || found[1] != launches * turns;
      for (int *array : {left, one, done}) CHECK(cudaFreeAsync(array, source));
    }
  }
  printf("%d wrong\n", wrong);
  return wrong == 0 ? 0 : 1;
}
