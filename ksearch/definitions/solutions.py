"""Reading a user's solution: a FlashInfer Solution JSON, a folder of sources, or a single source file."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from ksearch.definitions.schema import BuildSpec, Definition, Language, Solution, SourceFile
from ksearch.errors import BadInput

SUFFIXES: dict[str, Language] = {".py": "python", ".cu": "cuda", ".cpp": "cpp", ".cc": "cpp"}
ENTRY_NAMES = ("kernel", "main", "solution")
MAX_FILES = 200


def load_solution(path: Path, definition: Definition, option: str) -> Solution:
    """Raises BadInput naming `option`, the file and the reason."""
    try:
        if path.is_dir():
            solution = _from_folder(path, definition)
        elif path.suffix == ".json":
            solution = Solution.model_validate(json.loads(path.read_text("utf-8")))
        elif path.suffix in SUFFIXES:
            solution = _from_files(path.stem, definition, {path.name: path.read_text("utf-8")}, path.name)
        else:
            raise BadInput(f"{option} {path}: give a Solution JSON, a folder, or a single {', '.join(SUFFIXES)} file")
    except FileNotFoundError as error:
        raise BadInput(f"{option} {path}: no such file") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{option} {path}: not a Solution: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{option} {path}: {error}") from error
    if solution.definition != definition.name:
        raise BadInput(f"{option} {path}: solves {solution.definition}, not {definition.name}")
    return solution


def _from_folder(folder: Path, definition: Definition) -> Solution:
    manifest = folder / "solution.json"
    if manifest.is_file():
        return _from_manifest(manifest, folder)
    files = {
        str(file.relative_to(folder)): file.read_text("utf-8")
        for file in sorted(folder.rglob("*"))[:MAX_FILES]
        if file.is_file() and file.suffix in {*SUFFIXES, ".h", ".hpp", ".cuh"}
    }
    entries = [name for name in files if Path(name).stem in ENTRY_NAMES and Path(name).suffix in SUFFIXES]
    if len(entries) != 1:
        raise BadInput(f"{folder}: needs exactly one of {', '.join(n + s for n in ENTRY_NAMES for s in SUFFIXES)}, or a solution.json")
    return _from_files(folder.name, definition, files, entries[0])


def _from_manifest(manifest: Path, folder: Path) -> Solution:
    """A Solution JSON whose sources may be given by path alone, their text standing beside it."""
    value = json.loads(manifest.read_text("utf-8"))
    for source in value.get("sources", []):
        if isinstance(source, dict) and "content" not in source:
            checked = SourceFile(path=source.get("path", ""), content="-")
            source["content"] = (folder / checked.path).read_text("utf-8")
    return Solution.model_validate(value)


def _from_files(name: str, definition: Definition, files: dict[str, str], entry: str) -> Solution:
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
