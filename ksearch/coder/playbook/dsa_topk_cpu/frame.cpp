//% head
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
//% head_intrinsics
#if defined(__AVX512F__)
#include <immintrin.h>
#endif
//% head_amx
#if defined(__AMX_BF16__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
//% head_threads
#include <thread>
//% types
struct Row {
  const uint8_t* query;    // [HEADS][DIM] fp8
  const float* weights;    // [HEADS]
  const int32_t* pages;    // block table of the request
  const uint8_t* cache;    // pages of PAGE * DIM fp8 bytes followed by PAGE float scales
  int length;              // valid tokens
};

inline int page_count(const Row& row) { return (row.length + PAGE - 1) / PAGE; }
inline const uint8_t* page_data(const Row& row, int page) {
  return row.cache + static_cast<int64_t>(row.pages[page]) * PAGE_BYTES;
}
inline const float* page_scales(const uint8_t* data) { return reinterpret_cast<const float*>(data + PAGE * DIM); }
//% scratch_heap
// Fresh memory for each call.
template <typename T, int Slot>
struct Scratch {
  std::vector<T> memory;
  T* get(size_t count) {
    memory.resize(count + 64 / sizeof(T));
    return align(memory.data());
  }
  static T* align(T* p) { return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(p) + 63) & ~uintptr_t{63}); }
};
//% scratch_kept
// Memory kept between calls, its contents never: allocating and clearing it would cost more than a short row.
template <typename T, int Slot>
struct Scratch {
  T* get(size_t count) {
    static thread_local std::vector<T> memory;
    if (memory.size() < count + 64 / sizeof(T)) memory.resize(count + 64 / sizeof(T));
    return align(memory.data());
  }
  static T* align(T* p) { return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(p) + 63) & ~uintptr_t{63}); }
};
//% valid_element
// All tokens of a short row are among its top ones, in any order.
void write_valid(const Row& row, int32_t* out) {
  for (int t = 0; t < row.length; ++t) out[t] = row.pages[t / PAGE] * PAGE + t % PAGE;
  for (int t = row.length; t < TOPK; ++t) out[t] = -1;
}
//% valid_runs
// All tokens of a short row are among its top ones: each page is one run of consecutive indices, which vectorises.
void write_valid(const Row& row, int32_t* out) {
  for (int page = 0; page < page_count(row); ++page) {
    const int32_t base = row.pages[page] * PAGE;
    const int count = std::min(PAGE, row.length - page * PAGE);
    int32_t* run = out + page * PAGE;
    if (count == PAGE) {
#pragma omp simd
      for (int t = 0; t < PAGE; ++t) run[t] = base + t;
    } else {
      for (int t = 0; t < count; ++t) run[t] = base + t;
    }
  }
  std::memset(out + row.length, 0xff, sizeof(int32_t) * (TOPK - row.length));
}
//% serial
inline void score_row(const Row& row, const Query& query, float* scores) {
  score_pages(row, query, 0, page_count(row), scores);
}
//% threaded
// Pages are independent: the row is cut into THREADS runs of pages, the first of which this thread takes.
inline void score_row(const Row& row, const Query& query, float* scores) {
  const int pages = page_count(row), share = (pages + THREADS - 1) / THREADS;
  std::vector<std::thread> others;
  for (int first = share; first < pages; first += share)
    others.emplace_back([&, first] { score_pages(row, query, first, std::min(first + share, pages), scores); });
  score_pages(row, query, 0, std::min(share, pages), scores);
  for (auto& other : others) other.join();
}
//% rank_row
void rank_row(const Row& row, int32_t* out) {
  Scratch<float, 0> memory;
  float* scores = memory.get(static_cast<size_t>(page_count(row)) * PAGE);
  Query query;
  load_query(row, query);
  score_row(row, query, scores);
  select(row, scores, std::min(row.length, TOPK), out);
  for (int i = row.length; i < TOPK; ++i) out[i] = -1;
}
//% run_head
void run(tvm::ffi::TensorView q_index_fp8, tvm::ffi::TensorView k_index_cache_fp8, tvm::ffi::TensorView weights,
         tvm::ffi::TensorView seq_lens, tvm::ffi::TensorView block_table, tvm::ffi::TensorView topk_indices) {
  const int64_t batch = q_index_fp8.size(0), width = block_table.size(1);
  const auto* queries = static_cast<const uint8_t*>(q_index_fp8.data_ptr());
  const auto* cache = static_cast<const uint8_t*>(k_index_cache_fp8.data_ptr());
  const auto* head_weights = static_cast<const float*>(weights.data_ptr());
  const auto* lengths = static_cast<const int32_t*>(seq_lens.data_ptr());
  const auto* tables = static_cast<const int32_t*>(block_table.data_ptr());
  auto* out = static_cast<int32_t*>(topk_indices.data_ptr());
//% run_all_short
  bool all_short = true;
  for (int64_t b = 0; b < batch; ++b) all_short &= lengths[b] <= TOPK;
//% run_rows
  for (int64_t b = 0; b < batch; ++b) {
    const Row row{queries + b * HEADS * DIM, head_weights + b * HEADS, tables + b * width, cache, lengths[b]};
//% run_none
    rank_row(row, out + b * TOPK);
//% run_all
    if (all_short) write_valid(row, out + b * TOPK);
    else rank_row(row, out + b * TOPK);
//% run_row
    if (row.length <= TOPK) write_valid(row, out + b * TOPK);
    else rank_row(row, out + b * TOPK);
//% run_tail
  }
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
