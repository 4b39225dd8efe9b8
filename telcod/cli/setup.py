"""`telcod init` and `telcod check`: a configuration written, one validated (CLI-3, CFG-1)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from telcod.cli.checks import start_problems
from telcod.cli.edge import Context, Told
from telcod.cli.options import common
from telcod.doors import Profiles
from telcod.errors import EXIT_NOT_FINE
from telcod.rulebook import load_rules
from telcod.settings import FILE_NAME, Problem, Settings, SettingsError, load, shipped_config_dir

if TYPE_CHECKING:
    from telcod.rules import Rules

SHIPPED_STORE: Final = 'url = "sqlite:///var/lib/telcod/telcod.db"'
STORE: Final = "sqlite:telcod.db"
# Prices, texts, keywords and limits; what else lies in the folder belongs to later features.
SUFFIX: Final = ".toml"


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--store",
    default=STORE,
    show_default=True,
    help="Where the books will be; as it stands, beside the configuration.",
)
@common
def init(folder: Path, store: str) -> None:
    """Write a commented configuration into DIR: settings, prices, texts, keywords, limits.

    No file that is there is changed.
    """
    files = {folder / name: text for name, text in _shipped(store)}
    there = [str(path) for path in files if path.exists() or path.is_symlink()]
    if there:
        raise Told(
            f"{', '.join(there)}: there already. Nothing was written; name an empty folder.",
            EXIT_NOT_FINE,
        )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, text)
    # What was just written must be right; if --store is not, that is said now and not at the start.
    load_rules(load(folder, {}))
    click.echo(f"Wrote {len(files)} files into {folder}.")
    click.echo(f"Next: `telcod check --config {folder}`, `telcod run --config {folder}`.")


@click.command()
@common
@click.pass_obj
def check(context: Context) -> None:
    """Validate a configuration, and tell every problem in one go."""
    path = context.config_path()
    problems: list[Problem] = []
    settings = Settings(folder=_folder(path))
    try:
        settings = context.settings()
    except SettingsError as error:
        problems += error.problems
    rules: Rules | None = None
    try:
        rules = load_rules(settings)
    except SettingsError as error:
        problems += error.problems
    try:
        Profiles(settings)
    except SettingsError as error:
        problems += error.problems
    problems += start_problems(settings, rules)
    for problem in problems:
        click.echo(str(problem))
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise Told(f"{count} in the configuration. Mend them and check again.", EXIT_NOT_FINE)
    links = len(settings.smpp.links)
    click.echo(f"{settings.folder / FILE_NAME if path is None else path}: right, {links} links.")


def _shipped(store: str) -> Iterator[tuple[str, str]]:
    shipped = shipped_config_dir()
    for path in sorted(shipped.rglob(f"*{SUFFIX}")):
        name = path.relative_to(shipped).as_posix()
        text = path.read_text(encoding="utf-8")
        if name == FILE_NAME:
            text = text.replace(SHIPPED_STORE, f'url = "{store}"')
        yield name, text


def _write_new(path: Path, text: str) -> None:
    # Passwords may come to stand in it, so nobody else reads it from the start.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)


def _folder(path: Path | None) -> Path:
    if path is None:
        return shipped_config_dir()
    return path if path.is_dir() else path.parent
