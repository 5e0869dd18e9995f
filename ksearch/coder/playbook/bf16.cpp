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
// Sixteen lanes at a time. The compiler lowers them to what the machine has.
typedef float Lanes __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));

inline Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, 64);
  return lanes;
}
inline Lanes load(const uint16_t* from) {
  Halves halves;
  std::memcpy(&halves, from, 32);
  return reinterpret_cast<Lanes>(__builtin_convertvector(halves, Words) << 16);
}
inline void store(float* to, Lanes lanes) { std::memcpy(to, &lanes, 64); }
inline float across(Lanes lanes) {
  float total = 0.0f;
#pragma omp simd reduction(+ : total)
  for (int i = 0; i < 16; ++i) total += lanes[i];
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
  for (int i = 0; i < 16; ++i) halves[i] = narrow(lanes[i]);
  return halves;
#endif
}
