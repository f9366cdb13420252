"""PostgreSQL's driver with an end to its patience.

A server that is frozen ends no connection: its machine's kernel goes on to acknowledge what it is sent, so that neither
keep-alives nor TCP's own time limits notice.  Without a limit psycopg would wait for ever.  So a connection that has
said nothing for `SILENCE` is closed; its transaction may have been done or not, and everything that is asked of a study
may be asked again (`search/mirror.py`).
"""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import sqlalchemy

CONNECTING = 8
"""Seconds to reach a server and be let in."""

SILENCE = 10.0
"""Seconds without a word from the server in the middle of a statement."""

PING = 3.0
"""As long for the question whether a connection that was not used is alive; with `CONNECTING` it bounds a command."""

ABANDONED = 20
"""Seconds after which the server gives up a transaction whose client says nothing: it may hold locks."""


def connecting(place: sqlalchemy.URL) -> Callable[[], Any]:
    """How a connection to the server at `place` is made, one that is closed when the server falls silent.

    Raises:
        ImportError: psycopg is not installed.
    """
    connection = _impatient()
    arguments, named = place.get_dialect()().create_connect_args(place)
    return lambda: connection.connect(*arguments, connect_timeout=CONNECTING, **named)


def connected(connection: Any, record: object) -> None:
    """Have the server end what this client leaves undone."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{ABANDONED}s'")
    connection.commit()


@cache
def _impatient() -> Any:
    """The class of such connections."""
    import psycopg
    from psycopg.waiting import Ready

    # What it ignores while it tidies up after an error says nothing more than that error, in a traceback.
    logging.getLogger("psycopg").addFilter(lambda record: not record.msg.startswith("error ignored"))

    class Impatient(psycopg.Connection[Any]):
        """A connection that is closed when the server falls silent."""

        def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
            """What `gen` gives, unless the server is silent for too long.

            Raises:
                OperationalError: It was; the connection is closed.
            """
            limit = PING if self.autocommit else SILENCE  # SQLAlchemy pings outside of transactions, and does only that
            try:
                with selectors.DefaultSelector() as selector:
                    wanted = next(gen)
                    heard = time.monotonic()
                    while True:
                        selector.register(self.pgconn.socket, wanted)
                        found = selector.select(0.1)
                        selector.unregister(self.pgconn.socket)
                        if found:
                            heard = time.monotonic()
                        elif time.monotonic() - heard > limit:
                            raise psycopg.OperationalError(f"the server has not answered for {limit:g} s")
                        wanted = gen.send(Ready(found[0][1]) if found else Ready.NONE)
            except StopIteration as end:
                return end.value
            except psycopg.Error:
                if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                    self.pgconn.finish()
                raise
            except BaseException:  # a second Ctrl-C, or a fault of ours: nobody knows where the conversation stands
                self.pgconn.finish()
                raise

    return Impatient
