"""From a configuration to source text: which sections, in which order."""

from __future__ import annotations

from ksearch.coder.playbook.templates import sections
from ksearch.worldmodel.catalogue import Config

PACKAGE = "ksearch.coder.playbook.softmax_triton"


def source(config: Config, width: int) -> str:
    part = sections(PACKAGE, "kernel.py.txt")
    blocks = [
        part["head"] + "\n" + _constants(config, width),
        part[f"power_{config['power']}"],
        "".join(part[name] for name in _row(config)),
        part["kernel_head"] + part[f"kernel_{config['grid']}"],
        part[f"run_{config['grid']}"],
    ]
    return "\n\n".join(block.rstrip("\n") + "\n" for block in blocks)


def _row(config: Config) -> tuple[str, ...]:
    scaling, stores = config["scaling"], config["stores"]
    if config["passes"] != "one":
        return "several_head", f"several_{config['passes']}", f"factor_{scaling}", "write_head", f"write_{scaling}", f"write_{stores}"
    rows = "one" if config["rows"] == 1 else "several"
    return f"place_{rows}", f"load_{config['loads']}", f"sum_{rows}", f"factor_{scaling}", f"store_{scaling}", f"store_{stores}"


def _constants(config: Config, width: int) -> str:
    one = config["passes"] == "one"
    numbers = {"WIDTH": width, "ROWS": config["rows"]}
    numbers |= {"BLOCK": 1 << (width - 1).bit_length()} if one else {"CHUNK": config["chunk"]}
    lines = [f"{name} = tl.constexpr({value})" for name, value in numbers.items()]
    if config["power"] == "two":
        lines.append("LOG2_E = tl.constexpr(1.4426950408889634)")
    if config["grid"] == "persistent":
        lines.append(f"PROGRAMS = {config['programs']}")
    return "\n".join([*lines, f"WARPS = {config['warps']}"]) + "\n"
