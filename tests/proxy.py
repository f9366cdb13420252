"""A TCP proxy that stands between a client and a server and spoils what passes.  Not a test file."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any

COMMIT = b"COMMIT\x00"


class Proxy:
    """Passes everything on, until it is told otherwise; may be told from any thread, and must be closed."""

    def __init__(self, server: int, *, request: Callable[[bytes], bool] = lambda piece: piece.endswith(COMMIT)) -> None:
        """`request` tells the pieces whose answers may be lost, a database's commits without it."""
        self._server = server
        self._request = request
        self.delay = 0.0
        """Seconds by which each piece comes later, in both directions."""
        self.is_mute = False
        """Whether nothing passes any more, while connections stay open."""
        self.commits = 0
        """How often a client has asked for a commit, or for what `request` tells."""
        self.loses: Callable[[int], bool] = lambda commit: False
        """Whether a commit, by its number from 1 on, is passed on, and the connection cut in place of its answer."""
        self.resets: Callable[[], bool] = lambda: False
        """Whether the connection is reset in place of passing a piece on."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listening: asyncio.Server = self._do(asyncio.start_server(self._accepted, "127.0.0.1", 0))
        self.port: int = self._listening.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Cut all connections and listen no more."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _end(self) -> None:
        self._listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            back, forth = await asyncio.open_connection("127.0.0.1", self._server)
            cut = asyncio.Event()
            both = [
                asyncio.ensure_future(self._pump(reader, forth, cut)),
                asyncio.ensure_future(self._pump(back, writer, cut)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in both:
                    pump.cancel()
                forth.close()
        writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: asyncio.Event) -> None:
        """Pass on what comes from `source` until one side ends, or `cut` is set and there is something to pass."""
        while content := await source.read(1 << 16):
            await asyncio.sleep(self.delay)
            while self.is_mute:
                await asyncio.sleep(0.02)
            if cut.is_set():
                return
            if self.resets():
                sink.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if self._request(content):
                self.commits += 1
                if self.loses(self.commits):
                    cut.set()
            sink.write(content)
            await sink.drain()
