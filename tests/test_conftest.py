"""In CI, a test that is skipped fails; an expected failure does not."""

from types import SimpleNamespace

import pytest

from tests.conftest import skip_is_failure


def report(outcome, **extra):
    return SimpleNamespace(outcome=outcome, longrepr=("test_x.py", 3, "Skipped: no node"), **extra)


@pytest.mark.parametrize(
    ("ci", "given", "expected"),
    [
        (True, report("skipped"), "failed"),
        (False, report("skipped"), "skipped"),
        (True, report("skipped", wasxfail="known"), "skipped"),
        (True, report("passed"), "passed"),
    ],
)
def test_a_skip_is_a_failure_in_ci_only(ci, given, expected):
    assert skip_is_failure(given, ci=ci).outcome == expected


def test_it_says_why():
    assert skip_is_failure(report("skipped"), ci=True).longrepr.endswith("Skipped: no node")
