"""From a configuration to source text: which sections, in which order."""

from __future__ import annotations

from collections.abc import Mapping

from ksearch.coder.playbook.templates import constants, join, sections
from ksearch.worldmodel.catalogue import Config

PACKAGE = "ksearch.coder.playbook.gdn_decode_cuda"
KERNELS = {"three": ("delta_kernel", "state_kernel", "output_kernel"), "two": ("delta_kernel", "update_kernel")}
PACKS = {1: ("float", "pack_one"), 2: ("float2", "pack_two"), 4: ("float4", "pack_four")}


def triton_source(config: Config, sizes: Mapping[str, int]) -> str:
    """`sizes` are HEADS, KEY_HEADS and DIM."""
    part = sections(PACKAGE, "kernel.py.txt")
    helpers = ("gates", "key_row", "place", f"read_{config['reads']}", f"write_{config['writes']}")
    blocks = [part["head"] + "\n" + _triton_constants(config, sizes), *(part[name] for name in helpers)]
    if config["fusion"] == "one":
        blocks.append(part["step_head"] + part[f"step_{config['products']}"] + part["step_tail"])
        blocks.append(part["one_kernel" if config["tiles"] == 1 else "one_kernel_several"])
    else:
        blocks += [part[name] for name in KERNELS[str(config["fusion"])]]
    return "\n\n".join([*blocks, part[f"run_{config['fusion']}"]])


def _triton_constants(config: Config, sizes: Mapping[str, int]) -> str:
    numbers = {**sizes, "ROWS": config["tile_rows"]}
    numbers |= {"TILES": config["tiles"]} if config["fusion"] == "one" else {}
    numbers |= {"STAGES": config["stages"]} if config["tiles"] != 1 else {}
    return "".join(f"{name} = tl.constexpr({value})\n" for name, value in numbers.items()) + f"WARPS = {config['warps']}\n"


def cuda_source(config: Config, sizes: Mapping[str, int]) -> str:
    part = sections(PACKAGE, "kernel.cu")
    team = config["team"] == "lanes"
    raw, accessor = PACKS[int(config["vector"])]
    kernel = part[f"{'team' if team else 'thread'}_head"] + part[f"{'team' if team else 'thread'}_{config['products']}"]
    run = ("run_head", "launch_team" if team else "launch_thread", "run_tail")
    return join(
        part["head"], "namespace {\n", _cuda_constants(config, sizes) + f"using Pack = {raw};\n", part["operands"],
        part[f"read_{config['reads']}"], part[f"write_{config['writes']}"],
        *((part[accessor], part["team"]) if team else ()), kernel, "".join(part[name] for name in run),
    )


def _cuda_constants(config: Config, sizes: Mapping[str, int]) -> str:
    numbers = {**sizes, "THREADS": int(config["threads"])}
    if config["team"] == "lanes":
        lanes, vector = int(config["lanes"]), int(config["vector"])
        numbers |= {"LANES": lanes, "VECTOR": vector, "EACH": sizes["DIM"] // (lanes * vector), "ROWS": int(config["held"])}
    return constants(**numbers)
