"""Intervals: cover the true mean as often as they say, and are honest where little is known."""

import numpy as np
import pytest

from twinlab.intervals import benjamini_hochberg, flipped, holm, interval, text


def test_an_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [interval(rng.normal(3, 2, 30)) for _ in range(200)]
    covered = np.mean([low <= 3 <= high for _, low, high in found])
    assert (
        0.88 <= covered <= 0.99
    )  # 95 %, less a little as a percentile bootstrap of 30 does; 200 runs know it to 1.5 %


def test_weights_count_and_unknown_values_do_not():
    assert interval(np.array([1.0, 4.0, np.nan]), np.array([2.0, 1.0, 5.0]))[0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("values", "said"), [([], "–"), ([np.nan], "–"), ([2.0], "2.00"), ([2.0, 2.0], "2.00 [2.00, 2.00]")]
)
def test_little_is_told_where_little_is_known(values, said):
    assert text(*interval(np.array(values, float))) == said


def test_signs_are_flipped_as_worked_out_by_hand():
    assert flipped(np.array([1.0, 2.0, 3.0])) == 2 / 8  # only all plus and all minus are as far out as 6
    assert flipped(np.array([3.0, -1.0, 1.0])) == 6 / 8  # |3 ± 1 ± 1| >= 3: all but 3 - 1 - 1 and its mirror image
    assert flipped(np.array([0.0, 0.0])) == 1.0
    assert flipped(np.array([1.0, np.nan, 2.0])) == 2 / 4
    assert np.isnan(flipped(np.array([np.nan])))


def test_many_differences_give_nearly_the_p_value_of_all_flips():
    many = np.random.default_rng(4).normal(0.4, 1, 20)
    signs = np.random.default_rng(5).choice([-1, 1], (200_000, 20))
    wanted = (np.abs(signs @ many) >= abs(many.sum())).mean()
    assert 0.01 < wanted < 0.5
    assert flipped(many) == pytest.approx(wanted, abs=0.015)


def test_chance_is_taken_for_a_difference_as_seldom_as_said():
    rng = np.random.default_rng(0)
    p = np.array([flipped(rng.normal(0, 1, 10)) for _ in range(400)])
    assert (p < 0.05).mean() < 0.075 and 0.4 < p.mean() < 0.6


def test_holm_and_benjamini_hochberg_as_worked_out_by_hand():
    p = np.array([0.01, 0.04, 0.03, np.nan, 0.005])
    assert holm(p)[[0, 1, 2, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(p)[[0, 1, 2, 4]] == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert np.isnan(holm(p)[3]) and np.isnan(benjamini_hochberg(p)[3])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []
