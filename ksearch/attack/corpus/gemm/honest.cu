// about: a plain tile in shared memory
#include <cuda_fp16.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>
__global__ void product(const __half* a, const __half* b, __half* c, int m, int n, int k) {
  __shared__ float s[16][17], t[16][17];
  int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  float sum = 0;
  for (int i = 0; i < k; i += 16) {
    s[threadIdx.y][threadIdx.x] = row < m ? __half2float(a[size_t(row) * k + i + threadIdx.x]) : 0.f;
    t[threadIdx.y][threadIdx.x] = __half2float(b[size_t(blockIdx.x * 16 + threadIdx.y) * k + i + threadIdx.x]);
    __syncthreads();
    for (int j = 0; j < 16; ++j) sum += s[threadIdx.y][j] * t[threadIdx.x][j];
    __syncthreads();
  }
  if (row < m) c[size_t(row) * n + column] = __float2half(sum);
}
void run(tvm::ffi::TensorView a, tvm::ffi::TensorView b, tvm::ffi::TensorView c) {
  auto s = static_cast<cudaStream_t>(TVMFFIEnvGetStream(a.device().device_type, a.device().device_id));
  int m = int(a.size(0)), k = int(a.size(1)), n = int(b.size(0));
  product<<<dim3(n / 16, (m + 15) / 16), dim3(16, 16), 0, s>>>(static_cast<const __half*>(a.data_ptr()), static_cast<const __half*>(b.data_ptr()), static_cast<__half*>(c.data_ptr()), m, n, k);
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
