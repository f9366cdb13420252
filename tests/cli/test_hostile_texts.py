"""H8: what people and data files say is shown, and orders neither a terminal nor a spreadsheet nor a browser about."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from searchlab import cli
from searchlab.cli._progress import configuration
from searchlab.cli._words import say
from searchlab.errors import DataError
from searchlab.records import Confusion, Objective, StudyResult, Trial, TrialRecord, TrialResult
from searchlab.reports.confusion import counts_csv, scores_csv
from searchlab.reports.html import render
from searchlab.reports.table import harmless, to_csv, trials_frame
from searchlab.space import Params

ORDERS = "\x1b[2J\x1b]0;title\x07red\r\nnext\x9b31m\u202egnp"
"""Clear the screen, name the window, write over the line, and turn the direction of writing."""


def obeyed(text: str) -> list[str]:
    return [character for character in text if not character.isprintable() and character != "\n"]


def result_with(text: str) -> StudyResult:
    ended = TrialResult(0, "failed", None, reason=text, metrics={})
    trial = Trial(0, Params({"model": "mlp", "model.mlp.activation": text}), seed=1)
    return StudyResult("s", Objective("val_loss", "minimize"), (TrialRecord(trial, "failed", None, ended),), 1, 0, 9)


def test_h8_words_on_the_terminal_give_no_orders() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    say(console, ["fine", f"a class called {ORDERS}", "[link=http://x.invalid]a[/link]"])
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert obeyed(said) == []
    assert "[link=http://x.invalid]a[/link]" in said


def test_h8_an_error_gives_no_orders(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise DataError(f"the class {ORDERS} has one example\nand a second line")

    monkeypatch.setattr(cli, "app", fail)
    assert cli._status() == 3
    said = capsys.readouterr().err
    assert obeyed(said) == []
    assert said.splitlines()[-1] == "and a second line"


def test_h8_a_configuration_gives_no_orders() -> None:
    params = Params({"model": "mlp", "model.mlp.activation": ORDERS})
    assert obeyed(configuration(params, frozenset({"model.mlp.activation"}), 200)) == []


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", ORDERS])
def test_h8_no_cell_of_a_csv_file_is_a_formula(text: str) -> None:
    confusion = Confusion(0, (text, "other"), ((1, 0), (0, 1)))
    files = [to_csv(trials_frame(result_with(text))), scores_csv(confusion), counts_csv(confusion)]
    for content in files:
        assert obeyed(content) == []
        cells = [cell for row in csv.reader(io.StringIO(content)) for cell in row]
        assert not [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell]
    assert harmless(text)[:1] not in "=+-@\t\r"


class Parts(HTMLParser):
    """Addresses and event handlers of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        named = dict(attrs)
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named.get("content") or ""


def test_h8_the_report_obeys_nobody_and_fetches_nothing() -> None:
    script = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    hostile = replace(result_with(script), name=script, facts={script: script})
    hostile = replace(hostile, confusion=Confusion(0, (script, "b"), ((1, 0), (0, 1))))
    text = render(hostile, description=script, resolved=script)
    assert "<script>alert" not in text and "<img" not in text
    parts = Parts(text)
    assert parts.policy.startswith("default-src 'none';") and "http" not in parts.policy
    assert [address for address in parts.addresses if not address.startswith(("#", "data:"))] == []
    assert parts.handlers == []
    assert not re.search(r"@import|url\((?!data:)", text)
