//% scalar
// The plainest scorer: a thread for each token, the query decoded to float in shared memory.
__device__ __forceinline__ float2 decode_two(uint32_t two) {
  uint32_t halves;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(static_cast<uint16_t>(two)));
  float2 out;
  asm("{.reg .f16 a, b; mov.b32 {a, b}, %2; cvt.f32.f16 %0, a; cvt.f32.f16 %1, b;}" : "=f"(out.x), "=f"(out.y) : "r"(halves));
  return out;
}

__global__ void __launch_bounds__(PAGE) score_pages(const Problem p, float* scores) {
  begin();
  __shared__ float query[HEADS][DIM];
  const int page = blockIdx.x, row = blockIdx.y, length = p.lengths[row];
  if (page * PAGE >= length || skipped(length)) return;
  const uint16_t* pairs = reinterpret_cast<const uint16_t*>(p.queries + static_cast<int64_t>(row) * HEADS * DIM);
  for (int i = threadIdx.x; i < HEADS * DIM / 2; i += PAGE) reinterpret_cast<float2*>(query)[i] = decode_two(pairs[i]);
  __syncthreads();
  const uint8_t* data = page_data(p, page_of(p, row, page));
  const uint16_t* bytes = reinterpret_cast<const uint16_t*>(data + threadIdx.x * DIM);
  float key[DIM];
#pragma unroll
  for (int d = 0; d < DIM / 2; ++d) {
    const float2 two = decode_two(bytes[d]);
    key[2 * d] = two.x, key[2 * d + 1] = two.y;
  }
  const float scale = reinterpret_cast<const float*>(data + PAGE * DIM)[threadIdx.x];
  float score = 0.f;
  for (int h = 0; h < HEADS; ++h) {
    float dot = 0.f;
#pragma unroll
    for (int d = 0; d < DIM; ++d) dot = fmaf(query[h][d], key[d], dot);
    score = fmaf(p.weights[row * HEADS + h], fmaxf(dot * scale, 0.f), score);
  }
  scores[static_cast<int64_t>(row) * p.width * PAGE + page * PAGE + threadIdx.x] = score;
}
//% fragments
// A warp scores 16 tokens against all heads. Lane (g, t) = (lane / 4, lane % 4) holds of tokens g and g + 8 the 16-byte
// chunks t and t + 4. A dot product doesn't care about the order of its terms, so word s of chunk t serves as the
// operand's bytes 4t.. and word s of chunk t + 4 as bytes 16 + 4t.. of step s: loads stay 16 bytes wide.
struct Keys {
  uint32_t low[2][4], high[2][4];
  float scale[2];
};
struct Weights {
  float two[HEADS / 8][2];  // of heads 8j + 2t and 8j + 2t + 1
};
__device__ __forceinline__ void load_weights(Weights& w, const float* weights) {
#pragma unroll
  for (int j = 0; j < HEADS / 8; ++j) {
    const float2 two = *reinterpret_cast<const float2*>(weights + 8 * j + 2 * (threadIdx.x & 3));
    w.two[j][0] = WEIGHT_FACTOR * two.x, w.two[j][1] = WEIGHT_FACTOR * two.y;
  }
}
// A row of 128 bytes in shared memory keeps chunk c at c ^ (row % 8): eight rows of a column then lie in distinct banks.
__device__ __forceinline__ int swizzled(int row, int chunk) { return row * DIM + ((chunk ^ (row & 7)) << 4); }
//% relu_max
constexpr float WEIGHT_FACTOR = 1.f;
__device__ __forceinline__ float positive(float x) { return fmaxf(x, 0.f); }
//% relu_abs
// 2 relu(x) = x + |x| is an addition, which has twice the throughput of a maximum; the weights are halved for it.
constexpr float WEIGHT_FACTOR = 0.5f;
__device__ __forceinline__ float positive(float x) { return x + fabsf(x); }
//% finish
// relu(c x) is |c| relu(x) for a scale c >= 0, and |c| (relu(x) - x) otherwise.
__device__ __forceinline__ float signed_scale(float relu, float linear, float scale) {
  return fabsf(scale) * (scale < 0.f ? relu - linear / WEIGHT_FACTOR : relu);
}
// The sum over heads, from the parts in the four lanes of a token.
__device__ __forceinline__ float quad_sum(float x) {
  x += __shfl_xor_sync(~0u, x, 1);
  return x + __shfl_xor_sync(~0u, x, 2);
}
//% keys_direct
// A predicate, not a branch: loads of several pages stay in flight together.
__device__ __forceinline__ void load_chunk(uint32_t (&word)[4], const uint8_t* from, bool wanted) {
  asm volatile(
      "{.reg .pred p; setp.ne.b32 p, %5, 0; mov.b32 %0, 0; mov.b32 %1, 0; mov.b32 %2, 0; mov.b32 %3, 0;"
      "@p ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];}"
      : "=&r"(word[0]), "=&r"(word[1]), "=&r"(word[2]), "=&r"(word[3]) : "l"(from), "r"(static_cast<int>(wanted)));
}
__device__ __forceinline__ void load_keys(Keys& keys, const uint8_t* data, bool wanted) {
  const int lane = threadIdx.x & 31, token = (threadIdx.x >> 5 & 3) * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint8_t* from = data + (token + 8 * i) * DIM + (lane & 3) * 16;
    load_chunk(keys.low[i], from, wanted);
    load_chunk(keys.high[i], from + 64, wanted);
    keys.scale[i] = wanted ? __ldg(reinterpret_cast<const float*>(data + PAGE * DIM) + token + 8 * i) : 0.f;
  }
}
//% keys_tile
// From a page that the copy engine laid out swizzled; its scales are two more lines of 128 bytes.
__device__ __forceinline__ float tile_scale(const uint8_t* tile, int token) {
  return *reinterpret_cast<const float*>(tile + swizzled(PAGE + token / 32, token % 32 / 4) + token % 4 * 4);
}
//% keys_from_tile
__device__ __forceinline__ void read_keys(Keys& keys, const uint8_t* tile) {
  const int lane = threadIdx.x & 31, token = (threadIdx.x >> 5 & 3) * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    *reinterpret_cast<uint4*>(keys.low[i]) = *reinterpret_cast<const uint4*>(tile + swizzled(token + 8 * i, lane & 3));
    *reinterpret_cast<uint4*>(keys.high[i]) = *reinterpret_cast<const uint4*>(tile + swizzled(token + 8 * i, (lane & 3) + 4));
    keys.scale[i] = tile_scale(tile, token + 8 * i);
  }
}
//% query_swizzled
// Heads as rows of 128 bytes. `me` counts the `crew` of threads that copy.
__device__ __forceinline__ void stage_query(uint8_t* query, const uint8_t* from, int me, int crew) {
  for (int i = me; i < HEADS * DIM / 16; i += crew)
    *reinterpret_cast<uint4*>(query + swizzled(i / 8, i % 8)) = __ldg(reinterpret_cast<const uint4*>(from) + i);
}
//% query_permuted
// Words in the order in which the keys' registers serve as an operand (see Keys), under the 128-byte swizzle.
__device__ __forceinline__ void stage_query(uint8_t* query, const uint8_t* from, int me, int crew) {
  for (int i = me; i < HEADS * DIM / 16; i += crew) {
    const uint4 chunk = __ldg(reinterpret_cast<const uint4*>(from) + i);
    const uint32_t words[4] = {chunk.x, chunk.y, chunk.z, chunk.w};
    const int head = i / 8, half = i % 8 / 4, t = i % 4;
#pragma unroll
    for (int s = 0; s < 4; ++s) *reinterpret_cast<uint32_t*>(query + swizzled(head, 2 * s + half) + t * 4) = words[s];
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");  // the tensor cores read it through another path
}
//% mma16
__device__ __forceinline__ uint2 widen(uint32_t four) {
  uint2 out;
  asm("{.reg .b16 a, b; mov.b32 {a, b}, %2; cvt.rn.f16x2.e4m3x2 %0, a; cvt.rn.f16x2.e4m3x2 %1, b;}" : "=r"(out.x), "=r"(out.y) : "r"(four));
  return out;
}
// fp8 widened to float16, which holds it exactly; two products of 16 dimensions for each step of 32.
__device__ __forceinline__ void multiply(float (&c)[4], const uint32_t (&a)[2], const uint32_t b) {
  const uint2 a0 = widen(a[0]), a1 = widen(a[1]), b0 = widen(b);
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a0.x), "r"(a1.x), "r"(a0.y), "r"(a1.y), "r"(b0.x), "r"(b0.y));
}
__device__ __forceinline__ void step(float (&c)[4], const Keys& k, int s, uint32_t low, uint32_t high) {
  const uint32_t first[2] = {k.low[0][s], k.low[1][s]}, second[2] = {k.high[0][s], k.high[1][s]};
  multiply(c, first, low);
  multiply(c, second, high);
}
//% mma8
__device__ __forceinline__ void step(float (&c)[4], const Keys& k, int s, uint32_t low, uint32_t high) {
  asm("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(k.low[0][s]), "r"(k.low[1][s]), "r"(k.high[0][s]), "r"(k.high[1][s]), "r"(low), "r"(high));
}
//% score_mma
// Scores of tokens g and g + 8, in all four lanes of each. Eight heads at a time, so few accumulators are live.
__device__ __forceinline__ float2 score_keys(const Keys& keys, const uint8_t* query, const Weights& w) {
  const int lane = threadIdx.x & 31, g = lane / 4, t = lane & 3;
  float relu[2] = {}, linear[2] = {};
#pragma unroll
  for (int j = 0; j < HEADS / 8; ++j) {
    asm volatile("" ::: "memory");  // else all 16 loads come first, and their registers spill
    const uint4 low = *reinterpret_cast<const uint4*>(query + swizzled(8 * j + g, t));
    const uint4 high = *reinterpret_cast<const uint4*>(query + swizzled(8 * j + g, t + 4));
    float c[4] = {};
    step(c, keys, 0, low.x, high.x), step(c, keys, 1, low.y, high.y);
    step(c, keys, 2, low.z, high.z), step(c, keys, 3, low.w, high.w);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      relu[i] = fmaf(w.two[j][0], positive(c[2 * i]), fmaf(w.two[j][1], positive(c[2 * i + 1]), relu[i]));
      linear[i] = fmaf(w.two[j][0], c[2 * i], fmaf(w.two[j][1], c[2 * i + 1], linear[i]));
    }
  }
  return make_float2(quad_sum(signed_scale(relu[0], linear[0], keys.scale[0])), quad_sum(signed_scale(relu[1], linear[1], keys.scale[1])));
}
//% wgmma
// A shared-memory operand with rows of 128 swizzled bytes: 1024 bytes between groups of eight rows.
__device__ __forceinline__ uint64_t operand(const uint8_t* rows) {
  const uint64_t address = static_cast<uint32_t>(__cvta_generic_to_shared(rows)) & 0x3ffff;
  return address >> 4 | 1ull << 16 | 64ull << 32 | 1ull << 62;
}
#define ACCUMULATORS(d)                                                                                                \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),          \
      "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),           \
      "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),          \
      "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
#define ACCUMULATOR_LIST                                                                                               \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, "    \
  "%24, %25, %26, %27, %28, %29, %30, %31}"
// Sums over this lane's 16 heads; the accumulators of tokens g and g + 8 alternate in pairs.
__device__ __forceinline__ float2 weigh(const float (&d)[32], const Weights& w, float scale0, float scale1) {
  float relu[2] = {}, linear[2] = {};
#pragma unroll
  for (int j = 0; j < HEADS / 8; ++j)
#pragma unroll
    for (int i = 0; i < 2; ++i)
      relu[i] = fmaf(w.two[j][0], positive(d[4 * j + 2 * i]), fmaf(w.two[j][1], positive(d[4 * j + 2 * i + 1]), relu[i]));
  if (scale0 < 0.f || scale1 < 0.f) {  // quantised caches have none: off the usual path
#pragma unroll
    for (int j = 0; j < HEADS / 8; ++j)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        linear[i] = fmaf(w.two[j][0], d[4 * j + 2 * i], fmaf(w.two[j][1], d[4 * j + 2 * i + 1], linear[i]));
    relu[0] = scale0 < 0.f ? relu[0] - linear[0] / WEIGHT_FACTOR : relu[0];
    relu[1] = scale1 < 0.f ? relu[1] - linear[1] / WEIGHT_FACTOR : relu[1];
  }
  return make_float2(quad_sum(fabsf(scale0) * relu[0]), quad_sum(fabsf(scale1) * relu[1]));
}
__device__ __forceinline__ void wgmma_open() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_close() {
  asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;" ::: "memory");
}
//% score_wgmma
// Keys from registers, the query from shared memory: a page is one warpgroup's 64 x 64 product.
__device__ __forceinline__ float2 score_keys(const Keys& k, const uint8_t* query, const Weights& w) {
  float d[32];
  const uint64_t heads = operand(query);
  wgmma_open();
#pragma unroll
  for (int s = 0; s < 4; ++s)
    asm volatile("{.reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 " ACCUMULATOR_LIST
                 ", {%32, %33, %34, %35}, %36, p, 1, 1;}"
                 : ACCUMULATORS(d)
                 : "r"(k.low[0][s]), "r"(k.low[1][s]), "r"(k.high[0][s]), "r"(k.high[1][s]), "l"(heads + 2 * s), "r"(s));
  wgmma_close();
  return weigh(d, w, k.scale[0], k.scale[1]);
}
//% score_tile_wgmma
// Keys and query from shared memory.
__device__ __forceinline__ float2 score_tile(const uint8_t* tile, const uint8_t* query, const Weights& w) {
  float d[32];
  const uint64_t tokens = operand(tile), heads = operand(query);
  const int token = (threadIdx.x >> 5 & 3) * 16 + (threadIdx.x & 31) / 4;
  const float scale0 = tile_scale(tile, token), scale1 = tile_scale(tile, token + 8);
  wgmma_open();
#pragma unroll
  for (int s = 0; s < 4; ++s)
    asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 " ACCUMULATOR_LIST
                 ", %32, %33, p, 1, 1;}"
                 : ACCUMULATORS(d) : "l"(tokens + 2 * s), "l"(heads + 2 * s), "r"(s));
  wgmma_close();
  return weigh(d, w, scale0, scale1);
}
//% score_tile_mma
__device__ __forceinline__ float2 score_tile(const uint8_t* tile, const uint8_t* query, const Weights& w) {
  Keys keys;
  read_keys(keys, tile);
  return score_keys(keys, query, w);
}
//% score_kernel
// A block, one warpgroup, for each page: its keys go straight from memory to registers.
__global__ void __launch_bounds__(128) score_pages(const Problem p, float* scores) {
  begin();
  __shared__ __align__(1024) uint8_t query[HEADS * DIM];
  const int page = blockIdx.x, row = blockIdx.y, length = p.lengths[row];
  if (page * PAGE >= length || skipped(length)) return;
  Keys keys;
  load_keys(keys, page_data(p, page_of(p, row, page)), true);
  stage_query(query, p.queries + static_cast<int64_t>(row) * HEADS * DIM, threadIdx.x, 128);
  Weights weights;
  load_weights(weights, p.weights + row * HEADS);
  __syncthreads();
  const float2 two = score_keys(keys, query, weights);
  const int lane = threadIdx.x & 31, token = page * PAGE + threadIdx.x / 32 * 16 + lane / 4;
  float* at = scores + static_cast<int64_t>(row) * p.width * PAGE + token;
  if ((lane & 3) == 0) at[0] = two.x;
  if ((lane & 3) == 1) at[8] = two.y;
}
//% skip_none
__device__ __forceinline__ bool skipped(int length) { return false; }
//% skip_short
// A row that fits TOPK needs no scores: all its tokens are chosen.
__device__ __forceinline__ bool skipped(int length) { return length <= TOPK; }
