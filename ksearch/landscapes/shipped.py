"""The spaces whose landscapes come with ksearch."""

from __future__ import annotations

from ksearch.errors import BadInput
from ksearch.landscapes.spaces import Space

TOPK_LANDSCAPES = {"mean": (), "short": ("short",), "long": ("medium", "long")}

SPACES = (
    Space(
        name="dsa_topk.cuda",
        definition="dsa_topk",
        family="dsa_topk/cuda",
        device="cuda",
        languages=("cuda",),
        techniques=(
            "skip_short", "vector_stores", "fuse_mapping", "score mma16", "score wgmma", "select bisect", "select linear",
            "one_launch cluster", "share_selection", "in_flight pages=3", "async_exchange", "cluster_size blocks=8",
        ),
        workloads=("02fa7f90", "8ba75447", "4c7705ad", "8635db8f"),
        landscapes=TOPK_LANDSCAPES,
    ),
    Space(
        name="dsa_topk.triton",
        definition="dsa_topk",
        family="dsa_topk/triton",
        device="cuda",
        languages=("triton",),
        techniques=(
            "map_short_rows", "one_launch", "scale_sums", "tensor_cores f16", "tensor_cores fp8", "tile tokens=256",
            "resident_row", "search pairs", "fuse_mapping", "select_warps warps=16",
        ),
        workloads=("02fa7f90", "4c7705ad", "8635db8f"),
        landscapes=TOPK_LANDSCAPES,
    ),
    Space(
        name="rmsnorm.cuda",
        definition="rmsnorm",
        family="rmsnorm/cuda",
        device="cuda",
        languages=("triton", "cuda"),
        techniques=(
            "rewrite_in", "keep_row", "early_weights", "stream_writes", "persistent programs=528", "chunk elements=4096",
            "rows_per_program rows=4", "warps warps=8", "vector_loads bits=64", "vector_loads bits=128", "threads threads=512",
            "shuffle", "warp_per_row",
        ),
        workloads=("batch_size=1", "batch_size=8", "batch_size=256", "batch_size=2048"),
        landscapes={"mean": (), "small": ("b1-16",), "large": ("b17-1024", "b1025+")},
    ),
    Space(
        name="gdn_decode.cuda",
        definition="gdn_decode",
        family="gdn_decode/cuda",
        device="cuda",
        languages=("triton", "cuda"),
        techniques=(
            "rewrite_in", "joint_products", "stream_writes", "fuse", "tile_rows rows=8", "tile_rows rows=128", "tiles_per_program tiles=4",
            "pipeline stages=3", "warps warps=1", "warp_per_row", "lanes_per_row lanes=8", "vector_loads bits=128", "rows_at_once rows=4",
            "threads threads=32",
        ),
        workloads=("batch_size=1", "batch_size=4", "batch_size=32", "batch_size=48"),
        landscapes={"mean": (), "small": ("b1", "b2-16"), "large": ("b17+",)},
    ),
    Space(
        name="gemm.triton",
        definition="gemm",
        family="gemm/triton",
        device="cuda",
        languages=("triton",),
        techniques=(
            "tile 16x64", "tile 128x128", "tile 128x256", "depth elements=64", "pipeline stages=3", "pipeline stages=5", "warps",
            "descriptors", "split_inner parts=8", "half_sums", "grouped_order",
        ),
        workloads=("M=1", "M=16", "M=256", "M=2048"),
        landscapes={"mean": (), "small": ("m1-16",), "large": ("m17-512", "m513+")},
    ),
    Space(
        name="softmax.triton",
        definition="softmax",
        family="softmax/triton",
        device="cuda",
        languages=("triton",),
        techniques=(
            "running_maximum", "keep_row", "power_of_two", "reciprocal", "stream_writes", "persistent programs=528",
            "chunk elements=4096", "rows_per_program rows=8", "warps warps=1", "warps warps=16",
        ),
        workloads=("batch_size=1", "batch_size=8", "batch_size=256", "batch_size=2048"),
        landscapes={"mean": (), "small": ("b1-16",), "large": ("b17-1024", "b1025+")},
    ),
    Space(
        name="dsa_topk.cpu",
        definition="dsa_topk",
        family="dsa_topk/cpu",
        device="cpu",
        languages=("python", "cpp"),
        techniques=(
            "skip_short row", "gather_pages", "select topk-unsorted", "reduce_by_matmul", "rewrite_in cpp", "score heads", "score bf16",
            "fuse_decode", "register_tile tile=4", "select nth", "select linear", "decode bits",
        ),
        workloads=("max_num_pages=17", "3ec57cab", "3a3219c1"),
        landscapes=TOPK_LANDSCAPES,
    ),
    Space(
        name="rmsnorm.cpu",
        definition="rmsnorm",
        family="rmsnorm/cpu",
        device="cpu",
        languages=("python", "cpp"),
        techniques=(
            "reuse_temporaries", "norm_of_row", "library_op", "rewrite_in", "vectorise", "widen_weights_once", "keep_row",
            "independent_sums sums=4", "narrow_instruction", "stream_writes", "prefetch",
        ),
        workloads=("batch_size=1", "batch_size=16", "batch_size=128"),
        landscapes={"mean": (), "small": ("b1-16",), "large": ("b17-1024",)},
    ),
    Space(
        name="gdn_decode.cpu",
        definition="gdn_decode",
        family="gdn_decode/cpu",
        device="cpu",
        languages=("python", "cpp"),
        techniques=(
            "batch", "update_in_place", "joint_products", "rewrite_in", "fuse_passes", "vectorise", "rows_at_once", "stream_writes",
            "prefetch",
        ),
        workloads=("batch_size=1", "batch_size=8", "batch_size=24"),
        landscapes={"mean": (), "small": ("b1",), "large": ("b2-16", "b17+")},
    ),
)  # fmt: skip


def shipped(name: str) -> Space:
    """Raises BadInput for a name that none has."""
    found = {space.name: space for space in SPACES}
    if name not in found:
        raise BadInput(f"no space {name!r}; there are {', '.join(found)}")
    return found[name]
