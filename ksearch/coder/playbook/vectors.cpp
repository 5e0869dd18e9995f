//% width
// Floats in one vector register: wider vectors than the machine has would be taken apart badly.
#if defined(__AVX512F__)
constexpr int WIDTH = 16;
#elif defined(__AVX__)
constexpr int WIDTH = 8;
#else
constexpr int WIDTH = 4;
#endif
typedef float Lanes __attribute__((vector_size(WIDTH * 4)));
//% scalar
// bfloat16 is the upper half of a float32.
inline float widen(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
// To the nearest, ties to even; a NaN stays one.
inline uint16_t narrow(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return static_cast<uint16_t>(value == value ? rounded : 0x7fc0);
}
//% lanes
typedef uint32_t Words __attribute__((vector_size(WIDTH * 4)));
typedef uint16_t Halves __attribute__((vector_size(WIDTH * 2)));

inline Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}
inline Lanes load(const uint16_t* from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof(halves));
  return reinterpret_cast<Lanes>(__builtin_convertvector(halves, Words) << 16);
}
inline void store(float* to, Lanes lanes) { std::memcpy(to, &lanes, sizeof(lanes)); }
inline float across(Lanes lanes) {
  float total = 0.0f;
#pragma omp simd reduction(+ : total)
  for (int i = 0; i < WIDTH; ++i) total += lanes[i];
  return total;
}
//% narrow_bits
inline Halves narrow(Lanes lanes) {
  const Words bits = reinterpret_cast<Words>(lanes);
  const Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Words kept = lanes == lanes ? rounded : Words{} + 0x7fc0;
  return __builtin_convertvector(kept, Halves);
}
//% narrow_instruction
inline Halves narrow(Lanes lanes) {
#if defined(__AVX512BF16__)
  return reinterpret_cast<Halves>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(lanes)));
#else
  Halves halves;
  for (int i = 0; i < WIDTH; ++i) halves[i] = narrow(lanes[i]);
  return halves;
#endif
}
