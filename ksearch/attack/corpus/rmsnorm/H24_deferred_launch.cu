// about: a detached native thread launches the kernel a moment after the call has returned
// expect: INCORRECT_NUMERICAL RUNTIME_ERROR
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <chrono>
#include <thread>
#include "honest.h"
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  auto *a = static_cast<const uint16_t*>(x.data_ptr()), *g = static_cast<const uint16_t*>(w.data_ptr());
  auto* o = static_cast<uint16_t*>(y.data_ptr());
  int rows = int(x.size(0)), h = int(x.size(1)), device = x.device().device_id;
  std::thread([=] {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    cudaSetDevice(device);
    honest_kernel<<<rows, 256>>>(a, g, o, h);
  }).detach();
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
