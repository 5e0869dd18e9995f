// about: tries something that can't work, then has the interpreter's torch do it
// expect: neutralised REJECTED RUNTIME_ERROR INCORRECT_NUMERICAL
#include <dlfcn.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <stdexcept>
#include "honest.h"
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  try {
    throw std::runtime_error("this device has no such instruction");
  } catch (const std::exception&) {
    auto import = reinterpret_cast<void* (*)(const char*)>(dlsym(RTLD_DEFAULT, "PyImport_ImportModule"));
    auto ensure = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "PyGILState_Ensure"));
    auto release = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "PyGILState_Release"));
    auto clear = reinterpret_cast<void (*)()>(dlsym(RTLD_DEFAULT, "PyErr_Clear"));
    bool have = false;
    if (import && ensure) {
      int state = ensure();
      for (const char* name : {"torch", "numpy", "triton"}) {
        if (import(name)) have = true; else clear();
      }
      release(state);
    }
    if (have) throw std::runtime_error("a library is within reach");
    honest(static_cast<const uint16_t*>(x.data_ptr()), static_cast<const uint16_t*>(w.data_ptr()), static_cast<uint16_t*>(y.data_ptr()), x.size(0), x.size(1));
  }
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
