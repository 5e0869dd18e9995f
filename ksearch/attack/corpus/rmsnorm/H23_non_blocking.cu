// about: launches on a non-blocking stream without joining it
// expect: neutralised INCORRECT_NUMERICAL
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include "honest.h"
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  static cudaStream_t s = nullptr;
  if (!s) cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
  honest_kernel<<<x.size(0), 256, 0, s>>>(static_cast<const uint16_t*>(x.data_ptr()), static_cast<const uint16_t*>(w.data_ptr()), static_cast<uint16_t*>(y.data_ptr()), int(x.size(1)));
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
