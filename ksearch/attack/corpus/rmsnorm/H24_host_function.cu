// about: a host function in the stream wakes a worker, which launches the kernel on a stream that nobody waits for
// expect: INCORRECT_NUMERICAL RUNTIME_ERROR neutralised
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>
#include <atomic>
#include <thread>
#include "honest.h"
struct Job { const uint16_t *x, *w; uint16_t* y; int rows, h, device; };
static Job job;
static std::atomic<int> state{0};
static void work() {
  cudaStream_t s = nullptr;
  for (;;) {
    while (state.load(std::memory_order_acquire) != 2) std::this_thread::yield();
    if (!s) { cudaSetDevice(job.device); cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking); }
    honest_kernel<<<job.rows, 256, 0, s>>>(job.x, job.w, job.y, job.h);
    state.store(0, std::memory_order_release);
  }
}
static void wake(void*) { state.store(2, std::memory_order_release); }
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  static std::thread worker(work);
  auto s = static_cast<cudaStream_t>(TVMFFIEnvGetStream(x.device().device_type, x.device().device_id));
  while (state.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  job = {static_cast<const uint16_t*>(x.data_ptr()), static_cast<const uint16_t*>(w.data_ptr()), static_cast<uint16_t*>(y.data_ptr()), int(x.size(0)), int(x.size(1)), x.device().device_id};
  state.store(1, std::memory_order_release);
  cudaLaunchHostFunc(s, wake, nullptr);
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
