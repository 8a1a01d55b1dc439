"""`first_calls`: what the import hook checks is checked in every test, but not in all of a loop."""

import beartype
import numpy as np
import pytest
from first_calls import CALLS, FIRST, sparing
from jaxtyping import Float, TypeCheckError

from hypojax.grid import voxel_sizes


def test_functions_of_the_library_are_checked() -> None:
    with pytest.raises(TypeCheckError):
        voxel_sizes(np.eye(3))


@pytest.mark.parametrize("_time", [1, 2])
def test_first_calls_of_each_test_are_checked(_time: int) -> None:
    checked = sparing(typechecker=beartype.beartype)(row)
    for number in range(FIRST):
        if number in (0, FIRST - 1):
            with pytest.raises(TypeCheckError):
                checked(np.ones((2, 3)))
        else:
            checked(np.ones(3))
    assert checked(np.ones((2, 3))) == 1
    CALLS.clear()
    with pytest.raises(TypeCheckError):
        checked(np.ones((2, 3)))


def row(_values: Float[np.ndarray, "n"]) -> int:
    return 1
