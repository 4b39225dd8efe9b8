"""How all tests run: Hypothesis's profiles, and no skipping where it would go unseen."""

import os

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings

CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

# The same examples on every run, so that a failure is the change's and not the dice's; what was
# found can be replayed from the blob.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    print_blob=True,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("dev", deadline=None, max_examples=50, print_blob=True)
settings.register_profile(
    "thorough",
    deadline=None,
    derandomize=False,
    print_blob=True,
    database=None,
    max_examples=2_000,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
    verbosity=Verbosity.normal,
)
# `--hypothesis-profile` on the command line comes later, and wins.
settings.load_profile("ci" if CI else "dev")


def skip_is_failure(report, *, ci):
    """In CI a skipped test or file fails: nobody would see that it no longer runs.

    An expected failure is reported as a skip too, and stays one.
    """
    if ci and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure in CI: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return skip_is_failure((yield), ci=CI)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return skip_is_failure((yield), ci=CI)
