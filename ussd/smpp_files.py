"""The profiles of USSD over SMPP, from their files."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from telcod.tables import parse
from ussd.smpp_profile import Profile, ProfileError, build


def load_profiles(*folders: Path) -> Mapping[str, Profile]:
    """Read all profiles, `NAME.toml` each; one of a later folder replaces its namesake.

    Args:
        folders: The shipped ones, then the installation's own; one that is not there has none.

    Raises:
        ProfileError: With everything that is wrong with any of them.
    """
    paths = {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}
    profiles: dict[str, Profile] = {}
    problems: list[str] = []
    for name, path in sorted(paths.items()):
        try:
            profiles[name] = build(parse(path.read_text(encoding="utf-8")))
        except ProfileError as error:
            problems += [f"{path}: {problem}" for problem in error.problems]
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(f"{path}: {reason or 'cannot be read'}")
    if problems:
        raise ProfileError(problems)
    return profiles
