"""Spans of time as people write them: `90`, `90s`, `30m`, `2h`, `1h30m`, `1d`."""

from __future__ import annotations

import math
import re

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([dhms])", re.ASCII)
_SPAN = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def seconds(written: object) -> float:
    """The seconds of a number of them or of a text such as "1h30m".

    Raises:
        ValueError: Neither, or not above 0.
    """
    span = math.nan
    if isinstance(written, int | float) and not isinstance(written, bool):
        span = float(written)
    elif isinstance(written, str) and _SPAN.fullmatch(written.strip()):
        span = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(written))
    if not 0 < span < math.inf:
        raise ValueError("a number of seconds above 0 or a span such as 90s, 30m, 2h or 1h30m")
    return span
