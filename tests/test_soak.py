"""What `make soak` makes of its runs; the faults themselves are in tests/faults."""

from __future__ import annotations

from pathlib import Path

from tests.faults.soak import Run, _read, report

XML = """<testsuites><testsuite>
<testcase classname="tests.faults.test_kill" name="test_a" />
<testcase classname="tests.faults.test_kill" name="test_b"><failure>why</failure></testcase>
<testcase classname="tests.faults.test_clock" name="test_c"><error>why</error></testcase>
</testsuite></testsuites>"""


def test_results_are_read_as_pytest_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "results.xml"
    assert _read(file) == (0, ())
    file.write_text(XML)
    failed = ("tests.faults.test_kill::test_b", "tests.faults.test_clock::test_c")
    assert _read(file) == (1, failed)


def test_the_report_has_every_runs_counts_and_ends_with_what_passed_and_failed() -> None:
    good = Run(seed=1, seconds=61.2, passed=9, failed=(), counts=("30 kills of the server",))
    bad = Run(seed=2, seconds=58.0, passed=8, failed=("test_kill::test_a",), counts=())
    lines = report([good, bad]).splitlines()
    assert "seed 1: 9 passed, 0 failed, 61 s" in lines
    assert "  30 kills of the server" in lines
    assert "FAILED 1 of 2 times: test_kill::test_a" in lines
    assert lines[-1] == "17 passed, 1 failed"
