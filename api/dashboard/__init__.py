"""The dashboard: what a partner's people see and do, in pages that need no script."""

from pathlib import Path
from typing import Final

from api.dashboard.feed import Feed
from api.dashboard.gate import Gate
from api.dashboard.routes import Behind, dashboard_routes

AREA: Final = Path(__file__).parent

__all__ = ["AREA", "Behind", "Feed", "Gate", "dashboard_routes"]
