// A graph whose two branches copy an array within the device's memory before their kernels read it. No memory is read before
// it is written, and the program checks its results. Anything that a tool reports here is a false report of the tool.

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

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
  affine<<<blocks, threads, 0, stream>>>(n, to, scale + 2, 4);
}

int main() {
  cudaStream_t stream, aux;
  CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  CHECK(cudaStreamCreateWithFlags(&aux, cudaStreamNonBlocking));
  cudaEvent_t forked, joined;
  CHECK(cudaEventCreateWithFlags(&forked, cudaEventDisableTiming));
  CHECK(cudaEventCreateWithFlags(&joined, cudaEventDisableTiming));
  int *x = allocate(aux), *left = allocate(aux), *right = allocate(aux);
  CHECK(cudaStreamSynchronize(aux));
  int *values;
  CHECK(cudaMallocHost(&values, n * sizeof(int)));
  for (int i = 0; i < n; i++) values[i] = 1;
  CHECK(cudaMemcpyAsync(x, values, n * sizeof(int), cudaMemcpyHostToDevice, stream));
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

  CHECK(cudaMemcpy(values, right, n * sizeof(int), cudaMemcpyDeviceToHost));
  const int x0 = 1 * 5 + 2;
  const int expected = ((x0 * 3 + 1) * 5 + 4) + ((x0 * 7 + 1) * 9 + 4);
  int wrong = 0;
  for (int i = 0; i < n; i++) wrong += values[i] != expected;
  printf("%d wrong\n", wrong);
  return wrong == 0 ? 0 : 1;
}
