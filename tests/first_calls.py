"""Types and shapes are checked at the first calls of a function in each test; loops of thousands are not slowed to the end.

jaxtyping's import hook (``--jaxtyping-packages``) decorates every function with `jaxtyping.jaxtyped`, and one that is made
anew in each call of another is decorated each time, which takes a thousand times as long as to call it.
"""

import functools
from collections import Counter
from collections.abc import Callable
from inspect import isfunction
from types import CodeType
from typing import Any

import jaxtyping

FIRST = 100
"""Calls that are checked: all examples of a property test."""

CALLS: Counter[CodeType] = Counter()
"""How often each function was called in this test."""

DECORATE = jaxtyping.jaxtyped


def sparing(function: Any = None, *, typechecker: Any = None) -> Any:  # noqa: ANN401  (as jaxtyping has it)
    """What `jaxtyping.jaxtyped` gives, for so many calls, and the function itself from there on."""
    if function is None:
        return functools.partial(sparing, typechecker=typechecker)
    if not isfunction(function):
        return DECORATE(function, typechecker=typechecker)
    code = function.__code__
    if CALLS[code] >= FIRST:
        return function
    return limited(function, DECORATE(function, typechecker=typechecker))


def limited(function: Callable[..., Any], checked: Callable[..., Any]) -> Callable[..., Any]:
    """One of two, by how often it was called."""
    code = function.__code__

    @functools.wraps(checked)
    def called(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        __tracebackhide__ = True
        CALLS[code] += 1
        return (checked if CALLS[code] <= FIRST else function)(*arguments, **options)

    return called


def install() -> None:
    """Let the import hook find it; before any module of the library is imported."""
    jaxtyping.jaxtyped = sparing
