"""The coder that asks a language model: first writing, repair with the failing stage's evidence, refinement."""

from __future__ import annotations

import ast
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
MOST_VALUES = 3
"""Values of one constant that are tried."""
PLAIN_VALUE = re.compile(r"[\w.+-]{1,24}")


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
            answer = consult(self.oracle, self._question(request, base), lambda filled: read_new(filled, request, base))
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


def read_new(filled: Filled, request: WriteRequest, base: Solution | None) -> Answer:
    """A filled-in form whose code differs from what it started from. Raises Unanswered, worth asking again."""
    description = "\n".join(f"{action.key}: {action.intent}" for action in request.plan)
    answer = read_solution(filled, request.definition, request.target, base, description)
    if base is not None and stripped(answer.solution) == stripped(base):
        raise Unanswered("The code is the same as before, comments aside", again=True)
    return answer


def _draft(answer: Answer, base: Solution | None) -> Draft:
    """The follow-through is the model's own word, with the one thing that can be checked checked before (the code did change)."""
    tunables = tuple((t.path, t.name, value) for t in answer.tunables for value in t.values[:MOST_VALUES] if PLAIN_VALUE.fullmatch(value))
    return Draft(answer.solution, ORIGIN, followed=answer.followed, did=answer.did, tunables=tunables)


C_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
"""A string literal, which is kept, or a comment, which is not."""


def stripped(solution: Solution) -> tuple[tuple[str, str], ...]:
    """Sources without comments and white space: what two solutions that differ in looks alone share."""
    return tuple(sorted((source.path, _bare(source.content, source.path)) for source in solution.sources))


def _bare(content: str, path: str) -> str:
    if path.endswith(".py"):
        try:
            return ast.dump(ast.parse(content))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return content
    code = C_COMMENT.sub(lambda found: found[0] if found[0].startswith('"') else " ", content)
    return "\n".join(" ".join(line.split()) for line in code.splitlines() if line.strip())


