"""A12: random faults, again and again, and a study that comes to the right end all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import postgres
import pytest
from chaos import CARDS, Chaos, Service, schedule
from fault_lab import Lab
from mlflow_server import Server
from study_check import check_study

TRIALS = 20
EPOCHS = 10
SECONDS = 26.0
"""How long there are faults; a study takes about as long."""

SEEDS = range(10 if os.environ.get("SEARCHLAB_CHAOS") == "all" else 3)


def test_the_schedule_of_a_seed_is_always_the_same_and_has_every_fault() -> None:
    assert schedule(1, SECONDS) == schedule(1, SECONDS) != schedule(2, SECONDS)
    for seed in range(10):
        faults = schedule(seed, SECONDS)
        assert {(fault.deed, fault.victim) for fault in faults} == set(CARDS)


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
    lab.script(seconds=0.2)
    chaos = Chaos(lab, services, trials=TRIALS)
    try:
        with chaos.told():
            chaos.run(schedule(seed, SECONDS))
            mlflow.wait()
            lab.is_tracked = os.environ.get("CHAOS_TRACKED") == "1"
            check_study(lab, TRIALS, statuses=(0, 4, -9), uri=mlflow.uri)
    finally:
        print("\n".join(chaos._story))
        lab.close()
        postgres.close_connections()
