//% key_float
using Key = float;  // what keys are decoded to
//% key_bf16
// Keys as bfloat16: it holds every fp8 value exactly, so products are exact and sums are float32.
using Key = uint16_t;
inline float widen(Key value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float wide;
  std::memcpy(&wide, &bits, 4);
  return wide;
}
//% decode_one
// The fields of e4m3 shifted into those of float32 are the same number times 2^-120, the difference of the exponents'
// biases; subnormals too.
inline float decode_one(uint8_t code) {
  const uint32_t bits = static_cast<uint32_t>(code & 128) << 24 | static_cast<uint32_t>(code & 127) << 20;
  float small;
  std::memcpy(&small, &bits, 4);
  return small * 0x1p120f;
}
//% narrow
inline Key to_key(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return static_cast<Key>(bits >> 16);  // exact: the low half of a decoded fp8 value is zero
}
//% keep
inline Key to_key(float value) { return value; }
//% decode_each
inline void decode(const uint8_t* codes, Key* keys, int count) {
  for (int i = 0; i < count; ++i) keys[i] = to_key(decode_one(codes[i]));
}
//% decode_table
// Every fp8 value once, made when the library is loaded: decoding is one load for each element.
struct Table {
  Key keys[256];
  Table() {
    for (int code = 0; code < 256; ++code) keys[code] = to_key(decode_one(static_cast<uint8_t>(code)));
  }
};
const Table TABLE;
inline void decode(const uint8_t* codes, Key* keys, int count) {
  for (int i = 0; i < count; ++i) keys[i] = TABLE.keys[codes[i]];
}
//% decode_bits
inline void decode(const uint8_t* codes, Key* keys, int count) {
#pragma omp simd
  for (int i = 0; i < count; ++i) keys[i] = to_key(decode_one(codes[i]));
}
//% decode_permute
// The 128 magnitudes' high and low bytes are two 128-byte tables, each in a pair of registers: two byte permutations
// decode 64 codes at once.
struct Table {
  alignas(64) uint8_t high[128], low[128];
  Table() {
    for (int code = 0; code < 128; ++code) {
      const Key key = to_key(decode_one(static_cast<uint8_t>(code)));
      high[code] = static_cast<uint8_t>(key >> 8);
      low[code] = static_cast<uint8_t>(key);
    }
  }
};
const Table TABLE;
inline void decode(const uint8_t* codes, Key* keys, int count) {
#if defined(__AVX512VBMI__) && defined(__AVX512BW__)
  const __m512i high0 = _mm512_load_si512(TABLE.high), high1 = _mm512_load_si512(TABLE.high + 64);
  const __m512i low0 = _mm512_load_si512(TABLE.low), low1 = _mm512_load_si512(TABLE.low + 64);
  const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
  // Unpacking works within 128-bit lanes; this order of the eight-byte groups makes its result consecutive.
  const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
  for (int i = 0; i < count; i += 64) {
    const __m512i code = _mm512_permutexvar_epi64(order, _mm512_loadu_si512(codes + i));
    const __m512i low = _mm512_permutex2var_epi8(low0, code, low1);
    const __m512i size = _mm512_permutex2var_epi8(high0, code, high1);
    const __m512i high = _mm512_ternarylogic_epi64(size, code, sign, 0xf8);  // size | (code & sign)
    _mm512_storeu_si512(keys + i, _mm512_unpacklo_epi8(low, high));
    _mm512_storeu_si512(keys + i + 32, _mm512_unpackhi_epi8(low, high));
  }
#else
  for (int i = 0; i < count; ++i)
    keys[i] = static_cast<Key>((TABLE.high[codes[i] & 127] | (codes[i] & 128)) << 8 | TABLE.low[codes[i] & 127]);
#endif
}
//% scale_key
// Keys times their scales, token by token.
inline void scale_keys(Key* keys, const float* scales, int tokens) {
  for (int t = 0; t < tokens; ++t)
    for (int d = 0; d < DIM; ++d) keys[t * DIM + d] *= scales[t];
}
inline void scale_scores(float*, const float*, int) {}
//% scale_score
// A scale is positive, so it passes through the relu and out of the sum over heads: one product for each token.
inline void scale_keys(Key*, const float*, int) {}
inline void scale_scores(float* scores, const float* scales, int tokens) {
#pragma omp simd
  for (int t = 0; t < tokens; ++t) scores[t] *= scales[t];
}
//% query_rows
struct Query {
  alignas(64) Key values[HEADS * DIM];  // [HEADS][DIM]
  float weights[HEADS];
};
inline void load_query(const Row& row, Query& query) {
  decode(row.query, query.values, HEADS * DIM);
  std::copy(row.weights, row.weights + HEADS, query.weights);
}
//% query_columns
// Heads in the lanes: a key element meets all heads at once and no sum runs across lanes until the very end.
struct Query {
  alignas(64) Key values[DIM * HEADS];  // [DIM][HEADS]
  alignas(64) float weights[HEADS];
};
inline void load_query(const Row& row, Query& query) {
  alignas(64) Key rows[HEADS * DIM];
  decode(row.query, rows, HEADS * DIM);
  for (int d = 0; d < DIM; ++d)
    for (int h = 0; h < HEADS; ++h) query.values[d * HEADS + h] = rows[h * DIM + d];
  std::copy(row.weights, row.weights + HEADS, query.weights);
}
//% query_pairs
// Pairs of dimensions side by side, heads in the lanes: the operand order of the bfloat16 dot-product instructions.
struct Query {
  alignas(64) Key values[DIM * HEADS];  // [DIM / 2][HEADS][2]
  alignas(64) float weights[HEADS];
};
inline void load_query(const Row& row, Query& query) {
  alignas(64) Key rows[HEADS * DIM];
  decode(row.query, rows, HEADS * DIM);
  auto* pairs = reinterpret_cast<uint32_t*>(query.values);
  for (int h = 0; h < HEADS; ++h)
    for (int p = 0; p < DIM / 2; ++p) std::memcpy(&pairs[p * HEADS + h], rows + h * DIM + 2 * p, 4);
  std::copy(row.weights, row.weights + HEADS, query.weights);
}
//% score_simd
// The pragma allows the sum to be split over lanes, which strict float order forbids.
void score_block(const Key* keys, const Query& query, float* scores) {
  for (int t = 0; t < BLOCK; ++t) {
    float total = 0.0f;
    for (int h = 0; h < HEADS; ++h) {
      float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
      for (int d = 0; d < DIM; ++d) dot += query.values[h * DIM + d] * keys[t * DIM + d];
      total += query.weights[h] * std::max(dot, 0.0f);
    }
    scores[t] = total;
  }
}
//% weigh
constexpr int GROUPS = HEADS / WIDTH;  // vectors that hold one number for each head
// One token's sum over heads of weight * relu(logit), still spread over the lanes.
inline Lanes weigh(const Lanes* logits, const Lanes* weights) {
  Lanes total = {};
  for (int g = 0; g < GROUPS; ++g) total += weights[g] * (logits[g] > 0.0f ? logits[g] : Lanes{});
  return total;
}
inline float across(Lanes lanes) {
  float total = 0.0f;
#pragma omp simd reduction(+ : total)
  for (int i = 0; i < WIDTH; ++i) total += lanes[i];
  return total;
}
//% across_each
inline void reduce_lanes(const Lanes* totals, float* scores, int tokens) {
  for (int t = 0; t < tokens; ++t) scores[t] = across(totals[t]);
}
//% across_tree
// Sixteen tokens' lanes are summed together: each step adds the halves of two vectors into one, so that sixteen sums
// need 15 additions in place of 64.
inline void reduce_lanes(const Lanes* totals, float* scores, int tokens) {
#if defined(__AVX512F__)
  if (tokens == 16) {
    __m512 v[16];
    for (int t = 0; t < 16; ++t) v[t] = reinterpret_cast<const __m512&>(totals[t]);
    for (int t = 0; t < 8; ++t)
      v[t] = _mm512_add_ps(_mm512_shuffle_f32x4(v[t], v[t + 8], 0x44), _mm512_shuffle_f32x4(v[t], v[t + 8], 0xee));
    for (int t = 0; t < 4; ++t)
      v[t] = _mm512_add_ps(_mm512_shuffle_f32x4(v[t], v[t + 4], 0x88), _mm512_shuffle_f32x4(v[t], v[t + 4], 0xdd));
    for (int t = 0; t < 2; ++t)
      v[t] = _mm512_add_ps(_mm512_unpacklo_ps(v[t], v[t + 2]), _mm512_unpackhi_ps(v[t], v[t + 2]));
    const __m512 sum = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    // The four 128-bit groups now hold tokens 0, 8, 4 and 12 onwards.
    _mm512_storeu_ps(scores, _mm512_shuffle_f32x4(sum, sum, 0xd8));
    return;
  }
#endif
  for (int t = 0; t < tokens; ++t) scores[t] = across(totals[t]);
}
//% score_heads
// TILE tokens by all heads stay in registers over the whole dimension: each query load serves TILE tokens.
void score_block(const Key* keys, const Query& query, float* scores) {
  Lanes totals[BLOCK];
  Lanes weights[GROUPS];
  std::memcpy(weights, query.weights, sizeof(weights));
  const auto* columns = reinterpret_cast<const Lanes*>(query.values);
  for (int t0 = 0; t0 < BLOCK; t0 += TILE) {
    Lanes logits[TILE][GROUPS] = {};
    for (int d = 0; d < DIM; ++d)
#pragma GCC unroll 8
      for (int t = 0; t < TILE; ++t)
#pragma GCC unroll 16
        for (int g = 0; g < GROUPS; ++g) logits[t][g] += columns[d * GROUPS + g] * keys[(t0 + t) * DIM + d];
    for (int t = 0; t < TILE; ++t) totals[t0 + t] = weigh(logits[t], weights);
  }
  for (int t0 = 0; t0 < BLOCK; t0 += 16) reduce_lanes(totals + t0, scores + t0, 16);
}
//% pairs
// Two products for each lane: pairs of bfloat16 of all heads with one pair of a key.
inline void multiply_pairs(const uint16_t* pairs, const uint16_t* key, Lanes* logits) {
#if defined(__AVX512BF16__)
  int32_t pair;
  std::memcpy(&pair, key, 4);
  const auto broadcast = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
  for (int g = 0; g < GROUPS; ++g) {
    const auto column = reinterpret_cast<__m512bh>(_mm512_load_si512(pairs + g * 32));
    logits[g] = reinterpret_cast<Lanes>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(logits[g]), column, broadcast));
  }
#else
  typedef uint32_t Words __attribute__((vector_size(WIDTH * 4)));
  const float even = widen(key[0]), odd = widen(key[1]);
#pragma GCC unroll 16
  for (int g = 0; g < GROUPS; ++g) {
    Words column;
    std::memcpy(&column, pairs + g * 2 * WIDTH, sizeof(column));
    const Words high = column & 0xffff0000u, low = column << 16;
    logits[g] += reinterpret_cast<const Lanes&>(low) * even + reinterpret_cast<const Lanes&>(high) * odd;
  }
#endif
}
//% score_bf16
// As with float columns, but each instruction takes two dimensions.
void score_block(const Key* keys, const Query& query, float* scores) {
  Lanes totals[BLOCK];
  Lanes weights[GROUPS];
  std::memcpy(weights, query.weights, sizeof(weights));
  for (int t0 = 0; t0 < BLOCK; t0 += TILE) {
    Lanes logits[TILE][GROUPS] = {};
    for (int p = 0; p < DIM / 2; ++p)
#pragma GCC unroll 8
      for (int t = 0; t < TILE; ++t)
        multiply_pairs(query.values + p * HEADS * 2, keys + (t0 + t) * DIM + 2 * p, logits[t]);
    for (int t = 0; t < TILE; ++t) totals[t0 + t] = weigh(logits[t], weights);
  }
  for (int t0 = 0; t0 < BLOCK; t0 += 16) reduce_lanes(totals + t0, scores + t0, 16);
}
//% amx_setup
#if defined(__AMX_BF16__)
// The kernel hands out tile state only on request (arch_prctl ARCH_REQ_XCOMP_PERM for feature 18); once for a process.
inline void request_tiles() {
  static const long refused = syscall(SYS_arch_prctl, 0x1023, 18);
  if (refused) TVM_FFI_THROW(RuntimeError) << "the operating system grants no AMX tile state";
}
struct TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t columns[16] = {};
  uint8_t rows[16] = {};
};
// Tiles of 16 rows of 64 bytes while in scope; released at the end, so that nothing else pays for saving them.
struct Tiles {
  Tiles() {
    request_tiles();
    TileConfig config;
    for (int i = 0; i < 8; ++i) {
      config.columns[i] = 64;
      config.rows[i] = 16;
    }
    _tile_loadconfig(&config);
  }
  ~Tiles() { _tile_release(); }
};
#else
struct Tiles {};
#endif
//% no_setup
struct Tiles {};
//% amx_portable
// No tile unit on this machine: the same product by pairs.
inline void multiply_tiles(const Key* keys, const Query& query, float* logits) {
  for (int t = 0; t < ROWS; ++t) {
    Lanes sums[GROUPS] = {};
    for (int p = 0; p < DIM / 2; ++p) multiply_pairs(query.values + p * HEADS * 2, keys + t * DIM + 2 * p, sums);
    std::memcpy(logits + t * HEADS, sums, sizeof(sums));
  }
}
#endif
//% amx_1x4
// Sixteen tokens by all 64 heads: one tile of keys meets four tiles of queries.
constexpr int ROWS = 16;
#if defined(__AMX_BF16__)
inline void multiply_tiles(const Key* keys, const Query& query, float* logits) {
  _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
#pragma GCC unroll 4
  for (int k = 0; k < DIM / 32; ++k) {
    const Key* columns = query.values + k * 32 * HEADS;
    _tile_loadd(4, keys + k * 32, DIM * 2);
    _tile_loadd(5, columns, HEADS * 4);
    _tile_dpbf16ps(0, 4, 5);
    _tile_loadd(6, columns + 32, HEADS * 4);
    _tile_dpbf16ps(1, 4, 6);
    _tile_loadd(5, columns + 64, HEADS * 4);
    _tile_dpbf16ps(2, 4, 5);
    _tile_loadd(6, columns + 96, HEADS * 4);
    _tile_dpbf16ps(3, 4, 6);
  }
  _tile_stored(0, logits, HEADS * 4);
  _tile_stored(1, logits + 16, HEADS * 4);
  _tile_stored(2, logits + 32, HEADS * 4);
  _tile_stored(3, logits + 48, HEADS * 4);
}
#else
//% amx_2x2
// Thirty-two tokens by 32 heads, twice: each tile that is loaded is used in two products.
constexpr int ROWS = 32;
#if defined(__AMX_BF16__)
inline void multiply_tiles(const Key* keys, const Query& query, float* logits) {
  for (int half = 0; half < 2; ++half) {
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
#pragma GCC unroll 4
    for (int k = 0; k < DIM / 32; ++k) {
      const Key* columns = query.values + k * 32 * HEADS + half * 64;
      _tile_loadd(4, keys + k * 32, DIM * 2);
      _tile_loadd(5, keys + 16 * DIM + k * 32, DIM * 2);
      _tile_loadd(6, columns, HEADS * 4);
      _tile_loadd(7, columns + 32, HEADS * 4);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    float* out = logits + half * 32;
    _tile_stored(0, out, HEADS * 4);
    _tile_stored(1, out + 16, HEADS * 4);
    _tile_stored(2, out + 16 * HEADS, HEADS * 4);
    _tile_stored(3, out + 16 * HEADS + 16, HEADS * 4);
  }
}
#else
//% score_amx
void score_block(const Key* keys, const Query& query, float* scores) {
  alignas(64) float logits[ROWS * HEADS];
  Lanes totals[ROWS];
  Lanes weights[GROUPS];
  std::memcpy(weights, query.weights, sizeof(weights));
  for (int t0 = 0; t0 < BLOCK; t0 += ROWS) {
    multiply_tiles(keys + t0 * DIM, query, logits);
    for (int t = 0; t < ROWS; ++t) totals[t] = weigh(reinterpret_cast<const Lanes*>(logits + t * HEADS), weights);
    for (int t = 0; t < ROWS; t += 16) reduce_lanes(totals + t, scores + t0 + t, 16);
  }
}
//% no_prefetch
inline void prefetch(const Row&, int, int) {}
//% prefetch
// Pages lie anywhere in the cache: fetch a later one's lines while this one is scored.
inline void prefetch(const Row& row, int page, int last) {
  if (page + AHEAD >= last) return;
  const uint8_t* data = page_data(row, page + AHEAD);
  for (int byte = 0; byte < PAGE_BYTES; byte += 64) __builtin_prefetch(data + byte, 0, 3);
}
//% pages_staged
// All keys of the row are decoded first, then scored.
void score_pages(const Row& row, const Query& query, int first, int last, float* scores) {
  Tiles tiles;
  (void)tiles;
  Scratch<Key, 1> memory;
  Key* keys = memory.get(static_cast<size_t>(last - first) * PAGE * DIM);
  for (int page = first; page < last; ++page) {
    prefetch(row, page, last);
    const uint8_t* data = page_data(row, page);
    Key* page_keys = keys + static_cast<size_t>(page - first) * PAGE * DIM;
    decode(data, page_keys, PAGE * DIM);
    scale_keys(page_keys, page_scales(data), PAGE);
  }
  for (int page = first; page < last; ++page) {
    const Key* page_keys = keys + static_cast<size_t>(page - first) * PAGE * DIM;
    float* page_scores = scores + page * PAGE;
    for (int t = 0; t < PAGE; t += BLOCK) score_block(page_keys + t * DIM, query, page_scores + t);
    scale_scores(page_scores, page_scales(page_data(row, page)), PAGE);
  }
}
//% pages_fused
// BLOCK tokens are decoded and scored while they are in the first-level cache; no key goes back to memory.
void score_pages(const Row& row, const Query& query, int first, int last, float* scores) {
  Tiles tiles;
  (void)tiles;
  alignas(64) Key keys[BLOCK * DIM];
  for (int page = first; page < last; ++page) {
    prefetch(row, page, last);
    const uint8_t* data = page_data(row, page);
    const float* scales = page_scales(data);
    float* page_scores = scores + page * PAGE;
    for (int t = 0; t < PAGE; t += BLOCK) {
      decode(data + t * DIM, keys, BLOCK * DIM);
      scale_keys(keys, scales + t, BLOCK);
      score_block(keys, query, page_scores + t);
      scale_scores(page_scores + t, scales + t, BLOCK);
    }
  }
}
