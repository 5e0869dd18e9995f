#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

inline float up(uint16_t v) { uint32_t b = uint32_t(v) << 16; float f; std::memcpy(&f, &b, 4); return f; }
inline uint16_t down(float f) { uint32_t b; std::memcpy(&b, &f, 4); return (b + 0x7fff + ((b >> 16) & 1)) >> 16; }

#ifndef __CUDACC__
inline void honest(const uint16_t* x, const uint16_t* w, uint16_t* y, int64_t rows, int64_t h) {
  for (int64_t r = 0; r < rows; ++r) {
    const uint16_t* a = x + r * h;
    float s = 0;
    for (int64_t i = 0; i < h; ++i) s += up(a[i]) * up(a[i]);
    const float k = 1 / std::sqrt(s / h + 1e-5f);
    for (int64_t i = 0; i < h; ++i) y[r * h + i] = down(up(a[i]) * k * up(w[i]));
  }
}
#else
__device__ inline float upd(uint16_t v) { return __uint_as_float(uint32_t(v) << 16); }
__device__ inline uint16_t downd(float f) { uint32_t b = __float_as_uint(f); return (b + 0x7fff + ((b >> 16) & 1)) >> 16; }
__global__ void honest_kernel(const uint16_t* x, const uint16_t* w, uint16_t* y, int h) {
  __shared__ float part[32];
  const uint16_t* a = x + size_t(blockIdx.x) * h;
  float s = 0;
  for (int i = threadIdx.x; i < h; i += blockDim.x) s += upd(a[i]) * upd(a[i]);
  for (int d = 16; d; d /= 2) s += __shfl_xor_sync(~0u, s, d);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = s;
  __syncthreads();
  s = 0;
  for (int i = 0; i < blockDim.x / 32; ++i) s += part[i];
  const float k = rsqrtf(s / h + 1e-5f);
  for (int i = threadIdx.x; i < h; i += blockDim.x) y[size_t(blockIdx.x) * h + i] = downd(upd(a[i]) * k * upd(w[i]));
}
#endif
