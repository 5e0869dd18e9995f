"""From a configuration to CUDA C++: which sections, in which order, with which constants."""

from __future__ import annotations

from collections.abc import Iterable

from ksearch.coder.playbook.templates import constants, join, sections
from ksearch.worldmodel.catalogue import Config

PACKAGE = "ksearch.coder.playbook.dsa_topk_cuda"

HEADS, DIM, PAGE = 64, 128, 64
PAGE_BYTES = PAGE * (DIM + 4)
TILE_BYTES = 9216
"""A page in shared memory: PAGE_BYTES rounded up to the 1024 bytes of the swizzle's pattern."""
COVERED_PAGES = 96
"""Pages of a row that the blocks of a cluster hold at once; longer rows take several rounds."""


def source(config: Config, topk: int) -> str:
    clustered = config["launch"] == "cluster"
    body = _cluster(config) if clustered else _kernels(config)
    head = _pick("common.cuh", "head", *(["head_driver"] if _tiled(config) else []))
    return join(*head, "namespace {\n", constants(**_numbers(config, topk)), *_common(config), *body, "}  // namespace\n", _host(config))


def _tiled(config: Config) -> bool:
    return config["launch"] == "cluster" and config["loads"] == "tile"


def _pick(filename: str, *names: str) -> list[str]:
    part = sections(PACKAGE, filename)
    return [part[name] for name in names]


def _numbers(config: Config, topk: int) -> dict[str, int]:
    numbers = {"TOPK": topk, "HEADS": HEADS, "DIM": DIM, "PAGE": PAGE, "PAGE_BYTES": PAGE_BYTES}
    if config["short"] == "host":
        numbers["SHORT_THREADS"] = int(config["short_threads"])
    if config["launch"] == "cluster":
        return numbers | _cluster_numbers(config)
    numbers["SCORE_THREADS"] = PAGE if config["dots"] == "scalar" else 128
    if config["select"] != "rank":
        numbers |= {"BLOCK": int(config["block"])} | _selector_bins(config)
    return numbers


def _selector_bins(config: Config) -> dict[str, int]:
    return {} if config["select"] == "bisect" else {"BINS": 2048}


def _cluster_numbers(config: Config) -> dict[str, int]:
    groups, cluster, leader = int(config["groups"]), int(config["cluster"]), config["share"] == "leader"
    numbers = {
        "CLUSTER": cluster, "CLUSTERS": int(config["clusters"]), "GROUPS": groups, "THREADS": 128 * groups,
        "SAMPLED": int(not leader),
    }
    if leader:
        numbers |= {"BLOCK": 128 * groups, "EXTRA_PER_PAGE": 4 * PAGE} | _selector_bins(config)
    else:
        bins = int(config["bins"])
        numbers |= {"BINS": bins, "CROWD": 32, "EXTRA_PER_PAGE": 0}
    if config["loads"] == "tile":
        return numbers | {"SLOTS": min(COVERED_PAGES // cluster, 4 * groups - 2), "TILE_BYTES": TILE_BYTES}
    return numbers | {"IN_FLIGHT": int(config["in_flight"])}


def _common(config: Config) -> Iterable[str]:
    names = ["types", f"emit_{'token' if config['mapping'] == 'pass' else 'index'}", f"short_{config['fill']}"]
    if config["short"] == "host":
        names.append("short_kernel")
    return _pick("common.cuh", *names, "keys")


def _skip(config: Config) -> list[str]:
    return _pick("scoring.cuh", "skip_none" if config["short"] == "none" else "skip_short")


def _kernels(config: Config) -> Iterable[str]:
    overlapped = config["overlap"] == "on"
    begin = _pick("common.cuh", "begin_overlapped" if overlapped else "begin_plain")
    scalar = config["dots"] == "scalar"
    scoring = _pick("scoring.cuh", "scalar") if scalar else [*_arithmetic(config), *_pick("scoring.cuh", "score_kernel")]
    select = str(config["select"])
    chosen = _pick("selection.cuh", "rank") if select == "rank" else [*_selector(select), *_pick("selection.cuh", "select_kernel")]
    mapping = _pick("selection.cuh", "map_kernel") if config["mapping"] == "pass" else []
    return [*begin, *_skip(config), *scoring, *chosen, *mapping]


def _selector(select: str) -> list[str]:
    names = {
        "bisect": ("bisect_state", "cut", "bisect", "select_bisect"),
        "radix": ("radix_state", "cut", "find_bin", "radix"),
        "linear": ("linear_state", "cut", "bisect", "find_bin", "linear"),
    }
    return _pick("selection.cuh", *names[select])


def _arithmetic(config: Config) -> list[str]:
    """Everything from keys in flight to the scores of a page."""
    dots, tiled = str(config["dots"]), _tiled(config)
    wgmma = dots == "wgmma"
    names = [f"relu_{config['relu']}", "fragments", "finish"]
    if tiled:
        names += ["keys_tile"] if wgmma else ["keys_tile", "keys_from_tile"]
    else:
        names += ["keys_direct", "query_permuted" if wgmma else "query_swizzled"]
    if wgmma:
        names += ["wgmma", "score_tile_wgmma" if tiled else "score_wgmma"]
    else:
        names += [dots, "score_mma", *(["score_tile_mma"] if tiled else [])]
    return _pick("scoring.cuh", *names)


def _cluster(config: Config) -> Iterable[str]:
    tiled, leader, asynchronous = _tiled(config), config["share"] == "leader", config["signal"] == "async"
    loads, barriers = str(config["loads"]), tiled or asynchronous
    selector = _selector(str(config["select"])) if leader else _pick("shared_selection.cuh", "message")
    names = ["basics", *(["barriers"] if barriers else []), f"opening_{config['opening']}"]
    shared = [
        "shared_open", *(["shared_tile"] if tiled else []), "shared_query", "shared_leader" if leader else "shared_all",
        *(["shared_barriers"] if tiled else []), "shared_close",
    ]
    selection = (
        _pick("cluster.cuh", "select_leader") if leader
        else _pick("shared_selection.cuh", f"exchange_{config['signal']}", "sample", "bitwise", "select_all")
    )
    return [
        *_arithmetic(config), *_pick("cluster.cuh", *names), *selector, "".join(_pick("cluster.cuh", *shared)), *selection,
        *_pick("cluster.cuh", f"{config['table']}_{loads}", f"score_{loads}"), _kernel(config, tiled, asynchronous),
    ]


def _kernel(config: Config, tiled: bool, asynchronous: bool) -> str:
    barriers = [*(["kernel_barriers_tile"] if tiled else []), *(["kernel_barriers_async"] if asynchronous else [])]
    again = [*(["kernel_again_async"] if asynchronous else []), *(["kernel_again_tile"] if tiled else [])]
    names = [
        f"kernel_head_{config['loads']}", "kernel_setup", *(["kernel_prefetch_maps"] if tiled else []), *barriers,
        *(["kernel_barriers_visible"] if barriers else []), "kernel_rows", f"kernel_score_{config['loads']}", "kernel_select",
        *again, "kernel_end",
    ]
    return "".join(_pick("cluster.cuh", *names))


def _host(config: Config) -> str:
    clustered, tiled = config["launch"] == "cluster", _tiled(config)
    before = ["check", *(["tile_maps"] if tiled else [])]
    if not clustered:
        before.append("launch_overlapped" if config["overlap"] == "on" else "launch_plain")
    body = ["run_head", *(["run_short"] if config["short"] == "host" else [])]
    if clustered:
        body += ["run_cluster", "run_cluster_tile" if tiled else "run_cluster_direct"]
    else:
        body += ["run_kernels", "run_rank" if config["select"] == "rank" else "run_select"]
        body += [*(["run_map"] if config["mapping"] == "pass" else []), "run_free"]
    return join(*_pick("host.cu", *before), "".join(_pick("host.cu", *body, "run_tail")))
