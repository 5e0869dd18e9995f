//% map_divmod
// Selection writes positions; a second pass turns them into global indices.
inline int32_t token_index(const Row&, int position) { return position; }
inline int32_t run_start(const Row&, int position) { return position; }
inline void map_positions(const Row& row, int count, int32_t* out) {
  for (int i = 0; i < count; ++i) out[i] = row.pages[out[i] / PAGE] * PAGE + out[i] % PAGE;
}
//% map_fused
// Selection writes global indices at once. A run of positions within one page is a run of indices.
inline int32_t token_index(const Row& row, int position) {
  return row.pages[position / PAGE] * PAGE + position % PAGE;
}
inline int32_t run_start(const Row& row, int position) { return token_index(row, position); }
inline void map_positions(const Row&, int, int32_t*) {}
//% sort
void select(const Row& row, const float* scores, int count, int32_t* out) {
  std::vector<int32_t> order(row.length);
  for (int t = 0; t < row.length; ++t) order[t] = t;
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
  for (int i = 0; i < count; ++i) out[i] = token_index(row, order[i]);
  map_positions(row, count, out);
}
//% nth
// Only which tokens are above the cut matters, not their order: expected linear time.
void select(const Row& row, const float* scores, int count, int32_t* out) {
  Scratch<int32_t, 2> memory;
  int32_t* order = memory.get(row.length);
  for (int t = 0; t < row.length; ++t) order[t] = t;
  if (count < row.length)
    std::nth_element(order, order + count, order + row.length,
                     [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
  for (int i = 0; i < count; ++i) out[i] = token_index(row, order[i]);
  map_positions(row, count, out);
}
//% ordered
// Float bits as an unsigned number that sorts the same way.
inline uint32_t ordered(float score) {
  int32_t bits;
  std::memcpy(&bits, &score, 4);
  return static_cast<uint32_t>(bits ^ ((bits >> 31) | INT32_MIN));
}
//% packed
// Score and position in one integer: comparisons need no second load.
void select(const Row& row, const float* scores, int count, int32_t* out) {
  Scratch<uint64_t, 2> memory;
  uint64_t* keys = memory.get(row.length);
  for (int t = 0; t < row.length; ++t) keys[t] = static_cast<uint64_t>(~ordered(scores[t])) << 32 | static_cast<uint32_t>(t);
  if (count < row.length) std::nth_element(keys, keys + count, keys + row.length);
  for (int i = 0; i < count; ++i) out[i] = token_index(row, static_cast<int32_t>(keys[i]));
  map_positions(row, count, out);
}
//% cut
// The cut through a histogram: `rank` is the bin that holds the last place, `left` the places still free in it.
struct Cut {
  uint32_t rank;
  int left;
};
// Bins from the top down until `count` places are filled.
inline Cut find_cut(const int* bins, int size, int count) {
  int bin = size - 1;
  while (bin > 0 && bins[bin] < count) count -= bins[bin--];
  return {static_cast<uint32_t>(bin), count};
}
//% rank_radix
// Exact: the cut value is found digit by digit, 11 bits at a time, from the top.
inline Cut rank_tokens(const float* scores, int length, int count, uint32_t* ranks) {
#pragma omp simd
  for (int t = 0; t < length; ++t) ranks[t] = ordered(scores[t]);
  uint32_t prefix = 0, mask = 0;
  for (int shift : {21, 10, 0}) {
    const int width = shift == 0 ? 10 : 11;
    int bins[2048] = {};
    for (int t = 0; t < length; ++t)
      if ((ranks[t] & mask) == prefix) ++bins[(ranks[t] >> shift) & ((1u << width) - 1)];
    const Cut cut = find_cut(bins, 1 << width, count);
    prefix |= cut.rank << shift;
    mask |= ((1u << width) - 1) << shift;
    count = cut.left;
  }
  return {prefix, count};
}
inline void rank_boundary(const float*, int32_t*, int, int) {}  // all equal: any will do
//% rank_linear
// BINS equal steps between the least and greatest score: one pass, and few tokens share the bin of the cut.
inline Cut rank_tokens(const float* scores, int length, int count, uint32_t* ranks) {
  float least = scores[0], greatest = scores[0];
#pragma omp simd reduction(min : least) reduction(max : greatest)
  for (int t = 0; t < length; ++t) {
    least = scores[t] < least ? scores[t] : least;
    greatest = scores[t] > greatest ? scores[t] : greatest;
  }
  const float step = greatest > least ? (BINS - 1) / (greatest - least) : 0.0f;
  // Rounding may carry the greatest score just past the last bin; a NaN must not leave the histogram.
#pragma omp simd
  for (int t = 0; t < length; ++t) {
    const int bin = static_cast<int>((scores[t] - least) * step);
    ranks[t] = static_cast<uint32_t>(std::clamp(bin, 0, BINS - 1));
  }
  int bins[BINS] = {};
  for (int t = 0; t < length; ++t) ++bins[ranks[t]];
  return find_cut(bins, BINS, count);
}
// The bin of the cut holds unequal scores: its best ones go first.
inline void rank_boundary(const float* scores, int32_t* boundary, int size, int left) {
  if (left < size)
    std::nth_element(boundary, boundary + left, boundary + size,
                     [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
}
//% emit_branch
// Writes the tokens above the cut and collects those in its bin.
inline int emit(const Row& row, const uint32_t* ranks, uint32_t cut, int32_t* out, int32_t* boundary, int* size) {
  int written = 0;
  for (int t = 0; t < row.length; ++t) {
    if (ranks[t] > cut) out[written++] = token_index(row, t);
    else if (ranks[t] == cut) boundary[(*size)++] = t;
  }
  return written;
}
//% emit_branchless
// Which side of the cut a token falls on can't be predicted: always write, advance when it counts. The write past the
// last place goes to the boundary's buffer when all places are filled.
inline int emit(const Row& row, const uint32_t* ranks, uint32_t cut, int32_t* out, int32_t* boundary, int* size) {
  int written = 0, equal = 0;
  int32_t spare;
  for (int t = 0; t < row.length; ++t) {
    *(written < TOPK ? out + written : &spare) = token_index(row, t);
    written += ranks[t] > cut;
    boundary[equal] = t;
    equal += ranks[t] == cut;
  }
  *size = equal;
  return written;
}
//% emit_compress
// Sixteen tokens at once: compare, compress the indices of those above the cut, advance by their number.
inline int emit(const Row& row, const uint32_t* ranks, uint32_t cut, int32_t* out, int32_t* boundary, int* size) {
  int written = 0, t = 0;
#if defined(__AVX512F__)
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i bound = _mm512_set1_epi32(static_cast<int>(cut));
  for (; t + 16 <= row.length; t += 16) {
    const __m512i rank = _mm512_loadu_si512(ranks + t);
    const __mmask16 above = _mm512_cmpgt_epu32_mask(rank, bound), equal = _mm512_cmpeq_epu32_mask(rank, bound);
    const __m512i index = _mm512_add_epi32(lane, _mm512_set1_epi32(run_start(row, t)));
    // Compressing in a register and storing under a mask is faster than a compressing store.
    const int kept = __builtin_popcount(above);
    _mm512_mask_storeu_epi32(out + written, static_cast<__mmask16>((1u << kept) - 1),
                             _mm512_maskz_compress_epi32(above, index));
    written += kept;
    if (equal) {
      _mm512_mask_compressstoreu_epi32(boundary + *size, equal, _mm512_add_epi32(lane, _mm512_set1_epi32(t)));
      *size += __builtin_popcount(equal);
    }
  }
#endif
  for (; t < row.length; ++t) {
    if (ranks[t] > cut) out[written++] = token_index(row, t);
    else if (ranks[t] == cut) boundary[(*size)++] = t;
  }
  return written;
}
//% histogram
void select(const Row& row, const float* scores, int count, int32_t* out) {
  if (count == 0) return;
  Scratch<uint32_t, 2> rank_memory;
  Scratch<int32_t, 3> boundary_memory;
  uint32_t* ranks = rank_memory.get(row.length);
  int32_t* boundary = boundary_memory.get(row.length + 1);
  const Cut cut = rank_tokens(scores, row.length, count, ranks);
  int size = 0;
  const int written = emit(row, ranks, cut.rank, out, boundary, &size);
  rank_boundary(scores, boundary, size, cut.left);
  for (int i = 0; i < cut.left; ++i) out[written + i] = token_index(row, boundary[i]);
  map_positions(row, count, out);
}
