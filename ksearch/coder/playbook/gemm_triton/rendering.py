"""From a configuration to source text: which sections, in which order."""

from __future__ import annotations

from ksearch.coder.playbook.templates import sections
from ksearch.worldmodel.catalogue import Config

PACKAGE = "ksearch.coder.playbook.gemm_triton"


def source(config: Config, columns: int, inner: int) -> str:
    """Text of kernel.py for C with so many columns and sums of so many products."""
    part = sections(PACKAGE, "kernel.py.txt")
    split, operands = config["split"] != 1, config["operands"]
    ending = config["combine"] if split else "whole"
    blocks = [
        part["head"] + (part["head_descriptors"] if operands == "descriptors" else "") + "\n" + _constants(config, columns, inner),
        part[f"place_{config['order']}"],
        part[f"product_{operands}_head"] + part["product_loop"] + part[f"load_{operands}"] + part[f"dot_{config['sums']}"]
        + part[f"advance_{operands}"] + part["product_tail"],
        part[f"store_{ending}"],
        part["kernel_head"] + part[f"kernel_{config['grid']}"],
        *([part["add_parts"]] if split else []),
        part["run_head"] + part[f"grid_{config['grid']}"] + part[f"operands_{operands}"] + part[f"run_{ending}"],
    ]  # fmt: skip
    return "\n\n".join(block.rstrip("\n") + "\n" for block in blocks)


def _constants(config: Config, columns: int, inner: int) -> str:
    rows, width = map(int, str(config["tile"]).split("x"))
    numbers = {"N": columns, "K": inner, "ROWS": rows, "COLUMNS": width, "DEPTH": int(config["depth"]), "STAGES": int(config["stages"])}
    numbers["PARTS"] = int(config["split"])
    if config["order"] == "grouped":
        numbers["GROUP"] = 8
    lines = [f"{name} = tl.constexpr({value})" for name, value in numbers.items()]
    if config["split"] != 1:
        lines.append(f"SUMMED = tl.constexpr({config['split'] if config['combine'] == 'parts' else 1})")
    if config["grid"] == "persistent":
        lines.append("PROGRAMS = 132")
    return "\n".join([*lines, f"WARPS = {config['warps']}"]) + "\n"
