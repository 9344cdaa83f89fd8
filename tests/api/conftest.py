"""What every test of the door needs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from api import log


@pytest.fixture(autouse=True)
def _logs_as_in_service() -> Iterator[None]:
    """Log through our own chain; structlog's default one shows the locals of every frame."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log.configure()
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()
