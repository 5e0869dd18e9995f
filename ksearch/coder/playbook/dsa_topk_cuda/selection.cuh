//% rank
// The plainest selection: every token counts the tokens that beat it, ties going to the earlier one.
__global__ void __launch_bounds__(PAGE) select_rows(const Problem p, const float* all_scores) {
  begin();
  const int row = blockIdx.y, length = p.lengths[row], t = blockIdx.x * PAGE + threadIdx.x;
  int* out = p.out + static_cast<int64_t>(row) * TOPK;
  if (skipped(length)) {
    if (blockIdx.x == 0) write_short<PAGE>(p, row, threadIdx.x);
    return;
  }
  for (int i = t; i < TOPK; i += p.width * PAGE)
    if (i >= length) out[i] = -1;
  if (t >= length) return;
  const float* scores = all_scores + static_cast<int64_t>(row) * p.width * PAGE;
  const uint32_t mine = ordered(scores[t]);
  int rank = 0;
  for (int i = 0; i < length; ++i) {
    const uint32_t other = ordered(__ldg(scores + i));
    rank += other > mine || (other == mine && i < t);
  }
  if (rank < TOPK) out[rank] = chosen(p, row, t);
}
//% cut
// Writes all tokens above the key `cut` and as many at it as still fit.
template <typename Emit>
__device__ void emit_cut(Selection& sm, const float* scores, int n, uint32_t cut, Emit emit) {
  if (threadIdx.x == 0) sm.above = sm.ties = 0;
  __syncthreads();
  for (int t = threadIdx.x; t < n; t += BLOCK)
    if (ordered(scores[t]) > cut) emit(atomicAdd(&sm.above, 1), t);
  __syncthreads();
  for (int t = threadIdx.x; t < n; t += BLOCK)
    if (ordered(scores[t]) == cut) {
      const int place = sm.above + atomicAdd(&sm.ties, 1);
      if (place < TOPK) emit(place, t);
    }
  __syncthreads();
}
//% bisect_state
struct Selection {
  int count, above, ties;
};
//% bisect
// Finds the TOPK-th key bit by bit, from the top: 32 counts of the whole row.
template <typename Emit>
__device__ void bisect_top(Selection& sm, const float* scores, int n, Emit emit) {
  uint32_t cut = 0;
  for (int bit = 31; bit >= 0; --bit) {
    if (threadIdx.x == 0) sm.count = 0;
    __syncthreads();
    int count = 0;
    for (int t = threadIdx.x; t < n; t += BLOCK) count += ordered(scores[t]) >= (cut | 1u << bit);
    count = __reduce_add_sync(~0u, count);
    if (threadIdx.x % 32 == 0) atomicAdd(&sm.count, count);
    __syncthreads();
    if (sm.count >= TOPK) cut |= 1u << bit;
    __syncthreads();
  }
  emit_cut(sm, scores, n, cut, emit);
}
//% select_bisect
template <typename Emit>
__device__ void select_top(Selection& sm, const float* scores, int n, Emit emit) { bisect_top(sm, scores, n, emit); }
//% find_bin
// The bin, counted from the last, in which the `need`-th token falls, and how many lie beyond it.
__device__ void find_bin(Selection& sm, int need) {
  constexpr int PER = (BINS + BLOCK - 1) / BLOCK;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  int sum = 0;
#pragma unroll
  for (int i = 0; i < PER; ++i) {
    const int bin = BINS - 1 - static_cast<int>(threadIdx.x) * PER - i;
    if (bin >= 0) sum += sm.bins[bin];
  }
  int upto = sum;
#pragma unroll
  for (int o = 1; o < 32; o <<= 1) {
    const int other = __shfl_up_sync(~0u, upto, o);
    if (lane >= o) upto += other;
  }
  if (lane == 31) sm.totals[warp] = upto;
  __syncthreads();
  for (int w = 0; w < warp; ++w) upto += sm.totals[w];
  int before = upto - sum;
  if (before < need && need <= upto)
    for (int bin = BINS - 1 - static_cast<int>(threadIdx.x) * PER;; before += sm.bins[bin--])
      if (need <= before + sm.bins[bin]) {
        sm.bin = bin, sm.beyond = before;
        break;
      }
  __syncthreads();
}
//% radix_state
struct Selection {
  int bins[BINS], totals[32], bin, beyond, count, above, ties;
};
//% radix
// The TOPK-th key's digits from the top, 11, 11 and 10 bits, each from a histogram of the tokens that share those before.
template <typename Emit>
__device__ void select_top(Selection& sm, const float* scores, int n, Emit emit) {
  uint32_t cut = 0, known = 0;
  int need = TOPK;
#pragma unroll 1
  for (int shift = 21; shift >= 0; shift = shift == 10 ? 0 : shift - 11) {
    for (int i = threadIdx.x; i < BINS; i += BLOCK) sm.bins[i] = 0;
    __syncthreads();
    for (int t = threadIdx.x; t < n; t += BLOCK) {
      const uint32_t key = ordered(scores[t]);
      if ((key & known) == cut) atomicAdd(&sm.bins[(key & ~known) >> shift], 1);
    }
    __syncthreads();
    find_bin(sm, need);
    cut |= static_cast<uint32_t>(sm.bin) << shift;
    known = ~0u << shift;
    need -= sm.beyond;
    if (shift == 0) break;
  }
  emit_cut(sm, scores, n, cut, emit);
}
//% linear_state
constexpr int CANDIDATES = 512;
struct Selection {
  int bins[BINS], totals[32], bin, beyond, count, above, ties;
  uint32_t low, high, candidate[CANDIDATES];
  int token[CANDIDATES];
};
//% linear
// One histogram, linear between the row's least and greatest score, so that the bin of the TOPK-th holds a handful of
// tokens: those are ranked against each other. A row that crowds one bin is searched bit by bit instead.
__device__ __forceinline__ float unordered(uint32_t key) {
  return __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
}
template <typename Emit>
__device__ void select_top(Selection& sm, const float* scores, int n, Emit emit) {
  if (threadIdx.x == 0) sm.low = ~0u, sm.high = 0, sm.above = 0, sm.ties = 0;
  for (int i = threadIdx.x; i < BINS; i += BLOCK) sm.bins[i] = 0;
  __syncthreads();
  uint32_t low = ~0u, high = 0;
  for (int t = threadIdx.x; t < n; t += BLOCK) {
    const uint32_t key = ordered(scores[t]);
    low = min(low, key), high = max(high, key);
  }
  low = __reduce_min_sync(~0u, low), high = __reduce_max_sync(~0u, high);
  if (threadIdx.x % 32 == 0) atomicMin(&sm.low, low), atomicMax(&sm.high, high);
  __syncthreads();
  const float least = unordered(sm.low), span = unordered(sm.high) - least, width = span > 0.f && span < 3e38f ? (BINS - 0.5f) / span : 0.f;
  auto bin_of = [&](float s) { return min(max(static_cast<int>((s - least) * width), 0), BINS - 1); };
  for (int t = threadIdx.x; t < n; t += BLOCK) atomicAdd(&sm.bins[bin_of(scores[t])], 1);
  __syncthreads();
  find_bin(sm, TOPK);
  const int cut = sm.bin, need = TOPK - sm.beyond, crowd = sm.bins[cut];
  if (crowd > CANDIDATES) {
    bisect_top(sm, scores, n, emit);
    return;
  }
  for (int t = threadIdx.x; t < n; t += BLOCK) {
    const int bin = bin_of(scores[t]);
    if (bin > cut) emit(atomicAdd(&sm.above, 1), t);
    if (bin == cut) {
      const int i = atomicAdd(&sm.ties, 1);
      sm.candidate[i] = ordered(scores[t]), sm.token[i] = t;
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < crowd; i += BLOCK) {
    const uint32_t mine = sm.candidate[i];
    int rank = 0;
    for (int j = 0; j < crowd; ++j) rank += sm.candidate[j] > mine || (sm.candidate[j] == mine && j < i);
    if (rank < need) emit(sm.beyond + rank, sm.token[i]);
  }
  __syncthreads();
}
//% select_kernel
// A block for each row.
__global__ void __launch_bounds__(BLOCK) select_rows(const Problem p, const float* all_scores) {
  begin();
  __shared__ Selection sm;
  const int row = blockIdx.x, length = p.lengths[row];
  int* out = p.out + static_cast<int64_t>(row) * TOPK;
  if (skipped(length)) {
    write_short<BLOCK>(p, row, threadIdx.x);
    return;
  }
  if (length <= TOPK) {
    for (int t = threadIdx.x; t < TOPK; t += BLOCK) out[t] = t < length ? chosen(p, row, t) : -1;
    return;
  }
  const float* scores = all_scores + static_cast<int64_t>(row) * p.width * PAGE;
  select_top(sm, scores, length, [&](int place, int token) { out[place] = chosen(p, row, token); });
}
//% map_kernel
// Tokens to global indices, in place.
__global__ void __launch_bounds__(256) map_rows(const Problem p) {
  begin();
  const int i = blockIdx.x * 256 + threadIdx.x, row = i / TOPK;
  if (skipped(p.lengths[row])) return;  // written as indices already
  const int token = p.out[i];
  if (token >= 0) p.out[i] = page_of(p, row, token / PAGE) * PAGE + token % PAGE;
}
