"""Several processes for independent runs: each keeps to one core, nothing is shared."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any

_THREADS = ("OMP_NUM_THREADS", "LP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def spread(job: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], workers: int) -> Iterator[Any]:
    """The answers of a job to each tuple of arguments, in the order in which they are ready.

    Args:
        job: a function of a module, so that it can be sent to another process.
        arguments: one tuple a call; they must survive pickling.
        workers: how many processes; with 1 the work is done here.
    """
    if workers <= 1:
        for one in arguments:
            yield job(*one)
        return
    context = multiprocessing.get_context("spawn")  # a copied process would share the graphics library's threads
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_core) as pool:
        futures: list[Future[Any]] = [pool.submit(job, *one) for one in arguments]
        for future in as_completed(futures):
            yield future.result()


def _one_core() -> None:
    """Keep a new process to one core; it runs before the job's own module is imported, which loads the libraries."""
    os.environ.update(dict.fromkeys(_THREADS, "1"))
