from dataclasses import replace

import pytest
from sample_records import record

from searchlab.records import Objective, StudyResult, TestScore
from searchlab.reports import statistics, words

SCORE = TestScore(2, {"accuracy": 0.925}, {"accuracy": (0.895, 0.947)}, "Wilson", 400, 1, {"accuracy": 0.1})


def test_the_end_of_a_study_says_what_was_found_and_how_far_to_believe_it(result):
    first, best, doubt, sealed = words.study_lines(result)
    assert first == "4 of 5 trials: 2 complete, 1 pruned, 1 failed."
    assert best == "Best val_accuracy: 93.0 %, by trial 2 after epoch 3."
    assert doubt.startswith("As the best of 3, it is expected to be up to 1.1 points too high")
    assert "400 validation examples" in doubt
    assert sealed == "The test set is sealed. To open it once: searchlab final-test small"


def test_the_curse_counts_every_trial_with_a_value_and_a_cautious_guess(result):
    guess = statistics.shrunk(0.93, 400)
    doubt = words.optimism(result)
    assert doubt is not None
    assert doubt.candidates == 3
    assert doubt.curse == statistics.winners_curse(3, 400, accuracy=guess)


def test_a_perfect_score_is_not_believed_without_doubt():
    perfect = StudyResult("s", Objective("val_accuracy", "maximize"), (record(0, 1.0), record(1, 1.0)), 2, 0, 50)
    doubt = words.optimism(perfect)
    assert doubt is not None
    assert doubt.curse > 0
    assert doubt.noise > 0


def test_nothing_is_said_of_a_metric_whose_spread_nobody_knows():
    objective = Objective("val_balanced_accuracy", "maximize")
    balanced = StudyResult("s", objective, (record(0, 0.9), record(1, 0.8)), 2, 0, 50)
    assert words.optimism(balanced) is None and words.optimism(balanced, sd=0.4) is not None
    losses = StudyResult("s", Objective("val_loss", "minimize"), (record(0, 1.0), record(1, 0.7)), 2, 0, 50)
    assert words.optimism(losses) is None
    assert len(words.study_lines(losses)) == 3
    doubt = words.optimism(losses, sd=2.0)
    assert doubt is not None
    assert doubt.curse == pytest.approx(0.5642 * 2 / 50**0.5, abs=1e-4)
    assert "too low" in " ".join(words.study_lines(losses, sd=2.0))


def test_a_study_without_a_value_gives_the_reasons(result):
    """E9: as a table, the most frequent first."""
    fell = record(1, None, "failed")
    assert fell.result is not None
    other = replace(fell, result=replace(fell.result, reason="a loss"))
    lines = words.study_lines(replace(result, trials=(other, fell, fell)))
    assert lines == ["3 of 5 trials: 3 failed.", "No trial has a value.", "    2 × diverged", "    1 × a loss"]
    assert words.study_lines(replace(result, trials=()))[0] == "0 of 5 trials."


def test_more_reasons_than_a_screen_takes_are_summed_up(result):
    failed = record(0, None, "failed")
    assert failed.result is not None
    trials = tuple(replace(failed, result=replace(failed.result, reason=f"reason {n}")) for n in range(13))
    lines = words.reason_lines(replace(result, trials=trials))
    assert len(lines) == 11 and lines[-1].startswith("    3 × other reasons")


def test_a_sealed_test_has_no_words(result):
    assert words.score_lines(result) == []


def test_the_test_score_comes_with_interval_baseline_and_count(result):
    lines = words.score_lines(replace(result, test=SCORE))
    assert lines == [
        "Test accuracy: 92.5 %, 95 % interval 89.5 % to 94.7 % (Wilson); baseline 10.0 %.",
        "Trial 2 on 400 test examples; test opened once.",
    ]
    assert "sealed" not in " ".join(words.study_lines(replace(result, test=SCORE)))


def test_a_second_opening_is_said_and_warned_of(result):
    lines = words.score_lines(replace(result, test=replace(SCORE, openings=3)))
    assert "test opened 3 times" in lines[-2]
    assert "validation set" in lines[-1]


@pytest.mark.parametrize(("value", "is_flagged"), [(0.925, False), (0.895, False), (0.80, True)])
def test_a_gap_beyond_two_errors_and_the_curse_is_flagged(result, value, is_flagged):
    interval = statistics.wilson(round(value * 400), 400)
    score = TestScore(2, {"accuracy": value}, {"accuracy": interval}, "Wilson", 400, 1)
    warning = words.gap_warning(result, score)
    assert (warning is not None) == is_flagged
    error = (interval[1] - interval[0]) / (2 * 1.959964)
    doubt = words.optimism(result)
    assert doubt is not None
    assert is_flagged == (abs(0.93 - value) > 2 * error + doubt.curse)


def test_a_test_metric_may_bear_its_prefix(result):
    score = TestScore(2, {"test_accuracy": 0.5}, {"test_accuracy": (0.45, 0.55)}, "Wilson", 400, 1)
    lines = words.score_lines(replace(result, test=score))
    assert lines[0].startswith("Test accuracy: 50.0 %")
    assert lines[1].startswith("Warning: validation (93.0 %) and test (50.0 %) differ by 43.0 points")


def test_trials_that_were_left_to_fit_are_said_with_the_reason(result):
    slow = replace(result.trials[0], result=replace(result.trials[0].result, engine="fit: seeds of its own"))
    lines = words.study_lines(replace(result, trials=(slow, *result.trials[1:])))
    assert [line for line in lines if "fit" in line] == ["Trained by fit, 1 of 4 trials: seeds of its own."]
