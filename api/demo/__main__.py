"""The demo as a process of its own: prints its two URLs, and ends when its standard input does.

`python -m api.demo [FILE]`: with a file it goes on where the run before it ended.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import trio

from api import log
from api.demo.run import open_demo
from engine.clock import SystemClock


async def main(remember: Path | None) -> None:
    """Serve until whoever started this closes the pipe, or is killed."""
    async with open_demo(SystemClock(), remember=remember) as urls:
        print(urls.portal_url, urls.captcha_url, flush=True)
        stdin = trio.lowlevel.FdStream(0)
        while await stdin.receive_some():
            pass


if __name__ == "__main__":
    # A terminal sends its interrupt to both: the server decides when the demo ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log.configure()
    trio.run(main, Path(sys.argv[1]) if len(sys.argv) > 1 else None)
