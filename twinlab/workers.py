"""Processes for independent runs, here or on a Dask cluster: each keeps to one core, nothing is shared.

A job is done in a child process that does one job at a time, here as on a cluster, whose workers may have several
threads. A child that dies costs its job only, which is begun again; `ATTEMPTS` deaths and the job is given up.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import traceback
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import IO, Any

import cloudpickle

from twinlab.errors import WorkerError

LIFETIME = (
    50  # jobs that a process does before it is replaced: PyBullet keeps up to 90 KiB of each world that is rebuilt
)
ATTEMPTS = 3
_THREADS = ("OMP_NUM_THREADS", "LP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_own = threading.local()  # one child a thread


def spread(
    job: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], workers: int = 1, cluster: Any = None
) -> Iterator[Any]:
    """The answers of a job to each tuple of arguments, in the order in which they are ready.

    Args:
        job: a function; it and what it is given must survive pickling by value (cloudpickle).
        arguments: one tuple a call.
        workers: how many processes; with 1 the work is done here, unless it is long enough for `LIFETIME` to matter.
        cluster: a `distributed.Client`; its workers do the work then, as many jobs at once as they have threads, and
            `workers` does not count.

    Raises:
        WorkerError: a job's process died each time; all other jobs are done before.
    """
    arguments = list(arguments)
    if cluster is None and workers <= 1 and len(arguments) <= LIFETIME:
        for one in arguments:
            yield job(*one)
        return
    dead = []
    parcels = [cloudpickle.dumps((job, one)) for one in arguments]
    for index, answer in _there(parcels, cluster) if cluster is not None else _here(parcels, max(1, workers)):
        if isinstance(answer, str):
            dead.append(f"{getattr(job, '__qualname__', job)}, call {index} of {len(parcels)}: {answer}")
            continue
        yield _opened(answer)
    if dead:
        more = f"; {len(dead) - 1} more jobs died so" if len(dead) > 1 else ""
        raise WorkerError(f"{dead[0]}{more}; all others are done. Run it alone in a terminal to see what it says")


class _Child:
    """A process that does one job after another: parcels go to its stdin, answers come from its stdout."""

    def __init__(self) -> None:
        environment = os.environ | dict.fromkeys(_THREADS, "1")  # libraries read these when they are loaded
        order = "from twinlab.workers import serve; serve()"
        python = [sys.executable, *(f"-W{told}" for told in sys.warnoptions)]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [*python, "-c", order], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self.done = 0
        self.end = weakref.finalize(self, _end, self.process)

    def answer(self, parcel: bytes) -> bytes | None:
        """What comes back for a parcel, or None if the process died."""
        orders, answers = self.process.stdin, self.process.stdout
        assert orders is not None and answers is not None
        try:
            _send(orders, parcel)
        except OSError:
            return None
        self.done += 1
        return _received(answers)


def serve() -> None:
    """What a child does: open parcels from stdin until there are no more, do the job, send back what it gave."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is interrupted closes the pipe
    with contextlib.suppress(BrokenPipeError), os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what jobs print must not get between the answers
        while (parcel := _received(sys.stdin.buffer)) is not None:
            _send(answers, _tried(parcel))


def _tried(parcel: bytes) -> bytes:
    try:
        job, arguments = cloudpickle.loads(parcel)
        return bytes(cloudpickle.dumps((True, job(*arguments))))
    except Exception as told:
        told.add_note(f"in a worker process:\n{traceback.format_exc()}")
        try:
            packed = cloudpickle.dumps((False, told))
            cloudpickle.loads(packed)  # some errors can be packed but not unpacked
            return bytes(packed)
        except Exception:
            return bytes(cloudpickle.dumps((False, WorkerError(f"a job failed: {told!r}\n{traceback.format_exc()}"))))


def _opened(answer: bytes) -> Any:
    good, value = cloudpickle.loads(answer)
    if not good:
        raise value
    return value


def _done(parcel: bytes) -> bytes | str:
    """A parcel's answer, from the child of this thread, or how its processes died."""
    told = ""
    for _ in range(ATTEMPTS):
        child = getattr(_own, "child", None)
        if child is None or child.done >= LIFETIME or child.process.poll() is not None:
            if child is not None:
                child.end()
            child = _own.child = _Child()
        answer = child.answer(parcel)
        if answer is not None:
            return bytes(answer)
        code = child.process.wait()
        told = f"signal {-code}" if code < 0 else f"code {code}"
    return f"its process died {ATTEMPTS} times, the last time by {told}"


def _here(parcels: list[bytes], workers: int) -> Iterator[tuple[int, bytes | str]]:
    """Index and answer of each parcel, from processes on this machine."""
    with ThreadPoolExecutor(workers, thread_name_prefix="twinlab") as pool:
        try:
            futures = {pool.submit(_done, parcel): index for index, parcel in enumerate(parcels)}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _there(parcels: list[bytes], client: Any) -> Iterator[tuple[int, bytes | str]]:
    """Index and answer of each parcel, from a Dask cluster; what a lost worker had to do is done by another.

    Dask suspects all jobs of a worker that is lost. So those that it gives up are tried once more, one after another:
    only what takes workers down with it is lost then.
    """
    from distributed import Client, KilledWorker
    from distributed import as_completed as ready

    if not isinstance(client, Client) or client.asynchronous:
        raise WorkerError(f"cluster came as {client!r}; wanted a distributed.Client that is not asynchronous")
    name, suspects, futures = f"twinlab-{uuid.uuid4().hex}", [], {}

    def submit(index: int, key: str) -> Any:
        future = client.submit(_done, parcels[index], key=f"{key}-{index}", pure=False)
        futures[future] = index
        return future

    try:
        for future in ready([submit(index, name) for index in range(len(parcels))]):
            index = futures.pop(future)
            try:
                yield index, future.result()
            except KilledWorker:
                suspects.append(index)
        for index in suspects:
            future = submit(index, f"{name}-alone")
            try:
                yield index, future.result()
            except KilledWorker as told:
                yield index, f"the cluster gave it up: {told}"
    finally:
        client.cancel(list(futures))


def _send(pipe: IO[bytes], parcel: bytes) -> None:
    pipe.write(len(parcel).to_bytes(8, "big") + parcel)
    pipe.flush()


def _received(pipe: IO[bytes]) -> bytes | None:
    """A parcel, or None if the other end was closed before it was whole."""
    head = pipe.read(8)
    size = int.from_bytes(head, "big")
    parcel = pipe.read(size) if len(head) == 8 else b""
    return parcel if len(head) == 8 and len(parcel) == size else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close a child's pipes, whereupon it ends by itself once its job is done."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # it died with a parcel half read
                pipe.close()
    process.wait()
