//% check
inline void check(cudaError_t status) {
  if (status != cudaSuccess) TVM_FFI_THROW(RuntimeError) << cudaGetErrorString(status);
}
//% launch_plain
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream, Arguments... arguments) {
  kernel<<<grid, threads, 0, stream>>>(arguments...);
  check(cudaGetLastError());
}
//% launch_overlapped
// The next kernel's blocks may start while the last ones of this are still running; they wait before they read.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, int threads, cudaStream_t stream, Arguments... arguments) {
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid, config.blockDim = dim3(threads), config.stream = stream;
  config.attrs = &overlap, config.numAttrs = 1;
  check(cudaLaunchKernelEx(&config, kernel, arguments...));
}
//% run_head
void run(tvm::ffi::TensorView q_index_fp8, tvm::ffi::TensorView k_index_cache_fp8, tvm::ffi::TensorView weights,
         tvm::ffi::TensorView seq_lens, tvm::ffi::TensorView block_table, tvm::ffi::TensorView topk_indices) {
  const Problem p{static_cast<const uint8_t*>(q_index_fp8.data_ptr()), static_cast<const uint8_t*>(k_index_cache_fp8.data_ptr()),
                  static_cast<const float*>(weights.data_ptr()), static_cast<const int*>(seq_lens.data_ptr()),
                  static_cast<const int*>(block_table.data_ptr()), static_cast<int*>(topk_indices.data_ptr()),
                  static_cast<int>(q_index_fp8.size(0)), static_cast<int>(block_table.size(1))};
  const DLDevice device = q_index_fp8.device();
  const auto stream = static_cast<cudaStream_t>(TVMFFIEnvGetStream(device.device_type, device.device_id));
  if (p.rows == 0) return;
//% run_short
  if (p.width * PAGE <= TOPK) {
    write_short_rows<<<p.rows * SHORT_SPLIT, SHORT_THREADS, 0, stream>>>(p.lengths, p.table, p.out, p.width);
    check(cudaGetLastError());
    return;
  }
//% run_kernels
  float* scores = nullptr;  // of this call alone, freed in stream order
  check(cudaMallocAsync(&scores, sizeof(float) * p.rows * p.width * PAGE, stream));
  launch(score_pages, dim3(p.width, p.rows), SCORE_THREADS, stream, p, scores);
//% run_rank
  launch(select_rows, dim3(p.width, p.rows), PAGE, stream, p, static_cast<const float*>(scores));
//% run_select
  launch(select_rows, dim3(p.rows), BLOCK, stream, p, static_cast<const float*>(scores));
//% run_map
  launch(map_rows, dim3(p.rows * (TOPK / 256)), 256, stream, p);
//% run_free
  check(cudaFreeAsync(scores, stream));
//% tile_maps
// Keys and heads are both rows of 128 bytes to the copy engine, which swizzles them on their way; a page is 66 rows, of
// which the last two are its scales.
inline CUtensorMap rows_of_128(const void* base, uint64_t rows, uint32_t box) {
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found;
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found));
    return reinterpret_cast<Encode>(entry);
  }();
  CUtensorMap map;
  const cuuint64_t sizes[2] = {DIM, rows}, strides[1] = {DIM};
  const cuuint32_t tile[2] = {DIM, box}, steps[2] = {1, 1};
  const CUresult status = encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 2, const_cast<void*>(base), sizes, strides, tile, steps,
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                                 CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS) TVM_FFI_THROW(RuntimeError) << "cuTensorMapEncodeTiled: " << status;
  return map;
}
//% run_cluster
  const int pages = (p.width + CLUSTER - 1) / CLUSTER;  // at most, of one block
  const size_t memory = sizeof(Shared) + EXTRA_PER_PAGE * p.width + pages * sizeof(int) * (PAGE + 1);
  if (memory > 227 * 1024) TVM_FFI_THROW(ValueError) << "rows of " << p.width << " pages are too long for this kernel";
  static size_t raised = 0;
  if (memory > raised) {
    check(cudaFuncSetAttribute(rank_rows, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
    check(cudaFuncSetAttribute(rank_rows, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(memory)));
    raised = memory;
  }
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = CLUSTER, cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3((p.rows < CLUSTERS ? p.rows : CLUSTERS) * CLUSTER), config.blockDim = dim3(THREADS);
  config.dynamicSmemBytes = memory, config.stream = stream, config.attrs = &cluster, config.numAttrs = 1;
//% run_cluster_direct
  check(cudaLaunchKernelEx(&config, rank_rows, p));
//% run_cluster_tile
  const int cache_pages = static_cast<int>(k_index_cache_fp8.size(0));
  check(cudaLaunchKernelEx(&config, rank_rows, p, rows_of_128(p.cache, static_cast<uint64_t>(cache_pages) * (PAGE + 2), PAGE + 2),
                           rows_of_128(p.queries, static_cast<uint64_t>(p.rows) * HEADS, HEADS)));
//% run_tail
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
