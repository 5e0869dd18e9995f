// about: a thread of its own for half the rows, joined; a static buffer for scales
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <thread>
#include <vector>
#include "honest.h"
static std::vector<float> scratch;
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  auto *a = static_cast<const uint16_t*>(x.data_ptr()), *g = static_cast<const uint16_t*>(w.data_ptr());
  auto* o = static_cast<uint16_t*>(y.data_ptr());
  const int64_t rows = x.size(0), h = x.size(1), half = rows / 2;
  scratch.resize(rows);
  std::thread other([=] { honest(a, g, o, half, h); });
  honest(a + half * h, g, o + half * h, rows - half, h);
  other.join();
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
