"""Reading a user's solution: a FlashInfer Solution JSON, a folder of sources, or a single source file."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from ksearch.definitions.schema import MAX_SOURCES, BuildSpec, Definition, Language, Solution, SourceFile
from ksearch.definitions.untrusted import plain_files, read_json, read_text
from ksearch.errors import BadInput

SUFFIXES: dict[str, Language] = {".py": "python", ".cu": "cuda", ".cpp": "cpp", ".cc": "cpp"}
ENTRY_NAMES = ("kernel", "main", "solution")


def load_solution(path: Path, definition: Definition, option: str) -> Solution:
    """A solution of `definition`. Raises BadInput naming `option`, the file and the reason."""
    solution = read_solution(path, option, definition)
    if solution.definition != definition.name:
        raise BadInput(f"{option} {path}: solves {solution.definition}, not {definition.name}")
    return solution


def read_solution(path: Path, option: str, definition: Definition | None = None) -> Solution:
    """Any solution, from a source that nobody vouches for. `definition` is what bare sources are taken to solve.

    Raises BadInput naming `option`, the file and the reason, on one line.
    """
    try:
        return _read(path, definition)
    except BadInput as error:
        raise BadInput(f"{option} {path}: {_without(path, str(error))}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadInput(f"{option} {path}: not a Solution: {place}: {first['msg']}") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{option} {path}: {error}") from error


def _without(path: Path, message: str) -> str:
    """The path stands before the message already."""
    return message.removeprefix(f"{path}: ")


def _read(path: Path, definition: Definition | None) -> Solution:
    if path.is_dir():
        return _from_folder(path, definition)
    if path.suffix == ".json":
        return Solution.model_validate(read_json(path))
    if path.suffix in SUFFIXES:
        return _from_files(path.stem, definition, {path.name: read_text(path)}, path.name)
    if not path.exists():
        raise BadInput("no such file")
    raise BadInput(f"give a Solution JSON, a folder, or a single {', '.join(SUFFIXES)} file")


def _from_folder(folder: Path, definition: Definition | None) -> Solution:
    found = list(plain_files(folder))
    manifest = folder / "solution.json"
    if manifest in found:
        return _from_manifest(manifest, folder)
    sources = [file for file in found if file.suffix in {*SUFFIXES, ".h", ".hpp", ".cuh"}]
    if len(sources) > MAX_SOURCES:
        raise BadInput(f"{folder}: has {len(sources)} sources, at most {MAX_SOURCES} are allowed")
    files = {file.relative_to(folder).as_posix(): read_text(file) for file in sources}
    entries = [name for name in files if Path(name).stem in ENTRY_NAMES and Path(name).suffix in SUFFIXES]
    if len(entries) != 1:
        raise BadInput(f"{folder}: needs exactly one of {', '.join(n + s for n in ENTRY_NAMES for s in SUFFIXES)}, or a solution.json")
    return _from_files(folder.name, definition, files, entries[0])


def _from_manifest(manifest: Path, folder: Path) -> Solution:
    """A Solution JSON whose sources may be given by path alone, their text standing beside it."""
    value = read_json(manifest)
    sources = value.get("sources") if isinstance(value, dict) else None
    for source in sources if isinstance(sources, list) else []:
        if isinstance(source, dict) and "content" not in source:
            checked = SourceFile(path=source.get("path", ""), content="-")
            source["content"] = read_text(folder / checked.path)
    return Solution.model_validate(value)


def _from_files(name: str, definition: Definition | None, files: dict[str, str], entry: str) -> Solution:
    if definition is None:
        raise BadInput("bare sources don't say what they solve; name it with --definition, or give a Solution JSON")
    language = SUFFIXES[Path(entry).suffix]
    if language == "python" and any("import triton" in text for text in files.values()):
        language = "triton"
    compiled = language in ("cuda", "cpp")
    spec = BuildSpec(
        language=language,
        target_hardware=("cpu",) if language == "cpp" else ("cuda",) if language in ("cuda", "triton") else ("cpu", "cuda"),
        entry_point=f"{entry}::run",
        destination_passing_style=True,
        binding="tvm-ffi" if compiled else None,
    )
    sources = tuple(SourceFile(path=path, content=text) for path, text in files.items())
    return Solution(name=name, definition=definition.name, author="user", spec=spec, sources=sources)


def save_folder(solution: Solution, folder: Path) -> None:
    """Write the sources and a solution.json that names them, so that the folder reads back as the same solution."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in solution.sources:
        target = folder / source.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.content, "utf-8")
    value = solution.model_dump(mode="json")
    value["sources"] = [{"path": source.path} for source in solution.sources]
    (folder / "solution.json").write_text(json.dumps(value, indent=2) + "\n", "utf-8")
