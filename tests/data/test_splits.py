"""What is special to each split rule."""

import numpy as np
import pytest

from searchlab.data import SPLITS, Examples
from searchlab.errors import DataError

SHARES = {"validation": 0.2, "test": 0.2, "seed": 0, "embargo": 0}


def split(rule, examples, **change):
    return SPLITS.get(rule).part(examples, **{**SHARES, **change})


def labelled(*counts):
    y = np.repeat([f"class {k}" for k in range(len(counts))], counts)
    return Examples(np.arange(float(len(y)))[:, None], y)


class TestStratified:
    def test_gives_every_class_its_share_of_every_part(self):
        examples = labelled(100, 50, 10)
        for part, wanted in zip(split("stratified", examples), ((60, 30, 6), (20, 10, 2), (20, 10, 2)), strict=True):
            assert tuple(np.unique(examples.y[part], return_counts=True)[1]) == wanted

    def test_puts_the_rarest_class_into_each_part(self):
        examples = labelled(200, 3)
        for part in split("stratified", examples, validation=0.01, test=0.01):
            assert (examples.y[part] == "class 1").sum() == 1

    def test_draws_by_chance(self):
        examples = labelled(100, 100)
        assert not np.array_equal(split("stratified", examples)[2], split("stratified", examples, seed=1)[2])

    def test_names_classes_that_are_too_rare(self):
        with pytest.raises(DataError, match=r"at least 3.*class 1 \(2\), class 2 \(1\)"):
            split("stratified", labelled(50, 2, 1))

    def test_real_targets_are_sent_to_random(self):
        with pytest.raises(DataError, match="by: random"):
            split("stratified", Examples(np.zeros((9, 1)), np.linspace(0, 1, 9)))

    def test_groups_are_sent_to_group_and_moments_to_time(self):
        examples = labelled(10, 10)
        with pytest.raises(DataError, match="by: group"):
            split("stratified", Examples(examples.x, examples.y, group=np.array(["a", "b"] * 10)))
        with pytest.raises(DataError, match="by: time"):
            split("stratified", Examples(examples.x, examples.y, span=np.zeros((20, 2), int)))


class TestShares:
    @pytest.mark.parametrize("rule", ["stratified", "random", "group", "time"])
    @pytest.mark.parametrize(
        ("validation", "test"), [(0.0, 0.2), (0.2, 0.0), (0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.2)]
    )
    def test_that_leave_a_part_empty_are_refused(self, rule, validation, test):
        span = np.stack([np.arange(30)] * 2, axis=1) if rule == "time" else None
        group = np.arange(30).astype(str) if rule == "group" else None
        examples = Examples(np.zeros((30, 1)), np.arange(30) % 2, group=group, span=span)
        with pytest.raises(DataError, match="empty part"):
            split(rule, examples, validation=validation, test=test)


class TestGroup:
    def test_keeps_classes_even(self):
        generator = np.random.default_rng(0)
        group = np.repeat(np.arange(40), generator.integers(5, 60, size=40))
        y = (group % 4).astype(str)
        examples = Examples(np.zeros((len(y), 1)), y, group=np.char.add("patient ", group.astype(str)))
        for part, share in zip(split("group", examples), (0.6, 0.2, 0.2), strict=True):
            found = np.array([(y[part] == name).sum() / (y == name).sum() for name in "0123"])
            assert np.abs(found - share).max() < 0.12

    def test_gives_each_part_a_group_however_large_one_is(self):
        group = np.repeat(["huge", "small", "tiny"], [1000, 3, 1])
        parts = split("group", Examples(np.zeros((1004, 1)), np.zeros(1004), group=group))
        assert sorted(len(part) for part in parts) == [1, 3, 1000] and len(parts[0]) == 1000

    def test_another_seed_draws_other_groups(self):
        group = np.repeat(np.arange(50), 4).astype(str)
        examples = Examples(np.zeros((200, 1)), np.arange(200) % 2, group=group)
        assert not np.array_equal(split("group", examples)[2], split("group", examples, seed=1)[2])

    def test_too_few_groups_are_named(self):
        with pytest.raises(DataError, match=r"at least 3 groups.*ann, bob"):
            split("group", Examples(np.zeros((4, 1)), np.arange(4), group=np.array(["ann", "bob"] * 2)))

    def test_many_groups_take_no_minutes(self):
        group = np.arange(20_000).astype(str)
        parts = split("group", Examples(np.zeros((20_000, 1)), np.arange(20_000) % 10, group=group))
        assert len(parts[2]) == pytest.approx(4000, abs=10)


class TestTime:
    def spans(self, n, length):
        return np.stack([np.arange(n), np.arange(n) + length - 1], axis=1)

    def test_the_future_is_the_test(self):
        examples = Examples(np.zeros((100, 1)), np.zeros(100), span=self.spans(100, 1))
        train, validation, test = split("time", examples)
        np.testing.assert_array_equal(train, np.arange(60))
        np.testing.assert_array_equal(validation, np.arange(60, 80))
        np.testing.assert_array_equal(test, np.arange(80, 100))

    @pytest.mark.parametrize("embargo", [0, 1, 7])
    def test_windows_that_reach_across_belong_to_no_part(self, embargo):
        span = self.spans(200, 10)
        train, validation, test = split("time", Examples(np.zeros((200, 1)), np.zeros(200), span=span), embargo=embargo)
        assert span[validation, 0].min() - span[train, 1].max() == embargo + 1
        assert span[test, 0].min() - span[validation, 1].max() == embargo + 1
        assert len(train) + len(validation) + len(test) == 200 - 2 * (9 + embargo)

    def test_equal_moments_stay_together(self):
        moments = np.repeat(np.arange(10), 7)
        span = np.stack([moments, moments], axis=1)
        parts = split("time", Examples(np.zeros((70, 1)), np.zeros(70), span=span))
        sets = [set(moments[part]) for part in parts]
        assert not (sets[0] & sets[1] or sets[1] & sets[2]) and sum(map(len, parts)) == 70

    def test_order_in_the_file_does_not_matter(self):
        span = self.spans(50, 3)
        order = np.random.default_rng(0).permutation(50)
        sorted_ = split("time", Examples(np.zeros((50, 1)), np.zeros(50), span=span))
        shuffled = split("time", Examples(np.zeros((50, 1)), np.zeros(50), span=span[order]))
        for one, other in zip(sorted_, shuffled, strict=True):
            assert set(map(tuple, span[one])) == set(map(tuple, span[order][other]))

    def test_a_series_too_short_says_what_would_help(self):
        with pytest.raises(DataError, match="shorter windows"):
            split("time", Examples(np.zeros((20, 1)), np.zeros(20), span=self.spans(20, 18)))

    def test_needs_moments(self):
        with pytest.raises(DataError, match="time column"):
            split("time", labelled(5, 5))


class TestGiven:
    def folded(self, *counts, names=("train", "validation", "test"), **more):
        fold = np.repeat(names, counts)
        return Examples(np.zeros((len(fold), 1)), np.arange(len(fold)) % 2, fold=fold, **more)

    def test_takes_the_parts_as_they_are(self):
        parts = split("given", self.folded(6, 3, 4))
        assert [part.tolist() for part in parts] == [list(range(6)), [6, 7, 8], [9, 10, 11, 12]]

    def test_cuts_validation_from_train_within_classes(self):
        examples = self.folded(100, 0, 20)
        train, validation, test = split("given", examples, validation=0.1)
        assert (len(train), len(validation), test.tolist()) == (90, 10, list(range(100, 120)))
        assert (examples.y[validation] == 0).sum() == 5

    def test_cuts_validation_by_group_and_in_time(self):
        group = np.repeat(np.arange(24), 5).astype(str)
        train, validation, _ = split("given", self.folded(100, 0, 20, group=group))
        assert not set(group[train]) & set(group[validation])
        moments = np.concatenate([np.arange(100), np.arange(103, 123)])
        span = np.stack([moments, moments], axis=1)
        train, validation, _ = split("given", self.folded(100, 0, 20, span=span), embargo=3)
        assert validation.min() - train.max() == 4
        with pytest.raises(DataError, match="one of validation looks as far as moment 99"):
            split("given", self.folded(100, 0, 20, span=span), embargo=4)

    def test_a_group_in_two_parts_is_named(self):
        group = np.array(["ann"] * 6 + ["bob"] * 3 + ["ann"])
        with pytest.raises(DataError, match="'ann' is in both train and test"):
            split("given", self.folded(6, 3, 1, group=group))

    def test_overlapping_windows_of_two_parts_are_refused(self):
        starts = np.arange(30)
        span = np.stack([starts, starts + 2], axis=1)
        with pytest.raises(DataError, match="looks as far as moment"):
            split("given", self.folded(10, 10, 10, span=span))

    @pytest.mark.parametrize("names", [("train", "validation", "held"), ("Train", "validation", "test")])
    def test_other_names_are_refused(self, names):
        with pytest.raises(DataError, match="called train, validation and test"):
            split("given", self.folded(5, 5, 5, names=names))

    def test_a_part_that_the_data_does_not_name(self):
        with pytest.raises(DataError, match="no example as 'test'"):
            split("given", self.folded(5, 5, 0))
        with pytest.raises(DataError, match="names none"):
            split("given", labelled(5, 5))
