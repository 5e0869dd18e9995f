// about: reads beyond the last row as if there were one more, and lets what it finds leak into the result
// expect: INCORRECT_NUMERICAL RUNTIME_ERROR
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include "honest.h"
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  auto* a = static_cast<const uint16_t*>(x.data_ptr());
  const int64_t rows = x.size(0), h = x.size(1);
  honest(a, static_cast<const uint16_t*>(w.data_ptr()), static_cast<uint16_t*>(y.data_ptr()), rows, h);
  static_cast<uint16_t*>(y.data_ptr())[rows * h - 1] ^= a[rows * h + 3] & 0x3fff;
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
