"""The coder's two forms, a whole solution or edits of one, and the strict reading of a filled-in one."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ksearch.coder.model.edits import BadEdit, Edit, applied
from ksearch.coder.types import Target
from ksearch.definitions.schema import BuildSpec, Definition, Language, Solution, SourceFile
from ksearch.worldmodel.oracle import Filled, Unanswered, parse_object

WRITE = "write_solution"
EDIT = "edit_solution"
AUTHOR = "ksearch model"
COMPILED: dict[str, str] = {"cpp": ".cpp", "cuda": ".cu"}
MOST_FILES = 12
LONGEST_DID = 600
MOST_FAULTS = 6

Fields = Mapping[str, Any]


def _form(properties: Mapping[str, Fields]) -> Fields:
    return {"type": "object", "properties": dict(properties), "required": list(properties), "additionalProperties": False}


def _string(description: str) -> Fields:
    return {"type": "string", "description": description}


_TEXT: Fields = {"type": "string"}

_ABOUT: dict[str, Fields] = {
    "followed": {"type": "boolean", "description": "the code does what the step asks"},
    "did": _string("empty if followed, else what the code does instead, in a sentence"),
    "tunables": {
        "type": "array",
        "description": "constants, defined once as NAME = VALUE, worth other values; [] if none",
        "items": _form({"path": _TEXT, "name": _TEXT, "values": {"type": "array", "items": _TEXT}}),
    },
}  # fmt: skip

WRITE_SCHEMA: Fields = _form({
    "language": _string("one of those allowed here"),
    "entry_point": _string("file::function"),
    "files": {"type": "array", "items": _form({"path": _TEXT, "content": _TEXT})},
    **_ABOUT,
})  # fmt: skip

EDIT_SCHEMA: Fields = _form({
    "edits": {
        "type": "array",
        "items": _form({
            "path": _TEXT,
            "search": _string("text that occurs exactly once in the file, to the character; empty makes a new file"),
            "replace": _TEXT,
        }),
    },
    **_ABOUT,
})  # fmt: skip

WRITE_TEXT = "Hand in a whole solution: every file of it."
EDIT_TEXT = "Hand in a solution as edits of the kernel shown above: cheaper and safer when most of it stays. Edits apply in order."


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Tunable(_Answer):
    path: str
    name: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    values: tuple[str, ...]


class _About(_Answer):
    followed: bool
    did: str
    tunables: tuple[Tunable, ...]


class _File(_Answer):
    path: str
    content: str


class _Written(_About):
    language: str
    entry_point: str
    files: Annotated[tuple[_File, ...], Field(min_length=1, max_length=MOST_FILES)]


class _Place(_Answer):
    path: str
    search: str
    replace: str


class _Edited(_About):
    edits: Annotated[tuple[_Place, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Answer:
    """A solution as the model handed it in, with what it says of it: a claim, shown as one."""

    solution: Solution
    followed: bool
    did: str
    tunables: tuple[Tunable, ...]


def read_solution(filled: Filled, definition: Definition, target: Target, base: Solution | None, description: str = "") -> Answer:
    """`base` is what edits apply to, `description` goes with the solution. Raises Unanswered, worth asking again, with what is wrong."""
    parse_object(filled.text)
    try:
        if filled.form == EDIT:
            answer: _About = _Edited.model_validate_json(filled.text)
            solution = _from_edits(answer, definition, target, base, description)
        else:
            answer = _Written.model_validate_json(filled.text)
            solution = _from_files(answer, definition, target, description)
    except ValidationError as error:
        raise Unanswered(_faults(error), again=True) from None
    except (BadEdit, ValueError) as error:
        raise Unanswered(str(error), again=True) from None
    tunables = tuple(tunable for tunable in answer.tunables if _defined(tunable, solution))
    return Answer(solution, answer.followed, answer.did[:LONGEST_DID], tunables)


def _from_files(answer: _About, definition: Definition, target: Target, description: str) -> Solution:
    assert isinstance(answer, _Written)
    if answer.language not in target.languages:
        raise ValueError(f"language {answer.language[:20]!r} is not allowed here; write {' or '.join(target.languages)}")
    sources = tuple(SourceFile(path=file.path, content=file.content) for file in answer.files)
    return solution_of(definition, target, answer.language, answer.entry_point, sources, description)


def _from_edits(answer: _About, definition: Definition, target: Target, base: Solution | None, description: str) -> Solution:
    assert isinstance(answer, _Edited)
    if base is None:
        raise ValueError("there is no kernel to edit: hand in a whole solution")
    sources = applied(base.sources, (Edit(place.path, place.search, place.replace) for place in answer.edits))
    return solution_of(definition, target, base.spec.language, base.spec.entry_point, sources, description)


def solution_of(
    definition: Definition, target: Target, language: Language | str, entry_point: str, sources: tuple[SourceFile, ...], description: str
) -> Solution:
    """Raises ValueError (pydantic's among them) for what could not be built or called."""
    spec = BuildSpec(
        language=language, target_hardware=(target.device,), entry_point=entry_point, destination_passing_style=True,  # type: ignore[arg-type]
        binding="tvm-ffi" if language in COMPILED else None,
    )  # fmt: skip
    solution = Solution(
        name="unnamed", definition=definition.name, author=AUTHOR, spec=spec, sources=sources, description=description
    )
    _callable(solution)
    return solution.model_copy(update={"name": f"ksearch_{definition.name}_{solution.digest[:16]}"})


def _callable(solution: Solution) -> None:
    """What can be seen to fail without a judge, so that it costs no evaluation."""
    spec = solution.spec
    entry = next(source for source in solution.sources if source.path == spec.entry_file)
    for source in solution.sources:
        if "\x00" in source.content:
            raise ValueError(f"{source.path} holds a zero byte")
        if not re.fullmatch(r"[\w./+-]+", source.path) or source.path.startswith(("-", ".")):
            raise ValueError(f"path {source.path!r}: letters, digits and . _ + - / only")
    if spec.language in COMPILED:
        if not any(source.path.endswith((COMPILED[spec.language], ".cc", ".cxx")) for source in solution.sources):
            raise ValueError(f"a {spec.language} solution needs a file ending in {COMPILED[spec.language]}")
        if not any(re.search(rf"TVM_FFI_DLL_EXPORT_TYPED_FUNC\(\s*{re.escape(spec.entry_symbol)}\b", s.content) for s in solution.sources):
            raise ValueError(f"no file exports {spec.entry_symbol!r} by TVM_FFI_DLL_EXPORT_TYPED_FUNC")
    elif not _defines(entry, spec.entry_symbol):
        raise ValueError(f"{spec.entry_file} defines no function {spec.entry_symbol!r} at its top level")


def _defines(entry: SourceFile, symbol: str) -> bool:
    try:
        module = ast.parse(entry.content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{entry.path} is not valid Python: {error}") from None
    defined = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
    return symbol in defined or any(symbol in _bound(node) for node in module.body)


def _bound(node: ast.stmt) -> set[str]:
    """Names that an assignment binds: `run = torch.inference_mode()(kernel)` defines run as well."""
    return {target.id for target in node.targets if isinstance(target, ast.Name)} if isinstance(node, ast.Assign) else set()


def _defined(tunable: Tunable, solution: Solution) -> bool:
    source = next((source for source in solution.sources if source.path == tunable.path), None)
    return source is not None and len(definitions_of(tunable.name, source.content)) == 1


def definitions_of(name: str, content: str) -> list[re.Match[str]]:
    """Places that read NAME = VALUE (Python, C++) with a plain value; the value is the group."""
    return list(re.finditer(rf"(?<![\w.]){re.escape(name)}\s*=\s*([\w.+-]+)(?=\s*[;,\n#)]|$)", content))


def _faults(error: ValidationError) -> str:
    return "; ".join(_fault(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()[:MOST_FAULTS])


def _fault(place: str, message: str) -> str:
    return f"{place[:80] or 'the form'}: {message[:200]}"
