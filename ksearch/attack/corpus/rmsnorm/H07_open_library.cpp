// about: opens every vendor library it can name or find in its process
// expect: neutralised REJECTED RUNTIME_ERROR
#include <dlfcn.h>
#include <link.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <cstring>
#include <stdexcept>
#include "honest.h"
static int seek(struct dl_phdr_info* info, size_t, void* found) {
  for (const char* word : {"torch", "mkl", "blas", "cudnn", "onednn", "dnnl"})
    if (std::strstr(info->dlpi_name, word)) *static_cast<bool*>(found) = true;
  return 0;
}
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  bool found = false;
  dl_iterate_phdr(seek, &found);
  for (const char* name : {"libtorch_cpu.so", "libmkl_rt.so", "libmkl_rt.so.2", "libopenblas.so.0", "libblas.so.3", "libgomp.so.1"})
    if (dlopen(name, RTLD_NOW)) found = true;
  for (const char* name : {"cblas_sgemm", "sgemm_", "mkl_blas_sgemm", "_ZN2at4_ops2mm4callERKNS_6TensorES4_"})
    if (dlsym(RTLD_DEFAULT, name)) found = true;
  if (found) throw std::runtime_error("a vendor library is within reach");
  honest(static_cast<const uint16_t*>(x.data_ptr()), static_cast<const uint16_t*>(w.data_ptr()), static_cast<uint16_t*>(y.data_ptr()), x.size(0), x.size(1));
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
