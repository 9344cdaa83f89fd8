from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.config import Config, known_settings, load
from api.settings import SettingError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no mooring.toml


def loaded(
    environ: dict[str, str] | None = None,
    text: str | None = None,
    bind: tuple[str, ...] = (),
) -> Config:
    file = None
    if text is not None:
        file = Path("given.toml")
        file.write_text(text)
    return load(flags={"bind": bind}, environ=environ or {}, file=file)


def test_without_any_source_everything_is_default() -> None:
    config = loaded({"PATH": "/bin", "MOORINGX": "1"})
    assert config.settings.browser.capacity == 10
    assert config.given == frozenset()


def test_flags_win_over_environment_and_environment_over_the_file() -> None:
    text = 'bind = ["127.0.0.1:1"]\ndata_dir = "file"\n[browser]\ncapacity = 3\nheadless = false'
    environ = {"MOORING_BIND": "127.0.0.1:2", "MOORING_BROWSER__CAPACITY": "4"}
    settings = loaded(environ, text, bind=("127.0.0.1:3",)).settings
    assert settings.bind == ("127.0.0.1:3",)
    assert settings.browser.capacity == 4
    assert settings.data_dir == "file"
    assert settings.browser.headless is False


def test_what_was_given_is_known_even_where_it_is_the_default() -> None:
    config = loaded({"MOORING_BROWSER__CAPTCHA_URL": "https://api.2captcha.com"})
    assert config.given == {"browser.captcha_url"}


def test_a_file_of_the_usual_name_is_read_unasked() -> None:
    Path("mooring.toml").write_text("[browser]\ncapacity = 7\n")
    assert loaded().settings.browser.capacity == 7


def test_a_file_that_is_asked_for_replaces_the_usual_one() -> None:
    Path("mooring.toml").write_text("[browser]\ncapacity = 7\n")
    assert loaded(text="").settings.browser.capacity == 10


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    environ = {
        "MOORING_BIND": "127.0.0.1:1, 127.0.0.1:2,,",
        "MOORING_OPERATOR_TOKENS": "one,two",
    }
    settings = loaded(environ).settings
    assert settings.bind == ("127.0.0.1:1", "127.0.0.1:2")
    assert settings.operator_tokens == ("one", "two")


def test_an_empty_variable_is_not_given() -> None:
    config = loaded({"MOORING_DATA_DIR": "", "MOORING_BROWSER__EXECUTABLE": ""})
    assert config.settings.data_dir == "./.mooring"
    assert config.settings.browser.executable is None
    assert not config.given


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MOORING_BROWSER__CAPASITY", "MOORING_BROWSER__CAPACITY"),
        ("MOORING_BROWSER_CAPACITY", "MOORING_BROWSER__CAPACITY"),
        ("MOORING_OPERATOR_TOKEN", "MOORING_OPERATOR_TOKENS"),
        ("MOORING_bind", "MOORING_BIND"),
    ],
)
def test_an_unknown_variable_is_named_with_what_may_have_been_meant(name: str, meant: str) -> None:
    with pytest.raises(SettingError, match=f"^{name}: no such setting; did you mean.*{meant}"):
        loaded({name: "x"})


def test_an_unknown_variable_like_no_other_is_just_named() -> None:
    with pytest.raises(SettingError, match=r"^MOORING_LIKE_NO_OTHER: no such setting$"):
        loaded({"MOORING_LIKE_NO_OTHER": "hunter2"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("capacity = 3", "given.toml: capacity: no such setting"),
        ("[browser]\ncapasity = 3", "given.toml: browser.capasity: .*mean browser.capacity"),
        ("[browser.capacity]\nx = 3", "given.toml: browser.capacity.x: no such setting"),
        ('[browser]\ncapacity = "3"', "given.toml: browser.capacity: expected int, got str"),
        ("[browser]\nheadless = 1", "given.toml: browser.headless: expected bool, got int"),
        ('bind = "127.0.0.1:1"', "given.toml: bind: expected array, got str"),
        ("browser = 5", "given.toml: browser: no such setting"),
        ("x = ", "given.toml: is not TOML"),
    ],
)
def test_a_wrong_line_in_the_file_is_named(text: str, problem: str) -> None:
    with pytest.raises(SettingError, match=problem) as caught:
        loaded(text=text)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingError, match=r"^absent\.toml: cannot be read: No such file"):
        load(flags={}, environ={}, file=Path("absent.toml"))


def test_a_file_that_is_no_text_is_named() -> None:
    Path("given.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match="is not UTF-8"):
        load(flags={}, environ={}, file=Path("given.toml"))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("CAPACITY", "0", "expected int >= 1"),
        ("CAPACITY", "ten", "expected int$"),
        ("CAPACITY", "99999999999999999999", ""),
        ("IDLE_TIMEOUT_S", "0", "expected float > 0.0"),
        ("IDLE_TIMEOUT_S", "nan", ""),
        ("IDLE_TIMEOUT_S", "inf", ""),
        ("REFRESH_INTERVAL_S", "-1", "expected float > 0.0"),
        ("LOGIN_TIMEOUT_S", "0", ""),
        ("OPERATION_TIMEOUT_S", "0", ""),
        ("CAPACITY_WAIT_S", "-0.1", "expected float >= 0.0"),
        ("SESSIONS_PER_PROCESS", "0", ""),
        ("HEADLESS", "perhaps", "expected bool$"),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: str, problem: str) -> None:
    with pytest.raises(SettingError, match=f"^MOORING_BROWSER__{name}: .*{problem}") as caught:
        loaded({f"MOORING_BROWSER__{name}": value})
    assert caught.value.exit_code == 2


def test_waiting_not_at_all_for_capacity_is_allowed() -> None:
    assert loaded({"MOORING_BROWSER__CAPACITY_WAIT_S": "0"}).settings.browser.capacity_wait_s == 0


@given(st.text(min_size=1, max_size=30))
def test_no_text_in_a_number_does_anything_but_be_taken_or_refused(text: str) -> None:
    with contextlib.suppress(SettingError):
        settings = load(flags={}, environ={"MOORING_BROWSER__CAPACITY": text}).settings
        assert settings.browser.capacity == float(text)


def test_every_variable_has_a_name_of_its_own() -> None:
    names = [setting.variable for setting in known_settings()]
    assert len(set(names)) == len(names)
    assert {"MOORING_BIND", "MOORING_BROWSER__CAPACITY_WAIT_S"} < set(names)


def test_a_setting_is_heeded_by_its_former_name_where_the_new_one_is_not_given(
    tmp_path: Path,
) -> None:
    assert load(flags={}, environ={"MOORING_STOP_DEADLINE_S": "3"}).settings.drain_s == 3
    both = {"MOORING_STOP_DEADLINE_S": "3", "MOORING_DRAIN_S": "4"}
    assert load(flags={}, environ=both).settings.drain_s == 4
    file = tmp_path / "mooring.toml"
    file.write_text("drain_s = 5\nstop_deadline_s = 6\n")
    assert load(flags={}, environ={}, file=file).settings.drain_s == 5
    file.write_text("stop_deadline_s = 6\n")
    assert load(flags={}, environ={}, file=file).settings.drain_s == 6


def test_a_wrong_value_is_reported_under_the_name_that_was_written() -> None:
    with pytest.raises(SettingError, match="MOORING_STOP_DEADLINE_S: "):
        load(flags={}, environ={"MOORING_STOP_DEADLINE_S": "soon"})
