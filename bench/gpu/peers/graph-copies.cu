// A graph whose two branches copy an array within the device's memory before their kernels read it: nothing is read that
// was not written, and it says so by its results. What a tool reports of it is the tool's own.

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

static void check(cudaError_t error, const char *call) {
  if (error == cudaSuccess) return;
  fprintf(stderr, "%s: %s\n", call, cudaGetErrorString(error));
  exit(1);
}
#define CHECK(call) check(call, #call)

__global__ void affine(int n, int *x, int scale, int add) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] = x[i] * scale + add;
}

__global__ void combine(int n, const int *left, int *right) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) right[i] += left[i];
}

static const int n = 300;
static const int threads = 256;
static const int blocks = (n + threads - 1) / threads;

static int *allocate(cudaStream_t stream) {
  int *array;
  CHECK(cudaMallocAsync(&array, n * sizeof(int), stream));
  return array;
}

static void branch(cudaStream_t stream, int *to, const int *from, int scale) {
  CHECK(cudaMemcpyAsync(to, from, n * sizeof(int), cudaMemcpyDeviceToDevice, stream));
  affine<<<blocks, threads, 0, stream>>>(n, to, scale, 1);
}

int main() {
  cudaStream_t stream, aux;
  CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  CHECK(cudaStreamCreateWithFlags(&aux, cudaStreamNonBlocking));
  cudaEvent_t forked, joined;
  CHECK(cudaEventCreateWithFlags(&forked, cudaEventDisableTiming));
  CHECK(cudaEventCreateWithFlags(&joined, cudaEventDisableTiming));
  int *x = allocate(stream), *left = allocate(stream), *right = allocate(stream);
  std::vector<int> values(n, 2);
  CHECK(cudaMemcpyAsync(x, values.data(), n * sizeof(int), cudaMemcpyHostToDevice, stream));
  CHECK(cudaStreamSynchronize(stream));

  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  affine<<<blocks, threads, 0, stream>>>(n, x, 5, 2);
  CHECK(cudaEventRecord(forked, stream));
  CHECK(cudaStreamWaitEvent(aux, forked, 0));
  branch(stream, left, x, 3);
  branch(aux, right, x, 7);
  CHECK(cudaEventRecord(joined, aux));
  CHECK(cudaStreamWaitEvent(stream, joined, 0));
  combine<<<blocks, threads, 0, stream>>>(n, left, right);
  cudaGraph_t graph;
  CHECK(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t executable;
  CHECK(cudaGraphInstantiate(&executable, graph, 0));
  CHECK(cudaGraphLaunch(executable, stream));
  CHECK(cudaStreamSynchronize(stream));

  CHECK(cudaMemcpy(values.data(), right, n * sizeof(int), cudaMemcpyDeviceToHost));
  const int forkedFrom = 2 * 5 + 2;
  const int expected = forkedFrom * 3 + 1 + forkedFrom * 7 + 1;
  int wrong = 0;
  for (int value : values) wrong += value != expected;
  printf("%d wrong\n", wrong);
  return wrong == 0 ? 0 : 1;
}
