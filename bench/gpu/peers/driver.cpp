// The CUDA driver's own calls from C++, which all other libraries make in the end.
//
//   driver KERNELS.ptx EXPERT-LAYER.ptx
//
// Answers a line "ROW BATCHES OPERATIONS" with a line of JSON, see ../peer.ts.
#include "driver.hpp"

#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <vector>

#include "products.hpp"
#include "workloads.hpp"

namespace {

CUlibrary kernels, layerKernels;
CUevent blockingEvent;
CUfunction touch, spin;
CUdeviceptr x, y, z;
CUdeviceptr ownedX, ownedY, ownedZ;
unsigned half;

std::string setUp(const char* kernelsPath, const char* layerPath) {
  CALL(cuInit, 0);
  CUdevice device;
  CALL(cuDeviceGet, &device, 0);
  CUcontext context;
  CALL(cuDevicePrimaryCtxRetain, &context, device);
  CALL(cuCtxSetCurrent, context);
  int multiprocessors;
  CALL(cuDeviceGetAttribute, &multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device);
  half = multiprocessors > 1 ? multiprocessors / 2 : 1;
  for (CUstream* stream : {&mainStream, &auxStream, &ownerStream, &besideStream}) {
    CALL(cuStreamCreate, stream, CU_STREAM_NON_BLOCKING);
  }
  CALL(cuEventCreate, &event0, CU_EVENT_DISABLE_TIMING);
  CALL(cuEventCreate, &event1, CU_EVENT_DISABLE_TIMING);
  CALL(cuEventCreate, &blockingEvent, CU_EVENT_DISABLE_TIMING | CU_EVENT_BLOCKING_SYNC);
  kernels = load(kernelsPath);
  layerKernels = load(layerPath);
  touch = kernel(kernels, "bench_touch");
  spin = kernel(kernels, "bench_spin");
  for (CUdeviceptr* array : {&x, &y, &z}) CALL(cuMemAlloc, array, 1024);
  for (CUdeviceptr* array : {&ownedX, &ownedY, &ownedZ}) CALL(cuMemAllocAsync, array, 1024, ownerStream);
  int version;
  CALL(cuDriverGetVersion, &version);
  return std::to_string(version);
}

void touchMain() { launch(touch, 1, 1, mainStream, 1, 2.0f, x, y); }
void touchAux() { launch(touch, 1, 1, auxStream, 1, 2.0f, x, z); }
void touchBoth() {
  touchMain();
  touchAux();
}
void forkJoinOfTwo() { forkJoin(touchMain, touchAux); }

// Stream-ordered allocation, as a program without a pool of its own does it.
void allocateAndFree() {
  CUdeviceptr array;
  CALL(cuMemAllocAsync, &array, 1024, ownerStream);
  CALL(cuMemFreeAsync, array, ownerStream);
}

void touchOwned() { launch(touch, 1, 1, ownerStream, 1, 2.0f, ownedX, ownedY); }
void touchBeside() { launch(touch, 1, 1, besideStream, 1, 2.0f, ownedX, ownedZ); }
void touchBothOwned() {
  touchOwned();
  touchBeside();
}
void forkJoinOfOwned() { forkJoinOn(ownerStream, besideStream, touchOwned, touchBeside); }

// The time until the program learns of a kernel's end, without the kernel's own time.
Row end(int microseconds, bool blocking) {
  return [=](int operations) {
    double beyond = 0;
    for (int i = 0; i < operations; i++) {
      launch(spin, 1, 1, mainStream, microseconds);
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
  if (name == "two-launches") return queued(touchBoth);
  if (name == "four-calls") return queued([] { forkJoin([] {}, [] {}); });
  if (name == "fork-join") return queued([] { forkJoinOfTwo(); });
  if (name == "fork-join-beyond" && arguments.empty()) return beyond([] { forkJoinOfTwo(); }, touchBoth);
  if (name == "fork-join-beyond") return beyond([] { forkJoinOfOwned(); }, touchBothOwned);
  if (name == "allocation") return queued(allocateAndFree);
  if (name == "graph-launch") return queued(captured(forkJoinOfTwo));
  if (name == "fork-join-done") return done([] { forkJoinOfTwo(); });
  if (name == "graph-done") return done(captured(forkJoinOfTwo));
  if (name == "spin-one") return done([=] { launch(spin, half, 1024, mainStream, number); });
  if (name == "spin-both") {
    return done([=] {
      forkJoin([=] { launch(spin, half, 1024, mainStream, number); }, [=] { launch(spin, half, 1024, auxStream, number); });
    });
  }
  if (name == "end") return end(number, false);
  if (name == "end-blocking") return end(number, true);
  const auto size = [&](size_t index) { return atoi(arguments.at(index).c_str()); };
  if (name == "product") return planned(Product(size(0), size(1), size(2), size(3)));
  if (name == "product-gemm") return chosen(Product(size(0), size(1), size(2), size(3)));
  if (name == "grouped") return grouped(size(0), size(1), size(2));
  if (arguments.size() != 3) return nullptr;
  if (name == "norms") return norms(kernels, number, arguments[1], arguments[2]);
  if (name == "experts" && (number == 1 || number == 4)) {
    return experts(kernels, layerKernels, number, arguments[1], arguments[2]);
  }
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
  // Prepared rows are kept.
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
    const std::string version = setUp(count > 1 ? words[1] : "", count > 2 ? words[2] : "");
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
