import math

import numpy as np
import pytest

from searchlab.reports import statistics


class TestWilson:
    def test_agrees_with_published_values(self):
        # Newcombe 1998 (Statist. Med. 17:857), table I, method 3
        assert statistics.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
        assert statistics.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
        assert statistics.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
        assert statistics.wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)

    def test_never_leaves_zero_to_one_and_holds_the_share(self):
        for examples in (1, 3, 50):
            for successes in range(examples + 1):
                low, high = statistics.wilson(successes, examples)
                assert 0.0 <= low <= successes / examples <= high <= 1.0

    def test_refuses_what_is_no_proportion(self):
        for successes, examples in ((1, 0), (-1, 5), (6, 5)):
            with pytest.raises(ValueError, match="proportion"):
                statistics.wilson(successes, examples)


class TestBootstrap:
    def test_covers_the_true_mean_about_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        hits = 0
        for seed in range(200):
            low, high = statistics.bootstrap(rng.normal(3.0, 1.0, 60), seed=seed, resamples=300)
            hits += low <= 3.0 <= high
        assert 0.89 <= hits / 200 <= 0.99

    def test_draws_whole_groups(self):
        rng = np.random.default_rng(1)
        groups = np.repeat(np.arange(20), 10).astype(str)
        values = np.repeat(rng.normal(size=20), 10)  # ten identical examples a group: twenty true observations
        low, high = statistics.bootstrap(values, resamples=500)
        grouped_low, grouped_high = statistics.bootstrap(values, groups=groups, resamples=500)
        assert 2.2 < (grouped_high - grouped_low) / (high - low) < 4.5  # sqrt(10) times wider

    def test_one_group_tells_nothing(self):
        assert statistics.bootstrap(np.arange(5.0), groups=np.array(["a"] * 5)) == (-math.inf, math.inf)

    def test_same_seed_same_interval(self):
        values = np.random.default_rng(2).normal(size=50)
        assert statistics.bootstrap(values, seed=4) == statistics.bootstrap(values, seed=4)
        assert statistics.bootstrap(values, seed=4) != statistics.bootstrap(values, seed=5)

    def test_takes_any_statistic(self):
        errors = np.array([1.0, 4.0, 9.0, 16.0] * 20)
        low, high = statistics.bootstrap(errors, lambda sample: float(np.sqrt(sample.mean())))
        assert low < math.sqrt(errors.mean()) < high


class TestWinnersCurse:
    @pytest.mark.parametrize(
        ("accuracy", "examples", "points"),
        [
            (0.80, 1_000, (1.9, 2.8, 3.1, 3.7)),
            (0.90, 1_000, (1.4, 2.1, 2.3, 2.8)),
            (0.90, 10_000, (0.5, 0.7, 0.7, 0.9)),
            (0.95, 1_000, (1.0, 1.5, 1.6, 2.0)),
        ],
    )
    def test_gives_the_table_that_the_docs_print(self, accuracy, examples, points):
        for candidates, expected in zip((10, 50, 100, 500), points, strict=True):
            curse = statistics.winners_curse(candidates, examples, accuracy=accuracy)
            assert 100 * curse == pytest.approx(expected, abs=0.06)

    def test_agrees_with_simulation(self):
        best = np.random.default_rng(0).binomial(300, 0.9, size=(4000, 40)).max(axis=1) / 300
        assert statistics.winners_curse(40, 300, accuracy=0.9) == pytest.approx(best.mean() - 0.9, abs=5e-4)
        best = np.random.default_rng(0).normal(0, 2 / math.sqrt(300), size=(20000, 40)).max(axis=1)
        assert statistics.winners_curse(40, 300, sd=2.0) == pytest.approx(best.mean(), abs=2e-3)

    def test_the_better_of_two_coins_is_right_three_times_in_four(self):
        assert statistics.winners_curse(2, 1, accuracy=0.5) == pytest.approx(0.25)

    def test_one_candidate_is_not_cursed(self):
        assert statistics.winners_curse(1, 100, accuracy=0.5) == 0.0
        assert statistics.winners_curse(0, 100, sd=1.0) == 0.0

    def test_wants_one_way_to_know_the_spread(self):
        with pytest.raises(ValueError, match="either"):
            statistics.winners_curse(10, 100)
        with pytest.raises(ValueError, match="either"):
            statistics.noise_band(100, accuracy=0.5, sd=1.0)

    def test_holds_at_the_ends(self):
        assert statistics.winners_curse(50, 100, accuracy=1.0) == 0.0
        assert statistics.winners_curse(50, 100, accuracy=0.0) == 0.0

    def test_expected_maximum_agrees_with_known_values(self):
        # Harter 1961 (Biometrika 48:151)
        for count, value in ((1, 0.0), (2, 0.56419), (10, 1.53875), (100, 2.50759)):
            assert statistics.expected_maximum(count) == pytest.approx(value, abs=1e-4)


class TestChanceInterval:
    @pytest.mark.parametrize(("chance", "examples"), [(0.1, 360), (0.5, 40), (1 / 3, 30)])
    def test_holds_at_least_99_percent_of_guesses(self, chance, examples):
        low, high = statistics.chance_interval(chance, examples)
        guesses = np.random.default_rng(0).binomial(examples, chance, 50_000) / examples
        assert 0.985 <= np.mean((guesses >= low) & (guesses <= high)) <= 1.0
        assert low < chance < high


def test_noise_band_is_the_width_of_one_score():
    assert statistics.noise_band(1000, accuracy=0.9) == pytest.approx(0.0188, abs=3e-4)
    assert statistics.noise_band(400, sd=2.0) == pytest.approx(0.196, abs=1e-3)
    assert statistics.noise_band(50, accuracy=1.0) > 0
