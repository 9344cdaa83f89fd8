"""Reading a response's body without ever abandoning it.

Laws of this file: httpx reads through half a dozen async generators, one inside the other. One that
is left suspended is closed by the garbage collector, in no order and with a warning, and `aclosing`
reaches only the outermost. What is raised at the innermost `await`, though, unwinds all of them. So
whatever happens to a chunk, the iterator is run to its end or cancelled where it waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import trio

# Long enough for the few bytes behind the last event, so that the connection can be used again.
_END_WITHIN_S: Final = 1.0
_END_WITHIN_BYTES: Final = 64 * 1024


async def read_through(
    chunks: AsyncIterator[bytes], use: Callable[[bytes], Awaitable[bool]]
) -> None:
    """Await `use(chunk)` for each chunk until it returns True.

    What follows is dropped; if it is more than a little, the connection is. What `use` raises comes
    out of here.
    """
    failure: BaseException | None = None
    enough, spare = False, _END_WITHIN_BYTES
    with trio.CancelScope() as rest:
        async for chunk in chunks:
            if enough:
                spare -= len(chunk)
                if spare < 0:
                    rest.cancel()
                continue
            try:
                enough = await use(chunk)
            except BaseException as error:
                # A Cancelled too: the scope that it belongs to raises it again at the next read.
                failure, enough = error, True
                rest.cancel()
            else:
                rest.deadline = trio.current_time() + _END_WITHIN_S if enough else rest.deadline
    if failure is not None:
        raise failure
