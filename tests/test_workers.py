"""Workers: jobs run elsewhere, and no process does more of them than it may."""

import os
from collections import Counter

import pytest

from twinlab import workers
from twinlab.workers import spread


def process(number: int) -> tuple[int, int]:
    return number, os.getpid()


@pytest.mark.parametrize("count", [1, 2])
def test_a_process_is_replaced_before_it_has_done_too_many_jobs(monkeypatch, count):
    monkeypatch.setattr(workers, "LIFETIME", 3)
    done = list(spread(process, [(i,) for i in range(8)], count))
    assert sorted(number for number, _ in done) == list(range(8))
    each = Counter(pid for _, pid in done)
    assert os.getpid() not in each
    assert len(each) >= 2 and max(each.values()) <= 3 * count  # two may share a pool's jobs unevenly


def test_a_few_jobs_for_one_worker_are_done_here():
    assert {pid for _, pid in spread(process, [(i,) for i in range(3)], 1)} == {os.getpid()}
