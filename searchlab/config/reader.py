"""Strict reading: text to `Node`, or a SpecError that names the line and column.

Why PyYAML's events and an explicit stack, not its loader: nothing recurses, so depth, size and aliases are refused
while they are read; keys and values keep their places; no tag can name a Python object.  Turned down: ruamel.yaml
(another dependency, slower, and the limits would have to be written all the same).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.scanner import Scanner

from searchlab.config import Node
from searchlab.config.composer import Composer, place_of
from searchlab.errors import Mark, SpecError, SpecErrors

MAX_BYTES = 131_072
MAX_DEPTH = 32


def read_file(path: Path | str, *, shown_as: str | None = None) -> Node:
    """What the file at `path` says; `shown_as` is its name in marks, by default `path` itself.

    Raises:
        SpecError: Unreadable, too large, not UTF-8, or not acceptable as `read_text` has it.
    """
    shown = shown_as or str(path)
    try:
        if not Path(path).is_file():
            raise SpecError("there is no such file" if not Path(path).exists() else "this is not a file", Mark(shown))
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise SpecError(f"the file cannot be read: {error}", Mark(shown)) from error
    if len(content) > MAX_BYTES:
        raise SpecError(f"the file is too large; at most {MAX_BYTES // 1024} KiB are read", Mark(shown))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace")
        message = f"the file is not UTF-8 text (byte 0x{content[error.start]:02x})"
        raise SpecError(message, _place(before, len(before), shown)) from error
    return read_text(text, shown)


def read_text(text: str, file: str) -> Node:
    """What `text` says, with marks in `file`.

    Raises:
        SpecError: Not one YAML document, or one with tags, merge keys, duplicate keys, or too much of anything.
    """
    if len(text) > MAX_BYTES:
        raise SpecError(f"the text is too long; at most {MAX_BYTES // 1024} Ki characters are read", Mark(file))
    composer = Composer(file)
    loader: _Events | None = None
    try:
        loader = _Events(text.removeprefix("\ufeff"))
        while loader.check_event():
            composer.take(loader.get_event())  # type: ignore[no-untyped-call]
    except yaml.MarkedYAMLError as error:
        raise SpecError(_plain_words(error), place_of(error.problem_mark or error.context_mark, file)) from error
    except ReaderError as error:
        message = f"the character {chr(int(error.character))!a} may not stand in a YAML file"
        raise SpecError(message, _place(text, error.position, file)) from error
    except (ValueError, OverflowError) as error:  # an escape or a directive with an impossible number
        mark = place_of(loader.get_mark(), file) if loader else Mark(file)
        raise SpecError("this is not valid YAML: a number in it is impossible", mark) from error
    if composer.errors:
        raise SpecErrors(composer.errors)
    if composer.root is None:
        raise SpecError("the file is empty", Mark(file, 1, 1))
    return composer.root


class _Events(Reader, Scanner, Parser):
    """PyYAML's event stream, which refuses depth before it looks ahead (the scanner is quadratic in it)."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        self._refuse_depth(self.flow_level + len(self.indents))
        super().fetch_flow_collection_start(TokenClass)

    def add_indent(self, column: int) -> Any:
        self._refuse_depth(self.flow_level + len(self.indents))
        return super().add_indent(column)

    def _refuse_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            problem = f"nested too deeply; at most {MAX_DEPTH} levels are read"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark())


def _place(text: str, position: int, file: str) -> Mark:
    before = text[:position]
    return Mark(file, before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)


def _plain_words(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's sentence without its jargon."""
    problem = str(error.problem or error.context or "this is not valid YAML")
    if "'\\t'" in problem:
        return "a tab stands where only blanks may: indent with blanks"
    if "mapping values are not allowed" in problem:
        return "a colon stands where no key can be: quote the text, or mend the indentation"
    if problem.startswith("nested too deeply"):
        return problem
    context = f" ({error.context})" if error.context and error.context != problem else ""
    return f"this is not valid YAML: {problem}{context}"
