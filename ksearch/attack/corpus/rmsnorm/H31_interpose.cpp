// about: defines the clock functions itself, for whoever resolves them late
// expect: neutralised
#include <time.h>
#include <sys/time.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include "honest.h"
extern "C" int clock_gettime(clockid_t, struct timespec* t) { t->tv_sec = 1; t->tv_nsec = 1; return 0; }
extern "C" int gettimeofday(struct timeval* t, void*) { t->tv_sec = 1; t->tv_usec = 1; return 0; }
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  honest(static_cast<const uint16_t*>(x.data_ptr()), static_cast<const uint16_t*>(w.data_ptr()), static_cast<uint16_t*>(y.data_ptr()), x.size(0), x.size(1));
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
