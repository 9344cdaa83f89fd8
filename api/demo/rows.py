"""What the demo portal's tables are filled with, asked for by XHR."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response, request

from api.demo.containers import BY_ID, CONTAINERS, Container
from api.demo.site import Site

PAGE_ROWS: Final = 20


def row_routes(site: Site) -> Blueprint:
    """Return the routes that the pages' own scripts call; 401 for who is not logged in."""
    routes = Blueprint("rows", __name__)

    @routes.get("/api/containers")
    async def rows() -> Response:
        if site.session() is None:
            return Response("", status=401)
        skip = _whole(request.args.get("skip", ""))
        page = CONTAINERS[skip : skip + PAGE_ROWS]
        more = skip + PAGE_ROWS < len(CONTAINERS)
        return await site.rows({"rows": [_row(row) for row in page], "more": more})

    @routes.get("/api/containers/<container_id>")
    async def details(container_id: str) -> Response:
        if site.session() is None:
            return Response("", status=401)
        container = BY_ID.get(container_id)
        if container is None:
            return Response("", status=404)
        return await site.rows({"fields": _details(container)})

    @routes.get("/api/appointments")
    async def appointments() -> Response:
        if site.session() is None:
            return Response("", status=401)
        return await site.rows({"rows": [_appointment(row) for row in CONTAINERS[4:200:23]]})

    return routes


def _row(container: Container) -> dict[str, str]:
    return {
        "id": container.id,
        "trade": container.trade,
        "line": container.line,
        "size": container.size,
        "terminal": container.terminal,
        "status": container.status,
    }


def _details(container: Container) -> list[tuple[str, str]]:
    """Return labels and values as the expanded row shows them."""
    common = [("Line", container.line), ("Vessel / Voyage", container.vessel)]
    if container.trade == "EXPORT":
        booking = container.booking or "N/A"
        return [*common, ("Booking #", booking), ("Hazardous", "No"), ("Cut-off", "N/A")]
    return [*common, ("Bill of Lading", f"BL{container.id[4:]}"), ("Customs", "Released")]


def _appointment(container: Container) -> dict[str, str]:
    return {
        "number": f"AP{container.id[4:]}",
        "id": container.id,
        "move": "Drop full" if container.trade == "EXPORT" else "Pick full",
        "terminal": container.terminal,
        "window": f"{6 + int(container.id[-2]):02d}:00 – {7 + int(container.id[-2]):02d}:00",
    }


def _whole(text: str) -> int:
    return min(int(text), len(CONTAINERS)) if text.isascii() and text.isdigit() else 0
