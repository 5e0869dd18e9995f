"""What is stripped is prose and only prose."""

from __future__ import annotations

import ast

from ksearch.surrogates.features import code_features
from ksearch.surrogates.sources import strip_comments


def test_python_loses_comments_and_docstrings_and_keeps_its_meaning() -> None:
    head = '"""Fast: 3.4 us."""\nimport torch  # best of 40\n\n\n'
    text = head + 'def run(x):\n    """Doc."""\n    url = "a # b"  # c\n    return x, """kept"""\n'
    bare = strip_comments("kernel.py", text)
    assert "3.4" not in bare
    assert "best" not in bare
    assert '"a # b"' in bare
    assert '"""kept"""' in bare
    ast.parse(bare)


def test_cuda_keeps_strings_with_comment_signs() -> None:
    text = 'const char* s = "// kept"; // gone\n/* gone\n too */ int x = 1;\nauto r = R"(/* kept */)";\n'
    bare = strip_comments("kernel.cu", text)
    assert "gone" not in bare
    assert '"// kept"' in bare
    assert 'R"(/* kept */)"' in bare


def test_text_that_is_no_python_is_still_stripped() -> None:
    assert "secret" not in strip_comments("kernel.py", "def run(:\n    # secret\n  x = ((\n")


def test_a_comment_changes_no_feature() -> None:
    code = "__global__ void k() { for (;;) {} }\nconstexpr int TILE = 64;\n"
    noisy = "// wgmma wgmma mma.sync\n" + code + "/* for for for */\n"
    bare, stripped = (code_features((strip_comments("k.cu", text),)) for text in (code, noisy))
    assert bare == stripped
    assert dict(bare)["const:tile"] > 6


def test_sizes_are_read_in_every_language() -> None:
    texts = ("constexpr int THREADS = 256;", "BLOCK = 128\n", "kernel[grid](x, num_warps=8)", "#define TILE 32\n")
    found = [dict(code_features((text,))) for text in texts]
    assert "const:threads" in found[0]
    assert "const:block" in found[1]
    assert "const:num_warps" in found[2]
    assert "const:tile" in found[3]
