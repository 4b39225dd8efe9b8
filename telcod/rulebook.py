"""Reads tariffs, limits, keywords and messages from the configuration's folder into one `Rules`
(CFG-2).

Every problem of every file is reported in one go, with file, key and reason, so that an operator
mends them all before the next try.  The same function serves start, `telcod check` and the reload
by SIGHUP.
"""

import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

import handlers
from telcod.billing.calls import CallLimits
from telcod.billing.lists import ListLimits
from telcod.billing.lookup import LookupLimits
from telcod.billing.packages import PackageLimits
from telcod.billing.payments import PaymentLimits
from telcod.billing.risk import RiskRule, RiskRules, rule_problems
from telcod.billing.tariffs import Tariff, TariffBook, TariffBookError
from telcod.dispatch import Dispatcher, DispatchError
from telcod.messages import Catalogue, CatalogueError
from telcod.msisdn import OLD_PREFIXES, old_prefix_problems
from telcod.prompts import Prompts, PromptsError
from telcod.rules import Limits, NoticeLimits, Rules, TextLimits, UssdLimits
from telcod.settings import Problem, Settings, SettingsError, shipped_config_dir
from telcod.tables import parse
from ussd.menu import Menu
from ussd.menu_file import MenuError
from ussd.menu_file import build as build_menu

PROMPTS_FILE: Final = "prompts.toml"
PACKAGES_REQUIRED: Final = frozenset({"day", "week"})
LANGUAGES: Final = ("vi", "en")
SECTIONS: Final[tuple[tuple[str, type[msgspec.Struct]], ...]] = (
    ("packages", PackageLimits),
    ("lists", ListLimits),
    ("texts", TextLimits),
    ("calls", CallLimits),
    ("ussd", UssdLimits),
    ("notices", NoticeLimits),
    ("lookup", LookupLimits),
    ("payments", PaymentLimits),
)


class RulesError(SettingsError):
    """The files don't make rules.

    `problems` has all that is wrong.  Mend them, then start or reload again.
    """


def load_rules(settings: Settings) -> Rules:
    """Read and check all rule files that the settings name; those that an installation lacks are
    the shipped ones.

    Raises:
        RulesError: With every problem of every file.
    """
    problems: list[Problem] = []
    limits, old_prefixes = _limits(settings.file("limits"), problems)
    book = _tariffs(settings.file("tariffs"), problems)
    catalogue = _catalogue(settings.file("messages"), problems)
    dispatcher = _dispatcher(settings.file("keywords"), old_prefixes, problems)
    prompts = _prompts(settings.file("prompts"), problems)
    menus = _menus(settings.file("ussd"), problems)
    risk = _risk(settings.file("risk"), problems)
    if problems or not (book and catalogue and dispatcher and prompts):
        raise RulesError(problems)
    return Rules(
        book,
        limits,
        catalogue,
        dispatcher,
        old_prefixes,
        prompts,
        menus,
        pushes=bool(settings.ussd.push),
        events=settings.mqtt is not None,
        risk=risk,
    )


def _read(path: Path, problems: list[Problem]) -> dict[str, Any] | None:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problems.append(Problem(str(path), "", reason or "cannot be read"))
        return None


def _limits(path: Path, problems: list[Problem]) -> tuple[Limits, Mapping[str, str]]:
    table = _read(path, problems) or {}
    prefixes = table.pop("old_prefixes", dict(OLD_PREFIXES))
    if not isinstance(prefixes, dict) or not all(
        isinstance(value, str) for value in prefixes.values()
    ):
        problems.append(Problem(str(path), "old_prefixes", "must map prefixes to prefixes"))
        prefixes = dict(OLD_PREFIXES)
    problems += [
        Problem(str(path), "old_prefixes", reason) for reason in old_prefix_problems(prefixes)
    ]
    sections: dict[str, Any] = {}
    for name, kind in SECTIONS:
        try:
            sections[name] = msgspec.convert(table.pop(name, {}), kind)
        except msgspec.ValidationError as error:
            problems.append(Problem(str(path), name, str(error)))
    problems += [Problem(str(path), name, "unknown section") for name in table]
    return msgspec.structs.replace(Limits(), **sections), prefixes


def _risk(path: Path, problems: list[Problem]) -> RiskRules:
    """The risk rules (PAY-6); one that cannot be read does not hide what is wrong with others."""
    table = _read(path, problems) or {}
    rows = table.pop("rule", [])
    problems += [Problem(str(path), name, "is not known here") for name in table]
    if not isinstance(rows, list):
        problems.append(Problem(str(path), "rule", "must be written as [[rule]]"))
        rows = []
    rules = []
    for at, row in enumerate(rows):
        try:
            rules.append(msgspec.convert(row, RiskRule))
        except msgspec.ValidationError as error:
            problems.append(Problem(str(path), f"rule[{at}]", str(error)))
    read = RiskRules(tuple(rules))
    problems += [Problem(str(path), key, reason) for key, reason in rule_problems(read)]
    return read


def _tariffs(folder: Path, problems: list[Problem]) -> TariffBook | None:
    found = []
    for path in sorted(folder.glob("*.toml")):
        table = _read(path, problems)
        if table is None:
            continue
        moment = table.pop("valid_from", None)
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            problems.append(
                Problem(
                    str(path),
                    "valid_from",
                    "must be a time with its zone, as 2018-09-15T00:00:00+07:00",
                )
            )
            continue
        table["valid_from_ms"] = int(moment.timestamp() * 1_000)
        try:
            tariff = msgspec.convert(table, Tariff)
        except msgspec.ValidationError as error:
            problems.append(Problem(str(path), "", str(error)))
            continue
        problems += [
            Problem(str(path), f"packages.{name}", "missing")
            for name in sorted(PACKAGES_REQUIRED - tariff.packages.keys())
        ]
        found.append(tariff)
    try:
        return TariffBook(found)
    except TariffBookError as error:
        problems.append(Problem(str(folder), "", str(error)))
        return None


def _catalogue(folder: Path, problems: list[Problem]) -> Catalogue | None:
    tables = {}
    for language in LANGUAGES:
        path = folder / f"{language}.toml"
        table = _read(path, problems)
        if table is not None:
            tables[language] = table
    if len(tables) < len(LANGUAGES):
        return None
    try:
        return Catalogue.build(tables, required=_shipped_keys())
    except CatalogueError as error:
        problems += [
            Problem(str(folder / f"{p.language}.toml"), p.key, p.reason) for p in error.problems
        ]
        return None


def _prompts(folder: Path, problems: list[Problem]) -> Prompts | None:
    texts: dict[str, dict[str, str]] = {}
    versions = []
    for language in LANGUAGES:
        path = folder / language / PROMPTS_FILE
        table = _read(path, problems)
        if table is None:
            return None
        try:
            texts[language] = msgspec.convert(table.pop("text", {}), dict[str, str])
            versions.append(msgspec.convert(table.pop("version", ""), str))
        except msgspec.ValidationError as error:
            problems.append(Problem(str(path), "", str(error)))
            return None
        problems += [Problem(str(path), key, "is not known here") for key in table]
    if len(set(versions)) != 1 or not versions[0]:
        problems.append(
            Problem(str(folder), "version", "every language must name the same version")
        )
    try:
        return Prompts(texts, versions[0])
    except PromptsError as error:
        problems += [
            Problem(str(folder / language / PROMPTS_FILE), f"text.{key}", reason)
            for language, key, reason in error.problems
        ]
        return None


def _menus(folder: Path, problems: list[Problem]) -> Mapping[str, Menu]:
    """The menus of USSD by service code: one a file (USSD-3)."""
    menus: dict[str, Menu] = {}
    beside = {route.name: route for table in (handlers.TEXTS, handlers.MENU) for route in table}
    for path in sorted(folder.glob("*.toml")):
        table = _read(path, problems)
        if table is None:
            continue
        own = handlers.BY_SHORT_CODE.get(str(table.get("service_code")), ())
        try:
            menu = build_menu(table, {route.name: route for route in own} | beside)
        except MenuError as error:
            problems += [Problem(str(path), p.key, p.reason) for p in error.problems]
            continue
        if menu.service_code in menus:
            problems.append(Problem(str(path), "service_code", "another file has this one"))
        menus[menu.service_code] = menu
    return menus


def _shipped_keys() -> frozenset[str]:
    """What the code says: the shipped catalogue has every key, and a test holds it to that."""
    path = shipped_config_dir() / "messages" / f"{LANGUAGES[0]}.toml"
    return Catalogue.build({LANGUAGES[0]: tomllib.loads(path.read_text(encoding="utf-8"))}).keys()


def _dispatcher(
    path: Path, old_prefixes: Mapping[str, str], problems: list[Problem]
) -> Dispatcher | None:
    table = _read(path, problems)
    if table is None:
        return None
    try:
        keywords = msgspec.convert(table, dict[str, dict[str, list[str]]])
        return Dispatcher.build(handlers.BY_SHORT_CODE, keywords, old_prefixes)
    except msgspec.ValidationError as error:
        problems.append(Problem(str(path), "", str(error)))
    except DispatchError as error:
        problems += [Problem(str(path), "", reason) for reason in error.problems]
    return None
