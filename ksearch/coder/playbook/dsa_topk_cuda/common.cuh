//% head
#include <cuda_runtime.h>

#include <cstdint>

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>
//% head_driver
#include <cuda.h>
//% types
struct Problem {
  const uint8_t* queries;  // [rows][HEADS][DIM] fp8
  const uint8_t* cache;    // pages of PAGE * DIM fp8 bytes followed by PAGE float scales
  const float* weights;    // [rows][HEADS]
  const int* lengths;      // [rows]
  const int* table;        // [rows][width]: the pages of each row
  int* out;                // [rows][TOPK]
  int rows, width;
};

__device__ __forceinline__ int page_of(const Problem& p, int row, int page) {
  return __ldg(p.table + static_cast<int64_t>(row) * p.width + page);
}
__device__ __forceinline__ const uint8_t* page_data(const Problem& p, int page) {
  return p.cache + static_cast<int64_t>(page) * PAGE_BYTES;
}
//% emit_token
// Tokens are written as they are chosen; a pass of its own turns them into global indices.
__device__ __forceinline__ int chosen(const Problem& p, int row, int token) { return token; }
//% emit_index
__device__ __forceinline__ int chosen(const Problem& p, int row, int token) {
  return page_of(p, row, token / PAGE) * PAGE + token % PAGE;
}
//% short_element
// A row that fits TOPK is all chosen, in any order: no scores. Length and page are read at once, so that a row costs
// one memory latency.
constexpr int SHORT_STORES = TOPK;
template <int STEP>
__device__ __forceinline__ void write_short(const Problem& p, int row, int first) {
#pragma unroll 4
  for (int i = 0; i < SHORT_STORES / STEP; ++i) {
    const int t = first + i * STEP, page = t / PAGE < p.width ? page_of(p, row, t / PAGE) : 0;
    p.out[static_cast<int64_t>(row) * TOPK + t] = t < __ldg(p.lengths + row) ? page * PAGE + t % PAGE : -1;
  }
}
//% short_vector
// A row that fits TOPK is all chosen, in any order: no scores. Length and page are read at once, so that a row costs
// one memory latency; four indices a store.
constexpr int SHORT_STORES = TOPK / 4;
template <int STEP>
__device__ __forceinline__ void write_short(const Problem& p, int row, int first) {
  if (STEP > SHORT_STORES && first >= SHORT_STORES) return;
#pragma unroll 4
  for (int i = 0; i < (SHORT_STORES + STEP - 1) / STEP; ++i) {
    const int t = 4 * (first + i * STEP), page = t / PAGE < p.width ? page_of(p, row, t / PAGE) : 0;
    const int length = __ldg(p.lengths + row), index = page * PAGE + t % PAGE;
    const int4 four = make_int4(t < length ? index : -1, t + 1 < length ? index + 1 : -1,
                                t + 2 < length ? index + 2 : -1, t + 3 < length ? index + 3 : -1);
    *reinterpret_cast<int4*>(p.out + static_cast<int64_t>(row) * TOPK + t) = four;
  }
}
//% short_kernel
// For batches whose table can't hold a long row: the host knows it from the table's width alone.
constexpr int SHORT_SPLIT = SHORT_STORES / SHORT_THREADS;
__global__ void __launch_bounds__(SHORT_THREADS) write_short_rows(const int* lengths, const int* table, int* out, int width) {
  const Problem p{nullptr, nullptr, nullptr, lengths, table, out, 0, width};
  write_short<SHORT_STORES>(p, blockIdx.x / SHORT_SPLIT, blockIdx.x % SHORT_SPLIT * SHORT_THREADS + threadIdx.x);
}
//% keys
// Floats in the order of unsigned integers.
__device__ __forceinline__ uint32_t ordered(float x) {
  const uint32_t bits = __float_as_uint(x);
  return bits ^ (static_cast<uint32_t>(static_cast<int>(bits) >> 31) | 0x80000000u);
}
//% begin_plain
__device__ __forceinline__ void begin() {}
//% begin_overlapped
// Lets the next kernel's blocks come in, then waits for the kernel before.
__device__ __forceinline__ void begin() {
  asm volatile("griddepcontrol.launch_dependents;\ngriddepcontrol.wait;" ::: "memory");
}
