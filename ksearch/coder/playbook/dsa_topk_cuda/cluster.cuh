//% basics
// A cluster of blocks works on one row at a time: block `rank` takes the row's pages rank, rank + CLUSTER, ...
struct Row {
  int index, length, pages, mine;  // mine: pages of this block
};
__device__ __forceinline__ uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }
// The same place in another block's shared memory.
__device__ __forceinline__ uint32_t at_rank(const void* p, int rank) {
  uint32_t out;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(out) : "r"(shared_address(p)), "r"(rank));
  return out;
}
__device__ __forceinline__ int cluster_rank() {
  int rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ __forceinline__ void cluster_arrive() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }
__device__ __forceinline__ void cluster_sync() {
  cluster_arrive();
  cluster_wait();
}
// The token at place i of this block's scores.
__device__ __forceinline__ int token_at(int i) { return (i / PAGE * CLUSTER + cluster_rank()) * PAGE + i % PAGE; }
//% barriers
// Barriers in shared memory that count bytes as they land.
__device__ __forceinline__ void barrier_init(uint64_t* b) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(b)) : "memory");
}
__device__ __forceinline__ void barrier_reset(uint64_t* b) {
  asm volatile("mbarrier.inval.shared::cta.b64 [%0];" ::"r"(shared_address(b)) : "memory");
  barrier_init(b);
}
__device__ __forceinline__ void barrier_expect(uint64_t* b, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes) : "memory");
}
__device__ __forceinline__ void barrier_wait(uint64_t* b, uint32_t parity) {
  uint32_t done = 0;
  while (!done)
    asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
                 : "=r"(done) : "r"(shared_address(b)), "r"(parity) : "memory");
}
__device__ __forceinline__ void barriers_visible() {
  asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;" ::: "memory");
}
//% opening_full
__device__ __forceinline__ void announce() { cluster_arrive(); }
//% opening_relaxed
// Only the blocks' presence matters here: releasing earlier reads and writes would wait for every load in flight.
__device__ __forceinline__ void announce() { asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory"); }
//% chained_direct
struct Ahead {};
__device__ __forceinline__ Ahead look_ahead(const Problem& p, int base, int count) { return {}; }
__device__ __forceinline__ int first_page(const Problem& p, const Row& r, const Ahead&, int lane, int batch, int page) {
  return page < r.pages ? page_of(p, r.index, page) : 0;
}
__device__ __forceinline__ int sample_page(const Problem& p, const Row& r, const Ahead&, int lane) { return page_of(p, r.index, 0); }
//% early_direct
// Which row is long is known only with the lengths, so lane i reads this warp's pages of row i along with them.
struct Ahead {
  int page[IN_FLIGHT], sample;
};
__device__ __forceinline__ Ahead look_ahead(const Problem& p, int base, int count) {
  const int lane = threadIdx.x & 31, group = threadIdx.x / 128;
  Ahead ahead{};
#pragma unroll
  for (int i = 0; i < IN_FLIGHT; ++i) {
    const int page = (group + i * GROUPS) * CLUSTER + cluster_rank();
    if (page < p.width && lane < count) ahead.page[i] = page_of(p, base + lane, page);
  }
  if (SAMPLED && group == GROUPS - 1 && lane < count) ahead.sample = page_of(p, base + lane, 0);
  return ahead;
}
__device__ __forceinline__ int first_page(const Problem&, const Row&, const Ahead& ahead, int lane, int batch, int page) {
  return __shfl_sync(~0u, ahead.page[batch], lane);
}
__device__ __forceinline__ int sample_page(const Problem&, const Row&, const Ahead& ahead, int lane) {
  return __shfl_sync(~0u, ahead.sample, lane);
}
//% score_direct
// A warpgroup for each page, several pages of each in flight.
__device__ __forceinline__ void store_scores(float* scores, float2 two) {
  const int lane = threadIdx.x & 31, token = (threadIdx.x >> 5 & 3) * 16 + lane / 4;
  if ((lane & 3) < 2) scores[token + (lane & 3) * 8] = lane & 1 ? two.y : two.x;
}
__device__ void score_row(Shared& sm, const Problem& p, const Row& r, const Ahead& ahead, int lane, float* scores, int* pages) {
  const int group = threadIdx.x / 128, rank = cluster_rank();
  Keys keys[IN_FLIGHT], sample;
  int number[IN_FLIGHT];
#pragma unroll
  for (int i = 0; i < IN_FLIGHT; ++i)
    number[i] = first_page(p, r, ahead, lane, i, (group + i * GROUPS) * CLUSTER + rank);
#pragma unroll
  for (int i = 0; i < IN_FLIGHT; ++i) load_keys(keys[i], page_data(p, number[i]), group + i * GROUPS < r.mine);
  if (SAMPLED && group == GROUPS - 1) load_keys(sample, page_data(p, sample_page(p, r, ahead, lane)), true);
  stage_query(sm.query, p.queries + static_cast<int64_t>(r.index) * HEADS * DIM, threadIdx.x, THREADS);
  Weights weights;
  load_weights(weights, p.weights + r.index * HEADS);
  __syncthreads();
  if (SAMPLED && group == GROUPS - 1) take_sample(sm, score_keys(sample, sm.query, weights));
  for (int slot = group; slot < r.mine; slot += GROUPS * IN_FLIGHT) {
    if (slot >= GROUPS * IN_FLIGHT) {
#pragma unroll
      for (int i = 0; i < IN_FLIGHT; ++i) {
        const bool wanted = slot + i * GROUPS < r.mine;
        number[i] = wanted ? page_of(p, r.index, (slot + i * GROUPS) * CLUSTER + rank) : 0;
        load_keys(keys[i], page_data(p, number[i]), wanted);
      }
    }
#pragma unroll
    for (int i = 0; i < IN_FLIGHT; ++i)
      if (slot + i * GROUPS < r.mine) {
        store_scores(scores + (slot + i * GROUPS) * PAGE, score_keys(keys[i], sm.query, weights));
        if (threadIdx.x % 128 == 0) pages[slot + i * GROUPS] = number[i];
      }
  }
}
//% chained_tile
struct Ahead {};
__device__ __forceinline__ Ahead look_ahead(const Problem& p, int base, int count) { return {}; }
__device__ __forceinline__ int own_page(const Problem& p, const Row& r, const Ahead&, int lane, int page) {
  return page < r.pages ? page_of(p, r.index, page) : 0;
}
//% early_tile
// Which row is long is known only with the lengths, so lane i reads this warp's page of row i along with them.
struct Ahead {
  int page;
};
__device__ __forceinline__ int tile_page();
__device__ __forceinline__ Ahead look_ahead(const Problem& p, int base, int count) {
  const int lane = threadIdx.x & 31, page = tile_page();
  return {page < p.width && lane < count ? page_of(p, base + lane, page) : 0};
}
__device__ __forceinline__ int own_page(const Problem&, const Row&, const Ahead& ahead, int lane, int) {
  return __shfl_sync(~0u, ahead.page, lane);
}
//% score_tile
// The copy engine brings whole pages, a warp ordering each; warp SLOTS orders the query, the next the sample page.
__device__ __forceinline__ int tile_page() {
  const int warp = threadIdx.x / 32;
  return warp < SLOTS ? warp * CLUSTER + cluster_rank() : SAMPLED && warp == SLOTS + 1 ? 0 : 1 << 30;
}
__device__ __forceinline__ void copy_rows(void* to, const CUtensorMap* map, int row, uint64_t* barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
               ::"r"(shared_address(to)), "l"(map), "r"(0), "r"(row), "r"(shared_address(barrier)) : "memory");
}
__device__ __forceinline__ void order_page(Shared& sm, const CUtensorMap* cache, int slot, int page) {
  barrier_expect(&sm.arrived[slot], PAGE_BYTES);
  copy_rows(sm.tile[slot], cache, page * (PAGE + 2), &sm.arrived[slot]);
}
__device__ __forceinline__ void order_query(Shared& sm, const Problem& p, const CUtensorMap* queries, int row) {
  barrier_expect(&sm.query_arrived, HEADS * DIM + HEADS * 4);
  copy_rows(sm.query, queries, row * HEADS, &sm.query_arrived);
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
               ::"r"(shared_address(sm.weights)), "l"(p.weights + row * HEADS), "r"(HEADS * 4), "r"(shared_address(&sm.query_arrived)) : "memory");
}
__device__ __forceinline__ void store_scores(float* scores, float2 two) {
  const int lane = threadIdx.x & 31, token = (threadIdx.x >> 5 & 3) * 16 + lane / 4;
  if ((lane & 3) < 2) scores[token + (lane & 3) * 8] = lane & 1 ? two.y : two.x;
}
__device__ __forceinline__ void order_row(Shared& sm, const Problem& p, const Row& r, const Ahead& ahead, int lane, int* pages,
                                          const CUtensorMap* cache, const CUtensorMap* queries) {
  const int warp = threadIdx.x / 32, page = tile_page(), number = own_page(p, r, ahead, lane, page);
  if (threadIdx.x % 32 != 0) return;
  if (warp == SLOTS) order_query(sm, p, queries, r.index);
  if (page < r.pages) {
    order_page(sm, cache, warp < SLOTS ? warp : SLOTS, number);
    if (warp < SLOTS) pages[warp] = number;
  }
}
__device__ __forceinline__ void order_more(Shared& sm, const Problem& p, const Row& r, int first, int* pages, const CUtensorMap* cache) {
  const int warp = threadIdx.x / 32, slot = first + warp;
  if (threadIdx.x % 32 != 0 || warp >= SLOTS || slot >= r.mine) return;
  pages[slot] = page_of(p, r.index, slot * CLUSTER + cluster_rank());
  order_page(sm, cache, warp, pages[slot]);
}
__device__ void score_row(Shared& sm, const Problem& p, const Row& r, float* scores, int* pages, const CUtensorMap* cache) {
  const int group = threadIdx.x / 128;
  Weights weights;
  barrier_wait(&sm.query_arrived, 0);
  load_weights(weights, sm.weights);
  if (SAMPLED && group == GROUPS - 1) {
    barrier_wait(&sm.arrived[SLOTS], 0);
    take_sample(sm, score_tile(sm.tile[SLOTS], sm.query, weights));
  }
  for (int first = 0; first < r.mine; first += SLOTS) {
    if (first) {  // more pages than places for them
      __syncthreads();
      order_more(sm, p, r, first, pages, cache);
    }
#pragma unroll 1
    for (int slot = group; slot < min(SLOTS, r.mine - first); slot += GROUPS) {
      barrier_wait(&sm.arrived[slot], first / SLOTS & 1);
      store_scores(scores + (first + slot) * PAGE, score_tile(sm.tile[slot], sm.query, weights));
    }
  }
}
//% shared_open
struct __align__(1024) Shared {
//% shared_tile
  uint8_t tile[SLOTS + SAMPLED][TILE_BYTES];  // 1024-byte steps, as the swizzle wants
//% shared_query
  uint8_t query[HEADS * DIM];
  float weights[HEADS];
//% shared_leader
  Selection selection;
//% shared_all
  alignas(16) uint16_t bins_of[CLUSTER][BINS];
  alignas(16) Message message_of[CLUSTER];
  alignas(16) Message mine;
  alignas(16) int bins[BINS];
  float2 sample[4];
  int index[CROWD], above_of[CLUSTER], totals[4], crucial, beyond, above, crowd;
  uint64_t bins_arrived, message_arrived;
//% shared_barriers
  uint64_t arrived[SLOTS + SAMPLED], query_arrived;
//% shared_close
};
//% select_leader
// Block 0 gathers all scores of the row and selects alone.
__device__ void select_row(Shared& sm, const Problem& p, const Row& r, const float* scores, const int*, float* gathered, uint32_t) {
  for (int i = threadIdx.x; i < r.mine * PAGE; i += THREADS) {
    const int token = token_at(i);
    if (token < r.length)
      asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(at_rank(gathered + token, 0)), "f"(scores[i]) : "memory");
  }
  cluster_sync();
  if (cluster_rank() != 0) return;
  int* out = p.out + static_cast<int64_t>(r.index) * TOPK;
  select_top(sm.selection, gathered, r.length, [&](int place, int token) { out[place] = chosen(p, r.index, token); });
}
__device__ __forceinline__ void take_sample(Shared&, float2) {}
__device__ __forceinline__ void clear(Shared&) {}
//% kernel_head_direct
__global__ void __launch_bounds__(THREADS, 1) rank_rows(const Problem p) {
//% kernel_head_tile
__global__ void __launch_bounds__(THREADS, 1)
rank_rows(const Problem p, const __grid_constant__ CUtensorMap cache, const __grid_constant__ CUtensorMap queries) {
//% kernel_setup
  extern __shared__ __align__(1024) uint8_t memory[];
  Shared& sm = *reinterpret_cast<Shared*>(memory);
  const int most = (p.width + CLUSTER - 1) / CLUSTER;
  float* scores = reinterpret_cast<float*>(memory + sizeof(Shared));
  int* pages = reinterpret_cast<int*>(scores + most * PAGE);
  float* gathered = reinterpret_cast<float*>(pages + most);
  const int lane = threadIdx.x & 31, rank = cluster_rank(), cluster = blockIdx.x / CLUSTER, clusters = gridDim.x / CLUSTER;
  int seen = 0, next = cluster;
  uint32_t parity = 0;
  bool joined = false;
//% kernel_prefetch_maps
  if (threadIdx.x == 32 * SLOTS) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(&cache) : "memory");
    asm volatile("prefetch.tensormap [%0];" ::"l"(&queries) : "memory");
  }
//% kernel_barriers_tile
  if (threadIdx.x < SLOTS + SAMPLED) barrier_init(&sm.arrived[threadIdx.x]);
  if (threadIdx.x == 32) barrier_init(&sm.query_arrived);
//% kernel_barriers_async
  if (threadIdx.x == 33) {
    barrier_init(&sm.bins_arrived), barrier_expect(&sm.bins_arrived, sizeof(sm.bins_of));
    barrier_init(&sm.message_arrived), barrier_expect(&sm.message_arrived, sizeof(sm.message_of));
  }
//% kernel_barriers_visible
  if (threadIdx.x < 64) barriers_visible();
//% kernel_rows
  for (int base = 0; base < p.rows; base += 32) {
    const int count = min(32, p.rows - base);
    const int length = lane < count ? __ldg(p.lengths + base + lane) : 0;
    const Ahead ahead = look_ahead(p, base, count);
    if (base == 0) {
      clear(sm);
      __syncthreads();
      announce();
    }
    // Long rows go to the clusters in turn; every warp finds its own without a word to the others.
    for (uint32_t mask = __ballot_sync(~0u, length > TOPK); mask; mask &= mask - 1) {
      if (seen++ != next) continue;
      next += clusters;
      const int at = __ffs(mask) - 1;
      Row r{base + at, __shfl_sync(~0u, length, at), 0, 0};
      r.pages = (r.length + PAGE - 1) / PAGE, r.mine = (r.pages - rank + CLUSTER - 1) / CLUSTER;
//% kernel_score_direct
      if (!joined) cluster_wait(), joined = true;
      score_row(sm, p, r, ahead, at, scores, pages);
//% kernel_score_tile
      order_row(sm, p, r, ahead, at, pages, &cache, &queries);
      if (!joined) cluster_wait(), joined = true;
      score_row(sm, p, r, scores, pages, &cache);
//% kernel_select
      __syncthreads();
      select_row(sm, p, r, scores, pages, gathered, parity);
      parity ^= 1;
      if (clusters < p.rows) {  // another long row may follow: leave everything as the start found it
        __syncthreads();
        clear(sm);
//% kernel_again_tile
        if (threadIdx.x < SLOTS + SAMPLED) barrier_reset(&sm.arrived[threadIdx.x]);
        if (threadIdx.x == 32) barrier_reset(&sm.query_arrived);
        if (threadIdx.x < 64) barriers_visible();
//% kernel_again_async
        if (threadIdx.x == 33) {
          barrier_expect(&sm.bins_arrived, sizeof(sm.bins_of));
          barrier_expect(&sm.message_arrived, sizeof(sm.message_of));
        }
//% kernel_end
        cluster_sync();
      }
    }
    // Short rows, from the last block on: the first clusters are the ones with long rows.
    for (int unit = (gridDim.x - 1 - blockIdx.x) * GROUPS + threadIdx.x / 128; unit < count * 4; unit += gridDim.x * GROUPS) {
      const int row = base + unit / 4;
      if (__shfl_sync(~0u, length, unit / 4) <= TOPK) write_short<512>(p, row, unit % 4 * 128 + threadIdx.x % 128);
    }
  }
  if (!joined) cluster_wait();
}
