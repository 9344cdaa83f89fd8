from __future__ import annotations

import pytest

from api.demo.containers import BY_ID, CONTAINERS, check_digit


def test_there_are_203_containers_and_no_two_alike() -> None:
    assert len(CONTAINERS) == len(BY_ID) == 203


@pytest.mark.parametrize(
    ("container_id", "booking"),
    [("TRHU1866154", "RICFEM857500"), ("MSCU5165756", None), ("MSDU5772413", "BKG5772413")],
)
def test_the_containers_of_the_contract_are_there(container_id: str, booking: str | None) -> None:
    assert BY_ID[container_id].booking == booking


def test_reaching_the_last_named_container_takes_ten_pages() -> None:
    assert CONTAINERS.index(BY_ID["MSDU5772413"]) // 20 == 9


def test_every_number_has_its_check_digit() -> None:
    assert check_digit("CSQU305438") == 3  # the example of ISO 6346
    assert all(check_digit(row.id[:10]) == int(row.id[10]) for row in CONTAINERS)


def test_the_rule_of_the_docs_gives_the_other_containers() -> None:
    assert BY_ID["HLXU3010370"].booking == "BKG3010370"
    assert BY_ID["TCLU3011115"].trade == "IMPORT"
    assert BY_ID["OOLU3011480"].trade == "EXPORT"
    assert BY_ID["OOLU3011480"].booking is None
    assert sum(row.trade == "IMPORT" for row in CONTAINERS) == 67
    assert sum(row.booking is not None for row in CONTAINERS) == 102
