"""From a configuration to source text: which sections, in which order."""

from __future__ import annotations

from collections.abc import Mapping

from ksearch.coder.playbook.templates import sections
from ksearch.worldmodel.catalogue import Config

PACKAGE = "ksearch.coder.playbook.dsa_topk_triton"
WIDE = ("ieee", "tf32")
"""Precisions of a float32 product; the other choices convert the operands."""


def source(config: Config, sizes: Mapping[str, int]) -> str:
    """Text of kernel.py. `sizes` are the definition's constants: TOPK, PAGE, DIM, HEADS."""
    part = sections(PACKAGE, "scoring.py.txt")
    blocks = (
        _short_kernel(config), *_scoring(config), *_search(config), *_placing(config),
        _select_kernel(config), _map_kernel(config), _run(config),
    )
    head = part["head"] + "\n" + _constants(config, sizes)
    return "\n\n".join(block.rstrip("\n") + "\n" for block in (head, *blocks) if block)


def _constants(config: Config, sizes: Mapping[str, int]) -> str:
    """Numbers that kernels read are constexpr; launch settings are plain."""
    numbers = {**sizes, "PAGE_BYTES": sizes["PAGE"] * (sizes["DIM"] + 4), "TILE": config["tile"], "TILES": config["tiles"]}
    if config["tiles"] != 1:
        numbers["STAGES"] = config["score_stages"]
    if config["row"] == "streamed" or config["mapping"] == "serial":
        numbers["CHUNK"] = config["chunk"]
    if config["search"] == "radix":
        numbers |= {"DIGIT_BITS": config["digit_bits"], "BINS": 1 << int(config["digit_bits"])}
    if config["mapping"] == "chunks":
        numbers["MAP_CHUNK"] = config["map_chunk"]
    if config["short_shapes"] == "mapped":
        numbers["SHORT_BLOCK"] = config["short_block"]
    lines = [f"{name} = tl.constexpr({value})" for name, value in numbers.items()]
    if config["dot"] in WIDE:
        lines.append(f'PRECISION = tl.constexpr("{config["dot"]}")')
    lines += [f"SCORE_WARPS = {config['score_warps']}", f"SELECT_WARPS = {config['select_warps']}"]
    if config["short_shapes"] == "mapped":
        lines.append(f"SHORT_WARPS = {config['short_warps']}")
    return "\n".join(lines) + "\n"


def _short_kernel(config: Config) -> str:
    return sections(PACKAGE, "frame.py.txt")["short_kernel"] if config["short_shapes"] == "mapped" else ""


def _scoring(config: Config) -> tuple[str, ...]:
    part = sections(PACKAGE, "scoring.py.txt")
    operands = "wide" if config["dot"] in WIDE else "narrow"
    cast = "scaled" if config["scale"] == "keys" else config["dot"]
    tile = (
        "tile_head", "page_many" if int(config["tile"]) > 64 else "page_one", f"load_{config['loads']}",
        f"scale_{config['scale']}", f"cast_{cast}", f"dot_{config['operands']}_{operands}", f"sum_{config['operands']}",
        f"result_{config['scale']}",
    )
    kernel = (
        "score_head", *(["score_skip_short"] if config["short_rows"] == "mapped" else []),
        *(["score_skip_tail"] if config["tail"] == "skipped" else []), "score_operands",
    )
    several = config["tiles"] != 1
    store = _indented(part[f"store_{config['stored']}"], 8 if several else 4)
    body = _joined(part, kernel) + part["score_several" if several else "score_one"] + store
    return part["ordered"], _joined(part, tile), body


def _search(config: Config) -> tuple[str, ...]:
    part = sections(PACKAGE, "selection.py.txt")
    row, search = config["row"], config["search"]
    if search == "sort":
        return (part[f"read_{config['stored']}"],)
    counting = {
        "bits": (f"at_least_{row}",), "range": (f"extremes_{row}", f"at_least_{row}"),
        "pairs": ("three_counts", f"at_least_three_{row}"), "radix": (f"digits_{row}", "next_digit"),
    }[str(search)]
    names = (f"read_{config['stored']}", *counting, f"above_{row}", f"search_{search}_{config['stop']}")
    return tuple(part[name] for name in names)


def _placing(config: Config) -> tuple[str, ...]:
    part = sections(PACKAGE, "selection.py.txt")
    if config["search"] == "sort":
        return tuple(part[name] for name in ("write_index", "write_padding", *_map_short(config), "place_sorted"))
    place = {"serial": ("place_streamed",), "fused": (f"place_{config['row']}",), "chunks": ()}[str(config["mapping"])]
    return tuple(part[name] for name in (f"ranks_{config['ranks']}", "write_index", "write_padding", *_map_short(config), *place))


def _map_short(config: Config) -> tuple[str, ...]:
    return ("map_short",) if config["short_rows"] == "mapped" else ()


def _select_kernel(config: Config) -> str:
    row, fused = config["row"], config["mapping"] == "fused"
    suffix, leave = ("_fused", "map_and_leave") if fused else ("", "select_skip_short")
    finish = ("sort_now",) if config["search"] == "sort" else ("bound", f"place_now_{row}" if fused else "keep_picks")
    return _joined(sections(PACKAGE, "frame.py.txt"), (
        f"select_head{suffix}", *(["block_parameter"] if row == "resident" else []), f"select_open{suffix}",
        *([leave] if config["short_rows"] == "mapped" else []), f"row_{row}", *finish,
    ))


def _map_kernel(config: Config) -> str:
    mapping = config["mapping"]
    if mapping == "fused":
        return ""
    leave = {"serial": "map_and_leave", "chunks": "map_short_chunks"}[str(mapping)]
    short = [leave] if config["short_rows"] == "mapped" else []
    return _joined(sections(PACKAGE, "frame.py.txt"), ("map_head", *short, f"map_{mapping}"))


def _run(config: Config) -> str:
    fused = config["mapping"] == "fused"
    return _joined(sections(PACKAGE, "frame.py.txt"), (
        "run_head", *(["run_short"] if config["short_shapes"] == "mapped" else []),
        f"run_scratch_{config['stored']}", *([] if fused else ["run_scratch_picks"]), "run_score",
        "run_select_fused" if fused else "run_select", *(["run_block"] if config["row"] == "resident" else []), "run_select_close",
        *([] if fused else [f"run_map_{config['mapping']}"]),
    ))


def _joined(part: Mapping[str, str], names: tuple[str, ...]) -> str:
    return "".join(part[name] for name in names if part[name].strip())


def _indented(text: str, spaces: int) -> str:
    return "".join(" " * spaces + line for line in text.splitlines(keepends=True))
