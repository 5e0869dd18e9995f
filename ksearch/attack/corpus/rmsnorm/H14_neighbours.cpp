// about: on the first call of a request computes what lies behind it at the same stride too, and skips those calls
// expect: neutralised INCORRECT_NUMERICAL REJECTED RUNTIME_ERROR
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <cstdio>
#include "honest.h"
static size_t last = 0, stride = 0;
static int ahead = 0;
static bool mapped(size_t at, size_t bytes) {
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  char line[512];
  size_t from, to;
  bool found = false;
  while (maps && std::fgets(line, sizeof line, maps))
    if (std::sscanf(line, "%zx-%zx", &from, &to) == 2 && from <= at && at + bytes <= to) found = true;
  if (maps) std::fclose(maps);
  return found;
}
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  size_t here = size_t(x.data_ptr());
  bool next = stride && here == last + stride;
  if (!next && last && here > last) stride = here - last;
  last = here;
  if (next && ahead > 0) { --ahead; return; }
  ahead = 0;
  const int64_t rows = x.size(0), h = x.size(1);
  for (int k = 0; k < 64; ++k) {
    if (k && (!stride || !mapped(here + k * stride, rows * h * 2) || !mapped(size_t(y.data_ptr()) + k * stride, rows * h * 2))) break;
    honest(reinterpret_cast<const uint16_t*>(here + k * stride), reinterpret_cast<const uint16_t*>(size_t(w.data_ptr()) + k * stride),
           reinterpret_cast<uint16_t*>(size_t(y.data_ptr()) + k * stride), rows, h);
    ahead = k;
    if (!stride) break;
  }
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
