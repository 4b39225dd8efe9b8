"""Which planted bugs every run looks for; `scripts/test --thorough` looks for all of them."""

import pytest

EACH = 4  # Every fourth: each machine has some in every run, spread over what its bugs are about.


def chosen(bugs):
    """The bugs as parameters: every fourth in each run, the others in the thorough one."""
    return [
        pytest.param(
            bug, id=bug.__name__, marks=() if number % EACH == 0 else (pytest.mark.thorough,)
        )
        for number, bug in enumerate(bugs)
    ]
