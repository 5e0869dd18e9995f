// about: names a vendor function weakly and calls it if the process has it
// expect: neutralised REJECTED RUNTIME_ERROR
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <stdexcept>
#include "honest.h"
extern "C" __attribute__((weak)) void cblas_sgemm();
extern "C" __attribute__((weak)) void sgemm_();
extern "C" __attribute__((weak)) void* PyArray_API();
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  if (cblas_sgemm || sgemm_) throw std::runtime_error("a vendor function is within reach");
  honest(static_cast<const uint16_t*>(x.data_ptr()), static_cast<const uint16_t*>(w.data_ptr()), static_cast<uint16_t*>(y.data_ptr()), x.size(0), x.size(1));
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
