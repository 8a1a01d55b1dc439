"""Every refusal of a scan, wherever it stands in the code, says what was found and what to do next."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import hypojax

ROOT = Path(hypojax.__file__).parent
ROOMS = ("scans", "volumes", "segmenter", "preprocessing", "storage")
KINDS = {"HypojaxError": 1, "ScanError": 2}
"""Refusals → where their sentence stands among the arguments."""

STEPS = (
    "add", "check", "convert", "copy", "correct", "decompress", "exclude", "export", "fetch", "find", "fix", "free", "give", "install",
    "look", "make", "name", "put", "rename", "run", "take", "try", "unpack", "use", "write",
)  # fmt: skip
"""What a next step begins with."""


def sources() -> list[Path]:
    """The modules that refuse scans."""
    places = [ROOT / name for name in ROOMS]
    return sorted(path for place in places for path in (place.rglob("*.py") if place.is_dir() else [place]))


def text_of(node: ast.AST, local: dict[str, ast.AST]) -> str:
    """A sentence as the code has it: values in braces, names of the same function followed to their text."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part, local) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return text_of(node.value, local) if isinstance(node.value, ast.Name) else "{value}"
    if isinstance(node, ast.Name) and node.id in local:
        return text_of(local[node.id], {name: value for name, value in local.items() if name != node.id})
    if isinstance(node, ast.BinOp):
        return text_of(node.left, local) + text_of(node.right, local)
    return "{value}"


def constants(tree: ast.Module) -> dict[str, ast.AST]:
    """Names of a module that stand for a text."""
    return {
        node.target.id: node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Constant)
    }


def refusals() -> Iterator[tuple[str, str]]:
    """Place and sentence of every refusal."""
    for path in sources():
        tree = ast.parse(path.read_text())
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            local = constants(tree)
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    local[node.targets[0].id] = node.value
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", text_of(node.args[KINDS[node.func.id]], local)


FOUND = dict(refusals())


def test_the_refusals_are_found() -> None:
    assert len(FOUND) > 40


@pytest.mark.parametrize("place", FOUND)
def test_a_refusal_says_what_to_do_next(place: str) -> None:
    sentence = FOUND[place]
    if sentence.startswith("{value}") and "; " not in sentence:
        return  # the sentence of another error, with the name of the scan before it
    problem, _, step = sentence.rpartition("; ")
    assert problem, sentence
    assert re.match(rf"(or )?({'|'.join(STEPS)}|\{{)", step), sentence
    assert not sentence.endswith("."), sentence
