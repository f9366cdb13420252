"""Nodes of a Ray cluster that die in the middle of a study, and its head."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import noop_trials
import pytest
from fault_lab import HERE, Command, Lab
from ray_cluster import RayCluster, needs_ray
from study_check import check_attempts, check_study, wait_for_silence

pytestmark = needs_ray

BUDGET = 8


@contextmanager
def another(lab: Lab) -> Iterator[RayCluster]:
    """A cluster of one node of two cores, for the children of the lab."""
    script = {noop_trials.SCRIPT: str(lab.folder / "script.json")}
    made = RayCluster(PYTHONPATH=os.pathsep.join([str(HERE), str(HERE / "plugin")]), **script)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def cluster(lab: Lab) -> Iterator[RayCluster]:
    """Two nodes of two cores."""
    with another(lab) as made:
        made.add()
        yield made


def lead(lab: Lab, cluster: RayCluster, *changes: str) -> Command:
    """A run of the lab's study with a child for each core of the cluster."""
    address = f"execution.address={cluster.address}"
    given = ("execution.executor=noop_ray", address, "execution.workers=auto", f"search.trials={BUDGET}", *changes)
    settings = (word for change in given for word in ("--set", change))
    return lab.start("run", "s.yaml", "--plain", *settings, **cluster.environment)


def running(lab: Lab) -> list[int]:
    """The trials that have come to the end of an epoch, and not to their own."""
    epochs = Counter(trial for trial, _, _ in lab.trained())
    return [trial for trial, count in epochs.items() if 0 < count < lab.epochs]


def test_a_lost_node_costs_an_epoch_of_its_trials_at_most(lab: Lab, cluster: RayCluster) -> None:
    lab.script(seconds=1.0)
    leader = lead(lab, cluster)
    lab.until(lambda: len(running(lab)) == 4)
    assert [len(node.children()) for node in cluster.nodes] == [2, 2]
    begun = time.time()
    cluster.nodes[1].kill()
    assert leader.wait(120) == 0
    check_study(lab, BUDGET)
    check_attempts(lab)
    assert sorted(record.trial.attempt for record in lab.records()) == [1] * (BUDGET - 2) + [2] * 2
    assert leader.errors.count("is lost); it waits for another attempt") == 2
    assert "paused" not in leader.errors
    again = min(at for attempt, at in lab.times() if attempt == 2)
    print(f"from the loss to the first epoch of a second attempt: {again - begun:.1f} s")


def test_a_cluster_without_its_head_ends_the_run_and_another_goes_on(lab: Lab, cluster: RayCluster) -> None:
    lab.script(seconds=1.0)
    leader = lead(lab, cluster)
    lab.until(lambda: len(running(lab)) == 4)
    cluster.head.kill()
    assert leader.wait(150) == 4
    assert "the Ray cluster" in leader.errors and "out of reach" in leader.errors
    wait_for_silence(lab, 15.0)
    lab.script()
    with another(lab) as second:
        assert lead(lab, second).wait() == 0
        check_study(lab, BUDGET)
    check_attempts(lab)


def test_a_run_on_a_cluster_that_is_asked_to_stop_keeps_its_epochs(lab: Lab, cluster: RayCluster) -> None:
    lab.script(seconds=1.0)
    leader = lead(lab, cluster, "execution.checkpoint_seconds=1000")
    lab.until(lambda: len(running(lab)) == 4)
    leader.send(signal.SIGTERM)
    assert leader.wait(20) == 75
    wait_for_silence(lab, 1.0)
    lab.script()
    assert lab.start("resume", "noop", "--plain", **cluster.environment).wait() == 0
    check_study(lab, BUDGET)
    check_attempts(lab, repeated=0)


def test_a_supervisor_of_a_cluster_that_is_killed_leaves_no_child_there(lab: Lab, cluster: RayCluster) -> None:
    lab.script(seconds=1.0)
    leader = lead(lab, cluster)
    lab.until(lambda: len(running(lab)) == 4)
    leader.send(signal.SIGKILL)
    leader.wait()
    wait_for_silence(lab, 15.0)
    lab.script()
    assert lab.start("resume", "noop", "--plain", **cluster.environment).wait() == 0
    check_study(lab, BUDGET)
    check_attempts(lab)
