// CUDA's words for a C++ compiler: one std::thread for each thread of a block, blocks one after the other.
//
// Enough for kernels that use blocks of one dimension, barriers that all threads reach and full-warp shuffles. Launches
// `kernel<<<grid, block, 0, stream>>>(...)` are rewritten to `emulate(kernel, grid, block)(...)` before this is included.
#pragma once
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(n)

struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
using cudaStream_t = void*;
enum cudaError_t { cudaSuccess };
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return ""; }

inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
struct Block {
  std::barrier<> all;
  std::vector<std::barrier<>*> warps;
  std::vector<float> exchanged;
};
inline Block* block = nullptr;

inline void __syncthreads() { block->all.arrive_and_wait(); }
inline float __shfl_xor_sync(unsigned, float value, int distance) {
  std::barrier<>& warp = *block->warps[threadIdx.x / 32];
  block->exchanged[threadIdx.x] = value;
  warp.arrive_and_wait();
  const float other = block->exchanged[threadIdx.x ^ distance];
  warp.arrive_and_wait();
  return other;
}

template <typename T> T __ldcs(const T* source) { return *source; }
template <typename T> void __stcs(T* target, T value) { *target = value; }
inline float __uint_as_float(unsigned bits) { float value; std::memcpy(&value, &bits, 4); return value; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }

struct __nv_bfloat16 { unsigned short bits; };
inline float __bfloat162float(__nv_bfloat16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, 4);
  return {static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

template <typename... Parameters>
auto emulate(void (*kernel)(Parameters...), unsigned grid, unsigned threads) {
  return [=](Parameters... arguments) {
    for (unsigned index = 0; index < grid; ++index) {
      Block here{std::barrier<>(threads), {}, std::vector<float>(threads)};
      for (unsigned warp = 0; warp < threads / 32; ++warp) here.warps.push_back(new std::barrier<>(32));
      block = &here;
      std::vector<std::jthread> team;
      for (unsigned thread = 0; thread < threads; ++thread)
        team.emplace_back([=] {
          threadIdx.x = thread, blockIdx.x = index, blockDim.x = threads, gridDim.x = grid;
          kernel(arguments...);
        });
      team.clear();
      for (std::barrier<>* warp : here.warps) delete warp;
    }
  };
}
