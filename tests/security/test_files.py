"""What telcod writes is its owner's alone, whatever the mask of the process is."""

import asyncio
import os
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from telcod.cli.setup import init
from telcod.storage.snapshot import back_up
from telcod.vault import Vault
from tests.e2e.harness import DATABASE, Telcod

pytestmark = pytest.mark.rule("CLI-3", "CLI-6", "CLI-7")


@contextmanager
def open_mask():
    """As under a service manager that says nothing of a mask, or the wrong thing."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def open_to_others(folder):
    """Files below a folder that others than the owner may do something with."""
    found = [path for path in Path(folder).rglob("*") if not path.is_dir()]
    assert found
    return {path.name for path in found if stat.S_IMODE(path.lstat().st_mode) & 0o077}


@pytest.mark.anyio
async def test_books_log_key_lock_socket_and_backup_are_the_owners(tmp_path):
    with open_mask():
        async with Telcod(tmp_path) as telcod:
            (tmp_path / "telcod.toml").chmod(0o600)  # the test's own file
            await telcod.subscribers({"msisdn": 84_903_000_001})
            await asyncio.to_thread(back_up, tmp_path / DATABASE, tmp_path / "backup.db")
            there = {path.name for path in tmp_path.iterdir()}
            made = {f"{DATABASE}{end}" for end in ("", "-wal", "-shm", ".lock", ".key", ".sock")}
            assert made | {"backup.db"} <= there
            assert not open_to_others(tmp_path)


def test_a_configuration_is_written_for_its_owner(tmp_path):
    with open_mask():
        answer = CliRunner().invoke(init, [str(tmp_path / "etc")], catch_exceptions=False)
    assert answer.exit_code == 0
    assert not open_to_others(tmp_path / "etc")


def test_a_key_is_not_written_to_a_file_that_somebody_left_there(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    elsewhere.chmod(0o666)
    (tmp_path / "telcod.key.new").symlink_to(elsewhere)
    Vault.of_file(tmp_path / "telcod.key")
    assert elsewhere.read_text() == ""
    assert stat.S_IMODE((tmp_path / "telcod.key").stat().st_mode) == 0o600
    assert not (tmp_path / "telcod.key.new").is_symlink()
