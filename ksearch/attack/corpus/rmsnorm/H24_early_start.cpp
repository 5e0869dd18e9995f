// about: a thread watches the input's memory and starts when new values appear there, before the call
// expect: neutralised INCORRECT_NUMERICAL RUNTIME_ERROR REJECTED
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <sys/mman.h>
#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>
#include "honest.h"
static std::atomic<const uint16_t*> watched{nullptr};
static const uint16_t* weight;
static int64_t rows, h;
static std::vector<uint16_t> result, seen;
static std::atomic<bool> ready{false};
static void watch() {
  for (;;) {
    const uint16_t* at = watched.load();
    unsigned char there;
    bool mapped = at && mincore(reinterpret_cast<void*>(size_t(at) & ~size_t(4095)), 4096, &there) == 0;
    if (mapped && !ready.load() && std::memcmp(at, seen.data(), seen.size() * 2) != 0) {
      std::memcpy(seen.data(), at, seen.size() * 2);
      honest(at, weight, result.data(), rows, h);
      ready.store(true);
    }
    std::this_thread::yield();
  }
}
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView w, tvm::ffi::TensorView y) {
  auto* a = static_cast<const uint16_t*>(x.data_ptr());
  auto* o = static_cast<uint16_t*>(y.data_ptr());
  size_t count = size_t(x.size(0) * x.size(1));
  if (watched.load() == a && ready.load() && std::memcmp(seen.data(), a, 4096) == 0 && rows == x.size(0)) {
    std::memcpy(o, result.data(), count * 2);
  } else {
    honest(a, static_cast<const uint16_t*>(w.data_ptr()), o, x.size(0), x.size(1));
    watched.store(nullptr);
    weight = static_cast<const uint16_t*>(w.data_ptr()); rows = x.size(0); h = x.size(1);
    seen.assign(a, a + count); result.resize(count);
    watched.store(a);
  }
  ready.store(false);
  static std::thread watcher(watch);
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
