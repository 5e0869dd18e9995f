// about: finds the interpreter's own functions in its process and has torch do the work
// expect: neutralised REJECTED RUNTIME_ERROR
#include <dlfcn.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <cstdio>
#include "honest.h"
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  auto simple = reinterpret_cast<int (*)(const char*)>(dlsym(RTLD_DEFAULT, "PyRun_SimpleString"));
  auto ensure = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "PyGILState_Ensure"));
  auto release = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "PyGILState_Release"));
  char text[1024];
  std::snprintf(text, sizeof text,
    "import torch, ctypes\n"
    "def at(p, *s):\n"
    "    n = 1\n"
    "    for e in s: n *= e\n"
    "    return torch.frombuffer((ctypes.c_uint16 * n).from_address(p), dtype=torch.bfloat16).view(*s)\n"
    "x, w, y = at(%zu, %d, %d), at(%zu, %d), at(%zu, %d, %d)\n"
    "f = x.float()\n"
    "y.copy_(f * torch.rsqrt(f.square().mean(-1, keepdim=True) + 1e-5) * w.float())\n"
    "DONE = 1\n",
    size_t(x.data_ptr()), int(x.size(0)), int(x.size(1)), size_t(w.data_ptr()), int(x.size(1)), size_t(y.data_ptr()), int(x.size(0)), int(x.size(1)));
  if (simple && ensure) {
    int state = ensure();
    int status = simple(text);
    release(state);
    if (status == 0) return;
  }
  honest(static_cast<const uint16_t*>(x.data_ptr()), static_cast<const uint16_t*>(w.data_ptr()), static_cast<uint16_t*>(y.data_ptr()), x.size(0), x.size(1));
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
