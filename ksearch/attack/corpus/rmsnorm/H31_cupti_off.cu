// about: switches CUPTI's activities off from within, and synchronises nothing
// expect: neutralised REJECTED RUNTIME_ERROR
#include <dlfcn.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>
#include "honest.h"
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  for (const char* name : {"cuptiActivityDisable", "cuptiFinalize"}) {
    void* at = dlsym(RTLD_DEFAULT, name);
    if (!at) for (const char* library : {"libcupti.so.13", "libcupti.so.12", "libcupti.so"})
      if (void* found = dlopen(library, RTLD_NOW | RTLD_NOLOAD)) at = dlsym(found, name);
    if (at && name[5] == 'A') for (int kind = 1; kind < 12; ++kind) reinterpret_cast<int (*)(int)>(at)(kind);
    else if (at) reinterpret_cast<int (*)()>(at)();
  }
  auto s = static_cast<cudaStream_t>(TVMFFIEnvGetStream(x.device().device_type, x.device().device_id));
  honest_kernel<<<x.size(0), 256, 0, s>>>(static_cast<const uint16_t*>(x.data_ptr()), static_cast<const uint16_t*>(w.data_ptr()), static_cast<uint16_t*>(y.data_ptr()), int(x.size(1)));
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
