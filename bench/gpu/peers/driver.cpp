// The CUDA driver's own calls from C++: what everybody else's calls come down to.
//
//   driver KERNELS.ptx
//
// Answers a line "ROW BATCHES OPERATIONS" with a line of JSON, see ../peer.ts.
#include <cuda.h>
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

void* openDriver() {
  const char* named = getenv("AUXSTREAM_LIBCUDA");
  void* library = dlopen(named && *named ? named : "libcuda.so.1", RTLD_NOW);
  if (!library) throw std::runtime_error(dlerror());
  return library;
}

template <typename F>
F* lookUp(const char* symbol) {
  static void* library = openDriver();
  void* found = dlsym(library, symbol);
  if (!found) throw std::runtime_error(std::string("the driver has no ") + symbol);
  return reinterpret_cast<F*>(found);
}

// The header renames calls to their newest version, so that the name has to be expanded before it becomes a text.
#define TEXT(name) #name
#define SYMBOL(name) TEXT(name)

void check(CUresult status, const char* call) {
  if (status == CUDA_SUCCESS) return;
  throw std::runtime_error(std::string(call) + " gave " + std::to_string(status));
}
// For the fast calls the function's address is looked up once.
#define CALL(name, ...)                                                   \
  do {                                                                    \
    static auto* const driverCall = lookUp<decltype(name)>(SYMBOL(name)); \
    check(driverCall(__VA_ARGS__), #name);                                \
  } while (0)

using Clock = std::chrono::steady_clock;
double nanosecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

CUstream mainStream, auxStream;
CUevent event0, event1, blockingEvent;
CUfunction touch, spin;
CUdeviceptr x, y, z;
int half;

CUfunction kernel(CUlibrary library, const char* name) {
  CUkernel found;
  CALL(cuLibraryGetKernel, &found, library, name);
  CUfunction function;
  CALL(cuKernelGetFunction, &function, found);
  return function;
}

std::string setUp(const char* ptxPath) {
  CALL(cuInit, 0);
  CUdevice device;
  CALL(cuDeviceGet, &device, 0);
  CUcontext context;
  CALL(cuDevicePrimaryCtxRetain, &context, device);
  CALL(cuCtxSetCurrent, context);
  int multiprocessors;
  CALL(cuDeviceGetAttribute, &multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device);
  half = multiprocessors > 1 ? multiprocessors / 2 : 1;
  CALL(cuStreamCreate, &mainStream, CU_STREAM_NON_BLOCKING);
  CALL(cuStreamCreate, &auxStream, CU_STREAM_NON_BLOCKING);
  CALL(cuEventCreate, &event0, CU_EVENT_DISABLE_TIMING);
  CALL(cuEventCreate, &event1, CU_EVENT_DISABLE_TIMING);
  CALL(cuEventCreate, &blockingEvent, CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC);
  std::ifstream file(ptxPath);
  static std::string ptx((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (ptx.empty()) throw std::runtime_error(std::string(ptxPath) + " is empty or not there");
  CUlibrary library;
  CALL(cuLibraryLoadData, &library, ptx.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0);
  touch = kernel(library, "bench_touch");
  spin = kernel(library, "bench_spin");
  for (CUdeviceptr* array : {&x, &y, &z}) CALL(cuMemAlloc, array, 1024);
  int version;
  CALL(cuDriverGetVersion, &version);
  return std::to_string(version);
}

void launchTouch(CUstream stream, CUdeviceptr target) {
  int n = 1;
  float a = 2;
  void* arguments[] = {&n, &a, &x, &target};
  CALL(cuLaunchKernel, touch, 1, 1, 1, 1, 1, 1, 0, stream, arguments, nullptr);
}

void launchSpin(CUstream stream, int microseconds, int blocks, int threads) {
  void* arguments[] = {&microseconds};
  CALL(cuLaunchKernel, spin, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, nullptr);
}

template <typename Main, typename Aux>
void forkJoin(Main onMain, Aux onAux) {
  CALL(cuEventRecord, event0, mainStream);
  onMain();
  CALL(cuStreamWaitEvent, auxStream, event0, 0);
  onAux();
  CALL(cuEventRecord, event1, auxStream);
  CALL(cuStreamWaitEvent, mainStream, event1, 0);
}

void touchMain() { launchTouch(mainStream, y); }
void touchAux() { launchTouch(auxStream, z); }
void forkJoinOfTwo() { forkJoin(touchMain, touchAux); }
void finish() { CALL(cuStreamSynchronize, mainStream); }
void finishAll() {
  finish();
  CALL(cuStreamSynchronize, auxStream);
}

CUgraphExec captured() {
  static CUgraphExec executable = [] {
    CALL(cuStreamBeginCapture, mainStream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    forkJoinOfTwo();
    CUgraph graph;
    CALL(cuStreamEndCapture, mainStream, &graph);
    CUgraphExec made;
    CALL(cuGraphInstantiate, &made, graph, 0);
    return made;
  }();
  return executable;
}

// Nanoseconds for one of so many operations.
using Row = std::function<double(int operations)>;

// The calling thread's time; the work is waited for outside of it.
template <typename Operation>
Row queued(Operation operation) {
  return [operation](int operations) {
    auto start = Clock::now();
    for (int i = 0; i < operations; i++) operation();
    double taken = nanosecondsSince(start) / operations;
    finishAll();
    return taken;
  };
}

// The time until the work is done, each time.
template <typename Operation>
Row done(Operation operation) {
  return [operation](int operations) {
    auto start = Clock::now();
    for (int i = 0; i < operations; i++) {
      operation();
      finish();
    }
    return nanosecondsSince(start) / operations;
  };
}

// What is learned of a kernel's end, beyond its own time.
Row end(int microseconds, bool blocking) {
  return [=](int operations) {
    double beyond = 0;
    for (int i = 0; i < operations; i++) {
      launchSpin(mainStream, microseconds, 1, 1);
      auto start = Clock::now();
      if (blocking) {
        CALL(cuEventRecord, blockingEvent, mainStream);
        CALL(cuEventSynchronize, blockingEvent);
      } else {
        finish();
      }
      beyond += nanosecondsSince(start) - 1000.0 * microseconds;
    }
    return beyond / operations;
  };
}

Row makeRow(const std::string& name, const std::string& argument) {
  const int number = atoi(argument.c_str());
  if (name == "launch") return queued([] { touchMain(); });
  if (name == "two-launches") {
    return queued([] {
      touchMain();
      touchAux();
    });
  }
  if (name == "four-calls") return queued([] { forkJoin([] {}, [] {}); });
  if (name == "fork-join") return queued([] { forkJoinOfTwo(); });
  if (name == "graph-launch") {
    captured();
    return queued([] { CALL(cuGraphLaunch, captured(), mainStream); });
  }
  if (name == "fork-join-done") return done([] { forkJoinOfTwo(); });
  if (name == "graph-done") {
    captured();
    return done([] { CALL(cuGraphLaunch, captured(), mainStream); });
  }
  if (name == "spin-one") return done([=] { launchSpin(mainStream, number, half, 1024); });
  if (name == "spin-both") {
    return done([=] {
      forkJoin([=] { launchSpin(mainStream, number, half, 1024); }, [=] { launchSpin(auxStream, number, half, 1024); });
    });
  }
  if (name == "end") return end(number, false);
  if (name == "end-blocking") return end(number, true);
  return nullptr;
}

void answer(const std::string& line) {
  std::istringstream words(line);
  std::string row;
  int batches = 1, operations = 1;
  words >> row >> batches >> operations;
  const size_t colon = row.find(':');
  const std::string argument = colon == std::string::npos ? "" : row.substr(colon + 1);
  const Row run = makeRow(row.substr(0, colon), argument);
  if (!run) {
    printf("{\"missing\":\"the C++ program has no such row\"}\n");
    return;
  }
  std::string samples;
  char text[64];
  for (int batch = 0; batch < batches; batch++) {
    snprintf(text, sizeof text, "%s%.3f", batch ? "," : "", run(operations));
    samples += text;
  }
  printf("{\"nanoseconds\":[%s]}\n", samples.c_str());
}

}  // namespace

int main(int count, char** words) {
  try {
    const std::string version = setUp(count > 1 ? words[1] : "");
    printf("{\"ready\":true,\"versions\":{\"driver\":\"%s\",\"header\":\"%d\"}}\n", version.c_str(), CUDA_VERSION);
  } catch (const std::exception& error) {
    printf("{\"failed\":\"%s\"}\n", error.what());
    return 1;
  }
  fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    try {
      answer(line);
    } catch (const std::exception& error) {
      printf("{\"failed\":\"%s\"}\n", error.what());
    }
    fflush(stdout);
  }
}
