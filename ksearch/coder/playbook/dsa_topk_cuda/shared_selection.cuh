//% message
// What a block tells the others about its tokens in the crucial bin: their keys, 0 where there is none.
struct Message {
  uint32_t key[CROWD];
};
static_assert(CROWD == 32, "one key a lane");
//% exchange_barrier
// Sixteen bytes to every block of the cluster; a barrier of the whole cluster says that they have landed.
__device__ __forceinline__ void tell(void* to, int rank, uint4 v, uint64_t*) {
  asm volatile("st.shared::cluster.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(at_rank(to, rank)), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
__device__ __forceinline__ void hear(uint64_t*, uint32_t) { cluster_sync(); }
__device__ __forceinline__ void first_warp_hears(uint64_t*, uint32_t) { cluster_sync(); }
//% exchange_async
// Sixteen bytes to every block of the cluster, counted by the receiver's barrier as they land: nobody waits for a block
// that it needs nothing more from.
__device__ __forceinline__ void tell(void* to, int rank, uint4 v, uint64_t* arrived) {
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, [%5];"
               ::"r"(at_rank(to, rank)), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w), "r"(at_rank(arrived, rank)) : "memory");
}
__device__ __forceinline__ void hear(uint64_t* arrived, uint32_t parity) { barrier_wait(arrived, parity); }
__device__ __forceinline__ void first_warp_hears(uint64_t* arrived, uint32_t parity) {
  if (threadIdx.x < 32) barrier_wait(arrived, parity);
}
//% sample
// All blocks score the row's first page too. Its mean and deviation give every block the same bins with no exchange;
// they need not be good, only the same: a crowded bin is searched bit by bit instead.
__device__ __forceinline__ void take_sample(Shared& sm, float2 two) {
  float sum = two.x + two.y, squares = two.x * two.x + two.y * two.y;
#pragma unroll
  for (int o = 4; o < 32; o <<= 1) {
    sum += __shfl_xor_sync(~0u, sum, o);
    squares += __shfl_xor_sync(~0u, squares, o);
  }
  if (threadIdx.x % 32 == 0) sm.sample[threadIdx.x / 32 % 4] = make_float2(sum, squares);
}
struct Bins {
  float top, per_bin;
  // Bin 0 holds the greatest scores.
  __device__ __forceinline__ int of(float score) const {
    return min(max(static_cast<int>((top - score) * per_bin), 0), BINS - 1);
  }
};
__device__ __forceinline__ Bins make_bins(const Shared& sm) {
  float sum = 0.f, squares = 0.f;
#pragma unroll
  for (int i = 0; i < 4; ++i) sum += sm.sample[i].x, squares += sm.sample[i].y;
  const float mean = sum / PAGE, variance = fmaxf(squares / PAGE - mean * mean, 1e-30f), inverse = rsqrtf(variance);
  return {mean + 4.f * variance * inverse, BINS / 8.f * inverse};
}
__device__ __forceinline__ void clear(Shared& sm) {
  for (int i = threadIdx.x; i < BINS; i += THREADS) sm.bins[i] = 0;
  if (threadIdx.x < CROWD) sm.mine.key[threadIdx.x] = 0;
  if (threadIdx.x == 0) sm.above = sm.crowd = 0;
}
//% bitwise
// Sum over the cluster, and over the blocks before this one.
__device__ int2 cluster_sums(int* total, int mine) {
  mine = __reduce_add_sync(~0u, mine);
  if (threadIdx.x % 32 == 0) atomicAdd(total, mine);
  cluster_sync();
  int all = 0, before = 0;
  for (int r = 0; r < CLUSTER; ++r) {
    int part;
    asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(part) : "r"(at_rank(total, r)) : "memory");
    all += part, before += r < cluster_rank() ? part : 0;
  }
  return make_int2(all, before);
}
// Right for any scores, equal ones included: the TOPK-th key bit by bit, over the whole cluster.
__device__ __noinline__ void select_bitwise(Shared& sm, const float* scores, const int* pages, int* out, int places, int length) {
  uint32_t cut = 0;
  auto valid = [&](int i) { return token_at(i) < length; };
  for (int bit = 31; bit >= 0; --bit) {
    int* total = &sm.totals[bit & 1];  // the other one may still be read
    if (threadIdx.x == 0) *total = 0;
    __syncthreads();
    int count = 0;
    for (int i = threadIdx.x; i < places; i += THREADS) count += valid(i) && ordered(scores[i]) >= (cut | 1u << bit);
    if (cluster_sums(total, count).x >= TOPK) cut |= 1u << bit;
  }
  if (threadIdx.x == 0) sm.totals[2] = sm.totals[3] = 0;
  __syncthreads();
  int above = 0, equal = 0;
  for (int i = threadIdx.x; i < places; i += THREADS)
    if (valid(i)) above += ordered(scores[i]) > cut, equal += ordered(scores[i]) == cut;
  const int2 a = cluster_sums(&sm.totals[2], above), e = cluster_sums(&sm.totals[3], equal);
  cluster_sync();
  if (threadIdx.x == 0) sm.totals[0] = a.y, sm.totals[1] = a.x + e.y;
  __syncthreads();
  for (int i = threadIdx.x; i < places; i += THREADS) {
    const uint32_t key = ordered(scores[i]);
    if (!valid(i) || key < cut) continue;
    const int place = atomicAdd(&sm.totals[key > cut ? 0 : 1], 1);
    if (place < TOPK) out[place] = pages[i / PAGE] * PAGE + i % PAGE;
  }
}
//% select_all
// The crucial bin: the one in which the TOPK-th token of the row falls. One warp, BINS / 32 bins a lane.
__device__ __forceinline__ void find_crucial(Shared& sm) {
  constexpr int PER = BINS / 32;
  const int lane = threadIdx.x & 31;
  uint32_t pairs[PER / 2] = {};  // two 16-bit counts a word
#pragma unroll
  for (int r = 0; r < CLUSTER; ++r)
#pragma unroll
    for (int i = 0; i < PER / 2; ++i) pairs[i] += reinterpret_cast<const uint32_t*>(&sm.bins_of[r][lane * PER])[i];
  int sum = 0;
#pragma unroll
  for (int i = 0; i < PER / 2; ++i) sum += (pairs[i] & 0xffff) + (pairs[i] >> 16);
  int upto = sum;
#pragma unroll
  for (int o = 1; o < 32; o <<= 1) {
    const int other = __shfl_up_sync(~0u, upto, o);
    if (lane >= o) upto += other;
  }
  int before = upto - sum;
  if (before < TOPK && TOPK <= upto)
#pragma unroll
    for (int i = 0; i < PER; ++i) {
      const int here = i % 2 ? pairs[i / 2] >> 16 : pairs[i / 2] & 0xffff;
      if (before < TOPK && TOPK <= before + here) sm.crucial = lane * PER + i, sm.beyond = before;
      before += here;
    }
}
// Each block ranks its own tokens of the crucial bin among those of all blocks; a later block's equal keys come after.
__device__ __forceinline__ void rank_crowd(Shared& sm, int* out) {
  const int lane = threadIdx.x & 31, rank = cluster_rank(), mine = sm.crowd;
  if (threadIdx.x / 32 >= mine) return;
  uint32_t key[CLUSTER];
#pragma unroll
  for (int r = 0; r < CLUSTER; ++r) key[r] = sm.message_of[r].key[lane];
  const uint32_t own = sm.mine.key[lane];
#pragma unroll 1
  for (int c = threadIdx.x / 32; c < mine; c += THREADS / 32) {
    const uint32_t k = sm.mine.key[c];
    int part[4] = {lane < c && own == k, 0, 0, 0};
#pragma unroll
    for (int r = 0; r < CLUSTER; ++r) part[r % 4] += key[r] > k;
    const int place = sm.beyond + __reduce_add_sync(~0u, part[0] + part[1] + part[2] + part[3]);
    if (lane == 0 && place < TOPK) out[place] = sm.index[c];
  }
}
// Tokens above the crucial bin, of each block: their histograms have come.
__device__ __forceinline__ void count_above(Shared& sm, int crucial) {
  constexpr int PER = BINS / 32;
  const int lane = threadIdx.x & 31;
#pragma unroll 1
  for (int r = threadIdx.x / 32; r < CLUSTER; r += THREADS / 32) {
    int sum = 0;
#pragma unroll
    for (int i = 0; i < PER; ++i) sum += lane * PER + i < crucial ? sm.bins_of[r][lane * PER + i] : 0;
    sum = __reduce_add_sync(~0u, sum);
    if (lane == 0) sm.above_of[r] = sum;
  }
}
// Every block selects among its own tokens. Two exchanges make it one selection: the blocks' histograms, which fix the
// crucial bin and each block's places in the output, and the keys of the tokens in that bin.
__device__ void select_row(Shared& sm, const Problem& p, const Row& r, const float* scores, const int* pages, float*, uint32_t parity) {
  const int lane = threadIdx.x & 31, rank = cluster_rank(), places = r.mine * PAGE;
  const Bins bins = make_bins(sm);
  auto bin_at = [&](int i) { return i < places && token_at(i) < r.length ? bins.of(scores[i]) : BINS; };
  const int first_bin = bin_at(threadIdx.x);  // most rows give a thread one token: its bin is kept
  if (first_bin < BINS) atomicAdd(&sm.bins[first_bin], 1);
#pragma unroll 1
  for (int i = threadIdx.x + THREADS; i < places; i += THREADS)
    if (bin_at(i) < BINS) atomicAdd(&sm.bins[bin_at(i)], 1);
  __syncthreads();
#pragma unroll 1
  for (int i = threadIdx.x; i < BINS / 8 * CLUSTER; i += THREADS) {
    const int at = i % (BINS / 8) * 8, to = i / (BINS / 8);
    const int4 a = *reinterpret_cast<const int4*>(&sm.bins[at]), b = *reinterpret_cast<const int4*>(&sm.bins[at + 4]);
    tell(&sm.bins_of[rank][at], to, make_uint4(a.x | a.y << 16, a.z | a.w << 16, b.x | b.y << 16, b.z | b.w << 16), &sm.bins_arrived);
  }
  first_warp_hears(&sm.bins_arrived, parity);
  if (threadIdx.x < 32) find_crucial(sm);
  __syncthreads();
  const int crucial = sm.crucial;
  int count = 0;
#pragma unroll 1
  for (int i = threadIdx.x, bin = first_bin; i - lane < places; i += THREADS, bin = bin_at(i)) {
    count += __popc(__ballot_sync(~0u, bin < crucial));
    if (bin == crucial) {
      const int c = atomicAdd(&sm.crowd, 1);
      if (c < CROWD) sm.mine.key[c] = ordered(scores[i]), sm.index[c] = pages[i / PAGE] * PAGE + i % PAGE;
    }
  }
  int place = 0;
  if (lane == 0) place = atomicAdd(&sm.above, count);
  count_above(sm, crucial);
  __syncthreads();
#pragma unroll 1
  for (int i = threadIdx.x; i < CROWD / 4 * CLUSTER; i += THREADS) {
    const int part = i % (CROWD / 4), to = i / (CROWD / 4);
    uint4 v = reinterpret_cast<const uint4*>(&sm.mine)[part];
    if (rank < to) ++v.x, ++v.y, ++v.z, ++v.w;  // beats a later block's equal key
    tell(reinterpret_cast<uint4*>(&sm.message_of[rank]) + part, to, v, &sm.message_arrived);
  }
  // While the keys travel: all that lies above the crucial bin.
  int* out = p.out + static_cast<int64_t>(r.index) * TOPK;
  place = __reduce_add_sync(~0u, lane < rank ? sm.above_of[lane] : 0) + __shfl_sync(~0u, place, 0);
#pragma unroll 1
  for (int i = threadIdx.x, bin = first_bin; i - lane < places; i += THREADS, bin = bin_at(i)) {
    const uint32_t in = __ballot_sync(~0u, bin < crucial);
    if (bin < crucial) out[place + __popc(in & ((1u << lane) - 1))] = pages[i / PAGE] * PAGE + i % PAGE;
    place += __popc(in);
  }
  const bool crowded = __any_sync(~0u, lane < CLUSTER && sm.bins_of[lane % CLUSTER][crucial] > CROWD);
  hear(&sm.message_arrived, parity);
  if (crowded) select_bitwise(sm, scores, pages, out, places, r.length);
  else rank_crowd(sm, out);
}
