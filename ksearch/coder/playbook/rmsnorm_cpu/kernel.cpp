//% head
#include <cmath>
#include <cstdint>
#include <cstring>

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
//% head_intrinsics
#if defined(__AVX512F__)
#include <immintrin.h>
#endif
//% row_again
// The row is converted again for the second pass: it is still in the first-level cache.
using Element = uint16_t;
inline const Element* prepare(const uint16_t* row, float*) { return row; }
//% row_kept
// The row is converted once and kept as floats.
using Element = float;
inline const Element* prepare(const uint16_t* row, float* kept) {
#pragma omp simd
  for (int i = 0; i < HIDDEN; ++i) kept[i] = widen(row[i]);
  return kept;
}
//% value
inline float value(const uint16_t* from, int i) { return widen(from[i]); }
inline float value(const float* from, int i) { return from[i]; }
//% weights_each
using Weight = uint16_t;
inline const Weight* prepare_weights(const uint16_t* weights, float*) { return weights; }
//% weights_once
// Converted once for all rows of the call.
using Weight = float;
inline const Weight* prepare_weights(const uint16_t* weights, float* kept) {
#pragma omp simd
  for (int i = 0; i < HIDDEN; ++i) kept[i] = widen(weights[i]);
  return kept;
}
//% sum_plain
inline float sum_of_squares(const Element* row) {
  float total = 0.0f;
  for (int i = 0; i < HIDDEN; ++i) total += value(row, i) * value(row, i);
  return total;
}
//% sum_simd
// The pragma allows the sum to be split over lanes, which strict float order forbids.
inline float sum_of_squares(const Element* row) {
  float total = 0.0f;
#pragma omp simd reduction(+ : total)
  for (int i = 0; i < HIDDEN; ++i) total += value(row, i) * value(row, i);
  return total;
}
//% sum_lanes
// SUMS independent vectors of sums, so that additions don't wait for each other.
inline float sum_of_squares(const Element* row) {
  Lanes sums[SUMS] = {};
  for (int i = 0; i < HIDDEN; i += WIDTH * SUMS)
    for (int s = 0; s < SUMS; ++s) {
      const Lanes lanes = load(row + i + WIDTH * s);
      sums[s] += lanes * lanes;
    }
  for (int s = 1; s < SUMS; ++s) sums[0] += sums[s];
  return across(sums[0]);
}
//% scale_plain
inline void write_row(const Element* row, const Weight* weights, float inverse, uint16_t* out) {
  for (int i = 0; i < HIDDEN; ++i) out[i] = narrow(value(row, i) * inverse * value(weights, i));
}
//% scale_simd
inline void write_row(const Element* row, const Weight* weights, float inverse, uint16_t* out) {
#pragma omp simd
  for (int i = 0; i < HIDDEN; ++i) out[i] = narrow(value(row, i) * inverse * value(weights, i));
}
//% scale_lanes
inline void write_row(const Element* row, const Weight* weights, float inverse, uint16_t* out) {
  for (int i = 0; i < HIDDEN; i += 2 * WIDTH) {
    const Halves low = narrow(load(row + i) * inverse * load(weights + i));
    const Halves high = narrow(load(row + i + WIDTH) * inverse * load(weights + i + WIDTH));
    write(out + i, low, high);
  }
}
//% write_cached
inline void write(uint16_t* out, Halves low, Halves high) {
  std::memcpy(out, &low, sizeof(low));
  std::memcpy(out + WIDTH, &high, sizeof(high));
}
//% write_streamed
// Past the caches: the output is not read here, and a line written whole need not be fetched first.
inline void write(uint16_t* out, Halves low, Halves high) {
#if defined(__AVX512F__)
  if ((reinterpret_cast<uintptr_t>(out) & 63) == 0) {
    const __m512i line = _mm512_inserti64x4(_mm512_castsi256_si512(reinterpret_cast<__m256i>(low)),
                                            reinterpret_cast<__m256i>(high), 1);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(out), line);
    return;
  }
#endif
  std::memcpy(out, &low, sizeof(low));
  std::memcpy(out + WIDTH, &high, sizeof(high));
}
//% prefetch
inline void prefetch(const uint16_t* row) {
  for (int i = 0; i < HIDDEN; i += 32) __builtin_prefetch(row + i, 0, 3);
}
//% run_head
void run(tvm::ffi::TensorView hidden_states, tvm::ffi::TensorView weight, tvm::ffi::TensorView output) {
  const int64_t batch = hidden_states.size(0);
  const auto* rows = static_cast<const uint16_t*>(hidden_states.data_ptr());
  auto* out = static_cast<uint16_t*>(output.data_ptr());
  alignas(64) float kept_row[HIDDEN], kept_weights[HIDDEN];
  const Weight* weights = prepare_weights(static_cast<const uint16_t*>(weight.data_ptr()), kept_weights);
  for (int64_t b = 0; b < batch; ++b) {
//% run_prefetch
    if (b + 1 < batch) prefetch(rows + (b + 1) * HIDDEN);
//% run_row
    const Element* row = prepare(rows + b * HIDDEN, kept_row);
    const float inverse = 1.0f / std::sqrt(sum_of_squares(row) / HIDDEN + EPS);
    write_row(row, weights, inverse, out + b * HIDDEN);
  }
//% run_fence
#if defined(__AVX512F__)
  _mm_sfence();  // streamed lines are in memory before the caller reads them
#endif
//% run_tail
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
