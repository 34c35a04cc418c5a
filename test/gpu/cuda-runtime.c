/*
 * A stand-in for the CUDA runtime: the calls that other-libraries.test.ts makes, over the driver's double. Like the real one,
 * it is another user of the driver, with its own pool, stream and reference to the primary context.
 * It returns the driver's statuses. The tests read only two, success and not ready, whose numbers are equal in both.
 */
#include "../cuda-double/double.h"

struct stream;
struct pool;

extern CUresult cuInit(unsigned flags);
extern CUresult cuDevicePrimaryCtxRetain(struct context **out, CUdevice device);
extern CUresult cuCtxSetCurrent(struct context *context);
extern CUresult cuStreamCreateWithPriority(struct stream **out, unsigned flags, int priority);
extern CUresult cuStreamDestroy_v2(struct stream *stream);
extern CUresult cuStreamQuery(struct stream *stream);
extern CUresult cuStreamSynchronize(struct stream *stream);
extern CUresult cuStreamWaitEvent(struct stream *stream, struct event *event, unsigned flags);
extern CUresult cuEventCreate(struct event **out, unsigned flags);
extern CUresult cuEventDestroy_v2(struct event *event);
extern CUresult cuEventRecord(struct event *event, struct stream *stream);
extern CUresult cuMemPoolCreate(struct pool **out, const int *properties);
extern CUresult cuMemAllocFromPoolAsync(CUdeviceptr *out, size_t bytes, struct pool *pool, struct stream *stream);
extern CUresult cuMemFreeAsync(CUdeviceptr address, struct stream *stream);
extern CUresult cuMemcpyAsync(CUdeviceptr destination, CUdeviceptr source, size_t bytes, struct stream *stream);
extern CUresult cuMemsetD8Async(CUdeviceptr destination, unsigned char value, size_t count, struct stream *stream);

extern CUresult cuStreamBeginCapture_v2(struct stream *stream, int mode);
extern CUresult cuStreamEndCapture(struct stream *stream, struct graph **out);
extern CUresult cuGraphInstantiateWithFlags(struct executable **out, struct graph *graph, unsigned long long flags);
extern CUresult cuGraphLaunch(struct executable *executable, struct stream *stream);
extern CUresult cuGraphExecDestroy(struct executable *executable);
extern CUresult cuGraphDestroy(struct graph *graph);

static struct context *primary;
static struct pool *pool;
static struct stream *own;

#define CHECK(call)                \
  do {                             \
    CUresult status_ = (call);     \
    if (status_) return status_;   \
  } while (0)

static CUresult start(int device) {
  /* Pinned device memory of this device, like the runtime's own. */
  const int properties[22] = {1, 0, 1, device};
  CHECK(cuInit(0));
  CHECK(cuDevicePrimaryCtxRetain(&primary, device));
  CHECK(cuCtxSetCurrent(primary));
  CHECK(cuMemPoolCreate(&pool, properties));
  return cuStreamCreateWithPriority(&own, 1, 0);
}

EXPORT CUresult cudaSetDevice(int device) { return primary ? cuCtxSetCurrent(primary) : start(device); }

EXPORT CUresult cudaStreamCreateWithFlags(struct stream **out, unsigned flags) {
  return cuStreamCreateWithPriority(out, flags, 0);
}
EXPORT CUresult cudaStreamDestroy(struct stream *stream) { return cuStreamDestroy_v2(stream); }
EXPORT CUresult cudaStreamQuery(struct stream *stream) { return cuStreamQuery(stream); }
EXPORT CUresult cudaStreamSynchronize(struct stream *stream) { return cuStreamSynchronize(stream); }
EXPORT CUresult cudaStreamWaitEvent(struct stream *stream, struct event *event, unsigned flags) {
  return cuStreamWaitEvent(stream, event, flags);
}

EXPORT CUresult cudaEventCreateWithFlags(struct event **out, unsigned flags) { return cuEventCreate(out, flags); }
EXPORT CUresult cudaEventDestroy(struct event *event) { return cuEventDestroy_v2(event); }
EXPORT CUresult cudaEventRecord(struct event *event, struct stream *stream) { return cuEventRecord(event, stream); }

EXPORT CUresult cudaMalloc(CUdeviceptr *out, size_t bytes) {
  CHECK(cuMemAllocFromPoolAsync(out, bytes, pool, own));
  return cuStreamSynchronize(own);
}
EXPORT CUresult cudaFree(CUdeviceptr address) {
  CHECK(cuMemFreeAsync(address, own));
  return cuStreamSynchronize(own);
}
EXPORT CUresult cudaMemcpyAsync(CUdeviceptr destination, CUdeviceptr source, size_t bytes, int kind,
                                struct stream *stream) {
  (void)kind;
  return cuMemcpyAsync(destination, source, bytes, stream);
}
EXPORT CUresult cudaMemsetAsync(CUdeviceptr destination, int value, size_t bytes, struct stream *stream) {
  return cuMemsetD8Async(destination, (unsigned char)value, bytes, stream);
}

EXPORT CUresult cudaStreamBeginCapture(struct stream *stream, int mode) {
  return cuStreamBeginCapture_v2(stream, mode);
}
EXPORT CUresult cudaStreamEndCapture(struct stream *stream, struct graph **out) {
  return cuStreamEndCapture(stream, out);
}
EXPORT CUresult cudaGraphDestroy(struct graph *graph) { return cuGraphDestroy(graph); }
EXPORT CUresult cudaGraphInstantiate(struct executable **out, struct graph *graph, unsigned long long flags) {
  return cuGraphInstantiateWithFlags(out, graph, flags);
}
EXPORT CUresult cudaGraphLaunch(struct executable *executable, struct stream *stream) {
  return cuGraphLaunch(executable, stream);
}
EXPORT CUresult cudaGraphExecDestroy(struct executable *executable) { return cuGraphExecDestroy(executable); }
