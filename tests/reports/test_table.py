import csv
import io
from dataclasses import replace

import pandas as pd
import pytest
from sample_records import record

from searchlab.records import Trial, TrialRecord
from searchlab.reports.table import COLUMNS, to_csv, trials_frame
from searchlab.space import Params


def test_one_row_a_trial_in_the_order_of_their_numbers(result):
    frame = trials_frame(result)
    assert list(frame["number"]) == [0, 1, 2, 3]
    assert list(frame["state"]) == ["complete", "pruned", "complete", "failed"]
    assert list(frame.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert list(frame["model.depth"]) == [1, 2, 3, 4]
    assert frame["value"][2] == 0.93
    assert frame["val_loss"][0] == 0.5


def test_what_a_trial_lacks_is_missing_and_whole_numbers_stay_whole(result):
    frame = trials_frame(result)
    assert pd.isna(frame["optimizer.momentum"][0])
    assert pd.isna(frame["best_epoch"][3])
    assert str(frame["best_epoch"].dtype) == "Int64"


def test_a_study_without_trials_is_an_empty_table_with_its_columns(result):
    frame = trials_frame(replace(result, trials=()))
    assert list(frame.columns) == list(COLUMNS)
    assert to_csv(frame).strip() == ",".join(COLUMNS)


def test_a_record_without_a_result_has_a_row(result):
    waiting = TrialRecord(Trial(9, Params({"model": "cnn"}), seed=1), "waiting")
    assert list(trials_frame(replace(result, trials=(waiting,)))["state"]) == ["waiting"]


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(result, text):
    hostile = replace(result, trials=(record(0, 0.5, **{"model.cnn.activation": text}),))
    rows = list(csv.reader(io.StringIO(to_csv(trials_frame(hostile)))))
    cell = rows[1][rows[0].index("model.activation")]
    assert cell.startswith("'")
    assert cell.isprintable()


def test_numbers_stay_numbers_negative_ones_too(result):
    frame = trials_frame(replace(result, trials=(record(0, -0.5),)))
    rows = list(csv.DictReader(io.StringIO(to_csv(frame))))
    assert float(rows[0]["value"]) == -0.5


def test_lines_and_escapes_in_a_text_do_not_break_the_table(result):
    hostile = replace(result, trials=(record(0, 0.5, **{"model.cnn.activation": "a\nb\x1b[2Jc"}),))
    assert len(to_csv(trials_frame(hostile)).splitlines()) == 2
