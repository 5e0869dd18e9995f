//% head
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>
//% raw
// As many elements as one load moves.
union Pack {
  Raw raw;
  unsigned short bits[VECTOR];
};
static_assert(sizeof(Pack) == 2 * VECTOR, "one load for each pack");
//% load_cached
__device__ __forceinline__ Pack load_row(const Pack* source) { return *source; }
//% load_streamed
__device__ __forceinline__ Pack load_row(const Pack* source) {
  Pack pack;
  pack.raw = __ldcs(&source->raw);
  return pack;
}
//% store_cached
__device__ __forceinline__ void store_row(Pack* target, Pack pack) { *target = pack; }
//% store_streamed
__device__ __forceinline__ void store_row(Pack* target, Pack pack) { __stcs(&target->raw, pack.raw); }
//% arithmetic
__device__ __forceinline__ float value(unsigned short bits) { return __uint_as_float(static_cast<unsigned>(bits) << 16); }

__device__ __forceinline__ float squares(Pack pack) {
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < VECTOR; ++i) sum += value(pack.bits[i]) * value(pack.bits[i]);
  return sum;
}

__device__ __forceinline__ Pack scaled(Pack pack, Pack scale, float inverse_rms) {
#pragma unroll
  for (int i = 0; i < VECTOR; ++i)
    pack.bits[i] = __bfloat16_as_ushort(__float2bfloat16_rn(value(pack.bits[i]) * inverse_rms * value(scale.bits[i])));
  return pack;
}
//% inside
// False only for the threads past the end of a row that the team doesn't divide.
__device__ __forceinline__ bool inside(int pack) { return PACKS % TEAM == 0 || pack < PACKS; }
//% sum_tree
// Halves the block's partial sums in shared memory until one is left.
__device__ float team_sum(float partial) {
  __shared__ float sums[THREADS];
  __syncthreads();
  sums[threadIdx.x] = partial;
  __syncthreads();
  for (int half = THREADS / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  return sums[0];
}
//% warp_sum
__device__ __forceinline__ float warp_sum(float partial) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) partial += __shfl_xor_sync(0xffffffffu, partial, distance);
  return partial;
}
//% sum_shuffle
// Within warps by shuffles; then every thread adds the warps' sums.
__device__ float team_sum(float partial) {
  __shared__ float sums[THREADS / 32];
  const float own = warp_sum(partial);
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = own;
  __syncthreads();
  float sum = 0.0f;
#pragma unroll
  for (int warp = 0; warp < THREADS / 32; ++warp) sum += sums[warp];
  return sum;
}
//% sum_warp
__device__ __forceinline__ float team_sum(float partial) { return warp_sum(partial); }
//% normalise_two
// One row, read once for its sum of squares and once more to scale it.
__device__ void normalise(const Pack* hidden, const Pack* weight, Pack* output, int lane) {
  float partial = 0.0f;
  for (int pack = lane; pack < PACKS; pack += TEAM) partial += squares(load_row(hidden + pack));
  const float inverse_rms = rsqrtf(team_sum(partial) / HIDDEN + EPSILON);
  for (int pack = lane; pack < PACKS; pack += TEAM)
    store_row(output + pack, scaled(load_row(hidden + pack), weight[pack], inverse_rms));
}
//% normalise_one_late
// One row, held in registers.
__device__ __forceinline__ void normalise(const Pack* hidden, const Pack* weight, Pack* output, int lane) {
  Pack row[EACH];
  float partial = 0.0f;
#pragma unroll
  for (int i = 0; i < EACH; ++i)
    if (inside(lane + i * TEAM)) partial += squares(row[i] = load_row(hidden + lane + i * TEAM));
  const float inverse_rms = rsqrtf(team_sum(partial) / HIDDEN + EPSILON);
#pragma unroll
  for (int i = 0; i < EACH; ++i)
    if (inside(lane + i * TEAM)) store_row(output + lane + i * TEAM, scaled(row[i], weight[lane + i * TEAM], inverse_rms));
}
//% normalise_one_early
// One row, held in registers, as are the weights.
__device__ __forceinline__ void normalise(const Pack* hidden, const Pack (&scale)[EACH], Pack* output, int lane) {
  Pack row[EACH];
  float partial = 0.0f;
#pragma unroll
  for (int i = 0; i < EACH; ++i)
    if (inside(lane + i * TEAM)) partial += squares(row[i] = load_row(hidden + lane + i * TEAM));
  const float inverse_rms = rsqrtf(team_sum(partial) / HIDDEN + EPSILON);
#pragma unroll
  for (int i = 0; i < EACH; ++i)
    if (inside(lane + i * TEAM)) store_row(output + lane + i * TEAM, scaled(row[i], scale[i], inverse_rms));
}
//% kernel_head
__global__ void __launch_bounds__(THREADS) rmsnorm(const Pack* hidden, const Pack* weight, Pack* output, int64_t rows) {
  const int lane = threadIdx.x % TEAM;
  const int64_t first = blockIdx.x * int64_t{THREADS / TEAM} + threadIdx.x / TEAM;
//% scale_early
  Pack scale[EACH];
#pragma unroll
  for (int i = 0; i < EACH; ++i)
    if (inside(lane + i * TEAM)) scale[i] = weight[lane + i * TEAM];
//% call_rows_late
  if (first < rows) normalise(hidden + first * PACKS, weight, output + first * PACKS, lane);
}
//% call_rows_early
  if (first < rows) normalise(hidden + first * PACKS, scale, output + first * PACKS, lane);
}
//% call_persistent_late
  for (int64_t row = first; row < rows; row += gridDim.x * int64_t{THREADS / TEAM})
    normalise(hidden + row * PACKS, weight, output + row * PACKS, lane);
}
//% call_persistent_early
  for (int64_t row = first; row < rows; row += gridDim.x * int64_t{THREADS / TEAM})
    normalise(hidden + row * PACKS, scale, output + row * PACKS, lane);
}
//% run_head
void run(tvm::ffi::TensorView hidden_states, tvm::ffi::TensorView weight, tvm::ffi::TensorView output) {
  const int64_t rows = hidden_states.size(0);
  if (rows == 0) return;
  const DLDevice device = hidden_states.device();
  const auto stream = static_cast<cudaStream_t>(TVMFFIEnvGetStream(device.device_type, device.device_id));
  const int64_t needed = (rows + THREADS / TEAM - 1) / (THREADS / TEAM);
//% blocks_rows
  const int blocks = static_cast<int>(needed);
//% blocks_persistent
  const int blocks = static_cast<int>(std::min<int64_t>(needed, PROGRAMS));
//% run_tail
  rmsnorm<<<blocks, THREADS, 0, stream>>>(static_cast<const Pack*>(hidden_states.data_ptr()),
                                          static_cast<const Pack*>(weight.data_ptr()), static_cast<Pack*>(output.data_ptr()), rows);
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) TVM_FFI_THROW(RuntimeError) << cudaGetErrorString(status);
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
