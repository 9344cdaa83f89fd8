"""Where settings come from: flags, then environment, then a TOML file.

Laws of this file: every value is converted on its own, under the name that its author wrote, so
that one line can say what is wrong. No message repeats a value that might be a secret.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_origin

import msgspec

from api.settings import Door, SettingError, Settings, check

_PREFIX: Final = "MOORING_"
_DEFAULT_FILE: Final = Path("mooring.toml")
_MAX_FILE_BYTES: Final = 1024 * 1024
# Keys that settings had before; heeded where the new one is not given in the same place.
FORMER_KEYS: Final[Mapping[str, str]] = {"stop_deadline_s": "drain_s"}


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One setting that exists: its path in the settings, and what it takes."""

    path: tuple[str, ...]
    type: Any

    @property
    def key(self) -> str:
        """Its name in the file, as `browser.capacity`."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """Its name in the environment, as `MOORING_BROWSER__CAPACITY`."""
        return _PREFIX + "__".join(self.path).upper()

    @property
    def takes_list(self) -> bool:
        return get_origin(self.type) is tuple

    @property
    def takes_table(self) -> bool:
        """Its own keys are the user's to choose: a table in the file, JSON in the environment."""
        return get_origin(self.type) is Mapping


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Settings, checked, and which of them somebody gave.

    Attributes:
        given: the keys that came from a source, as `browser.capacity`; the rest are defaults.
    """

    settings: Settings
    door: Door
    given: frozenset[str]


def known_settings(
    struct: type[msgspec.Struct] = Settings, path: tuple[str, ...] = ()
) -> Iterator[Known]:
    """Yield every setting there is, in the order of the Structs."""
    for field in msgspec.structs.fields(struct):
        here = (*path, field.name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from known_settings(field.type, here)
        else:
            yield Known(path=here, type=field.type)


def load(
    *,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    file: Path | None = None,
) -> Config:
    """Read all sources and return what they add up to.

    Args:
        flags: by key, as `{"bind": ("127.0.0.1:5010",)}`; an empty or absent one was not given.
        environ: the whole environment; only names with the prefix count, an empty value does not.
        file: must exist when it is given; else `mooring.toml` is read where there is one.

    Raises:
        SettingError: a setting or the file is unknown, unreadable, ill-typed or out of range.
    """
    values: dict[str, Any] = {}
    values.update(_from_file(file))
    values.update(_from_environment(environ))
    values.update({key: value for key, value in flags.items() if value})
    settings = _assemble(values)
    return Config(settings=settings, door=check(settings), given=frozenset(values))


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {setting.variable: setting for setting in known_settings()}
    former = _former(known.values(), lambda setting: setting.variable)
    values: dict[str, Any] = {}
    for name in sorted(environ, key=lambda name: (name not in former, name)):
        if not name.startswith(_PREFIX) or not environ[name]:
            continue
        setting = known.get(name) or former.get(name)
        if setting is None:
            raise _unknown(name, known)
        values[setting.key] = _convert(name, _split(setting, environ[name]), setting, strict=False)
    return values


def _split(setting: Known, text: str) -> Any:
    if setting.takes_table:
        return _decode_table(setting, text)
    if not setting.takes_list:
        return text
    return [part for part in (piece.strip() for piece in text.split(",")) if part]


def _decode_table(setting: Known, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise SettingError(setting.variable, "expected a JSON object") from None


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        if not _DEFAULT_FILE.exists():
            return {}
        file = _DEFAULT_FILE
    known = {setting.key: setting for setting in known_settings()}
    former = _former(known.values(), lambda setting: setting.key)
    values: dict[str, Any] = {}
    tables = frozenset(key for key, setting in known.items() if setting.takes_table)
    given = sorted(_flatten(_read_toml(file), tables), key=lambda pair: pair[0] not in former)
    for key, value in given:
        setting = known.get(key) or former.get(key)
        if setting is None:
            raise _unknown(key, known, where=f"{file.name}: ")
        values[setting.key] = _convert(f"{file.name}: {key}", value, setting, strict=True)
    return values


def _former(settings: Iterable[Known], name_of: Callable[[Known], str]) -> dict[str, Known]:
    """Return what settings were called before, as a source writes it."""
    old_of = {new: old for old, new in FORMER_KEYS.items()}
    return {
        name_of(Known(path=tuple(old_of[setting.key].split(".")), type=setting.type)): setting
        for setting in settings
        if setting.key in old_of
    }


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX_FILE_BYTES + 1)
        if len(text) > _MAX_FILE_BYTES:
            raise SettingError(str(file), "is larger than 1 MiB")
        return tomllib.loads(text.decode())
    except OSError as error:
        raise SettingError(str(file), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingError(str(file), "is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingError(str(file), f"is not TOML: {error}") from error


def _flatten(
    table: Mapping[str, Any], whole: frozenset[str], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, Any]]:
    """Yield what a file sets, by key; the tables in `whole` are values of their own."""
    for name, value in table.items():
        here = (*path, name)
        key = ".".join(here)
        if isinstance(value, dict) and key not in whole:
            yield from _flatten(value, whole, here)
        else:
            yield key, value


def _convert(name: str, raw: Any, setting: Known, *, strict: bool) -> Any:
    try:
        return msgspec.convert(raw, setting.type, strict=strict)
    except msgspec.ValidationError as error:
        expected = str(error).partition(" - at")[0].replace("`", "")
        if not strict:  # what came is always text there, so saying so would only mislead
            expected = expected.partition(", got")[0]
        raise SettingError(name, expected[:1].lower() + expected[1:]) from None


def _unknown(name: str, known: Mapping[str, Known], where: str = "") -> SettingError:
    spelt = {known_name.lower(): known_name for known_name in known}
    near = difflib.get_close_matches(name.lower(), spelt, n=2, cutoff=0.75)
    hint = f"; did you mean {' or '.join(spelt[one] for one in near)}?" if near else ""
    return SettingError(where + name, f"no such setting{hint}")


def _assemble(values: Mapping[str, Any]) -> Settings:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *parents, leaf = key.split(".")
        table = tree
        for parent in parents:
            table = table.setdefault(parent, {})
        table[leaf] = value
    return msgspec.convert(tree, Settings)
