"""Several processes for independent runs: each keeps to one core, nothing is shared."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

LIFETIME = (
    50  # jobs that a process does before it is replaced: PyBullet keeps up to 90 KiB of each world that is rebuilt
)
_THREADS = ("OMP_NUM_THREADS", "LP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def spread(job: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], workers: int) -> Iterator[Any]:
    """The answers of a job to each tuple of arguments, in the order in which they are ready.

    Args:
        job: a function of a module, so that it can be sent to another process.
        arguments: one tuple a call; they must survive pickling.
        workers: how many processes; with 1 the work is done here, unless it is long enough for `LIFETIME` to matter.
    """
    arguments = list(arguments)
    if workers <= 1 and len(arguments) <= LIFETIME:
        for one in arguments:
            yield job(*one)
        return
    context = multiprocessing.get_context("spawn")  # a copied process would share the graphics library's threads
    workers = max(1, workers)
    for first in range(0, len(arguments), workers * LIFETIME):  # new processes for each share of the jobs
        with _one_core(), ProcessPoolExecutor(workers, mp_context=context) as pool:
            share = arguments[first : first + workers * LIFETIME]
            futures: list[Future[Any]] = [pool.submit(job, *one) for one in share]
            for future in as_completed(futures):
                yield future.result()


@contextmanager
def _one_core() -> Iterator[None]:
    """Let processes that are started meanwhile keep to one core: libraries read these names when they are loaded."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
