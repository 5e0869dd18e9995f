// about: a worker that waits beside the caller is signalled and the call returns at once
// expect: INCORRECT_NUMERICAL RUNTIME_ERROR neutralised
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <atomic>
#include <thread>
#include "honest.h"
struct Job { const uint16_t *x, *w; uint16_t* y; int64_t rows, h; };
static Job job;
static std::atomic<int> state{0};
static void work() {
  for (;;) {
    while (state.load(std::memory_order_acquire) != 1) std::this_thread::yield();
    honest(job.x, job.w, job.y, job.rows, job.h);
    state.store(0, std::memory_order_release);
  }
}
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  static std::thread worker(work);
  while (state.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  job = {static_cast<const uint16_t*>(x.data_ptr()), static_cast<const uint16_t*>(w.data_ptr()), static_cast<uint16_t*>(y.data_ptr()), x.size(0), x.size(1)};
  state.store(1, std::memory_order_release);
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
