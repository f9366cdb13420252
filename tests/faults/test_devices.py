"""GPUs that are too small, lost, absent or of no use, and kernels that they have not got (faults.md, E4, E6 to E8)."""

from __future__ import annotations

import pytest
from fault_lab import Lab
from study_check import check_study


def test_E4_a_trial_too_large_for_its_gpu_leaves_a_fresh_process_to_the_next(lab: Lab) -> None:
    """E4: the cause is memory, it is not tried again, and what is left of its process trains nothing more."""
    lab.script(_1="gpu@2!")
    leader = lab.lead()
    assert leader.wait() == 0
    failed = lab.records()[1]
    assert failed.result is not None and (failed.result.cause, failed.result.reason) == ("memory", "out of memory")
    assert failed.trial.attempt == 1
    assert lab.processes_of(0) == lab.processes_of(1) and lab.processes_of(2) == lab.processes_of(3)
    assert lab.processes_of(1).isdisjoint(lab.processes_of(2))
    check_study(lab, 4, failed=[1])


def test_E4_a_trial_on_a_shared_gpu_has_another_attempt_before_it_is_to_blame(lab: Lab) -> None:
    """E4: what it lacked may be what its neighbour held; the second time it is its own fault."""
    lab.script(_0="gpu@2", _1="gpu@2!")
    shared = {"execution.workers": "auto", "execution.trials_per_gpu": 2}
    leader = lab.lead(*(f"{key}={value}" for key, value in shared.items()), **lab.with_gpus(1))
    assert leader.wait() == 0
    records = lab.records()
    assert [records[number].trial.attempt for number in (0, 1)] == [2, 2]
    assert records[1].result is not None and (records[1].result.cause, records[1].result.reason) == (
        "memory",
        "out of memory",
    )
    check_study(lab, 4, failed=[1])


def test_E6_a_lost_gpu_gets_no_more_trials_and_its_own_goes_on_elsewhere(lab: Lab) -> None:
    """E6: the trial is not to blame; the other GPU trains the rest."""
    lab.script(seconds=0.05, _1="ecc@2")
    leader = lab.lead("execution.workers=auto", "search.trials=6", **lab.with_gpus(2))
    assert leader.wait() == 0
    assert "gets no more trials: the GPU is lost: InternalError: CUDA error: CUDA_ERROR_ECC" in leader.errors
    assert [record.trial.attempt for record in lab.records()] == [1, 2, 1, 1, 1, 1]
    assert all("losses" not in trial.user_attrs for trial in lab.stored())
    (other,) = lab.processes_of(5)
    assert len(lab.processes_of(1)) == 2 and other in lab.processes_of(1)
    check_study(lab, 6)


def test_E6_a_worker_without_a_gpu_left_stops_and_the_trial_waits(lab: Lab) -> None:
    """E6: status 4 and the reason; nothing is counted against the trial, which goes on when the GPU is mended."""
    lab.script(_1="ecc@2!")
    gpu = lab.with_gpus(1)
    leader = lab.lead("execution.gpus=1", **gpu)
    assert leader.wait() == 4
    assert "no GPU is left to train on: the GPU is lost" in leader.errors and "searchlab resume" in leader.errors
    assert [record.state for record in lab.records()] == ["complete", "waiting"] and not lab.leases()
    lab.script()
    assert lab.resume(**gpu).wait() == 0
    check_study(lab, 4)


def test_E6_after_a_fault_in_a_kernel_another_process_has_the_gpu(lab: Lab) -> None:
    """E6: the GPU is well, but CUDA answers that process no more: all its later trials would fail."""
    lab.script(_1="illegal@2")
    assert lab.lead(**lab.with_gpus(1)).wait() == 0
    assert [record.trial.attempt for record in lab.records()] == [1, 2, 1, 1]
    assert len(lab.processes_of(1)) == 2
    check_study(lab, 4)


def test_E7_a_gpu_that_is_asked_for_and_absent_is_missed_before_anything_is_made(lab: Lab) -> None:
    """E7: status 4 within seconds, no hour on the processor and no study."""
    leader = lab.lead("execution.gpus=1", **lab.with_gpus(0))
    assert leader.wait(20) == 4
    assert "1 GPU(s) are asked for, but 0 can be seen" in leader.errors
    assert lab.study() is None and not lab.trained()


def test_E7_a_gpu_that_the_backend_cannot_use_ends_a_run_that_asked_for_it(lab: Lab) -> None:
    """E7: a driver that does not fit the libraries: children see the processor only."""
    leader = lab.lead("execution.gpus=2", "execution.workers=auto", **lab.with_gpus(2, seen=False))
    assert leader.wait(20) == 4
    assert "GPU 1 is there, but noop sees cpu:0 only" in leader.errors
    assert not lab.trained() and not lab.leases()


def test_E7_a_gpu_that_nobody_asked_for_is_done_without_and_that_is_said(lab: Lab) -> None:
    leader = lab.lead(**lab.with_gpus(1, seen=False))
    assert leader.wait() == 0
    assert leader.errors.count("noop sees cpu:0 only") == 1 and "Training goes on without" in leader.errors
    check_study(lab, 4)


@pytest.mark.parametrize("trials", [4, 8])
def test_E8_a_layer_without_a_deterministic_kernel_fails_with_the_choices(lab: Lab, trials: int) -> None:
    """E8: and where the space has nothing else, the study pauses with them after five trials."""
    lab.script(every="no_kernel@1!")
    leader = lab.lead(f"search.trials={trials}")
    assert leader.wait() == 7
    assert "GPU implementation of Bincount: allow it other numbers every time" in leader.errors
    assert "training: {deterministic: false}" in leader.errors and "execution: {gpus: 0}" in leader.errors
    check_study(lab, min(5, trials), failed=range(5))
