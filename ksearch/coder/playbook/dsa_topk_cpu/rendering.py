"""From a configuration to source text: which sections, in which order."""

from __future__ import annotations

from collections.abc import Mapping

from ksearch.coder.playbook.templates import constants, join, sections
from ksearch.worldmodel.catalogue import Config

PACKAGE = "ksearch.coder.playbook.dsa_topk_cpu"


def python_source(config: Config, sizes: Mapping[str, int]) -> str:
    part = sections(PACKAGE, "kernel.py.txt")
    sizes_text = "".join(f"{name} = {value}\n" for name, value in sizes.items() if name != "HEADS")
    functions = (
        f"decode_{config['decode']}", "unpack", *(["unpack_cache"] if config["gather"] == "cache" else []),
        f"score_{config['scale']}_{config['reduce']}", f"select_{config['top']}", f"map_{config['mapping']}",
        *(["write_valid"] if config["short"] != "none" else []),
    )
    body = _batch_body(config) if config["batching"] == "batch" else _request_body(config)
    run = "".join(part[name] for name in body)
    return "\n\n".join([part["head"] + "\n" + sizes_text, *(part[name] for name in functions), run])


def _request_body(config: Config) -> tuple[str, ...]:
    gather = config["gather"]
    return (
        "run_head",
        *(["run_short_all"] if config["short"] == "all" else []),
        *(["run_cache"] if gather == "cache" else []),
        "run_loop",
        *(["run_short_row"] if config["short"] == "row" else []),
        f"run_row_{gather}", "run_row_score",
    )


def _batch_body(config: Config) -> tuple[str, ...]:
    rows = "run_batch_rows_long" if config["short"] == "row" else "run_batch_rows_all"
    return ("run_head", *(["run_short_all"] if config["short"] == "all" else []), rows, "run_batch")


def cpp_source(config: Config, sizes: Mapping[str, int]) -> str:
    return join(*_head(config, sizes), *_scoring(config), *_selection(config), *_frame(config))


def _head(config: Config, sizes: Mapping[str, int]) -> tuple[str, ...]:
    frame = sections(PACKAGE, "frame.cpp")
    intrinsics = config["score"] in ("bf16", "amx") or config["lanes"] == "tree" or config["emit"] == "compress"
    numbers = dict(sizes) | {"BLOCK": int(config["block"])}
    if config["score"] in ("heads", "bf16"):
        numbers["TILE"] = int(config["tile"])
    if config["select"] == "linear":
        numbers["BINS"] = int(config["bins"])
    if config["prefetch"] != 0:
        numbers["AHEAD"] = int(config["prefetch"])
    if config["threads"] != 1:
        numbers["THREADS"] = int(config["threads"])
    return (
        frame["head"],
        frame["head_intrinsics"] if intrinsics else "",
        frame["head_amx"] if config["score"] == "amx" else "",
        frame["head_threads"] if config["threads"] != 1 else "",
        "namespace {\n",
        constants(**numbers) + "constexpr int PAGE_BYTES = PAGE * (DIM + 4);\n",
        "" if config["score"] == "simd" else sections("ksearch.coder.playbook", "vectors.cpp")["width"],
        frame["types"], frame[f"scratch_{config['scratch']}"],
    )


def _scoring(config: Config) -> tuple[str, ...]:
    part = sections(PACKAGE, "scoring.cpp")
    score, decode = config["score"], config["decode"]
    narrow = score in ("bf16", "amx")
    return tuple(part[name] for name in (
        "key_bf16" if narrow else "key_float",
        "decode_one", "narrow" if narrow else "keep", "decode_each" if decode == "cast" else f"decode_{decode}",
        f"scale_{config['scale']}",
        {"simd": "query_rows", "heads": "query_columns"}.get(str(score), "query_pairs"),
        *([] if score == "simd" else ["weigh", f"across_{config['lanes']}"]),
        *(["pairs"] if narrow else []),
        *(["amx_setup", f"amx_{config['tiles']}", "amx_portable"] if score == "amx" else ["no_setup"]),
        f"score_{score}",
        "prefetch" if config["prefetch"] != 0 else "no_prefetch",
        f"pages_{config['staging']}",
    ))


def _selection(config: Config) -> tuple[str, ...]:
    part = sections(PACKAGE, "selection.cpp")
    select = config["select"]
    chosen = {
        "sort": ["sort"], "nth": ["nth"], "packed": ["ordered", "packed"],
        "radix": ["ordered", "cut", "rank_radix", f"emit_{config['emit']}", "histogram"],
        "linear": ["cut", "rank_linear", f"emit_{config['emit']}", "histogram"],
    }[str(select)]
    return tuple(part[name] for name in (f"map_{config['mapping']}", *chosen))


def _frame(config: Config) -> tuple[str, ...]:
    frame = sections(PACKAGE, "frame.cpp")
    short = str(config["short"])
    run = ("run_head", *(["run_all_short"] if short == "all" else []), "run_rows", f"run_{short}", "run_tail")
    return (
        frame["threaded" if config["threads"] != 1 else "serial"], frame["rank_row"],
        frame[f"valid_{config['fill']}"] if short != "none" else "",
        "}  // namespace\n",
        "".join(frame[name] for name in run),
    )
