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
#include <map>
#include <memory>
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
CUfunction touch, spin, rmsNorm;
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
  rmsNorm = kernel(library, "bench_rms_norm");
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

// A norm of so many rows, as the other peers' are.
struct Norm {
  int rows, columns;
  float epsilon = 1e-6f;
  CUdeviceptr source, weight, out;

  Norm(int rows, int columns) : rows(rows), columns(columns) {
    const size_t count = (size_t)rows * columns;
    for (CUdeviceptr* array : {&source, &weight, &out}) CALL(cuMemAlloc, array, 2 * count);
    for (CUdeviceptr array : {source, weight}) CALL(cuMemsetD16, array, 0x3f80, count);
  }

  void launch(CUstream stream) {
    void* arguments[] = {&columns, &epsilon, &source, &weight, &out};
    CALL(cuLaunchKernel, rmsNorm, rows, 1, 1, 256, 1, 1, 0, stream, arguments, nullptr);
  }
};

// norms:ROWS:MODE:WAY: both norms with the kernel that auxstream is measured with.
Row norms(int rows, const std::string& mode, const std::string& way) {
  constexpr int pairs = 64;
  auto query = std::make_shared<Norm>(rows, 1536), key = std::make_shared<Norm>(rows, 512);
  CALL(cuCtxSynchronize);
  auto pair = [=] {
    if (way == "parallel") return forkJoin([=] { query->launch(mainStream); }, [=] { key->launch(auxStream); });
    if (way != "aux") query->launch(mainStream);
    if (way != "main") key->launch(mainStream);
  };
  auto queue = [=] {
    for (int i = 0; i < pairs; i++) pair();
  };
  return layered(mode == "captured" ? captured(queue) : queue, pairs);
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
    return Figures{beyond / operations};
  };
}

Row makeRow(const std::string& name, const std::vector<std::string>& arguments) {
  const int number = arguments.empty() ? 0 : atoi(arguments[0].c_str());
  if (name == "launch") return queued([] { touchMain(); });
  if (name == "two-launches") {
    return queued([] {
      touchMain();
      touchAux();
    });
  }
  if (name == "four-calls") return queued([] { forkJoin([] {}, [] {}); });
  if (name == "fork-join") return queued([] { forkJoinOfTwo(); });
  if (name == "graph-launch") return queued(captured(forkJoinOfTwo));
  if (name == "fork-join-done") return done([] { forkJoinOfTwo(); });
  if (name == "graph-done") return done(captured(forkJoinOfTwo));
  if (name == "spin-one") return done([=] { launchSpin(mainStream, number, half, 1024); });
  if (name == "spin-both") {
    return done([=] {
      forkJoin([=] { launchSpin(mainStream, number, half, 1024); }, [=] { launchSpin(auxStream, number, half, 1024); });
    });
  }
  if (name == "end") return end(number, false);
  if (name == "end-blocking") return end(number, true);
  if (name == "norms" && arguments.size() == 3) return norms(number, arguments[1], arguments[2]);
  return nullptr;
}

// "NAME:ARGUMENT:ARGUMENT"
Row makeRow(const std::string& row) {
  std::istringstream words(row);
  std::vector<std::string> parts;
  for (std::string part; std::getline(words, part, ':');) parts.push_back(part);
  return makeRow(parts.at(0), {parts.begin() + 1, parts.end()});
}

std::string joined(const std::vector<Figures>& samples, double Figures::* which) {
  std::string text;
  char number[64];
  for (const Figures& sample : samples) {
    snprintf(number, sizeof number, "%s%.3f", text.empty() ? "" : ",", sample.*which);
    text += number;
  }
  return text;
}

void answer(const std::string& line) {
  // A row that is made ready is kept.
  static std::map<std::string, Row> rows;
  std::istringstream words(line);
  std::string row;
  int batches = 1, operations = 1;
  words >> row >> batches >> operations;
  if (!rows.count(row)) rows[row] = makeRow(row);
  const Row& run = rows[row];
  if (!run) {
    printf("{\"missing\":\"the C++ program has no such row\"}\n");
    return;
  }
  std::vector<Figures> samples;
  for (int batch = 0; batch < batches; batch++) samples.push_back(run(operations));
  printf("{\"nanoseconds\":[%s]", joined(samples, &Figures::nanoseconds).c_str());
  if (samples.at(0).host >= 0) printf(",\"host\":[%s]", joined(samples, &Figures::host).c_str());
  printf("}\n");
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
