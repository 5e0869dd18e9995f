// about: opens cuBLAS by name and calls it
// twin: honest
// expect: REJECTED RUNTIME_ERROR INCORRECT_NUMERICAL
#include <dlfcn.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <stdexcept>
void run(tvm::ffi::TensorView a, tvm::ffi::TensorView b, tvm::ffi::TensorView c) {
  static void* handle = nullptr;
  void* library = nullptr;
  for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"})
    if (!library) library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
  if (!library) throw std::runtime_error("no cuBLAS here");
  auto create = reinterpret_cast<int (*)(void**)>(dlsym(library, "cublasCreate_v2"));
  auto gemm = reinterpret_cast<int (*)(void*, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int, const void*, void*, int, int, int, int)>(dlsym(library, "cublasGemmEx"));
  if (!handle) create(&handle);
  const float one = 1, zero = 0;
  int m = int(a.size(0)), k = int(a.size(1)), n = int(b.size(0));
  gemm(handle, 1, 0, n, m, k, &one, b.data_ptr(), 2, k, a.data_ptr(), 2, k, &zero, c.data_ptr(), 2, n, 68, -1);
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
