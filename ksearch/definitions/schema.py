"""FlashInfer-Trace's Definition, Workload and Solution as frozen pydantic models.

They read and write the same JSON as flashinfer_bench.data (a test holds the two together) but need only pydantic, so
that the judge runs where flashinfer-bench is not installed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ksearch.definitions.untrusted import strange_text

DTypeName = Literal[
    "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float4_e2m1", "int64", "int32", "int16", "int8", "bool"
]
Language = Literal["python", "triton", "cuda", "cpp", "tilelang"]
Binding = Literal["tvm-ffi", "torch"]

MAX_PATH_BYTES = 200
"""Of a source's path: below what any file system takes as one name."""
MAX_SOURCES = 200
MAX_NAME = 500
MAX_SOURCE_BYTES = 4 * 1024 * 1024
"""Most bytes of all sources of one solution together: far above any real kernel, far below a nuisance."""


class Frozen(BaseModel):
    """Base of everything that crosses a process or file boundary."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FromTheField(BaseModel):
    """Base of FlashInfer-Trace objects: fields that a newer release added are ignored, as its own classes do."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class AxisConst(FromTheField):
    type: Literal["const"] = "const"
    value: Annotated[int, Field(ge=0)]
    description: str | None = None


class AxisVar(FromTheField):
    type: Literal["var"] = "var"
    description: str | None = None


Axis = Annotated[AxisConst | AxisVar, Field(discriminator="type")]


class TensorSpec(FromTheField):
    """Symbolic shape (axis names; None for a scalar) and element type."""

    shape: tuple[str, ...] | None
    dtype: DTypeName
    description: str | None = None


class Definition(FromTheField):
    """An operator: named axes, inputs, outputs and a reference `run` in Python."""

    name: Annotated[str, Field(min_length=1)]
    op_type: Annotated[str, Field(min_length=1)]
    axes: Mapping[str, Axis]
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    reference: Annotated[str, Field(min_length=1)]
    tags: tuple[str, ...] = ()
    description: str | None = None
    constraints: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if overlap := self.inputs.keys() & self.outputs.keys():
            raise ValueError(f"inputs and outputs share names: {sorted(overlap)}")
        for name, spec in (*self.inputs.items(), *self.outputs.items()):
            for axis in spec.shape or ():
                if axis not in self.axes:
                    raise ValueError(f"tensor {name!r} uses the undefined axis {axis!r}")
        try:
            module = ast.parse(self.reference)
        except SyntaxError as error:
            raise ValueError(f"reference is not valid Python: {error}") from error
        if not any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in module.body):
            raise ValueError("reference must define a top-level function named 'run'")
        return self

    @property
    def const_axes(self) -> dict[str, int]:
        return {name: axis.value for name, axis in self.axes.items() if isinstance(axis, AxisConst)}

    @property
    def var_axes(self) -> tuple[str, ...]:
        return tuple(name for name, axis in self.axes.items() if isinstance(axis, AxisVar))

    def shape_of(self, tensor: str, axes: Mapping[str, int]) -> tuple[int, ...] | None:
        """Concrete shape of an input or output under a workload's axes; None for a scalar."""
        spec = self.inputs.get(tensor) or self.outputs[tensor]
        if spec.shape is None:
            return None
        values = {**self.const_axes, **axes}
        return tuple(values[axis] for axis in spec.shape)


class RandomInput(FromTheField):
    type: Literal["random"] = "random"


class ScalarInput(FromTheField):
    type: Literal["scalar"] = "scalar"
    value: int | float | bool


class SafetensorsInput(FromTheField):
    type: Literal["safetensors"] = "safetensors"
    path: str
    tensor_key: str


InputSpec = Annotated[RandomInput | ScalarInput | SafetensorsInput, Field(discriminator="type")]


ValueKind = Literal["normal", "scaled", "offset", "heavy", "rows", "ties", "clustered", "long_memory"]
PageKind = Literal["shuffled", "shared"]


class Recipe(FromTheField):
    """What a generated input needs beyond axes. An extension of FlashInfer-Trace, whose own classes ignore it.

    `lengths`: exact length of each request (its meaning is the operator's: sequence lengths, cached tokens, valid
    indices). Empty: drawn from the seed. `values`: the distribution of the values; "scaled" (x 10), "offset" (+ 5),
    "heavy" (heavy tails) and "rows" (each row at its own scale) catch kernels tuned to plain normals; "ties" repeats
    values; "clustered" puts the largest together; "long_memory" makes a recurrence remember. `pages`: "shared" gives
    all requests the same pages.
    """

    lengths: tuple[Annotated[int, Field(ge=0)], ...] = ()
    values: ValueKind = "normal"
    pages: PageKind = "shuffled"


class Workload(FromTheField):
    """Concrete axes and how each input is made."""

    axes: Mapping[str, Annotated[int, Field(ge=0)]]
    inputs: Mapping[str, InputSpec]
    uuid: Annotated[str, Field(min_length=1)]
    recipe: Recipe = Recipe()


class SourceFile(FromTheField):
    path: Annotated[str, Field(min_length=1, max_length=200)]
    content: Annotated[str, Field(min_length=1)]

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        """Written one way only ('a/b.py', not './a//b.py'), or one place could pass for two."""
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or "\\" in path or not path.isprintable():
            raise ValueError(f"source path {path!r} must be relative and stay inside the solution")
        if str(parts) != path or len(path.encode("utf-8")) > MAX_PATH_BYTES:
            raise ValueError(f"source path {path[:80]!r} must be plain and short: 'folder/kernel.py'")
        return path

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if (what := strange_text(self.path, self.content)) is not None:
            raise ValueError(f"source {self.path!r} {what}")
        return self


class BuildSpec(FromTheField):
    language: Language
    target_hardware: Annotated[tuple[str, ...], Field(min_length=1)]
    entry_point: str
    dependencies: tuple[str, ...] = ()
    destination_passing_style: bool = True
    binding: Binding | None = None

    @field_validator("entry_point")
    @classmethod
    def _two_parts(cls, entry_point: str) -> str:
        if entry_point.count("::") != 1 or not all(entry_point.split("::")):
            raise ValueError(f"entry_point {entry_point!r} must read 'file::function'")
        return entry_point

    @property
    def entry_file(self) -> str:
        return self.entry_point.split("::")[0]

    @property
    def entry_symbol(self) -> str:
        return self.entry_point.split("::")[1]


def _clash(paths: Sequence[str]) -> str | None:
    """Two paths that are one file somewhere (letter case and composition don't tell files apart everywhere), or a file that is also
    a folder; None when every source has a place of its own."""
    places: dict[str, str] = {}
    for path in paths:
        place = unicodedata.normalize("NFC", path).casefold()
        if place in places:
            return f"{places[place]!r} and {path!r}"
        places[place] = path
    for place, path in places.items():
        for parent in PurePosixPath(place).parents:
            if str(parent) in places:
                return f"{places[str(parent)]!r} is also the folder of {path!r}"
    return None


class Solution(FromTheField):
    """One implementation of a definition: its sources and how to build and call them."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    definition: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    author: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    spec: BuildSpec
    sources: Annotated[tuple[SourceFile, ...], Field(min_length=1, max_length=MAX_SOURCES)]
    description: str | None = None

    @field_validator("name", "definition", "author")
    @classmethod
    def _one_line(cls, text: str) -> str:
        """Names are printed on terminals and written into logs: control characters there are somebody's trick."""
        if not text.isprintable():
            raise ValueError(f"{text[:80]!r} holds characters that can't be printed")
        return text

    @model_validator(mode="after")
    def _sources(self) -> Self:
        paths = [source.path for source in self.sources]
        if (clash := _clash(paths)) is not None:
            raise ValueError(f"two sources share a path: {clash}")
        if self.spec.entry_file not in paths:
            raise ValueError(f"entry file {self.spec.entry_file!r} is not among the sources {paths}")
        if sum(len(source.content.encode("utf-8", "surrogatepass")) for source in self.sources) > MAX_SOURCE_BYTES:
            raise ValueError(f"sources exceed {MAX_SOURCE_BYTES} bytes")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides what runs: build spec and sources, not name, author or prose."""
        content = {
            "definition": self.definition,
            "spec": self.spec.model_dump(mode="json"),
            "sources": sorted((source.path, source.content) for source in self.sources),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
