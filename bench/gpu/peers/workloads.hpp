// Real pairs of branches, with the kernels and on the shapes of ../ours/.
#pragma once

#include <algorithm>
#include <vector>

#include "driver.hpp"

namespace {

// Two branches that need nothing of each other, and what needs both.
struct Layer {
  std::function<void(CUstream)> main, aux;
  std::function<void()> join;
};

// MODE is eager or captured; WAY main, aux, sequential or parallel.
Row workload(const std::vector<Layer>& layers, const std::string& mode, const std::string& way) {
  auto queue = [=] {
    for (const Layer& layer : layers) {
      if (way == "parallel") {
        forkJoin([&] { layer.main(mainStream); }, [&] { layer.aux(auxStream); });
      } else {
        if (way != "aux") layer.main(mainStream);
        if (way != "main") layer.aux(mainStream);
      }
      if (way == "parallel" || way == "sequential") layer.join();
    }
  };
  queue();
  finishAll();
  return layered(mode == "captured" ? captured(queue) : queue, (int)layers.size());
}

CUdeviceptr allocate(size_t bytes) {
  CUdeviceptr array;
  CALL(cuMemAlloc, &array, bytes);
  return array;
}

template <typename T>
CUdeviceptr arrayOf(const std::vector<T>& values) {
  const CUdeviceptr array = allocate(values.size() * sizeof(T));
  CALL(cuMemcpyHtoD, array, values.data(), values.size() * sizeof(T));
  return array;
}

unsigned blocksFor(size_t threads) { return (unsigned)((threads + 255) / 256); }

// Of numbers between -scale and scale.
CUdeviceptr randomArray(CUfunction random, size_t length, float scale) {
  static unsigned seed = 0;
  const CUdeviceptr array = allocate(2 * length);
  launch(random, blocksFor(std::min<size_t>(length, 1 << 24)), 256, mainStream, (unsigned)length, ++seed, scale, array);
  return array;
}

// norms:ROWS:MODE:WAY
Row norms(CUlibrary kernels, int rows, const std::string& mode, const std::string& way) {
  const CUfunction random = kernel(kernels, "bench_random"), norm = kernel(kernels, "bench_rms_norm");
  auto branch = [=](int columns) {
    const CUdeviceptr source = randomArray(random, (size_t)rows * columns, 1);
    const CUdeviceptr weight = randomArray(random, columns, 1);
    const CUdeviceptr out = allocate(2 * (size_t)rows * columns);
    return [=](CUstream stream) { launch(norm, rows, 256, stream, columns, 1e-6f, source, weight, out); };
  };
  return workload(std::vector<Layer>(64, {branch(1536), branch(512), [] {}}), mode, way);
}

constexpr int hidden = 2048, inner = 1408, allExperts = 64, top = 6, sharedInner = 2816;

struct Weights {
  CUdeviceptr gateUp, down, sharedGateUp, sharedDown;
};

// Of four layers, so that each layer's come from memory and not from the cache. Made once for all rows.
const std::vector<Weights>& weights(CUfunction random) {
  static const std::vector<Weights> kept = [=] {
    std::vector<Weights> made;
    for (int i = 0; i < 4; i++) {
      made.push_back({randomArray(random, (size_t)allExperts * 2 * inner * hidden, 0.03f),
                      randomArray(random, (size_t)allExperts * hidden * inner, 0.03f),
                      randomArray(random, (size_t)2 * sharedInner * hidden, 0.03f),
                      randomArray(random, (size_t)hidden * sharedInner, 0.03f)});
    }
    return made;
  }();
  return kept;
}

// experts:TOKENS:MODE:WAY, for one token or four.
Row experts(CUlibrary kernels, CUlibrary layerKernels, int tokens, const std::string& mode, const std::string& way) {
  const CUfunction random = kernel(kernels, "bench_random"), add = kernel(kernels, "bench_add");
  const std::string suffix = std::to_string(tokens);
  const CUfunction routedUp = kernel(layerKernels, "bench_routed_up");
  const CUfunction routedDown = kernel(layerKernels, "bench_routed_down");
  const CUfunction sharedUp = kernel(layerKernels, ("bench_shared_up_" + suffix).c_str());
  const CUfunction sharedDown = kernel(layerKernels, ("bench_shared_down_" + suffix).c_str());
  const int pairs = tokens * top;
  const CUdeviceptr x = randomArray(random, tokens * hidden, 1);
  const CUdeviceptr shares = arrayOf(std::vector<float>(pairs, 1.0f / top));
  const CUdeviceptr activated = allocate(2 * pairs * inner), routedOut = allocate(2 * tokens * hidden);
  const CUdeviceptr sharedActivated = allocate(2 * tokens * sharedInner), output = allocate(2 * tokens * hidden);
  const Grid upGrid(inner / 4, pairs), downGrid(hidden / 2, tokens);
  const int sum = tokens * hidden;
  std::vector<Layer> layers;
  for (int index = 0; index < 32; index++) {
    const Weights own = weights(random)[index % 4];
    std::vector<int> chosen;
    for (int pair = 0; pair < pairs; pair++) chosen.push_back(index * pairs % (allExperts - pairs + 1) + pair);
    const CUdeviceptr ids = arrayOf(chosen);
    layers.push_back({[=](CUstream stream) {
                        launch(routedUp, upGrid, 128, stream, ids, x, own.gateUp, activated);
                        launch(routedDown, downGrid, 64, stream, ids, shares, activated, own.down, routedOut);
                      },
                      [=](CUstream stream) {
                        launch(sharedUp, sharedInner / 4, 128, stream, x, own.sharedGateUp, sharedActivated);
                        launch(sharedDown, hidden / 4, 128, stream, sharedActivated, own.sharedDown, output);
                      },
                      [=] { launch(add, blocksFor(sum), 256, mainStream, sum, routedOut, output); }});
  }
  return workload(layers, mode, way);
}

}  // namespace
