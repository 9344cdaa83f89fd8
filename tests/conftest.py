"""What tests in every part of the house may use."""

from __future__ import annotations

import shutil
import tempfile
import traceback
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.faults.private_postgres import PrivatePostgres, private_postgres
from tests.leaks import footprint, leaks

# Few tests that take minutes, more that take seconds, and the rest.
_ORDER = ("faults", "e2e", "tests")

# How long an example takes is the machine's business: nothing here is timed.
# The same code is tried with the same examples, so that a change is blamed for what it did;
# `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    """A PostgreSQL that the tests of this worker share, each with a schema of its own.

    It does not flush to the disk: tests that kill it make one that does.
    """
    with private_postgres() as server:
        yield server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz-examples",
        type=int,
        default=None,
        help="cases for each route that Schemathesis makes up; 30 are some thousands in all",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left alone with one."""
    items.sort(key=lambda item: next(i for i, it in enumerate(_ORDER) if it in item.path.parts))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a group of errors comes to: pytest stops at the tenth nursery."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, BaseExceptionGroup):
        leaves = "\n".join(
            "".join(traceback.format_exception(leaf)) for leaf in _leaves(call.excinfo.value)
        )
        report.sections.append(("The errors in the groups", leaves))
    return report


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


@pytest.fixture
def leak_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Fail the test when it leaves a process, a thread or a Chromium's directory behind.

    Yields a temporary directory of the test's own, which is also where `tempfile` and every child
    puts theirs, so that what other tests do at the same time is not mistaken for this one's.
    """
    tmp_path_factory.getbasetemp()  # pytest's own is made on first use, and not to be in this one
    # Short: Chromium keeps a socket in its profile, whose path may have 107 characters.
    temporary = Path(tempfile.mkdtemp(prefix="mooring-test-"))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    before = footprint(temporary)
    yield temporary
    left = leaks(before, temporary)
    shutil.rmtree(temporary, ignore_errors=True)
    assert left == []
