"""Live progress of a study: a rich display on a terminal, plain lines elsewhere.

The rule for fast studies: each second has room for ten lines of finished trials; those that find none are told
together, in one line, when the second is over.  The picture is drawn four times a second.  So the display costs the
supervisor a few milliseconds a second, however many trials finish.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from searchlab.plain import printable
from searchlab.records import Epoch, Trial, TrialRecord
from searchlab.runner.watch import Opening
from searchlab.space import Params

LINES, SECOND, DRAWING = 10, 1.0, 0.25
"""So many lines of finished trials in so many seconds; seconds between two drawings of the picture."""

MARKS = {"complete": ("✓", "green"), "pruned": ("✂", "yellow"), "failed": ("✗", "red")}


def clock(seconds: float) -> str:
    """`75 s` reads `1:15`; hours come when there are any."""
    if not math.isfinite(seconds):
        return "–"
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def short(value: Any) -> str:
    """A value in few characters: 0.00316227 reads 3.2e-3."""
    if isinstance(value, float):
        text = f"{value:.2g}"
        return text.replace("e-0", "e-").replace("e+0", "e+")
    return str(value)


def configuration(params: Params, varied: frozenset[str], width: int = 60) -> str:
    """The varied parameters of a trial in one line, cut at `width` characters."""
    words = [
        short(value) if name in ("model", "optimizer", "schedule") else f"{name.rpartition('.')[2]}={short(value)}"
        for name, value in params.values.items()
        if name in varied
    ]
    text = printable(" ".join(words))
    return text if len(text) <= width else text[: width - 1] + "…"


class Progress(AbstractContextManager["Progress"]):
    """A watcher that shows what happens."""

    def __init__(
        self,
        console: Console,
        *,
        varied: frozenset[str],
        plain: bool | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._now = now
        self._varied = varied
        self._plain = not console.is_terminal if plain is None else plain
        self._opening: Opening | None = None
        self._counts: Counter[str] = Counter()
        self._running: dict[int, tuple[Trial, Epoch | None]] = {}
        self._best: TrialRecord | None = None
        self._epochs: deque[float] = deque(maxlen=4000)
        self._started = now()
        self._live: Live | None = None
        self._drawn = -math.inf
        self._second = -math.inf
        """When the second began whose lines are counted."""
        self._told = 0
        self._untold: list[TrialRecord] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed()

    # Watcher -----------------------------------------------------------------------------------------------------

    def stage(self, words: str) -> None:
        """A line for a step that takes a while."""
        self._console.print(Text(f"· {words}", style="dim"))

    def opened(self, opening: Opening) -> None:
        """Start the display."""
        self._opening = opening
        self._best = opening.best
        self._started = self._now()
        done = f", {opening.finished} of them done before" if opening.finished else ""
        self._console.print(
            Text(
                f"{opening.study}: {opening.budget} trials{done}, up to {opening.epochs} epochs each, "
                f"{opening.workers} {'worker' if opening.workers == 1 else 'workers'}; "
                f"{opening.objective.direction} {opening.objective.metric}"
            )
        )
        if not self._plain:
            self._live = Live(self._picture(), console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def trial_started(self, trial: Trial) -> None:
        """A trial joins the running ones."""
        self._running[trial.number] = (trial, None)

    def epoch(self, epoch: Epoch) -> None:
        """A trial's newest epoch."""
        self._epochs.append(self._now())
        if epoch.trial in self._running:
            self._running[epoch.trial] = (self._running[epoch.trial][0], epoch)
        self.tick()

    def trial_finished(self, record: TrialRecord) -> None:
        """A trial leaves the running ones and its line is printed."""
        self._running.pop(record.trial.number, None)
        self._counts[record.state] += 1
        opening = self._opening
        is_best = (
            opening is not None
            and record.state == "complete"
            and record.value is not None
            and opening.objective.is_better(record.value, self._best.value if self._best else None)
        )
        if is_best:
            self._best = record
        self._tell_together()
        if self._told < LINES:
            self._told += 1
            self._console.print(self._line(record, is_best), soft_wrap=self._plain)  # above the live part, to stay
        else:
            self._untold.append(record)
        self.tick()

    def tick(self) -> None:
        """Draw again, if it is time."""
        self._tell_together()
        if self._live is not None and self._now() - self._drawn >= DRAWING:
            self._drawn = self._now()
            self._live.update(self._picture())

    def closed(self) -> None:
        """End the display; what it showed last gives way to the summary."""
        self._tell_together(at_once=True)
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _tell_together(self, *, at_once: bool = False) -> None:
        """When a second is over, tell in one line what found no room in it, and begin the next."""
        if not at_once and self._now() - self._second < SECOND:
            return
        if self._untold:
            self._console.print(self._group(self._untold), soft_wrap=self._plain)
        self._second, self._told, self._untold = self._now(), len(self._untold[:1]), []

    # Drawing -----------------------------------------------------------------------------------------------------

    def _line(self, record: TrialRecord, is_best: bool) -> Text:
        mark, colour = MARKS.get(record.state, ("?", "white"))
        epochs = record.result.epochs if record.result else 0
        value = "      –" if record.value is None else f"{record.value:7.4f}"
        line = Text(f"{mark} {record.trial.number:4}  {value}  ", style=colour)
        line.append(f"{epochs:3} ep  ", style="dim")
        line.append(configuration(record.trial.params, self._varied, max(20, self._console.width - 36)), style="none")
        if is_best:
            line.append("  ← best", style="bold green")
        if record.state == "failed" and record.result and record.result.reason:
            line.append(f"  {record.result.reason}", style="red")
        return line

    def _group(self, records: Sequence[TrialRecord]) -> Text:
        """Several trials in one line: how many ended how, and the best so far when it is among them."""
        numbers = [record.trial.number for record in records]
        counts = Counter(record.state for record in records)
        told = ", ".join(f"{count} {state}" for state, count in counts.items())
        line = Text(f"… {len(records)} more ({min(numbers)} to {max(numbers)}): {told}", style="dim")
        best = self._best
        if best is not None and best.trial.number in numbers:
            line.append(f"  trial {best.trial.number}: {best.value:.4f}  ← best", style="bold green")
        reasons = {record.result.reason for record in records if record.state == "failed" and record.result}
        for reason in sorted(reason for reason in reasons if reason)[:3]:
            line.append(f"  {reason}", style="red")
        return line

    def _picture(self) -> RenderableType:
        opening = self._opening
        if opening is None:
            return Text("")
        finished = opening.finished + sum(self._counts.values())
        elapsed = self._now() - self._started
        rate = sum(self._counts.values()) / elapsed if elapsed > 0 else 0.0
        left = (opening.budget - finished) / rate if rate else float("inf")
        if opening.timeout is not None:
            left = min(left, opening.timeout - elapsed)
        window = [moment for moment in self._epochs if moment > self._now() - 20]
        speed = len(window) / min(20.0, max(elapsed, 0.1))
        best = "–" if self._best is None else f"{self._best.value:.4f} (trial {self._best.trial.number})"
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=opening.budget, completed=finished, width=24),
            f"{finished}/{opening.budget}",
            Text(f"best {best}", style="bold"),
        )
        counts = (
            f"{self._counts['pruned']} pruned · {self._counts['failed']} failed · {speed:.1f} epochs/s · "
            f"{clock(elapsed)} gone · {clock(left)} left"
        )
        rows: list[RenderableType] = [Rule(style="dim"), head, Text(counts, style="dim")]
        for number in sorted(self._running):
            trial, epoch = self._running[number]
            value = epoch.metrics.get(opening.objective.metric) if epoch else None
            words = "  starting" if epoch is None else f"{value:7.4f}" if value is not None else ""
            step = f"{epoch.epoch if epoch else 0:3}/{opening.epochs}"
            rows.append(
                Text(f"▸ {number:4}  {words}  {step}  ", style="cyan").append(
                    configuration(trial.params, self._varied, max(20, self._console.width - 36)), style="dim"
                )
            )
        return Group(*rows)
