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
//% head_state
// One value head of one request: vectors widened to float, the state's old and new memory [DIM][DIM], value row first.
struct Head {
  alignas(64) float q[DIM], k[DIM], v[DIM];
  float decay, beta, scale;
  const float* state;
  float* new_state;
  uint16_t* out;  // [DIM]
};
//% dot_plain
inline float dot(const float* x, const float* y) {
  float total = 0.0f;
  for (int i = 0; i < DIM; ++i) total += x[i] * y[i];
  return total;
}
//% dot_simd
// The pragma allows the sum to be split over lanes, which strict float order forbids.
inline float dot(const float* x, const float* y) {
  float total = 0.0f;
#pragma omp simd reduction(+ : total)
  for (int i = 0; i < DIM; ++i) total += x[i] * y[i];
  return total;
}
//% step_four
// Four passes over the state: decay, S k, update, S q.
void step(const Head& head) {
  float delta[DIM];
  for (int i = 0; i < DIM * DIM; ++i) head.new_state[i] = head.decay * head.state[i];
  for (int r = 0; r < DIM; ++r) delta[r] = head.beta * (head.v[r] - dot(head.new_state + r * DIM, head.k));
  for (int r = 0; r < DIM; ++r)
    for (int i = 0; i < DIM; ++i) head.new_state[r * DIM + i] += delta[r] * head.k[i];
  for (int r = 0; r < DIM; ++r) head.out[r] = narrow(head.scale * dot(head.new_state + r * DIM, head.q));
}
//% step_two
// Two passes: S k on the old state (the decay is a factor of the result), then update and S q together.
void step(const Head& head) {
  float delta[DIM];
  for (int r = 0; r < DIM; ++r) delta[r] = head.beta * (head.v[r] - head.decay * dot(head.state + r * DIM, head.k));
  for (int r = 0; r < DIM; ++r) {
    float* row = head.new_state + r * DIM;
    for (int i = 0; i < DIM; ++i) row[i] = head.decay * head.state[r * DIM + i] + delta[r] * head.k[i];
    head.out[r] = narrow(head.scale * dot(row, head.q));
  }
}
//% step_row_sequential
// Rows of the state don't depend on each other: each is read once and done with.
void step(const Head& head) {
  for (int r = 0; r < DIM; ++r) {
    const float* old = head.state + r * DIM;
    float* row = head.new_state + r * DIM;
    fetch(old);
    const float delta = head.beta * (head.v[r] - head.decay * dot(old, head.k));
    for (int i = 0; i < DIM; ++i) row[i] = head.decay * old[i] + delta * head.k[i];
    head.out[r] = narrow(head.scale * dot(row, head.q));
  }
}
//% step_row_joint
// S' q = g S q + delta (k . q): both products are taken from the old row, so neither waits for the update.
void step(const Head& head) {
  const float kq = dot(head.k, head.q);
  for (int r = 0; r < DIM; ++r) {
    const float* old = head.state + r * DIM;
    float* row = head.new_state + r * DIM;
    fetch(old);
    const float delta = head.beta * (head.v[r] - head.decay * dot(old, head.k));
    head.out[r] = narrow(head.scale * (head.decay * dot(old, head.q) + delta * kq));
    for (int i = 0; i < DIM; ++i) row[i] = head.decay * old[i] + delta * head.k[i];
  }
}
//% step_lanes_sequential
// ROWS rows at a time in vector registers, each read once and written once.
void step(const Head& head) {
  for (int r0 = 0; r0 < DIM; r0 += ROWS) {
    Lanes rows[ROWS][DIM / WIDTH];
    for (int r = 0; r < ROWS; ++r) {
      const float* old = head.state + (r0 + r) * DIM;
      fetch(old);
      Lanes sum = {};
      for (int g = 0; g < DIM / WIDTH; ++g) {
        rows[r][g] = head.decay * load(old + WIDTH * g);
        sum += rows[r][g] * load(head.k + WIDTH * g);
      }
      const float delta = head.beta * (head.v[r0 + r] - across(sum));
      Lanes out = {};
      for (int g = 0; g < DIM / WIDTH; ++g) {
        rows[r][g] += delta * load(head.k + WIDTH * g);
        out += rows[r][g] * load(head.q + WIDTH * g);
        write(head.new_state + (r0 + r) * DIM + WIDTH * g, rows[r][g]);
      }
      head.out[r0 + r] = narrow(head.scale * across(out));
    }
  }
}
//% step_lanes_joint
// ROWS rows at a time. S' q = g S q + delta (k . q): both products come from the old rows, before the update.
void step(const Head& head) {
  Lanes kq_lanes = {};
  for (int g = 0; g < DIM / WIDTH; ++g) kq_lanes += load(head.k + WIDTH * g) * load(head.q + WIDTH * g);
  const float kq = across(kq_lanes);
  for (int r0 = 0; r0 < DIM; r0 += ROWS) {
    Lanes with_k[ROWS] = {}, with_q[ROWS] = {};
    for (int r = 0; r < ROWS; ++r) fetch(head.state + (r0 + r) * DIM);
    for (int g = 0; g < DIM / WIDTH; ++g)
      for (int r = 0; r < ROWS; ++r) {
        const Lanes old = load(head.state + (r0 + r) * DIM + WIDTH * g);
        with_k[r] += old * load(head.k + WIDTH * g);
        with_q[r] += old * load(head.q + WIDTH * g);
      }
    float delta[ROWS];
    for (int r = 0; r < ROWS; ++r) {
      delta[r] = head.beta * (head.v[r0 + r] - head.decay * across(with_k[r]));
      head.out[r0 + r] = narrow(head.scale * (head.decay * across(with_q[r]) + delta[r] * kq));
    }
    for (int r = 0; r < ROWS; ++r)
      for (int g = 0; g < DIM / WIDTH; ++g) {
        const Lanes old = load(head.state + (r0 + r) * DIM + WIDTH * g);
        write(head.new_state + (r0 + r) * DIM + WIDTH * g, head.decay * old + delta[r] * load(head.k + WIDTH * g));
      }
  }
}
//% fetch_none
inline void fetch(const float*) {}
//% fetch_ahead
// AHEAD rows further on; beyond the tensor's end a prefetch does nothing.
inline void fetch(const float* row) {
  for (int i = 0; i < DIM; i += 16) __builtin_prefetch(row + AHEAD * DIM + i, 0, 3);
}
//% write_cached
inline void write(float* to, Lanes lanes) { store(to, lanes); }
//% write_streamed
// Past the caches: the new state is not read here, and a line written whole need not be fetched first.
inline void write(float* to, Lanes lanes) {
#if defined(__AVX512F__)
  if ((reinterpret_cast<uintptr_t>(to) & 63) == 0) {
    _mm512_stream_ps(to, reinterpret_cast<__m512>(lanes));
    return;
  }
#endif
  store(to, lanes);
}
//% run
inline void widen_all(const uint16_t* from, float* to) {
  for (int i = 0; i < DIM; ++i) to[i] = widen(from[i]);
}
inline float softplus(float x) { return x > 20.0f ? x : std::log1p(std::exp(x)); }

void run(tvm::ffi::TensorView q, tvm::ffi::TensorView k, tvm::ffi::TensorView v, tvm::ffi::TensorView state,
         tvm::ffi::TensorView A_log, tvm::ffi::TensorView a, tvm::ffi::TensorView dt_bias, tvm::ffi::TensorView b,
         double scale, tvm::ffi::TensorView output, tvm::ffi::TensorView new_state) {
  const auto* queries = static_cast<const uint16_t*>(q.data_ptr());
  const auto* keys = static_cast<const uint16_t*>(k.data_ptr());
  const auto* values = static_cast<const uint16_t*>(v.data_ptr());
  const auto* steps = static_cast<const uint16_t*>(a.data_ptr());
  const auto* strengths = static_cast<const uint16_t*>(b.data_ptr());
  const auto* rates = static_cast<const float*>(A_log.data_ptr());
  const auto* biases = static_cast<const float*>(dt_bias.data_ptr());
  const int64_t batch = state.size(0);
  Head head;
  head.scale = static_cast<float>(scale);
  for (int64_t i = 0; i < batch; ++i)
    for (int64_t h = 0; h < HEADS; ++h) {
      const int64_t at = i * HEADS + h, shared = i * KEY_HEADS + h / (HEADS / KEY_HEADS);
      widen_all(queries + shared * DIM, head.q);
      widen_all(keys + shared * DIM, head.k);
      widen_all(values + at * DIM, head.v);
      head.decay = std::exp(-std::exp(rates[h]) * softplus(widen(steps[at]) + biases[h]));
      head.beta = 1.0f / (1.0f + std::exp(-widen(strengths[at])));
      head.state = static_cast<const float*>(state.data_ptr()) + at * DIM * DIM;
      head.new_state = static_cast<float*>(new_state.data_ptr()) + at * DIM * DIM;
      head.out = static_cast<uint16_t*>(output.data_ptr()) + at * DIM;
      step(head);
    }
//% run_fence
#if defined(__AVX512F__)
  _mm_sfence();  // streamed lines are in memory before the caller reads them
#endif
//% run_tail
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
