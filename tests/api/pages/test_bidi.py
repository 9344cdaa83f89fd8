"""Marks that turn text around stay in it, whatever marks there are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages.bidi import balanced, escaped

MARKS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
LRI, PDI, RLO, PDF = "\u2066", "\u2069", "\u202e", "\u202c"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("as it is", "as it is"),
        ("\u200fkept\u200e", "\u200fkept\u200e"),
        (f"{RLO}evil", f"{RLO}evil{PDF}"),
        (f"{RLO}{LRI}evil", f"{RLO}{LRI}evil{PDI}{PDF}"),
        (f"{PDI}{RLO}evil", f"{RLO}evil{PDF}"),
        (f"{PDF}evil", "evil"),
        (f"{LRI}{RLO}a{PDI}b", f"{LRI}{RLO}a{PDI}b"),
        (f"{LRI}{PDF}a{PDI}", f"{LRI}a{PDI}"),
        (f"{RLO}a\nb{PDF}", f"{RLO}a{PDF}\nb"),
    ],
)
def test_what_is_open_is_closed_and_what_closes_nothing_goes(text: str, shown: str) -> None:
    assert balanced(text) == shown


@given(st.text(alphabet=f"ab\n\u2029{MARKS}", max_size=40))
def test_no_mark_reaches_beyond_its_text(text: str) -> None:
    shown = balanced(text)
    for line in shown.replace("\u2029", "\n").split("\n"):
        assert _left_open(line) == 0
    others = [letter for letter in text if letter not in MARKS]
    assert [letter for letter in shown if letter not in MARKS] == others
    assert balanced(shown) == shown


def _left_open(line: str) -> int:
    """Return how much is open at the end of a line; fails where more is closed than is open.

    As UAX 9 has it: an isolate's end reaches over embeddings, an embedding's end over nothing.
    """
    depths = [0]  # of embeddings, within each isolate
    for letter in line:
        if letter in "\u2066\u2067\u2068":
            depths.append(0)
        elif letter == PDI:
            depths.pop()
            assert depths, "the text's own element would be left"
        elif letter in "\u202a\u202b\u202d\u202e":
            depths[-1] += 1
        elif letter == PDF:
            depths[-1] -= 1
            assert depths[-1] >= 0
    return len(depths) - 1 + depths[-1]


@given(st.text(alphabet=st.sampled_from(f'a"\\\n{MARKS}')))
def test_json_with_its_marks_escaped_means_the_same_and_needs_no_balance(text: str) -> None:
    shown = escaped(json.dumps({text: text}, ensure_ascii=False))
    assert json.loads(shown) == {text: text}
    assert balanced(shown) == shown
    assert not set(shown) & set(MARKS)
