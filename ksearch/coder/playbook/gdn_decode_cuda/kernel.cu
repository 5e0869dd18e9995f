//% head
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>
//% operands
// Pointers of one call; states are [requests, HEADS, DIM, DIM], the last axis along the key.
struct Operands {
  const __nv_bfloat16 *q, *k, *v;
  const float *state, *A_log;
  const __nv_bfloat16* a;
  const float* dt_bias;
  const __nv_bfloat16* b;
  float scale;
  __nv_bfloat16* output;
  float* new_state;
};

struct Gates {
  float decay, beta;
};

__device__ __forceinline__ Gates gates(const Operands& p, int64_t request, int head) {
  const float x = __bfloat162float(p.a[request * HEADS + head]) + p.dt_bias[head];
  const float softplus = x > 20.0f ? x : log1pf(expf(x));
  const float b = __bfloat162float(p.b[request * HEADS + head]);
  return {expf(-expf(p.A_log[head]) * softplus), 1.0f / (1.0f + expf(-b))};
}

// Where the key head that a value head shares begins.
__device__ __forceinline__ int64_t key_offset(int64_t request, int head) {
  return (request * KEY_HEADS + head / (HEADS / KEY_HEADS)) * DIM;
}
//% read_cached
__device__ __forceinline__ Pack read_state(const float* source) { return *reinterpret_cast<const Pack*>(source); }
//% read_streamed
__device__ __forceinline__ Pack read_state(const float* source) { return __ldcs(reinterpret_cast<const Pack*>(source)); }
//% write_cached
__device__ __forceinline__ void write_state(float* target, Pack pack) { *reinterpret_cast<Pack*>(target) = pack; }
//% write_streamed
__device__ __forceinline__ void write_state(float* target, Pack pack) { __stcs(reinterpret_cast<Pack*>(target), pack); }
//% thread_head
// One thread for each row of the state.
__global__ void __launch_bounds__(THREADS) step(const Operands p, int64_t rows) {
  const int64_t row = blockIdx.x * int64_t{THREADS} + threadIdx.x;
  if (row >= rows) return;
  const int64_t request = row / (HEADS * DIM);
  const int head = row / DIM % HEADS;
  const Gates gate = gates(p, request, head);
  const __nv_bfloat16* key = p.k + key_offset(request, head);
  const __nv_bfloat16* query = p.q + key_offset(request, head);
  const float* old_row = p.state + row * DIM;
  float* new_row = p.new_state + row * DIM;
//% thread_sequential
  float by_key = 0.0f, result = 0.0f;
  for (int i = 0; i < DIM; ++i) by_key += read_state(old_row + i) * __bfloat162float(key[i]);
  const float delta = gate.beta * (__bfloat162float(p.v[row]) - gate.decay * by_key);
  for (int i = 0; i < DIM; ++i) {
    const float updated = gate.decay * read_state(old_row + i) + delta * __bfloat162float(key[i]);
    write_state(new_row + i, updated);
    result += updated * __bfloat162float(query[i]);
  }
  p.output[row] = __float2bfloat16_rn(p.scale * result);
}
//% thread_joint
  float by_key = 0.0f, by_query = 0.0f, overlap = 0.0f;
  for (int i = 0; i < DIM; ++i) {
    const float old = read_state(old_row + i), key_i = __bfloat162float(key[i]), query_i = __bfloat162float(query[i]);
    by_key += old * key_i;
    by_query += old * query_i;
    overlap += key_i * query_i;
  }
  const float delta = gate.beta * (__bfloat162float(p.v[row]) - gate.decay * by_key);
  p.output[row] = __float2bfloat16_rn(p.scale * (gate.decay * by_query + delta * overlap));
  for (int i = 0; i < DIM; ++i) write_state(new_row + i, gate.decay * read_state(old_row + i) + delta * __bfloat162float(key[i]));
}
//% pack_one
__device__ __forceinline__ float& part(Pack& pack, int) { return pack; }
//% pack_two
__device__ __forceinline__ float& part(Pack& pack, int i) { return i == 0 ? pack.x : pack.y; }
//% pack_four
__device__ __forceinline__ float& part(Pack& pack, int i) { return i == 0 ? pack.x : i == 1 ? pack.y : i == 2 ? pack.z : pack.w; }
//% team
// Sum over the LANES threads that share a row.
__device__ __forceinline__ float team_sum(float partial) {
#pragma unroll
  for (int distance = LANES / 2; distance > 0; distance /= 2) partial += __shfl_xor_sync(0xffffffffu, partial, distance);
  return partial;
}

// This lane's elements of a key or query head, in the order of its packs of the state.
__device__ __forceinline__ void load_part(const __nv_bfloat16* source, int lane, float (&values)[EACH * VECTOR]) {
#pragma unroll
  for (int pack = 0; pack < EACH; ++pack)
#pragma unroll
    for (int i = 0; i < VECTOR; ++i)
      values[pack * VECTOR + i] = __bfloat162float(source[(pack * LANES + lane) * VECTOR + i]);
}

__device__ __forceinline__ float dot(Pack (&row)[EACH], const float (&values)[EACH * VECTOR]) {
  float sum = 0.0f;
#pragma unroll
  for (int pack = 0; pack < EACH; ++pack)
#pragma unroll
    for (int i = 0; i < VECTOR; ++i) sum += part(row[pack], i) * values[pack * VECTOR + i];
  return sum;
}

__device__ __forceinline__ void update(Pack (&row)[EACH], float decay, float delta, const float (&key)[EACH * VECTOR]) {
#pragma unroll
  for (int pack = 0; pack < EACH; ++pack)
#pragma unroll
    for (int i = 0; i < VECTOR; ++i) part(row[pack], i) = decay * part(row[pack], i) + delta * key[pack * VECTOR + i];
}

__device__ __forceinline__ void write_row(float* target, int lane, const Pack (&row)[EACH]) {
#pragma unroll
  for (int pack = 0; pack < EACH; ++pack) write_state(target + (pack * LANES + lane) * VECTOR, row[pack]);
}
//% team_head
// LANES threads for each ROWS rows, which they hold in registers. The grid divides the rows exactly.
__global__ void __launch_bounds__(THREADS) step(const Operands p) {
  const int lane = threadIdx.x % LANES;
  const int64_t first = (blockIdx.x * int64_t{THREADS / LANES} + threadIdx.x / LANES) * ROWS;
  Pack rows[ROWS][EACH];
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
#pragma unroll
    for (int pack = 0; pack < EACH; ++pack)
      rows[r][pack] = read_state(p.state + (first + r) * DIM + (pack * LANES + lane) * VECTOR);
  const int64_t request = first / (HEADS * DIM);
  const int head = first / DIM % HEADS;
  const Gates gate = gates(p, request, head);
  float key[EACH * VECTOR], query[EACH * VECTOR];
  load_part(p.k + key_offset(request, head), lane, key);
  load_part(p.q + key_offset(request, head), lane, query);
//% team_sequential
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const float by_key = team_sum(dot(rows[r], key));
    const float delta = gate.beta * (__bfloat162float(p.v[first + r]) - gate.decay * by_key);
    update(rows[r], gate.decay, delta, key);
    write_row(p.new_state + (first + r) * DIM, lane, rows[r]);
    const float result = team_sum(dot(rows[r], query));
    if (lane == 0) p.output[first + r] = __float2bfloat16_rn(p.scale * result);
  }
}
//% team_joint
  float overlap = 0.0f;
#pragma unroll
  for (int i = 0; i < EACH * VECTOR; ++i) overlap += key[i] * query[i];
  overlap = team_sum(overlap);
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const float by_key = team_sum(dot(rows[r], key)), by_query = team_sum(dot(rows[r], query));
    const float delta = gate.beta * (__bfloat162float(p.v[first + r]) - gate.decay * by_key);
    update(rows[r], gate.decay, delta, key);
    write_row(p.new_state + (first + r) * DIM, lane, rows[r]);
    if (lane == 0) p.output[first + r] = __float2bfloat16_rn(p.scale * (gate.decay * by_query + delta * overlap));
  }
}
//% run_head
template <typename T>
T* pointer(const tvm::ffi::TensorView& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

}  // namespace

void run(tvm::ffi::TensorView q, tvm::ffi::TensorView k, tvm::ffi::TensorView v, tvm::ffi::TensorView state,
         tvm::ffi::TensorView A_log, tvm::ffi::TensorView a, tvm::ffi::TensorView dt_bias, tvm::ffi::TensorView b, double scale,
         tvm::ffi::TensorView output, tvm::ffi::TensorView new_state) {
  const Operands operands{pointer<const __nv_bfloat16>(q), pointer<const __nv_bfloat16>(k), pointer<const __nv_bfloat16>(v),
                          pointer<const float>(state), pointer<const float>(A_log), pointer<const __nv_bfloat16>(a),
                          pointer<const float>(dt_bias), pointer<const __nv_bfloat16>(b), static_cast<float>(scale),
                          pointer<__nv_bfloat16>(output), pointer<float>(new_state)};
  const int64_t rows = state.size(0) * HEADS * DIM;
  if (rows == 0) return;
  const DLDevice device = state.device();
  const auto stream = static_cast<cudaStream_t>(TVMFFIEnvGetStream(device.device_type, device.device_id));
//% launch_thread
  const int blocks = static_cast<int>((rows + THREADS - 1) / THREADS);
  step<<<blocks, THREADS, 0, stream>>>(operands, rows);
//% launch_team
  constexpr int BLOCK_ROWS = THREADS / LANES * ROWS;
  static_assert(HEADS * DIM % BLOCK_ROWS == 0 && DIM % ROWS == 0, "a team's rows lie in one head, and blocks divide a request");
  step<<<static_cast<int>(rows / BLOCK_ROWS), THREADS, 0, stream>>>(operands);
//% run_tail
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) TVM_FFI_THROW(RuntimeError) << cudaGetErrorString(status);
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
