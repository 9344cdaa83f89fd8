"""The public door of the runtime."""

from __future__ import annotations

from types import ModuleType

import engine


def test_the_door_opens_on_what_it_says_and_on_nothing_else() -> None:
    public = {name for name in vars(engine) if not name.startswith("_")}
    parts = {name for name in public if isinstance(getattr(engine, name), ModuleType)}
    assert set(engine.__all__) == public - parts
    assert len(engine.__all__) == len(set(engine.__all__))
