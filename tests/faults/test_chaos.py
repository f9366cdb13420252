"""A12: random faults, again and again, and a study that comes to the right end all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import postgres
import pytest
from chaos import CARDS, Chaos, Service, schedule
from fault_lab import Lab
from study_check import check_study

from benchmarks.mlflow_server import Server

IS_LONG = os.environ.get("SEARCHLAB_CHAOS") == "all"
SEEDS = range(10 if IS_LONG else 1)
SECONDS = 30.0 if IS_LONG else 18.0
"""How long there are faults; a study takes about as long."""

TRIALS = 20
EPOCHS = 10
EPOCH = SECONDS / 90
"""Seconds that an epoch takes."""


def changes(seed: int) -> Iterator[str]:
    """To the study file: every second study awaits verdicts, every third has two trials under way in each process."""
    yield f"search.trials={TRIALS}"
    if seed % 2:
        yield "search.trial_timeout=1h"
    if seed % 3 == 2:
        yield "execution.workers=2"


def test_the_schedule_of_a_seed_is_always_the_same_and_three_have_every_fault() -> None:
    assert schedule(1, SECONDS) == schedule(1, SECONDS) != schedule(2, SECONDS)
    found = {(fault.deed, fault.victim) for seed in range(3) for fault in schedule(seed, SECONDS)}
    assert found == set(CARDS)


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def database() -> Iterator[postgres.Server]:
    server = postgres.another()
    yield server
    server.close()


@pytest.fixture
def services(mlflow: Server, database: postgres.Server) -> Mapping[str, Service]:
    mlflow.wait()
    return {"mlflow": mlflow, "postgres": database}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_A12_random_faults_lose_nothing_and_count_nothing_twice(
    seed: int, services: Mapping[str, Service], mlflow: Server, database: postgres.Server, tmp_path: Path
) -> None:
    tracking = f"tracking: {{uri: '{mlflow.uri}'}}"
    lab = Lab(tmp_path, storage=database.database(f"chaos_{seed}"), tracking=tracking, epochs=EPOCHS)
    lab.script(seconds=EPOCH)
    chaos = Chaos(lab, services, changes(seed))
    try:
        with chaos.told():
            chaos.run(schedule(seed, SECONDS))
            mlflow.wait()
            check_study(lab, TRIALS, statuses=(0, 4, -9), uri=mlflow.uri)
    finally:
        lab.close()
        postgres.close_connections()
