"""What holds for every split rule, those not written yet included."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchlab.data import SPLITS, Examples
from searchlab.errors import DataError

RULES = SPLITS.names()


def examples_for(rule, n, classes, seed):
    """Examples that `rule` can split: with groups, moments or given parts where it needs them."""
    generator = np.random.default_rng(seed)
    y = generator.integers(classes, size=n).astype(str)
    group = np.char.add("g", generator.integers(max(3, n // 4), size=n).astype(str)) if rule == "group" else None
    starts = np.sort(generator.integers(n, size=n))
    span = np.stack([starts, starts + 2], axis=1) if rule == "time" else None
    fold = np.array(["train", "validation", "test"])[np.arange(n) % 3] if rule == "given" else None
    return Examples(np.arange(float(n))[:, None], y, group=group, span=span, fold=fold)


@pytest.mark.parametrize("rule", RULES)
class TestEverySplit:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(data=st.data())
    def test_parts_are_disjoint_ascending_and_not_empty_or_an_error_says_why(self, rule, data):
        n = data.draw(st.integers(1, 80))
        examples = examples_for(rule, n, data.draw(st.integers(1, 4)), data.draw(st.integers(0, 99)))
        validation = data.draw(st.floats(0.01, 0.9))
        test = data.draw(st.floats(0.01, 0.9))
        embargo = data.draw(st.integers(0, 3))
        try:
            parts = SPLITS.get(rule).part(examples, validation=validation, test=test, seed=0, embargo=embargo)
        except DataError as error:
            assert len(str(error)) > 30
            return
        rows = np.concatenate(parts)
        assert len(set(rows.tolist())) == len(rows) and set(rows.tolist()) <= set(range(n))
        for part in parts:
            assert len(part) and np.issubdtype(part.dtype, np.integer) and (np.diff(part) > 0).all()

    def test_sizes_are_near_the_shares(self, rule):
        examples = examples_for(rule, 600, 3, 1)
        parts = SPLITS.get(rule).part(examples, validation=0.2, test=0.3, seed=0, embargo=0)
        if rule != "given":
            assert [len(part) / 600 for part in parts] == pytest.approx([0.5, 0.2, 0.3], abs=0.03)

    def test_does_not_look_at_the_inputs(self, rule):
        examples = examples_for(rule, 90, 3, 2)
        blind = Examples(
            np.full((90, 1), np.nan), examples.y, group=examples.group, span=examples.span, fold=examples.fold
        )
        for one, other in zip(
            SPLITS.get(rule).part(examples, validation=0.2, test=0.2, seed=0, embargo=0),
            SPLITS.get(rule).part(blind, validation=0.2, test=0.2, seed=0, embargo=0),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)

    def test_groups_never_part(self, rule):
        generator = np.random.default_rng(0)
        examples = examples_for(rule, 120, 2, 3)
        group = np.char.add("g", generator.integers(20, size=120).astype(str))
        mixed = Examples(examples.x, examples.y, group=group, span=examples.span, fold=examples.fold)
        try:
            parts = SPLITS.get(rule).part(mixed, validation=0.2, test=0.2, seed=0, embargo=0)
        except DataError as error:
            assert "group" in str(error)
            return
        sets = [set(group[part].tolist()) for part in parts]
        assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])

    def test_windows_never_overlap_across_parts(self, rule):
        examples = examples_for(rule, 120, 2, 3)
        starts = np.arange(120)
        span = np.stack([starts, starts + 5], axis=1)
        windows = Examples(examples.x, examples.y, span=span, fold=examples.fold)
        try:
            parts = SPLITS.get(rule).part(windows, validation=0.2, test=0.2, seed=0, embargo=2)
        except DataError:
            return
        for k, part in enumerate(parts):
            for other in parts[k + 1 :]:
                apart = (span[part, 0][:, None] > span[other, 1] + 2) | (span[part, 1][:, None] + 2 < span[other, 0])
                assert apart.all()


def parts_of_all():
    return {
        rule: [
            part.tolist()
            for part in SPLITS.get(rule).part(
                examples_for(rule, 200, 3, 5), validation=0.2, test=0.2, seed=7, embargo=1 if rule == "time" else 0
            )
        ]
        for rule in RULES
    }


def test_same_seed_same_split_in_another_process():
    program = "import sys; sys.path.insert(0, sys.argv[1]); import test_every_split as one; print(one.parts_of_all())"
    folder = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(parts_of_all())
