"""Studies that come to nothing: every trial fails, or all of them say the same (faults.md, A17, E9 and E10)."""

from __future__ import annotations

from fault_lab import Lab
from study_check import check_study


def test_A17_equal_failures_in_a_row_pause_the_study_which_goes_on_when_they_are_mended(lab: Lab) -> None:
    """A17: five different trials that fail alike are taken for a broken set-up; the budget that is left stays left."""
    lab.script(every="raise@1!")
    leader = lab.lead("search.trials=8")
    assert leader.wait() == 7
    assert "5 trials in a row failed with 'ValueError: the moon is not a cheese'" in leader.errors
    assert "searchlab resume noop" in leader.errors
    assert [record.state for record in lab.records()] == ["failed"] * 5 and not lab.leases()
    lab.script()
    assert lab.resume().wait() == 0
    check_study(lab, 8, failed=range(5))


def test_E9_a_study_without_a_success_counts_its_reasons_and_names_no_best(lab: Lab) -> None:
    """E9: reasons with their counts, the most frequent first, and status 7; no model, no best trial anywhere."""
    lab.script(_0="raise@1!", _1="memory@2!", _2="nan@1!", _3="raise@3!")
    leader = lab.lead()
    assert leader.wait() == 7
    table = [line.strip() for line in leader.said.splitlines() if " × " in line]
    assert table[0] == "2 × ValueError: the moon is not a cheese"
    assert sorted(table[1:]) == ["1 × diverged at epoch 1", "1 × out of memory"]
    assert "no trial of 'noop' was completed" in leader.errors and "2 × ValueError" in leader.errors
    folder = lab.home / "studies" / "noop"
    assert not (folder / "champion.keras").exists() and not list(folder.glob("weights/*"))
    assert "Best val_accuracy" not in leader.said + (folder / "report.html").read_text()
    status, export = lab.start("status"), lab.start("export", "noop")
    assert status.wait() == 0 and " – " in status.said and "(trial" not in status.said
    assert export.wait() == 7 and not (lab.folder / "noop.keras").exists()
    check_study(lab, 4, failed=range(4))


def test_E10_trials_that_all_measure_the_same_are_doubted_at_once_and_in_the_end(lab: Lab) -> None:
    """E10: five constant predictions are a warning when the fifth ends, and in the closing words and the report."""
    lab.script(every="constant@!", _1="")
    leader = lab.lead("search.trials=7")
    assert leader.wait() == 0
    assert leader.errors.count("Warning: 5 of 6 trials have the very same val_accuracy (0.25)") == 1
    assert "Warning: 6 of 7 trials have the very same val_accuracy (0.25)" in leader.said
    assert "Warning: 6 of 7" in (lab.home / "studies" / "noop" / "report.html").read_text()
