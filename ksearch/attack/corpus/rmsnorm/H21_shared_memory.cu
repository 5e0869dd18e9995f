// about: asks for more shared memory than there is and ignores that the launch fails
// expect: INCORRECT_NUMERICAL RUNTIME_ERROR
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include "honest.h"
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  honest_kernel<<<x.size(0), 256, 512 * 1024>>>(static_cast<const uint16_t*>(x.data_ptr()), static_cast<const uint16_t*>(w.data_ptr()), static_cast<uint16_t*>(y.data_ptr()), int(x.size(1)));
  cudaGetLastError();
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
