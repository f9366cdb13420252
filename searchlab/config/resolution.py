"""What a plain word of YAML means: the core schema of YAML 1.2 (section 10.3.2), where PyYAML knows only 1.1.

`1e-4` is a number, `no`, `on` and `1:30` are text, `012` is twelve, `0o17` and `0x1f` are whole numbers.
"""

from __future__ import annotations

import re

WHOLE_LIMIT = 2**63
"""Whole numbers lie strictly between -this and this: no integer of the tools below is wider."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+", re.ASCII)
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = frozenset({".nan", ".NaN", ".NAN"})


def resolve(text: str) -> bool | int | float | str | None:
    """The value of a plain (unquoted) scalar.

    Raises:
        ValueError: A number too large to be one; the message says so.
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text in _NAN:
        return float("nan")
    if _INFINITE.fullmatch(text):
        return float("-inf") if text.startswith("-") else float("inf")
    for pattern, base in ((_DECIMAL, 10), (_OCTAL, 8), (_HEXADECIMAL, 16)):
        if pattern.fullmatch(text):
            return _whole(text if base == 10 else text[2:], base)
    if _REAL.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError("this number is too large")
        return number
    return text


def _whole(digits: str, base: int) -> int:
    if len(digits) > 70 or abs(number := int(digits, base)) >= WHOLE_LIMIT:  # int() is quadratic: look at the length
        raise ValueError("this whole number does not fit in 64 bits")
    return number
