"""The README's own lines, and those of the document that the API was made from, as printed."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import trio

from tests.e2e.running import ROOT, Mooring, mooring

# The two examples of the seed document, with a demo account's credentials for its placeholders.
SEED_EXAMPLES = """
import requests

# Create session
session_response = requests.post('http://localhost:5010/get_session', json={
    'username': 'driver-3',
    'password': 'harbor-3',
    'captcha_api_key': 'demo-captcha-key'
})

session_data = session_response.json()
if session_data['success']:
    session_id = session_data['session_id']
    print(f"Session created: {session_id}")

    # Use session in other endpoints
    booking_response = requests.post('http://localhost:5010/get_booking_number', json={
        'session_id': session_id,
        'container_id': 'TRHU1866154'
    })

    print(booking_response.json())

# List all sessions
sessions_response = requests.get('http://localhost:5010/sessions')
sessions_data = sessions_response.json()

print(f"Active sessions: {sessions_data['active_sessions']}")
for session in sessions_data['sessions']:
    print(f"Session {session['session_id']} - User: {session['username']}")

# Close a specific session
close_response = requests.delete(f'http://localhost:5010/sessions/{session_id}')
print(close_response.json())
"""


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    text = (ROOT / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


async def run(server: Mooring, *command: str) -> str:
    """Run a command against this server instead of port 5010, and return what it prints."""
    *rest, text = command
    text = text.replace("localhost:5010", f"localhost:{server.port}")
    with trio.fail_after(60):
        done = await trio.run_process([*rest, text], capture_stdout=True, capture_stderr=True)
    return done.stdout.decode()


async def test_the_readmes_lines_work_as_printed(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        created, listed, booked, closed = [
            json.loads(await run(server, "bash", "-c", block)) for block in blocks("bash")
        ]
        assert created["is_new"] is True
        assert [it["session_id"] for it in listed["sessions"]] == [created["session_id"]]
        assert booked["booking_number"] == "RICFEM857500"
        assert booked["session_id"] == created["session_id"]
        assert closed["message"] == f"Session {created['session_id']} closed"
        (script,) = blocks("python")
        assert await run(server, sys.executable, "-c", script) == "RICFEM857500\n"


async def test_the_seeds_python_examples_run_as_printed(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        lines = (await run(server, sys.executable, "-c", SEED_EXAMPLES)).splitlines()
    created, booked, active, listed, closed = lines
    assert created.startswith("Session created: session_")
    assert "RICFEM857500" in booked
    assert active == "Active sessions: 1"
    assert listed.endswith("User: driver-3")
    assert "'success': True" in closed
