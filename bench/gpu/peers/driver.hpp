// What the C++ program measures with: the driver's calls, two streams, graphs, timing.
#pragma once

#include <cuda.h>
#include <dlfcn.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>

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
// Two more, whose arrays are allocated in the order of the first.
CUstream ownerStream, besideStream;
CUevent event0, event1;

CUlibrary load(const char* ptxPath) {
  std::ifstream file(ptxPath);
  const std::string ptx((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (ptx.empty()) throw std::runtime_error(std::string(ptxPath) + " is empty or not there");
  CUlibrary library;
  CALL(cuLibraryLoadData, &library, ptx.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0);
  return library;
}

CUfunction kernel(CUlibrary library, const char* name) {
  CUkernel found;
  CALL(cuLibraryGetKernel, &found, library, name);
  CUfunction function;
  CALL(cuKernelGetFunction, &function, found);
  return function;
}

struct Grid {
  unsigned x, y;
  Grid(unsigned x, unsigned y = 1) : x(x), y(y) {}
};

template <typename... Arguments>
void launch(CUfunction function, Grid grid, int block, CUstream stream, Arguments... arguments) {
  void* pointers[] = {&arguments...};
  CALL(cuLaunchKernel, function, grid.x, grid.y, 1, block, 1, 1, 0, stream, pointers, nullptr);
}

template <typename Main, typename Aux>
void forkJoinOn(CUstream main, CUstream aux, Main onMain, Aux onAux) {
  CALL(cuEventRecord, event0, main);
  onMain();
  CALL(cuStreamWaitEvent, aux, event0, 0);
  onAux();
  CALL(cuEventRecord, event1, aux);
  CALL(cuStreamWaitEvent, main, event1, 0);
}

template <typename Main, typename Aux>
void forkJoin(Main onMain, Aux onAux) {
  forkJoinOn(mainStream, auxStream, onMain, onAux);
}

void finish() { CALL(cuStreamSynchronize, mainStream); }
void finishAll() {
  finish();
  for (CUstream stream : {auxStream, ownerStream, besideStream}) CALL(cuStreamSynchronize, stream);
}

// What `queue` queues as one graph, which the returned function launches.
std::function<void()> captured(const std::function<void()>& queue) {
  CALL(cuStreamBeginCapture, mainStream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  queue();
  CUgraph graph;
  CALL(cuStreamEndCapture, mainStream, &graph);
  CUgraphExec executable;
  CALL(cuGraphInstantiate, &executable, graph, 0);
  return [executable] { CALL(cuGraphLaunch, executable, mainStream); };
}

// Of one operation, in nanoseconds: the time that the row is about; of that, the calling thread's until all was queued,
// where that is another one.
struct Figures {
  double nanoseconds;
  double host = -1;
};

using Row = std::function<Figures(int operations)>;

// The calling thread's time; the work is waited for outside of it.
template <typename Operation>
Row queued(Operation operation) {
  return [operation](int operations) {
    auto start = Clock::now();
    for (int i = 0; i < operations; i++) operation();
    Figures taken{nanosecondsSince(start) / operations};
    finishAll();
    return taken;
  };
}

// The calling thread's time for an operation, less that of a part of it by itself, one right after the other.
template <typename Operation, typename Part>
Row beyond(Operation operation, Part part) {
  return [whole = queued(operation), partial = queued(part)](int operations) {
    const double taken = whole(operations).nanoseconds;
    return Figures{taken - partial(operations).nanoseconds};
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
    return Figures{nanosecondsSince(start) / operations};
  };
}

// The time for one of so many layers that an operation queues, until all are done.
Row layered(const std::function<void()>& operation, int layers) {
  return [=](int operations) {
    auto start = Clock::now();
    for (int i = 0; i < operations; i++) operation();
    const double host = nanosecondsSince(start) / (operations * layers);
    finishAll();
    return Figures{nanosecondsSince(start) / (operations * layers), host};
  };
}

}  // namespace
