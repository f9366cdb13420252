"""Figures of GPUs stand in tables and reports, and nowhere in a study without them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sample_records import record

from searchlab.records import GpuUse
from searchlab.reports.gpu import COLUMNS, gpu_lines
from searchlab.reports.html import render
from searchlab.reports.table import trials_frame

USE = GpuUse("Fake <GPU>", utilization=0.5, memory=3 << 30, energy=2.0)


def measured(number: int, use: GpuUse):
    one = record(number, 0.5)
    return replace(one, result=replace(one.result, gpu=use, seconds=float(number + 1)))


@pytest.fixture
def on_gpu(result):
    """Two trials with figures and one without."""
    other = replace(USE, utilization=0.8, memory=1 << 30, energy=None)
    return replace(result, trials=(measured(0, USE), measured(1, other), record(2, 0.9)))


def test_a_table_has_columns_for_them_only_where_there_are_some(result, on_gpu):
    assert not set(COLUMNS) & set(trials_frame(result).columns)
    frame = trials_frame(on_gpu)
    assert list(frame.loc[0, list(COLUMNS)]) == ["Fake <GPU>", 0.5, 3072.0, 2.0]
    assert frame.loc[2, list(COLUMNS)].isna().all()


def test_one_line_says_it_all(result, on_gpu):
    assert gpu_lines(result.trials) == ()
    assert gpu_lines(on_gpu.trials) == ("Fake <GPU>: 2 trials, busy 70% of the time, 3.0 GiB at most, 2 Wh in all",)
    assert gpu_lines([measured(0, GpuUse("Silent"))]) == ("Silent: 1 trial",)


def test_the_report_shows_them(result, on_gpu):
    assert "gpu utilization" not in render(result)
    page = render(on_gpu)
    assert "gpu utilization" in page and "gpu energy wh" in page
    assert "Fake &lt;GPU&gt;: 2 trials, busy 70% of the time" in page and "Fake <GPU>" not in page
