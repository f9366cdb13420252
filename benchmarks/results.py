"""The figures measured so far: kept in results.json, shown as RESULTS.md and results.png.

    python -m benchmarks.results

A *session* is one invocation on one machine; within it, contenders took turns.  For each task, space and contender
the newest session's code counts (searchlab's own tree in git, so that notes and tests change nothing), over all its
sessions with the same trials and epochs.  Ratios are taken round by round within a session; where two contenders share
none, the ratio of their medians stands, with a ~.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.contenders import RIVALS, Order, title
from benchmarks.process import Watched
from benchmarks.spaces import SPACES
from benchmarks.tasks import TASKS

FOLDER = Path(__file__).resolve().parent
FILE = FOLDER / "results.json"
OURS = "searchlab"
YARDSTICK = "keras_tuner_random"


def _epochs(told: list[int | None]) -> int:
    """The epochs of all trials; those that were told of together count as the mean of the others."""
    known = [epochs for epochs in told if epochs is not None]
    return round(sum(known) / len(known) * len(told)) if known else 0


@dataclass(frozen=True)
class Session:
    """One invocation: what was measured, and on what."""

    commit: str
    date: str
    command: str
    machine: dict[str, Any]
    code: str | None = None
    """Git's name for searchlab's own tree; None in sessions that did not note it."""


@dataclass(frozen=True)
class Run:
    """One process of a contender."""

    task: str
    space: str
    contender: str
    trials: int
    epochs: int
    round: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    first_trial: float | None
    """Seconds from the start of the process to the end of its first trial."""
    trained_epochs: int
    best: float | None
    finished: int
    """Trials."""
    target: float | None = None
    """The validation accuracy at which it was to end; None in a measurement of trials a minute."""

    @classmethod
    def of(cls, watched: Watched, contender: str, order: Order, target: float | None) -> Run:
        """What remains of a process."""
        values = [trial.value for trial in watched.trials if trial.value is not None]
        return cls(
            task=order.task.name,
            space=order.space,
            contender=contender,
            trials=order.trials,
            epochs=order.epochs,
            round=order.seed,
            seconds=round(watched.seconds, 3),
            cpu_seconds=round(watched.cpu_seconds, 2),
            peak_bytes=watched.peak_bytes,
            first_trial=round(watched.trials[0].at, 3) if watched.trials else None,
            trained_epochs=_epochs([trial.epochs for trial in watched.trials]),
            best=max(values, default=None),
            finished=len(watched.trials),
            target=target,
        )

    @property
    def per_minute(self) -> float:
        """Trials."""
        return 60.0 * self.finished / self.seconds

    @property
    def reached(self) -> bool:
        """Whether the target was."""
        return self.target is not None and self.best is not None and self.best >= self.target


def in_a_line(run: Run) -> str:
    """For the one who watches."""
    cost = f"{run.cpu_seconds / max(1, run.finished):.2f} CPU s/trial, peak {run.peak_bytes / 2**30:.2f} GiB"
    first = "–" if run.first_trial is None else f"{run.first_trial:.1f} s"
    if run.target is None:
        return f"{run.per_minute:8.1f} trials/min, first after {first}, {cost}, best {run.best}"
    verb = "reached" if run.reached else "not reached"
    return f"{run.target} {verb} after {run.seconds:.1f} s and {run.finished} trials, {cost}"


# The file ------------------------------------------------------------------------------------------------------------


def add(file: Path, session: Session, run: Run) -> None:
    """Write `run` down, whole or not at all."""
    content = _content(file)
    known = content["sessions"]
    if not known or known[-1] != asdict(session):
        known.append(asdict(session))
    content["runs"].append({"session": len(known) - 1, **asdict(run)})
    head = json.dumps(known, indent=1, ensure_ascii=False)
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in content["runs"])
    draft = file.with_suffix(".draft")
    draft.write_text(f'{{"sessions": {head},\n"runs": [\n{rows}\n]}}\n', encoding="utf-8")
    os.replace(draft, file)


def read(file: Path) -> tuple[list[Session], list[tuple[int, Run]]]:
    """The sessions, and each run with the number of its own."""
    content = _content(file)
    sessions = [Session(**each) for each in content["sessions"]]
    return sessions, [
        (row["session"], Run(**{k: v for k, v in row.items() if k != "session"})) for row in content["runs"]
    ]


def _content(file: Path) -> dict[str, list[dict[str, Any]]]:
    if not file.exists():
        return {"sessions": [], "runs": []}
    content: dict[str, list[dict[str, Any]]] = json.loads(file.read_text(encoding="utf-8"))
    return content


# What counts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """All runs of a contender that count, each under its session and round."""

    contender: str
    runs: dict[tuple[int, int], Run]

    def of(self, number: Callable[[Run], float]) -> list[float]:
        """A number of each run."""
        return [number(run) for run in self.runs.values()]

    def median(self, number: Callable[[Run], float]) -> float:
        """Over all runs."""
        return statistics.median(self.of(number))

    @property
    def trials(self) -> int:
        """That were asked for, the same number in all runs."""
        return next(iter(self.runs.values())).trials


def current(sessions: Sequence[Session], rows: Iterable[tuple[int, Run]]) -> list[Figures]:
    """The figures that count among `rows` of one task, space and target, ours first, then the rivals as listed."""
    by_name: dict[str, list[tuple[int, Run]]] = {}
    for number, run in rows:
        by_name.setdefault(run.contender, []).append((number, run))
    order = [*RIVALS]
    names = sorted(by_name, key=lambda name: (order.index(name) + 1 if name in order else 0, name))
    return [Figures(name, _newest(sessions, by_name[name])) for name in names]


def _newest(sessions: Sequence[Session], rows: list[tuple[int, Run]]) -> dict[tuple[int, int], Run]:
    last, pattern = max(rows, key=lambda row: sessions[row[0]].date)

    def counts(number: int, run: Run) -> bool:
        same = (run.trials, run.epochs) == (pattern.trials, pattern.epochs)
        return same and _setting(sessions[number]) == _setting(sessions[last])

    return {(number, run.round): run for number, run in rows if counts(number, run)}


def _setting(session: Session) -> tuple[Any, ...]:
    machine = session.machine
    return session.code or session.commit, machine["cpu"], machine["cores"], tuple(machine["gpus"])


def ratios(ours: Figures, theirs: Figures, number: Callable[[Run], float]) -> list[float]:
    """Ours over theirs, round by round; empty where they never took turns."""
    return [number(run) / number(theirs.runs[key]) for key, run in ours.runs.items() if key in theirs.runs]


# The page ------------------------------------------------------------------------------------------------------------


def render(file: Path = FILE) -> None:
    """Write RESULTS.md and results.png beside `file`."""
    sessions, rows = read(file)
    if not rows:
        return
    page = file.parent / "RESULTS.md"
    page.write_text(markdown(sessions, rows), encoding="utf-8")
    _plot(sessions, rows, file.parent / "results.png")
    print(f"see {page}")


def markdown(sessions: Sequence[Session], rows: Sequence[tuple[int, Run]]) -> str:
    """The whole page."""
    lines = ["# Results", "", "Written by `python -m benchmarks.results` from `results.json`; do not edit.", ""]
    lines += ["![Trials a minute](results.png)", ""]
    used: set[int] = set()
    speed = _groups(sessions, (row for row in rows if row[1].target is None))
    if speed:
        lines += ["## Trials a minute", "", *SPEED_WORDS]
    for (task, space, _), figures in speed:
        lines += [f"### {TASKS[task].title}: *{space}* space", "", *_speed_table(figures), ""]
        lines += _footer(sessions, figures, used)
    accuracy = _groups(sessions, (row for row in rows if row[1].target is not None))
    if accuracy:
        lines += ["## Seconds to a validation accuracy, with pruning", ""]
    for (task, space, target), figures in accuracy:
        lines += [f"### {TASKS[task].title}: *{space}* space, {target}", "", *_accuracy_table(figures), ""]
        lines += _footer(sessions, figures, used)
    lines += ["## Machines", ""]
    machines: dict[str, list[str]] = {}
    for number in sorted(used):
        session = sessions[number]
        machines.setdefault(_machine_words(session.machine), []).append(f"{session.commit} ({session.date[:10]})")
    lines += [f"* {words}: {', '.join(dict.fromkeys(commits))}" for words, commits in machines.items()]
    return "\n".join(lines) + "\n"


SPEED_WORDS = [
    "Medians and ranges over rounds in which all took turns; start-up counts.  *searchlab is* says how many times as",
    "many trials a minute `searchlab` finished as the contender of the row, round by round; *× RandomSearch* says it",
    "of the row's contender over KerasTuner's RandomSearch.  A ~ marks a ratio of medians from different sessions.",
    "Contenders that were given fewer trials have no ratio: start-up weighs more in their trials a minute.",
    "CPU seconds and memory are those of all processes of the contender; memory that they share counts for each.",
    "In round 1 of a session no compiled program and no empty database is cached: the low end of searchlab's ranges.",
    "",
]


def _groups(sessions: Sequence[Session], rows: Iterable[tuple[int, Run]]) -> list[tuple[Any, list[Figures]]]:
    groups: dict[tuple[str, str, float | None], list[tuple[int, Run]]] = {}
    for row in rows:
        groups.setdefault((row[1].task, row[1].space, row[1].target), []).append(row)
    keys = sorted(groups, key=lambda key: (list(TASKS).index(key[0]), SPACES.index(key[1]), key[2] or 0.0))
    return [(key, current(sessions, groups[key])) for key in keys]


def _speed_table(figures: list[Figures]) -> list[str]:
    lines = [
        "| contender | trials/min | searchlab is | × RandomSearch | CPU s/trial | peak GiB | first trial, s | "
        "epochs/trial | trials | rounds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    named = {each.contender: each for each in figures}
    ours, yardstick = named.get(OURS), named.get(YARDSTICK)

    def speed(run: Run) -> float:
        return run.per_minute

    for each in figures:
        cells = [
            title(each.contender),
            _range(each.of(speed), 1),
            _ratio(ours, each, speed) if ours is not each else "",
            _ratio(each, yardstick, speed) if yardstick is not each else "",
            _range(each.of(lambda run: run.cpu_seconds / run.finished), 2),
            f"{each.median(lambda run: run.peak_bytes / 2**30):.2f}",
            _range(each.of(lambda run: run.first_trial or 0.0), 1),
            f"{each.median(lambda run: run.trained_epochs / run.finished):.1f}",
            str(each.trials),
            str(len(each.runs)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _accuracy_table(figures: list[Figures]) -> list[str]:
    lines = [
        "| contender | seconds | searchlab is | reached | trials | CPU s | rounds |",
        "|---|---|---|---|---|---|---|",
    ]
    ours = next((each for each in figures if each.contender == OURS), None)

    def pace(run: Run) -> float:
        return 1.0 / run.seconds

    def reached(some: Figures) -> int:
        return sum(run.reached for run in some.runs.values())

    won = ours is not None and reached(ours) == len(ours.runs)  # else there is no time of ours to compare
    for each in figures:
        is_whole = reached(each) == len(each.runs)
        cells = [
            title(each.contender),
            ("" if is_whole else "≥ ") + _range(each.of(lambda run: run.seconds), 1),
            ("" if is_whole else "≥ ") + _ratio(ours, each, pace) if won and ours is not each else "",
            f"{reached(each)} of {len(each.runs)}",
            _range(each.of(lambda run: run.finished), 0),
            _range(each.of(lambda run: run.cpu_seconds), 0),
            str(len(each.runs)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _ratio(ours: Figures | None, theirs: Figures | None, number: Callable[[Run], float]) -> str:
    if ours is None or theirs is None or ours.trials != theirs.trials:
        return ""
    found = ratios(ours, theirs, number)
    if not found:
        return f"~ {ours.median(number) / theirs.median(number):.2f} ×"
    return _range(found, 2, unit=" ×")


def _range(numbers: list[float], places: int, unit: str = "") -> str:
    middle = f"{statistics.median(numbers):.{places}f}{unit}"
    return middle if len(numbers) == 1 else f"{middle} ({min(numbers):.{places}f}–{max(numbers):.{places}f})"


def _footer(sessions: Sequence[Session], figures: list[Figures], used: set[int]) -> list[str]:
    numbers = sorted({number for each in figures for number, _ in each.runs})
    used.update(numbers)
    settings = sorted({(run.trials, run.epochs) for each in figures for run in each.runs.values()})
    words = ", ".join(f"{trials} trials of {epochs} epochs" for trials, epochs in settings)
    commands = dict.fromkeys(f"`{sessions[number].command}` at {sessions[number].commit}" for number in numbers)
    return [f"{words}; {'; '.join(commands)}", ""]


def _machine_words(machine: dict[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    gpus = f", {' and '.join(machine['gpus'])}" if machine["gpus"] else ", no GPU"
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB{gpus}, {machine['system']}, "
        f"Python {machine['python']}, {libraries}"
    )


def _plot(sessions: Sequence[Session], rows: Sequence[tuple[int, Run]], path: Path) -> None:
    """A panel for each task and space: trials a minute on a logarithmic scale, medians with their ranges."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = _groups(sessions, (row for row in rows if row[1].target is None))
    if not groups:
        return
    columns = min(2, len(groups))
    depth = -(-len(groups) // columns)
    bars = sum(max(len(figures) for _, figures in groups[i : i + columns]) for i in range(0, len(groups), columns))
    size = (6.5 * columns, 0.32 * bars + 0.9 * depth)
    figure, axes = plt.subplots(depth, columns, figsize=size, squeeze=False, layout="constrained")
    for axis, group in zip(axes.flat, [*groups, *[None] * (axes.size - len(groups))], strict=True):
        if group is None:
            axis.set_axis_off()
            continue
        (task, space, _), figures = group
        _panel(axis, f"{TASKS[task].title}: {space} space", figures)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def _panel(axis: Any, heading: str, figures: list[Figures]) -> None:
    from matplotlib.ticker import NullFormatter

    speeds = [each.of(lambda run: run.per_minute) for each in figures]
    middles = [statistics.median(each) for each in speeds]
    below = [middle - min(each) for middle, each in zip(middles, speeds, strict=True)]
    above = [max(each) - middle for middle, each in zip(middles, speeds, strict=True)]
    places = range(len(figures))
    for place, each in zip(places, figures, strict=True):
        colour = "#2a6fbb" if each.contender.startswith(OURS) else "#777777"
        axis.errorbar(
            middles[place], place, xerr=[[below[place]], [above[place]]], fmt="o", color=colour, markersize=5, capsize=2
        )
    most = max(each.trials for each in figures)
    few = [f", {each.trials} trials" if each.trials < most else "" for each in figures]
    names = [f"{title(each.contender)}{words}" for each, words in zip(figures, few, strict=True)]
    axis.set_yticks(places, names, fontsize=8)
    axis.set_ylim(len(figures) - 0.4, -0.6)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.set_xscale("log")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlim(min(middles) / 2, max(middles) * 3)
    for place, middle in zip(places, middles, strict=True):
        axis.annotate(f"  {middle:.0f}", (max(speeds[place]), place), va="center", fontsize=8)
    axis.set_title(heading, fontsize=9, loc="left")
    axis.set_xlabel("trials a minute", fontsize=8)
    axis.tick_params(axis="x", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    render()
