"""Figures are added without loss, the newest commit's count, and ratios are taken round by round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.results import Run, Session, add, current, markdown, ratios, read, render

MACHINE: dict[str, Any] = {
    "cpu": "Slow 1",
    "cores": 2,
    "memory_gb": 8.0,
    "gpus": [],
    "system": "Linux x86_64",
    "python": "3.11.7",
    "libraries": {"keras": "3.15.1"},
}


def session(commit: str, date: str, code: str | None = None) -> Session:
    return Session(commit, date, "python -m benchmarks.trials_per_minute", MACHINE, code)


def run(contender: str, seconds: float, turn: int = 1, **changes: Any) -> Run:
    values: dict[str, Any] = {
        "task": "digits_mlp",
        "space": "value",
        "contender": contender,
        "trials": 40,
        "epochs": 10,
        "round": turn,
        "seconds": seconds,
        "cpu_seconds": 50.0,
        "peak_bytes": 1 << 30,
        "first_trial": 5.0,
        "trained_epochs": 400,
        "best": 0.97,
        "finished": 40,
    }
    return Run(**{**values, **changes})


def test_what_was_added_can_be_read_back(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    old, new = session("aaa", "2026-01-01T00:00:00"), session("bbb", "2026-01-02T00:00:00")
    rows = [(old, run("searchlab", 10.0)), (old, run("ray_tune", 20.0)), (new, run("searchlab", 5.0, target=0.9))]
    for each, one in rows:
        add(file, each, one)
    assert read(file) == ([old, new], [(0, rows[0][1]), (0, rows[1][1]), (1, rows[2][1])])


def test_the_newest_commit_counts_with_all_its_sessions_and_an_older_rival_stays() -> None:
    sessions = [session("old", "2026-01-01"), session("new", "2026-01-02"), session("new", "2026-01-03")]
    rows = [
        (0, run("searchlab", 40.0)),
        (0, run("optuna_loop", 80.0)),
        (1, run("searchlab", 20.0)),
        (2, run("searchlab", 10.0)),
        (2, run("searchlab", 1.0, trials=4, finished=4)),
        (2, run("searchlab", 12.0, turn=2)),
    ]
    ours, rival = current(sessions, rows)
    assert [each.seconds for each in ours.runs.values()] == [20.0, 10.0, 12.0]
    assert [each.seconds for each in rival.runs.values()] == [80.0]
    assert ratios(ours, rival, lambda each: each.per_minute) == []


def test_commits_that_leave_searchlab_as_it_is_are_one() -> None:
    sessions = [session("a", "2026-01-01", "one"), session("b", "2026-01-02", "two"), session("c", "2026-01-03", "two")]
    rows = [(number, run("searchlab", seconds)) for number, seconds in enumerate((40.0, 20.0, 10.0))]
    (ours,) = current(sessions, rows)
    assert [each.seconds for each in ours.runs.values()] == [20.0, 10.0]


def test_ratios_are_of_runs_in_the_same_round() -> None:
    rows = [(0, run("searchlab", seconds, turn)) for turn, seconds in enumerate((10.0, 20.0, 10.0), start=1)]
    rows += [(0, run("keras_tuner_random", seconds, turn)) for turn, seconds in enumerate((50.0, 60.0), start=1)]
    ours, rival = current([session("a", "2026-01-01")], rows)
    assert ratios(ours, rival, lambda each: each.per_minute) == pytest.approx([5.0, 3.0])


def test_the_page_shows_speed_accuracy_and_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.json"
    here = session("abc123", "2026-01-01T00:00:00")
    for one in (
        run("searchlab", 24.0),
        run("searchlab", 30.0, 2),
        run("keras_tuner_random", 240.0),
        run("keras_tuner_random", 240.0, 2),
        run("searchlab", 30.0, target=0.95),
        run("optuna_tpe_median", 90.0, target=0.95, best=0.9),
    ):
        add(file, here, one)
    render(file)
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| searchlab | 90.0 (80.0–100.0) |  | 9.00 × (8.00–10.00) | 1.25 (1.25–1.25) | 1.00 |" in page
    assert "| KerasTuner RandomSearch | 10.0 (10.0–10.0) | 9.00 × (8.00–10.00) |  |" in page
    assert "| Optuna TPE + median pruner | ≥ 90.0 | ≥ 3.00 × | 0 of 1 |" in page
    assert "`python -m benchmarks.trials_per_minute` at abc123" in page and "Slow 1, 2 cores" in page
    assert (tmp_path / "results.png").stat().st_size > 5_000
    assert "RESULTS.md" in capsys.readouterr().out


def test_no_ratio_is_shown_when_searchlab_itself_has_not_reached_the_accuracy() -> None:
    sessions = [session("here", "2026-01-01")]
    rows = [
        (0, run("searchlab", 30.0, target=0.95, best=0.9)),
        (0, run("optuna_tpe_median", 90.0, target=0.95, best=0.9)),
    ]
    page = markdown(sessions, rows)
    assert "| searchlab | ≥ 30.0 |  | 0 of 1 |" in page
    assert "| Optuna TPE + median pruner | ≥ 90.0 |  | 0 of 1 |" in page


def test_contenders_that_never_took_turns_are_compared_by_medians() -> None:
    sessions = [session("old", "2026-01-01"), session("new", "2026-01-02")]
    rows = [(0, run("keras_tuner_random", 240.0)), (1, run("searchlab", 24.0))]
    assert "~ 10.00 ×" in markdown(sessions, rows)


def test_contenders_with_other_numbers_of_trials_are_not_compared() -> None:
    rows = [(0, run("searchlab", 24.0)), (0, run("optuna_loop", 60.0, trials=10, finished=10, trained_epochs=100))]
    (line,) = [line for line in markdown([session("a", "2026-01-01")], rows).splitlines() if "Optuna" in line]
    assert " × |" not in line and "| 10.0 | 10 | 1 |" in line


def test_nothing_is_written_of_nothing(tmp_path: Path) -> None:
    render(tmp_path / "results.json")
    assert list(tmp_path.iterdir()) == []
