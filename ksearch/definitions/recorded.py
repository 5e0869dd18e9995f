"""Recorded inputs: tensors in a dataset's safetensors files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ksearch.definitions.schema import Definition, SafetensorsInput, Workload
from ksearch.errors import BadInput, Unavailable

if TYPE_CHECKING:
    import torch


def stays_inside(path: str) -> bool:
    """Whether a path as written is relative and never leaves its root. Links are the user's own (download caches are made
    of them) and are followed."""
    relative = PurePosixPath(path)
    return not (relative.is_absolute() or ".." in relative.parts or "\\" in path)


def recorded_path(spec: SafetensorsInput, dataset_root: str | Path | None) -> Path:
    """The file below the dataset's root."""
    if dataset_root is None:
        raise BadInput(f"the input is recorded in {spec.path!r}: name the dataset it belongs to with --dataset")
    if not stays_inside(spec.path):
        raise BadInput(f"safetensors path {spec.path!r} must be relative and stay inside the dataset")
    return Path(dataset_root) / spec.path


def load_recorded(
    definition: Definition, workload: Workload, name: str, spec: SafetensorsInput, dataset_root: str | Path | None
) -> torch.Tensor:
    """The recorded tensor on the CPU, held to the declared shape and dtype."""
    from ksearch.definitions.generate import torch_dtype

    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise Unavailable("recorded inputs need the safetensors package: pip install safetensors") from error
    where = f"input {name!r} of workload {workload.uuid}"
    path = recorded_path(spec, dataset_root)
    try:
        with safe_open(str(path), framework="pt") as tensors:
            tensor = tensors.get_tensor(spec.tensor_key)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{where}: {path}: {error}") from error
    expected, dtype = definition.shape_of(name, workload.axes), definition.inputs[name].dtype
    if tuple(tensor.shape) != expected or tensor.dtype != torch_dtype(dtype):
        held = f"{tuple(tensor.shape)} of {tensor.dtype}"
        raise BadInput(f"{where}: {path} holds {held}, the definition says {expected} of {dtype}")
    return tensor.contiguous()
