"""Intervals: cover the true mean as often as they say, and are honest where little is known."""

import numpy as np
import pytest

from twinlab.intervals import interval, text


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
