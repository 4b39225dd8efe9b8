"""The configuration: `telcod.toml` and the environment, made into frozen structs, checked once.

Everything wrong is told in one go, with file, key and reason.  How it is read:

- a key that the schema does not know is an error, with the nearest known one;
- any text may be given as `{ file = "..." }`, the first line of a file beside the configuration,
  or as `{ env = "..." }`, a variable;
- `TELCOD_<SECTION>__<KEY>` overrides a key, `TELCOD_SMPP__LINKS__0__PASSWORD` one of a list; a list
  of texts is written with commas.  A `TELCOD_` variable that means nothing is an error too, unless
  the file names it by `{ env = "..." }`.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta
from msgspec.inspect import (
    CustomType,
    ListType,
    Metadata,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from telcod.epay.gateway import is_page
from telcod.epay.signatures import secret_bytes
from telcod.errors import NotStarted
from telcod.log import Format, Level
from telcod.smpp.link_settings import LinkSettings
from telcod.smpp.timers import Timers
from telcod.tables import parse

FILE_NAME: Final = "telcod.toml"
PREFIX: Final = "TELCOD_"
SECRET_BYTES_MAX: Final = 64 * 1024
WEBHOOK_SECRETS_MAX: Final = 8  # each is tried on every notification

_Port = Annotated[int, Meta(ge=0, le=65_535)]
_Host = Annotated[str, Meta(min_length=1, max_length=253)]
_TopicPrefix = Annotated[str, Meta(pattern=r"^[^$+#/\x00-\x1f][^+#\x00-\x1f]{0,199}/$")]
_SHORT_CODE: Final = re.compile(r"[0-9]{3,6}", re.ASCII)
_PATH_PART: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
_STORE_SCHEMES: Final = ("sqlite", "postgresql")
_MQTT_SCHEMES: Final = ("mqtt", "mqtts")


class Secret:
    """A text that no log, repr or error shows; `reveal` hands it out where it is used."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value: Final = value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""


class StoreSettings(_Table, frozen=True, kw_only=True):
    """`[store]`: where the books are.

    `reserve_mb` of the disk is set aside beside a file: when the disk is full, calls and payments
    are ended on it (F5).
    """

    url: Annotated[str, Meta(min_length=1)] = "sqlite:///var/lib/telcod/telcod.db"
    reserve_mb: Annotated[int, Meta(ge=0, le=10_000)] = 16


class HttpSettings(_Table, frozen=True, kw_only=True):
    """`[http]`: where HTTP listens; port 0 takes any free one.

    `control_socket` is how the command line finds the daemon; empty is beside the database.
    `rate_per_s` limits each token (0: no limit) beyond `burst`; `allow_from` are the networks that
    may ask (none: everybody), HTTP-4; `proxies` are our own, whose `X-Forwarded-For` is believed.
    """

    host: _Host = "127.0.0.1"
    port: _Port = 8080
    control_socket: str = ""
    rate_per_s: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    burst: Annotated[int, Meta(ge=1, le=1_000_000)] = 50
    allow_from: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()


class MqttSettings(_Table, frozen=True, kw_only=True):
    """`[mqtt]`: the broker; without this table there is no MQTT.

    `client_id` is what the broker knows this daemon's session by: each daemon has its own.
    `topics` is how telcod's own topics begin; answers go to topics below `reply_prefix` only.
    Daemons of one `share_group` share the requests (empty: each gets all of them).
    The broker keeps requests for `session_s` while telcod is away; `requests_max` are worked on at
    once.
    `gateways` have request topics and a connection of their own, so that none of them can fill what
    the broker keeps for another (`telcod/mqtt/broker.py`); `requests_max` is that of each.
    """

    url: Annotated[str, Meta(min_length=1)]
    user: str = ""
    password: Secret | None = None
    tls_ca: str = ""
    protocol: Literal["5", "3.1.1"] = "5"
    client_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "telcod"
    topics: _TopicPrefix = "telcod/"
    reply_prefix: _TopicPrefix = "telcod/reply/"
    share_group: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = "telcod"
    gateways: tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,32}$")], ...] = ()
    keepalive_s: Annotated[int, Meta(ge=1, le=600)] = 30
    session_s: Annotated[int, Meta(ge=0, le=7 * 86_400)] = 3_600
    requests_max: Annotated[int, Meta(ge=1, le=1_000)] = 64
    reconnect_min_s: Annotated[float, Meta(ge=0.01, le=600)] = 1.0
    reconnect_max_s: Annotated[float, Meta(ge=0.01, le=3_600)] = 60.0

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: Answers could be sent where telcod itself speaks or listens, or a gateway
                is named twice.
        """
        if len(set(self.gateways)) < len(self.gateways):
            raise ValueError("gateways names one of them twice")
        for name in ("events/", "status", "ussd/", "ivr/", "network/"):
            if f"{self.topics}{name}".startswith(self.reply_prefix):
                raise ValueError(f"reply_prefix holds telcod's own {self.topics}{name}")


class UssdSettings(_Table, frozen=True, kw_only=True):
    """`[ussd]`: who brings to a phone what nobody asked for (USSD-4); without, texts do.

    `push` says by which convention: over the SMPP link `push_link`, by a POST to `push_url`, or
    over MQTT.
    """

    push: Literal["", "smpp", "http", "mqtt"] = ""
    push_link: str = ""
    push_url: str = ""
    push_token: Secret | None = None


class SmppSettings(_Table, frozen=True, kw_only=True):
    """`[smpp]`: the links and the timers that they share."""

    links: tuple[LinkSettings, ...] = ()
    timers: Timers = Timers()


class FastAgiSettings(_Table, frozen=True, kw_only=True):
    """`[fastagi]`: where Asterisk may ask; without this table there is no FastAGI.

    `secret` is the first part of every script's path; it may be left out on loopback only.
    `allow_from` are the networks that may ask; `sounds` is where our recordings are, below
    Asterisk's folder of sounds.
    """

    host: _Host = "127.0.0.1"
    port: _Port = 4573
    secret: Secret | None = None
    allow_from: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    sounds: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_/-]{1,100}$")] = "telcod"

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: Anybody could ask, or nobody can.
        """
        networks = [_network(text) for text in self.allow_from]
        if not networks:
            raise ValueError("allow_from names no network: nobody could ask")
        if self.secret is None and not all(network.is_loopback for network in networks):
            raise ValueError("secret is missing: others than this machine may ask (allow_from)")
        if self.secret is not None and not _PATH_PART.fullmatch(self.secret.reveal()):
            raise ValueError("secret must be 16 to 128 letters, digits, hyphens and underscores")


class EpaySettings(_Table, frozen=True, kw_only=True):
    """`[epay]`: the card gateway; without this table nobody pays by card.

    `gateway_url` is its API, opened by `gateway_secret`; its notifications are signed with one of
    `webhook_secrets` (`whsec_…`), of which there are several while one is rotated.  `site_url` is
    where payers find the pages, as they see it; `site`: whether there are any, and `proxies` are
    our own in front of them, whose `X-Forwarded-For` is believed.  A gateway that has not answered
    after `answer_s` is asked again later; `notifications_per_s` is how many an address may send.
    """

    gateway_url: Annotated[str, Meta(min_length=1)]
    gateway_secret: Secret
    webhook_secrets: tuple[Secret, ...]
    site: bool = True
    site_url: str = ""
    proxies: tuple[str, ...] = ()
    connect_s: Annotated[float, Meta(ge=0.05, le=60)] = 5.0
    answer_s: Annotated[float, Meta(ge=0.05, le=60)] = 10.0
    notifications_per_s: Annotated[int, Meta(ge=1, le=10_000)] = 100

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: An address is none, or a secret can't sign.
        """
        for name, url in (("gateway_url", self.gateway_url), ("site_url", self.site_url)):
            if url and not is_page(url):
                raise ValueError(f"{name} must be an http or https address with a host")
        if not 1 <= len(self.webhook_secrets) <= WEBHOOK_SECRETS_MAX:
            raise ValueError(f"webhook_secrets must be 1 to {WEBHOOK_SECRETS_MAX}")
        for secret in self.webhook_secrets:
            try:
                secret_bytes(secret.reveal())
            except ValueError as error:
                raise ValueError(f"webhook_secrets: one {error}") from None


class MailSettings(_Table, frozen=True, kw_only=True):
    """`[mail]`: who takes e-mails; without this table they wait in the books.

    `tls` is `tls` (from the first octet), `starttls` (asked for, and insisted on) or `none`.
    """

    host: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    tls: Literal["tls", "starttls", "none"] = "starttls"
    tls_ca: str = ""
    user: str = ""
    password: Secret | None = None
    sender: Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+$")]
    sender_name: str = ""


class EngineSettings(_Table, frozen=True, kw_only=True):
    """`[engine]`: how many requests may wait, and how many one commit takes."""

    queue_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 5_000
    batch_max: Annotated[int, Meta(ge=1, le=10_000)] = 512


class LogSettings(_Table, frozen=True, kw_only=True):
    """`[log]`: the least that is said, and for whom."""

    level: Level = "info"
    format: Format = "json"


class SecuritySettings(_Table, frozen=True, kw_only=True):
    """`[security]`: the installation's secret, 64 hexadecimal digits.

    Without one, telcod makes a key file beside the database.
    """

    secret: Secret | None = None


class FileSettings(_Table, frozen=True, kw_only=True):
    """`[files]`: prices, texts, keywords and limits, relative to the configuration's folder."""

    tariffs: Annotated[str, Meta(min_length=1)] = "tariffs"
    messages: Annotated[str, Meta(min_length=1)] = "messages"
    keywords: Annotated[str, Meta(min_length=1)] = "keywords.toml"
    limits: Annotated[str, Meta(min_length=1)] = "limits.toml"
    prompts: Annotated[str, Meta(min_length=1)] = "prompts"
    ussd: Annotated[str, Meta(min_length=1)] = "ussd"
    risk: Annotated[str, Meta(min_length=1)] = "risk.toml"


class Settings(_Table, frozen=True, kw_only=True):
    """The whole configuration.  `folder` is where the file was; it is not a key of the file."""

    store: StoreSettings = StoreSettings()
    http: HttpSettings = HttpSettings()
    mqtt: MqttSettings | None = None
    smpp: SmppSettings = SmppSettings()
    fastagi: FastAgiSettings | None = None
    ussd: UssdSettings = UssdSettings()
    epay: EpaySettings | None = None
    mail: MailSettings | None = None
    engine: EngineSettings = EngineSettings()
    log: LogSettings = LogSettings()
    security: SecuritySettings = SecuritySettings()
    files: FileSettings = FileSettings()
    folder: Path = Path()

    def file(
        self, which: Literal["tariffs", "messages", "keywords", "limits", "prompts", "ussd", "risk"]
    ) -> Path:
        """One of `[files]`: the configuration's own or, if there is none, the shipped one."""
        name: str = getattr(self.files, which)
        own = self.folder / name
        return own if own.exists() else shipped_config_dir() / name

    def sqlite_path_or_none(self) -> Path | None:
        """The database file; None if the store is a server.

        `sqlite:///var/lib/x.db` is absolute, `sqlite:x.db` is in the configuration's folder.
        """
        url = urlsplit(self.store.url)
        return self.folder / url.path if url.scheme == "sqlite" else None


class Problem(NamedTuple):
    """One thing wrong: in which file (or the environment), at which key, and why."""

    file: str
    key: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


class SettingsError(NotStarted):
    """The configuration cannot be used; `problems` has all that is wrong with it."""

    next_step = "Mend the configuration; `telcod check` says when it is right."

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems: Final = tuple(problems)


def shipped_config_dir() -> Path:
    """The configuration that comes with telcod: inside an installed package, or in a checkout."""
    package = Path(__file__).parent
    installed = package / "shipped_config"
    return installed if installed.is_dir() else package.parent / "config"


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read and check the configuration.

    Args:
        path: The file, or its folder; None is the shipped one.
        environ: The environment, for overrides and for `{ env = "..." }`.

    Raises:
        SettingsError: Anything is wrong; it holds every problem, not the first one only.
    """
    path = shipped_config_dir() if path is None else path
    path = path / FILE_NAME if path.is_dir() else path
    reading = _Reading(path, environ)
    data = reading.file()
    if reading.problems:
        raise SettingsError(reading.problems)
    reading.override(data)
    settings = reading.struct(Settings, data, ())
    reading.variables_left_over()
    # What no single type can say.  It looks at the data, not at the structs, so that a table with
    # one mistake still tells its others; what has the wrong type is passed over, it was told.
    _check_urls(data, reading)
    _check_links(data, reading)
    _check_files(data, reading)
    _check_push(data, reading)
    if reading.problems or not isinstance(settings, Settings):
        raise SettingsError(sorted(set(reading.problems)))
    return msgspec.structs.replace(settings, folder=path.parent)


_Key = tuple[str | int, ...]


class _Reading:
    """One reading of one file, and the problems so far."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path: Final = path
        self.problems: list[Problem] = []
        self._environ: Final = environ
        self._from_environ: dict[_Key, str] = {}
        self._unknown: list[tuple[str, str]] = []
        self._named: set[str] = set()

    def complain(self, key: _Key, reason: str) -> None:
        """Note a problem with what a key holds, wherever it came from."""
        variable = self._from_environ.get(key)
        if variable is None:
            self.problems.append(Problem(str(self.path), _dotted(key), reason))
        else:
            self.problems.append(Problem("environment", variable, reason))

    def file(self) -> dict[str, Any]:
        """What the file says; nothing, and a problem, if it cannot be read."""
        try:
            return parse(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.complain((), "there is no such file; `telcod init` writes one")
        except OSError as error:
            self.complain((), f"cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self.complain((), "is not UTF-8 text")
        except tomllib.TOMLDecodeError as error:
            self.complain((), f"is not TOML: {error}")
        return {}

    # -- the environment

    def override(self, data: dict[str, Any]) -> None:
        """Put the values of `TELCOD_` variables in their places."""
        for variable in sorted(self._environ):
            if not variable.startswith(PREFIX):
                continue
            words = variable.removeprefix(PREFIX).lower().split("__")
            key = tuple(int(word) if _is_index(word) else word for word in words)
            schema = _schema_at(key)
            if schema is None or len(key) == 1:
                self._unknown.append((variable, _nearest_variable(variable)))
                continue
            self._from_environ[key] = variable
            value = _from_text(self._environ[variable], schema)
            if not _put(data, key, value):
                self.complain(key, "the list in the file has no such place, nor is it the next one")

    def variables_left_over(self) -> None:
        """Complain of variables that are neither overrides nor named by the file."""
        for variable, nearest in self._unknown:
            if variable not in self._named:
                reason = "no setting has this name" + nearest
                self.problems.append(Problem("environment", variable, reason))

    # -- the schema

    def struct(self, cls: type[msgspec.Struct], data: object, key: _Key) -> msgspec.Struct | None:
        """Build a table; None, and problems, if it cannot be."""
        if not isinstance(data, dict):
            self.complain(key, "must be a table")
            return None
        before = len(self.problems)
        fields = {f.name: f for f in msgspec.structs.fields(cls) if f.name != "folder"}
        values: dict[str, Any] = {}
        for name in data:
            if name not in fields:
                self.complain((*key, name), "is not known here" + _nearest(name, fields))
        for name, field in fields.items():
            if name in data:
                values[name] = self.value(field.type, data[name], (*key, name))
            elif field.required:
                self.complain((*key, name), "is missing")
        if len(self.problems) > before:
            return None
        try:
            return cls(**values)
        except ValueError as error:  # two fields that contradict one another: the struct's own rule
            self.complain(key, str(error))
            return None

    def value(self, annotation: Any, data: object, key: _Key) -> object:
        """Check one value against its type; None, and a problem, if it does not fit."""
        schema = _plain(type_info(annotation))
        if isinstance(schema, StructType):
            return self.struct(schema.cls, data, key)
        if isinstance(schema, VarTupleType) and isinstance(schema.item_type, StructType):
            return self.list_of(schema.item_type.cls, data, key)
        if isinstance(schema, VarTupleType) and _is_secret(schema.item_type):
            return self.secrets(data, key)
        if isinstance(data, dict):
            data = self.referred(data, key)
            if data is None:
                return None
        if isinstance(schema, CustomType) and schema.cls is Secret:
            if isinstance(data, str) and data:
                return Secret(data)
            self.complain(key, "must be a text that is not empty")
            return None
        try:
            return msgspec.convert(data, annotation, strict=key not in self._from_environ)
        except msgspec.ValidationError as error:
            self.complain(key, _reason(error))
            return None

    def secrets(self, data: object, key: _Key) -> object:
        """Check a list of secrets, each of which may come from elsewhere."""
        if not isinstance(data, list) or not data:
            self.complain(key, "must be a list with at least one secret")
            return None
        return tuple(self.value(Secret, item, (*key, index)) for index, item in enumerate(data))

    def list_of(self, cls: type[msgspec.Struct], data: object, key: _Key) -> object:
        """Check a list of tables, each on its own."""
        if not isinstance(data, list):
            self.complain(key, f"must be a list of tables, each under [[{_dotted(key)}]]")
            return None
        return tuple(self.struct(cls, item, (*key, index)) for index, item in enumerate(data))

    def referred(self, data: dict[str, Any], key: _Key) -> str | None:
        """The text that `{ file = "..." }` or `{ env = "..." }` stands for."""
        match data:
            case {"env": str(variable), **rest} if not rest:
                self._named.add(variable)
                if self._environ.get(variable):
                    return self._environ[variable]
                self.complain(key, f"the variable {variable} is not set, or is empty")
            case {"file": str(name), **rest} if not rest:
                return self.secret_file(self.path.parent / name, key)
            case _:
                self.complain(key, 'must be a value, { file = "..." } or { env = "..." }')
        return None

    def secret_file(self, path: Path, key: _Key) -> str | None:
        """The first line of a file."""
        try:
            with path.open(encoding="utf-8") as file:
                line = file.readline(SECRET_BYTES_MAX).rstrip("\r\n")
        except OSError as error:
            self.complain(key, f"the file {path} cannot be read: {error.strerror}")
            return None
        except UnicodeDecodeError:
            self.complain(key, f"the file {path} is not UTF-8 text")
            return None
        if not line:
            self.complain(key, f"the first line of {path} is empty")
        return line or None


def _check_urls(data: Mapping[str, Any], reading: _Reading) -> None:
    store = _text_at(data, "store", "url")
    url = _split(store, _STORE_SCHEMES, ("store", "url"), reading) if store else None
    if url and url.scheme == "sqlite" and (url.netloc or url.path in {"", "/"}):
        reading.complain(
            ("store", "url"), "must name a file: sqlite:///folder/file.db, or sqlite:file.db"
        )
    if url and url.scheme == "postgresql" and not url.path.strip("/"):
        reading.complain(("store", "url"), "must name a database: postgresql://host/database")
    mqtt = _text_at(data, "mqtt", "url")
    url = _split(mqtt, _MQTT_SCHEMES, ("mqtt", "url"), reading) if mqtt else None
    if url and not url.hostname:
        reading.complain(("mqtt", "url"), "must name a host: mqtt://host:1883")
    if url and url.password is not None:
        # An address ends up in logs and process lists.
        reading.complain(("mqtt", "url"), "must hold no password; give it as mqtt.password")


def _split(text: str, schemes: Sequence[str], key: _Key, reading: _Reading) -> SplitResult | None:
    try:
        url = urlsplit(text)
        if url.scheme != "postgresql":  # Of which there may be several, each with its host.
            _ = url.port  # parsed when asked for
    except ValueError:  # What it says repeats a piece of the address, perhaps of a password.
        reading.complain(key, "is no address: a host, and a port of 0 to 65535")
        return None
    if url.scheme in schemes:
        return url
    known = " or ".join(f"{scheme}:" for scheme in schemes)
    reading.complain(key, f"must begin with {known}" + _nearest(url.scheme, schemes))
    return None


def _check_links(data: Mapping[str, Any], reading: _Reading) -> None:
    links = data.get("smpp", {}).get("links", ()) if isinstance(data.get("smpp"), dict) else ()
    seen: dict[str, int] = {}
    for index, link in enumerate(links if isinstance(links, list) else ()):
        if not isinstance(link, dict):
            continue
        key: _Key = ("smpp", "links", index)
        name = link.get("name")
        if isinstance(name, str) and seen.setdefault(name, index) != index:
            reading.complain((*key, "name"), f"{name!r} is the name of link {seen[name]} already")
        codes = link.get("short_codes")
        if not isinstance(codes, list) or not codes:
            if "short_codes" not in link or codes == []:
                reading.complain((*key, "short_codes"), "must name at least one short code")
            continue
        for code in codes:
            if isinstance(code, str) and not _SHORT_CODE.fullmatch(code):
                reading.complain((*key, "short_codes"), f"{code!r} is not 3 to 6 digits")


def _check_push(data: Mapping[str, Any], reading: _Reading) -> None:
    """Whoever brings pushes must be there."""
    push = _text_at(data, "ussd", "push")
    links = data.get("smpp", {}).get("links", ()) if isinstance(data.get("smpp"), dict) else ()
    if push == "smpp":
        wanted = _text_at(data, "ussd", "push_link")
        named = {link["name"]: link for link in links if isinstance(link, dict) and "name" in link}
        if wanted not in named:
            reading.complain(("ussd", "push_link"), "must be the name of a link")
        elif not named[wanted].get("ussd"):
            reading.complain(("ussd", "push_link"), f"link {wanted} has no ussd profile")
    if push == "http":
        url = _text_at(data, "ussd", "push_url")
        parts = _split(url, ("http", "https"), ("ussd", "push_url"), reading) if url else None
        if not url or (parts and not parts.hostname):
            reading.complain(("ussd", "push_url"), "must be the address that takes pushes")
    if push == "mqtt" and "mqtt" not in data:
        reading.complain(("ussd", "push"), "mqtt needs the table [mqtt]")


def _check_files(data: Mapping[str, Any], reading: _Reading) -> None:
    """A file that somebody names must be there; the names by default may be the shipped ones."""
    for name in FileSettings.__struct_fields__:
        value = _text_at(data, "files", name)
        if value and not (reading.path.parent / value).exists():
            reading.complain(("files", name), f"{reading.path.parent / value} is not there")


def _text_at(data: Mapping[str, Any], section: str, name: str) -> str:
    table = data.get(section)
    value = table.get(name) if isinstance(table, dict) else None
    return value if isinstance(value, str) else ""


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"allow_from: {text!r} is no network") from None


def _plain(schema: Type) -> Type:
    """The type without its constraints, and without None where it may be left out."""
    if isinstance(schema, Metadata):
        return _plain(schema.type)
    if isinstance(schema, UnionType):
        others = [one for one in schema.types if not isinstance(one, msgspec.inspect.NoneType)]
        return _plain(others[0]) if len(others) == 1 else schema
    return schema


def _is_secret(schema: Type) -> bool:
    plain = _plain(schema)
    return isinstance(plain, CustomType) and plain.cls is Secret


def _schema_at(key: _Key) -> Type | None:
    """The type of the leaf that a key leads to; None if it leads nowhere, or to a table."""
    schema = _plain(type_info(Settings))
    for step in key:
        if isinstance(schema, StructType) and step != "folder":
            field = next((f for f in schema.fields if f.name == step), None)
            if field is None:
                return None
            schema = _plain(field.type)
        elif isinstance(schema, VarTupleType | ListType) and isinstance(step, int):
            schema = _plain(schema.item_type)
        else:
            return None
    tables = isinstance(schema, StructType) or (
        isinstance(schema, VarTupleType) and isinstance(schema.item_type, StructType)
    )
    return None if tables else schema


def _from_text(text: str, schema: Type) -> object:
    """A variable's text as the file would have held it; types are converted with the rest."""
    if isinstance(schema, VarTupleType | ListType):
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _put(data: dict[str, Any], key: _Key, value: object) -> bool:
    """Put a value where its key leads, making tables; False if a list has no such place."""
    place: Any = data
    for step, following in zip(key, (*key[1:], None), strict=True):
        if isinstance(step, int):
            if not isinstance(place, list) or step > len(place):
                return False
            if step == len(place):
                place.append({} if following is not None else value)
        elif not isinstance(place, dict):
            return True  # the file has something else there, which is complained of with its key
        elif following is not None and step not in place:
            place[step] = [] if isinstance(following, int) else {}
        if following is None:
            place[step] = value
        else:
            place = place[step]
    return True


def _is_index(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 4


def _dotted(key: _Key) -> str:
    text = ""
    for step in key:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def _nearest(word: str, known: Mapping[str, object] | Sequence[str]) -> str:
    found = get_close_matches(word, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _nearest_variable(variable: str) -> str:
    return _nearest(variable, [PREFIX + "__".join(key).upper() for key in _leaves()])


def _leaves() -> Iterator[tuple[str, ...]]:
    """The keys of all settings, the first of each list standing for all."""
    waiting: list[tuple[tuple[str, ...], Type]] = [((), _plain(type_info(Settings)))]
    while waiting:
        key, schema = waiting.pop()
        if isinstance(schema, StructType):
            fields = [field for field in schema.fields if field.name != "folder"]
            waiting += [((*key, field.name), _plain(field.type)) for field in fields]
        elif isinstance(schema, VarTupleType) and isinstance(schema.item_type, StructType):
            waiting.append(((*key, "0"), schema.item_type))
        else:
            yield key


def _reason(error: msgspec.ValidationError) -> str:
    """Put msgspec's words in a sentence's place; the key is told already."""
    text = str(error).partition(" - at ")[0].replace("`", "")
    words = {"int": "a whole number", "str": "a text", "bool": "true or false", "array": "a list"}
    for word, plain in words.items():
        text = re.sub(rf"\b{word}\b", plain, text)
    return text[:1].lower() + text[1:]
