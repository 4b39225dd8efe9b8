"""`scripts/audit` says "none known" only when somebody who knows has said so."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "telcod").is_dir())
NONE = "echo 'No known vulnerabilities found'"
SOME = "echo 'Found 1 known vulnerability in 1 package'; echo 'x 1.0 CVE-2026-1'; exit 1"
UNKNOWN = "echo 'ERROR: x: Dependency not found and could not be audited' >&2; exit 1"
AWAY = "echo 'requests.exceptions.ConnectionError: no way' >&2; exit 1"
OSV_ONLY = f'case "$*" in *osv*) {NONE} ;; *) {AWAY} ;; esac'
NPM_NONE = 'echo \'{"vulnerabilities": {}, "metadata": {}}\''
NPM_SOME = 'echo \'{"vulnerabilities": {"x": {}}, "metadata": {}}\'; exit 1'
NPM_AWAY = "echo '{\"error\": {}}'; exit 1"


def audit(folder, pip_audit, npm):
    for name, script in (("pip-audit", pip_audit), ("npm", npm)):
        path = folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\n{script}\n')
        path.chmod(0o700)
    environ = os.environ | {
        "AUDIT_ENV": str(folder),
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
    }
    done = subprocess.run(
        [ROOT / "scripts" / "audit"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("pip_audit", "npm", "code", "said"),
    [
        (NONE, NPM_NONE, 0, "requirements/runtime.lock: no known vulnerabilities"),
        (OSV_ONLY, NPM_NONE, 0, "says osv"),
        (SOME, NPM_NONE, 1, "CVE-2026-1"),
        (NONE, NPM_SOME, 1, "vulnerable: tests/foreign/npm_smsc"),
        (UNKNOWN, NPM_NONE, 3, "nothing is known of: requirements/runtime.lock"),
        (AWAY, NPM_NONE, 3, "nothing is known of: requirements/dev.lock"),
        (NONE, NPM_AWAY, 3, "nothing is known of: tests/foreign/npm_smsc"),
    ],
    ids=["none", "osv", "some", "npm some", "unknown", "away", "npm away"],
)
def test_only_a_database_that_was_asked_says_that_nothing_is_known(
    tmp_path, pip_audit, npm, code, said
):
    got, output = audit(tmp_path, pip_audit, npm)
    assert (got, said in output) == (code, True), output
