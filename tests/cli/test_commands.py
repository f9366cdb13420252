"""What every command owes its user before anything is trained: quick help, clear errors, documented exit statuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from searchlab.cli import COMMANDS

HEAVY = ("keras", "tensorflow", "mlflow", "optuna", "pandas", "plotly", "sklearn")


def searchlab(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "searchlab", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (("--help",), ()),
        (("run", "--help"), ()),
        (("list",), ()),
        (("validate", "digits_cnn"), ()),
        (("schema",), ()),
        (("show", "digits_cnn"), ()),
    ],
    ids=lambda value: " ".join(value) if value else "",
)
def test_light_commands_load_nothing_heavy(
    arguments: tuple[str, ...], allowed: tuple[str, ...], tmp_path: Path
) -> None:
    program = (
        "import sys\nsys.argv = ['searchlab', *sys.argv[1:]]\nfrom searchlab.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    status = end.code\n"
        "print('\\nLOADED', *sorted({name.partition('.')[0] for name in sys.modules}))\nsys.exit(status or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.rpartition("LOADED")[2].split()
    assert not [name for name in HEAVY if name in loaded and name not in allowed]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = searchlab(command.replace("_", "-"), "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_a_typo_in_the_study_is_shown_with_place_and_nearest_match(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "study: s\ndata: {source: digts}\ntask: image_classification\nspace: cnn\nsearch: {trails: 3}\n"
    )
    done = searchlab("validate", "s.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "s.yaml:5:10" in done.stderr
    assert "Did you mean 'trials'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_all_faults_come_together(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "study: s\ndata: {source: digts}\ntask: image_classification\n"
        "space: {model: {cnn: {dropout: {low: 0.0, high: 1.2}, widht: 3}}, optimizer: adma}\n"
        "search: {objective: val_acuracy}\ntraining: {engine: fitt}\n"
    )
    done = searchlab("validate", "s.yaml", cwd=tmp_path)
    assert done.returncode == 2
    for hint in ("digits", "dropout must lie in [0, 1)", "width", "adam", "val_accuracy", "'fit'"):
        assert hint in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) >= 6


def test_a_test_metric_as_objective_is_refused(tmp_path: Path) -> None:
    done = searchlab("validate", "digits_cnn", "--set", "search.objective=test_accuracy", cwd=tmp_path)
    assert done.returncode == 2
    assert "sealed" in done.stderr


def test_a_missing_file_names_the_nearest_shipped_study(tmp_path: Path) -> None:
    done = searchlab("run", "digits_cn", cwd=tmp_path)
    assert done.returncode == 2
    assert "digits_cnn" in done.stderr


def test_a_missing_data_file_ends_with_the_status_of_data(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "study: s\ndata: {source: csv, path: nowhere.csv, target: y}\ntask: tabular_classification\nspace: mlp\n"
    )
    done = searchlab("run", "s.yaml", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "nowhere.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_traceback_on_request(tmp_path: Path) -> None:
    done = searchlab("--traceback", "run", "nothing_of_the_kind", cwd=tmp_path)
    assert "Traceback" in done.stderr


def test_status_without_any_study_says_how_to_begin(tmp_path: Path) -> None:
    done = searchlab("status", cwd=tmp_path, SEARCHLAB_HOME=str(tmp_path / "h"))
    assert done.returncode == 0
    assert "searchlab run" in done.stdout
    assert not (tmp_path / "h").exists(), "looking must not create anything"


def test_schema_is_json() -> None:
    for kind in ("study", "space"):
        assert "$schema" in json.loads(searchlab("schema", kind).stdout)


def test_a_closed_pipe_is_no_crash(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m searchlab schema | head -c 10", shell=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert "Traceback" not in done.stderr


def test_doctor_finds_this_machine_well(tmp_path: Path) -> None:
    done = searchlab("doctor", cwd=tmp_path, SEARCHLAB_HOME=str(tmp_path / "h"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "keras" in done.stdout


def test_doctor_names_a_storage_that_cannot_be_reached(tmp_path: Path) -> None:
    done = searchlab(
        "doctor",
        "--storage",
        "postgresql+psycopg://me:secret@127.0.0.1:1/db",
        cwd=tmp_path,
        SEARCHLAB_HOME=str(tmp_path),
    )
    assert done.returncode == 4
    assert "secret" not in done.stdout + done.stderr
