// Matrix products from C++: cublasGemmEx, and cuBLASLt with a plan that is made once. The libraries are opened at the first
// product, so that nothing else depends on them.
#pragma once

#include "driver.hpp"

#include <cstdint>
#include <vector>

namespace {

using Status = int;
struct HeuristicResult {
  uint64_t algorithm[8];
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

void* openLibrary(const char* variable, const char* const (&names)[2]) {
  const char* named = getenv(variable);
  void* library = named && *named ? dlopen(named, RTLD_NOW) : nullptr;
  for (const char* name : names) {
    if (!library) library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
  }
  if (!library) throw std::runtime_error(dlerror());
  return library;
}

template <typename... Arguments>
void callIn(void* library, const char* name, Arguments... arguments) {
  auto* function = reinterpret_cast<Status (*)(Arguments...)>(dlsym(library, name));
  if (!function) throw std::runtime_error(std::string("there is no ") + name);
  const Status status = function(arguments...);
  if (status) throw std::runtime_error(std::string(name) + " gave " + std::to_string(status));
}

struct Libraries {
  void* lt = openLibrary("AUXSTREAM_LIBCUBLASLT", {"libcublasLt.so.13", "libcublasLt.so.12"});
  void* cublas = openLibrary("AUXSTREAM_LIBCUBLAS", {"libcublas.so.13", "libcublas.so.12"});
  void* ltHandle;
  void* handle;
  CUdeviceptr workspace;
  const size_t workspaceBytes = 32 << 20;

  Libraries() {
    callIn(lt, "cublasLtCreate", &ltHandle);
    callIn(cublas, "cublasCreate_v2", &handle);
    callIn(cublas, "cublasSetStream_v2", handle, mainStream);
    CALL(cuMemAlloc, &workspace, workspaceBytes);
    callIn(cublas, "cublasSetWorkspace_v2", handle, (void*)workspace, workspaceBytes);
  }
};

Libraries& libraries() {
  static Libraries opened;
  return opened;
}

enum { BFLOAT16 = 14, FLOAT32 = 0, COMPUTE_32F = 68, TRANSPOSE = 1, NO_TRANSPOSE = 0 };
const float one = 1, zero = 0;

// out[m, n] = a[m, k] · b[n, k]^T in bfloat16, all row by row, which cuBLAS sees transposed.
struct Product {
  int m, n, k, count;
  CUdeviceptr a, b, out;

  Product(int m, int n, int k, int count) : m(m), n(n), k(k), count(count) {
    a = zeros((size_t)m * k);
    b = zeros((size_t)n * k);
    out = zeros((size_t)m * n);
  }

  CUdeviceptr zeros(size_t elements) const {
    CUdeviceptr address;
    CALL(cuMemAlloc, &address, elements * count * 2);
    CALL(cuMemsetD8, address, 0, elements * count * 2);
    return address;
  }
};

using MatmulCall = Status (*)(void*, void*, const void*, const void*, void*, const void*, void*, const void*, const void*, void*, void*, void*, const void*, void*, size_t, CUstream);

// Through cuBLASLt: the descriptions and the algorithm are made once.
Row planned(const Product& product) {
  Libraries& in = libraries();
  void *description, *preference;
  callIn(in.lt, "cublasLtMatmulDescCreate", &description, (int)COMPUTE_32F, (int)FLOAT32);
  int transpose = TRANSPOSE;
  callIn(in.lt, "cublasLtMatmulDescSetAttribute", description, 3, (const void*)&transpose, (size_t)4);
  auto layout = [&](uint64_t rows, uint64_t columns, int64_t stride) {
    void* made;
    callIn(in.lt, "cublasLtMatrixLayoutCreate", &made, (int)BFLOAT16, rows, columns, (int64_t)rows);
    if (product.count > 1) {
      callIn(in.lt, "cublasLtMatrixLayoutSetAttribute", made, 5, (const void*)&product.count, (size_t)4);
      callIn(in.lt, "cublasLtMatrixLayoutSetAttribute", made, 6, (const void*)&stride, (size_t)8);
    }
    return made;
  };
  const int64_t m = product.m, n = product.n, k = product.k;
  void *left = layout(k, n, n * k), *right = layout(k, m, m * k), *result = layout(n, m, m * n);
  callIn(in.lt, "cublasLtMatmulPreferenceCreate", &preference);
  callIn(in.lt, "cublasLtMatmulPreferenceSetAttribute", preference, 1, (const void*)&in.workspaceBytes, (size_t)8);
  HeuristicResult found;
  int count = 0;
  callIn(in.lt, "cublasLtMatmulAlgoGetHeuristic", in.ltHandle, description, left, right, result, result, preference, 1, &found, &count);
  if (count == 0) throw std::runtime_error("cuBLASLt has no algorithm");
  auto* matmul = reinterpret_cast<MatmulCall>(dlsym(in.lt, "cublasLtMatmul"));
  void* handle = in.ltHandle;
  void* workspace = (void*)in.workspace;
  const size_t bytes = in.workspaceBytes;
  return queued([=] {
    const Status status = matmul(handle, description, &one, (void*)product.b, left, (void*)product.a, right, &zero, (void*)product.out, result,
                                 (void*)product.out, result, &found, workspace, bytes, mainStream);
    if (status) throw std::runtime_error("cublasLtMatmul gave " + std::to_string(status));
  });
}

using GemmCall = Status (*)(void*, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int, const void*, void*, int, int, int, int);
using BatchedCall = Status (*)(void*, int, int, int, int, int, const void*, const void*, int, int, long long, const void*, int, int, long long, const void*, void*, int, int, long long, int, int, int);

// Through cuBLAS, which chooses at each call.
Row chosen(const Product& product) {
  Libraries& in = libraries();
  auto* gemm = reinterpret_cast<GemmCall>(dlsym(in.cublas, "cublasGemmEx"));
  auto* batched = reinterpret_cast<BatchedCall>(dlsym(in.cublas, "cublasGemmStridedBatchedEx"));
  void* handle = in.handle;
  return queued([=] {
    const auto [m, n, k, count, a, b, out] = product;
    const Status status =
        count == 1 ? gemm(handle, TRANSPOSE, NO_TRANSPOSE, n, m, k, &one, (void*)b, BFLOAT16, k, (void*)a, BFLOAT16, k, &zero, (void*)out, BFLOAT16, n, COMPUTE_32F, -1)
                   : batched(handle, TRANSPOSE, NO_TRANSPOSE, n, m, k, &one, (void*)b, BFLOAT16, k, (long long)n * k, (void*)a, BFLOAT16, k, (long long)m * k, &zero,
                             (void*)out, BFLOAT16, n, (long long)m * n, count, COMPUTE_32F, -1);
    if (status) throw std::runtime_error("cublasGemmEx gave " + std::to_string(status));
  });
}

using GroupedCall = Status (*)(void*, const int*, const int*, const int*, const int*, const int*, const void*, const void* const*, int, const int*, const void* const*, int,
                               const int*, const void*, void* const*, int, const int*, int, const int*, int);

// One row each of so many experts, in one call, whose pointers are copied to the device each time.
Row grouped(int experts, int n, int k) {
  Libraries& in = libraries();
  const Product all(1, n, k, experts);
  auto* call = reinterpret_cast<GroupedCall>(dlsym(in.cublas, "cublasGemmGroupedBatchedEx"));
  if (!call) throw std::runtime_error("there is no cublasGemmGroupedBatchedEx");
  void** pointers;
  CALL(cuMemAllocHost, (void**)&pointers, 3 * experts * sizeof(void*));
  for (int i = 0; i < experts; i++) {
    pointers[i] = (void*)(all.b + (size_t)i * n * k * 2);
    pointers[experts + i] = (void*)(all.a + (size_t)i * k * 2);
    pointers[2 * experts + i] = (void*)(all.out + (size_t)i * n * 2);
  }
  CUdeviceptr there;
  CALL(cuMemAlloc, &there, 3 * experts * sizeof(void*));
  const std::vector<int> transposed(experts, TRANSPOSE), plain(experts, NO_TRANSPOSE), ms(experts, 1), ns(experts, n), ks(experts, k);
  const std::vector<float> ones(experts, 1), zeros(experts, 0);
  void* handle = in.handle;
  return queued([=] {
    CALL(cuMemcpyHtoDAsync, there, pointers, 3 * experts * sizeof(void*), mainStream);
    auto* arrays = (void**)there;
    const Status status = call(handle, transposed.data(), plain.data(), ns.data(), ms.data(), ks.data(), ones.data(), arrays, BFLOAT16, ks.data(), arrays + experts,
                               BFLOAT16, ks.data(), zeros.data(), arrays + 2 * experts, BFLOAT16, ns.data(), experts, ms.data(), COMPUTE_32F);
    if (status) throw std::runtime_error("cublasGemmGroupedBatchedEx gave " + std::to_string(status));
  });
}

}  // namespace
