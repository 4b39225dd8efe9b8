"""Reads the profiles of gateways, `config/ussd/gateways/*.toml`; all that is wrong is told at once.

The file's name is the profile's: `africastalking.toml` answers at `/ussd/gateway/africastalking`.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from telcod.errors import NotStarted
from telcod.tables import parse
from ussd.gateway_checks import problems
from ussd.gateway_profile import Profile

FILE_BYTES_MAX: Final = 64 * 1024
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,40}")


class ProfileError(NotStarted):
    """Profiles that can't be used; nothing of them is."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(
            "; ".join(problems),
            what_to_do="Mend the profiles of gateways that are named, then start telcod again.",
        )
        self.problems: Final = tuple(problems)


def load_profiles(folder: Path) -> Mapping[str, Profile]:
    """The profiles of a folder, by name.  No folder is no profiles.

    Raises:
        ProfileError: Some can't be used; it says everything that is wrong with all of them.
    """
    profiles: dict[str, Profile] = {}
    wrong: list[str] = []
    for path in sorted(folder.glob("*.toml")):
        found = _read(path)
        if isinstance(found, Profile):
            profiles[path.stem] = found
        else:
            wrong += [f"{path.name}: {problem}" for problem in found]
    if wrong:
        raise ProfileError(wrong)
    return profiles


def _read(path: Path) -> Profile | list[str]:
    """A profile, or what is wrong with it."""
    if not _NAME.fullmatch(path.stem):
        return ["is named by small letters, digits, _ and -, from a letter on"]
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            return [f"is longer than {FILE_BYTES_MAX} bytes"]
        profile = msgspec.convert(parse(content.decode()), Profile)
    except OSError as error:
        return [f"can't be read: {error.strerror}"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return [f"is no TOML: {error}"]
    except msgspec.ValidationError as error:
        reason, _, where = str(error).replace("`", "").partition(" - at ")
        return [f"{where.removeprefix('$.')}: {reason}" if where else reason]
    return problems(profile) or profile
