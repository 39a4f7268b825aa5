"""Workers: jobs run elsewhere, no process does more of them than it may, and one that dies costs its job only."""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from twinlab import workers
from twinlab.errors import SceneError, WorkerError
from twinlab.workers import spread


def process(number: int) -> tuple[int, int]:
    return number, os.getpid()


def dies_once(number: int, folder: str) -> int:
    """Kill the process at the first call with 1."""
    mark = Path(folder) / "died"
    if number == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def dies_always(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fails(number: int) -> int:
    raise SceneError(f"no {number}")


class OddError(Exception):
    """Cannot be unpickled: it wants two arguments and keeps one."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def fails_oddly(number: int) -> int:
    raise OddError(f"odd {number}", "")


def prints(number: int) -> int:
    print("noise " * 1000)
    os.write(1, b"more noise")
    return number


def threads(number: int) -> str:
    return os.environ["OMP_NUM_THREADS"]


@pytest.mark.parametrize("count", [1, 2])
def test_a_process_is_replaced_before_it_has_done_too_many_jobs(monkeypatch, count):
    monkeypatch.setattr(workers, "LIFETIME", 3)
    done = list(spread(process, [(i,) for i in range(8)], count))
    assert sorted(number for number, _ in done) == list(range(8))
    each = Counter(pid for _, pid in done)
    assert os.getpid() not in each
    assert len(each) >= 3 and max(each.values()) <= 3


def test_a_few_jobs_for_one_worker_are_done_here():
    assert {pid for _, pid in spread(process, [(i,) for i in range(3)], 1)} == {os.getpid()}


def test_a_process_that_is_killed_costs_its_job_only_and_that_is_done_again(tmp_path):
    assert sorted(spread(dies_once, [(i, str(tmp_path)) for i in range(4)], 2)) == [0, 1, 2, 3]
    assert (tmp_path / "died").exists()


def test_a_job_that_always_kills_its_process_is_named_after_all_others_are_done():
    told = spread(dies_always, [(i,) for i in range(5)], 2)
    assert sorted(next(told) for _ in range(4)) == [0, 2, 3, 4]
    with pytest.raises(WorkerError, match=r"dies_always, call 1 of 5: its process died 3 times.*signal 9.*are done"):
        next(told)


def test_an_error_comes_back_as_it_is_and_says_where_it_happened():
    with pytest.raises(SceneError, match="no 0") as told:
        list(spread(fails, [(0,), (0,)], 2))
    assert "in a worker process" in told.value.__notes__[0] and "in fails" in told.value.__notes__[0]


def test_an_error_that_cannot_travel_is_told_in_words():
    with pytest.raises(WorkerError, match="odd 0"):
        list(spread(fails_oddly, [(0,), (0,)], 2))


def test_what_a_job_prints_does_not_get_between_the_answers():
    assert sorted(spread(prints, [(i,) for i in range(3)], 2)) == [0, 1, 2]


def test_a_job_may_be_written_where_it_is_used():
    offset = 10
    assert sorted(spread(lambda i: i + offset, [(i,) for i in range(3)], 2)) == [10, 11, 12]


def test_processes_keep_to_one_core_and_this_one_stays_as_it_was(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert set(spread(threads, [(0,), (1,)], 2)) == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_no_process_is_left_when_the_answers_are_not_wanted_any_more():
    told = spread(process, [(i,) for i in range(20)], 2)
    _, pid = next(told)
    told.close()
    if sys.platform == "linux":
        assert not Path(f"/proc/{pid}").exists()


def test_a_cluster_must_be_a_client():
    with pytest.raises(WorkerError, match=r"cluster came as 'slurm'; wanted a distributed.Client"):
        list(spread(process, [(0,)], cluster="slurm"))
