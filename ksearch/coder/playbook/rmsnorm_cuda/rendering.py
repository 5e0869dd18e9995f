"""From a configuration to source text: which sections, in which order."""

from __future__ import annotations

from ksearch.coder.playbook.templates import constants, join, sections
from ksearch.worldmodel.catalogue import Config

PACKAGE = "ksearch.coder.playbook.rmsnorm_cuda"
RAW = {1: "unsigned short", 2: "unsigned int", 4: "uint2", 8: "uint4"}
"""The type that one load of so many elements moves."""


def triton_source(config: Config, hidden: int, epsilon: float) -> str:
    part = sections(PACKAGE, "kernel.py.txt")
    names = (*_triton_normalise(config), "\n\n", "kernel_head", *_triton_body(config), "\n\n", f"run_{config['grid']}")
    text = "".join(part.get(name, name) for name in names)
    return part["head"] + "\n" + _triton_constants(config, hidden, epsilon) + "\n\n" + text


def _triton_constants(config: Config, hidden: int, epsilon: float) -> str:
    one = config["passes"] == "one"
    numbers = {"HIDDEN": hidden, "ROWS": config["rows"]}
    numbers |= {"BLOCK": 1 << (hidden - 1).bit_length()} if one else {"CHUNK": config["chunk"]}
    lines = [f"{name} = tl.constexpr({value})" for name, value in numbers.items()]
    lines += [f"EPSILON = tl.constexpr({epsilon!r})", f"WARPS = {config['warps']}"]
    if config["grid"] == "persistent":
        lines.append(f"PROGRAMS = {config['programs']}")
    return "\n".join(lines) + "\n"


def _triton_normalise(config: Config) -> tuple[str, ...]:
    if config["passes"] == "two":
        return "pass_two", f"two_store_{config['stores']}"
    row, late = _row(config), config["weights"] == "late"
    return (
        f"one_head_{config['weights']}", f"row_{row}", f"load_{config['loads']}", f"sum_{row}",
        *(["scale_late"] if late else []), f"store_{config['stores']}",
    )


def _triton_body(config: Config) -> tuple[str, ...]:
    early = (f"scale_early_{_row(config)}",) if config["weights"] == "early" else ()
    return *early, f"call_{config['grid']}_{config['weights']}"


def _row(config: Config) -> str:
    return "one" if config["rows"] == 1 else "several"


def cuda_source(config: Config, hidden: int, epsilon: float) -> str:
    part = sections(PACKAGE, "kernel.cu")
    vector, weights, grid = int(config["vector"]), config["weights"], config["grid"]
    warps = () if config["reduction"] == "tree" else ("warp_sum",)
    reduction = "warp" if config["team"] == "warp" else config["reduction"]
    normalise = "normalise_two" if config["passes"] == "two" else f"normalise_one_{weights}"
    body = ("kernel_head", *(["scale_early"] if weights == "early" else []), f"call_{grid}_{weights}")
    run = ("run_head", f"blocks_{grid}", "run_tail")
    return join(
        part["head"], "namespace {\n", _cuda_constants(config, hidden, epsilon) + f"using Raw = {RAW[vector]};\n", part["raw"],
        part[f"load_{config['loads']}"], part[f"store_{config['stores']}"], part["arithmetic"],
        part["inside"] if config["passes"] == "one" else "",
        *(part[name] for name in warps), part[f"sum_{reduction}"], part[normalise],
        "".join(part[name] for name in body), "}  // namespace\n", "".join(part[name] for name in run),
    )


def _cuda_constants(config: Config, hidden: int, epsilon: float) -> str:
    threads, packs = int(config["threads"]), hidden // int(config["vector"])
    team = 32 if config["team"] == "warp" else threads
    numbers = {"HIDDEN": hidden, "VECTOR": int(config["vector"]), "PACKS": packs, "THREADS": threads, "TEAM": team}
    numbers |= {"EACH": -(-packs // team)} if config["passes"] == "one" else {}
    numbers |= {"PROGRAMS": int(config["programs"])} if config["grid"] == "persistent" else {}
    return constants(**numbers) + f"constexpr float EPSILON = {epsilon!r}f;\n"
