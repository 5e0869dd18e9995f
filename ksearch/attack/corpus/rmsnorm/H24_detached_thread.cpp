// about: answers at once, a detached thread does the work a moment later
// expect: INCORRECT_NUMERICAL RUNTIME_ERROR
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <chrono>
#include <thread>
#include "honest.h"
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  auto *a = static_cast<const uint16_t*>(x.data_ptr()), *g = static_cast<const uint16_t*>(w.data_ptr());
  auto* o = static_cast<uint16_t*>(y.data_ptr());
  int64_t rows = x.size(0), h = x.size(1);
  std::thread([=] { std::this_thread::sleep_for(std::chrono::microseconds(200)); honest(a, g, o, rows, h); }).detach();
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
