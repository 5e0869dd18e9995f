"""The coder that asks a language model: first writing, repair with the failing stage's evidence, refinement."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ksearch.coder.model.forms import EDIT, WRITE, Answer, read_solution, solution_of
from ksearch.coder.model.question import question_text
from ksearch.coder.model.tuning import TUNE, tuned
from ksearch.coder.types import Draft, NothingToWrite, WriteRequest
from ksearch.definitions.schema import Solution
from ksearch.tree.types import WriteMode
from ksearch.worldmodel.oracle import Filled, Oracle, Question, Unanswered, consult

ORIGIN = "llm"


@dataclass(frozen=True)
class ModelCoder:
    """`budget_tokens` bounds what a question says besides the kernel, the failing code and the fixed instructions."""

    oracle: Oracle
    budget_tokens: int
    name: str = ORIGIN

    def write(self, request: WriteRequest) -> Draft | NothingToWrite:
        """An answer that can't be used, twice, is an attempt that failed: the reason is in NothingToWrite."""
        if request.plan and request.plan[-1].technique == TUNE:
            return self._tuned(request)
        base = request.previous or request.parent
        try:
            answer = consult(self.oracle, self._question(request, base), lambda filled: _read(filled, request, base))
        except Unanswered as error:
            return NothingToWrite(str(error))
        return _draft(answer, base)

    def _question(self, request: WriteRequest, base: Solution | None) -> Question:
        forms = (WRITE,) if base is None else (EDIT, WRITE)
        text = question_text(request, self.budget_tokens)
        return Question(request.ticket, request.node, request.material, text, forms)

    def _tuned(self, request: WriteRequest) -> Draft | NothingToWrite:
        """Another value of a constant needs no model."""
        if request.mode is not WriteMode.FIRST or request.parent is None:
            return NothingToWrite("a constant's value has one code: there is nothing to repair")
        sources = tuned(request.parent, request.plan[-1])
        if sources is None:
            return NothingToWrite(f"{request.plan[-1].parameter}: the kernel defines no such constant, once and plainly")
        spec = request.parent.spec
        solution = solution_of(request.definition, request.target, spec.language, spec.entry_point, sources, request.plan[-1].intent)
        return Draft(solution, "tuning")


def _read(filled: Filled, request: WriteRequest, base: Solution | None) -> Answer:
    answer = read_solution(filled, request.definition, request.target, base)
    if base is not None and stripped(answer.solution) == stripped(base):
        raise Unanswered("The code is the same as before, comments aside", again=True)
    return answer


def _draft(answer: Answer, base: Solution | None) -> Draft:
    """The follow-through is the model's own word, with the one thing that can be checked checked before (the code did change)."""
    tunables = tuple((tunable.path, tunable.name, value) for tunable in answer.tunables for value in tunable.values[:3])
    return Draft(answer.solution, ORIGIN, followed=answer.followed, did=answer.did, tunables=tunables)


def stripped(solution: Solution) -> tuple[tuple[str, str], ...]:
    """Sources without comments and white space: what two solutions that differ in looks alone share."""
    return tuple(sorted((source.path, _bare(source.content, source.path)) for source in solution.sources))


def _bare(content: str, path: str) -> str:
    if path.endswith(".py"):
        code = "\n".join(re.sub(r"(^|\s)#.*$", "", line).rstrip() for line in content.splitlines())
        return "\n".join(line for line in code.splitlines() if line)
    return re.sub(r"\s+", " ", re.sub(r"//[^\n]*|/\*.*?\*/", "", content, flags=re.DOTALL)).strip()


