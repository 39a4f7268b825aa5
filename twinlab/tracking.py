"""Runs that can be told apart later: each has a folder with its line, settings, environment, figures, model and result.

    run.json          name, state (running, finished, failed), begin and end
    scene.toml        the line, if one was given; its digest stands in run.json
    settings.json     what it was started with
    environment.json  Python, packages, platform, commit; no names of hosts or users
    metrics.jsonl     {"time", "step", "metrics"} a line
    model/            a copy
    result.json       an `xr.Dataset`, see `Kept.result`

An MLflow server or folder can mirror them. The folder is what counts: what goes wrong with the mirror is told as a
warning, and the run goes on.
"""

import json
import math
import os
import platform
import re
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import xarray as xr

import twinlab
from twinlab.errors import TrackingError
from twinlab.files import whole
from twinlab.scene import SceneSpec

_PACKAGES = (
    "dask", "distributed", "lightning-fabric", "moderngl", "numba", "numpy", "pybullet", "pydantic", "scipy", "torch",
    "xarray", "zarr",
)  # fmt: skip
_FILE_STORE = "MLFLOW_ALLOW_FILE_STORE"


class Run:
    """A run that goes on: figures, a model and a result can be added. Made by `start`."""

    def __init__(self, folder: Path, mirror: "_Mirror | None" = None) -> None:
        self.folder = folder
        self._mirror = mirror

    def log(self, step: int, **metrics: float) -> None:
        """Add figures of a step; each has its time."""
        plain = {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}
        line = json.dumps({"time": time.time(), "step": step, "metrics": plain})
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if self._mirror is not None:
            self._mirror.log(step, {name: float(value) for name, value in metrics.items() if math.isfinite(value)})

    def keep_model(self, model: str | Path) -> Path:
        """Copy a model's folder into the run.

        Raises:
            TrackingError: there is no such folder.
        """
        source, target = Path(model), self.folder / "model"
        if not source.is_dir():
            raise TrackingError(f"no model in {str(source)!r} to keep; wanted the folder that training gave")
        shutil.copytree(source, target, dirs_exist_ok=True)
        if self._mirror is not None:
            self._mirror.add(target)
        return target

    def keep(self, result: xr.Dataset) -> Path:
        """Write a table into the run; one that is there is replaced when the new one is whole."""
        target = self.folder / "result.json"
        _write(target, result.to_dict())
        if self._mirror is not None:
            self._mirror.add(target)
        return target


@dataclass(frozen=True)
class Kept:
    """A run's folder, read.

    Attributes:
        about: name, state, begin and end, digest of the line.
        settings: what it was started with.
        environment: Python, packages, platform, commit.
        metrics: name → value over `step`, a dataset.
        result: what it gave, or None.
    """

    about: dict[str, Any]
    settings: dict[str, Any]
    environment: dict[str, Any]
    metrics: xr.Dataset
    result: xr.Dataset | None


@contextmanager
def start(
    folder: str | Path,
    name: str,
    spec: SceneSpec | None = None,
    settings: Any = None,
    mlflow: str | Path | None = None,
) -> Iterator[Run]:
    """A run with a folder of its own, `<folder>/<name>`, or `<name>-2` and so on where that is taken.

    Args:
        folder: where runs are kept.
        name: of this one: letters, digits, dots, dashes and underscores.
        spec: the line.
        settings: a mapping or dataclass of plain values.
        mlflow: tracking URI or folder of a mirror; it needs the package mlflow or mlflow-skinny.

    Raises:
        TrackingError: the name is none, the folder cannot be written, or mlflow is not installed.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise TrackingError(f"a run's name came as {name!r}; wanted letters, digits, dots, dashes and underscores")
    told = asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else dict(settings or {})
    mirror_of = _mlflow() if mlflow is not None else None
    path = _own(Path(folder), name)
    about = {"name": path.name, "state": "running", "begin": _now(), "end": "", "digest": spec.digest if spec else ""}
    _write(path / "run.json", about)
    _write(path / "settings.json", told)
    _write(path / "environment.json", environment())
    if spec is not None:
        (path / "scene.toml").write_text(spec.toml(), encoding="utf-8")
    mirror = _Mirror(mirror_of, str(mlflow), path, told) if mirror_of is not None else None
    state = "failed"
    try:
        yield Run(path, mirror)
        state = "finished"
    finally:
        _write(path / "run.json", about | {"state": state, "end": _now()})
        if mirror is not None:
            mirror.close(state)


def read(folder: str | Path) -> Kept:
    """A run from its folder.

    Raises:
        TrackingError: it is none.
    """
    path = Path(folder)
    try:
        about, settings, found = (
            json.loads((path / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("run", "settings", "environment")
        )
        result = path / "result.json"
        kept = xr.Dataset.from_dict(json.loads(result.read_text(encoding="utf-8"))) if result.is_file() else None
        return Kept(about, settings, found, _metrics(path / "metrics.jsonl"), kept)
    except (OSError, ValueError, KeyError, TypeError) as told:
        raise TrackingError(f"{str(path)!r} holds no run that can be read ({told}); give a folder of `start`") from told


def environment() -> dict[str, Any]:
    """What a run's numbers may depend on beside its settings; nothing that names a host, a user or a path."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = ""
    return {
        "twinlab": twinlab.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "packages": packages,
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit of the checkout that runs, with "+" if it was changed; "" for an installed package."""
    git = ("git", "-C", str(Path(twinlab.__file__).parent))
    try:
        told = [
            subprocess.run([*git, *order], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
            for order in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no", "."))
        ]
    except (OSError, subprocess.SubprocessError):
        return ""
    return told[0] + ("+" if told[1] else "")


def _metrics(file: Path) -> xr.Dataset:
    """What was logged; a last line that a killed run left half written is left out."""
    rows: dict[int, dict[str, float]] = {}
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            if number == len(lines):
                break
            raise
        values = {name: math.nan if value is None else value for name, value in row["metrics"].items()}
        rows.setdefault(int(row["step"]), {}).update(values)
    names = dict.fromkeys(name for row in rows.values() for name in row)
    data = {name: ("step", [row.get(name, math.nan) for row in rows.values()]) for name in names}
    return xr.Dataset(data, coords={"step": ("step", list(rows), {"units": "1"})})


def _own(folder: Path, name: str) -> Path:
    """A folder that nobody else has, made."""
    number = 1
    while True:
        path = folder / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            if not path.is_dir():
                raise TrackingError(f"{str(path)!r} is a file; give another folder or name") from None
            number += 1
        except OSError as told:
            raise TrackingError(f"can't make a run in {str(folder)!r} ({told}); give another folder") from told


def _write(path: Path, what: Any) -> None:
    try:
        text = json.dumps(what, indent=1)
    except (TypeError, ValueError) as told:
        raise TrackingError(f"{path.name} of a run: {told}; wanted plain values") from told
    with whole(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _mlflow() -> Any:
    try:
        import mlflow
    except ImportError as told:
        raise TrackingError("mlflow is not installed; pip install mlflow-skinny, or leave `mlflow` out") from told
    return mlflow


class _Mirror:
    """A run as MLflow sees it; what fails is told and does no harm."""

    def __init__(self, mlflow: Any, target: str, folder: Path, settings: Mapping[str, Any]) -> None:
        self._lost = False
        uri = target if "://" in target or target.startswith("file:") else Path(target).resolve().as_uri()

        def begin() -> None:
            self._client = mlflow.MlflowClient(tracking_uri=uri)
            there = self._client.get_experiment_by_name("twinlab")
            among = there.experiment_id if there else self._client.create_experiment("twinlab")
            self._id = self._client.create_run(among, run_name=folder.name).info.run_id
            for key, value in settings.items():
                self._client.log_param(self._id, key, value)
            for file in sorted(folder.iterdir()):
                self._client.log_artifact(self._id, str(file))

        self._try(begin)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        def copy() -> None:
            for name, value in metrics.items():
                self._client.log_metric(self._id, name, value, step=step)

        self._try(copy)

    def add(self, path: Path) -> None:
        def copy() -> None:
            if path.is_dir():
                self._client.log_artifacts(self._id, str(path), path.name)
            else:
                self._client.log_artifact(self._id, str(path))

        self._try(copy)

    def close(self, state: str) -> None:
        self._try(lambda: self._client.set_terminated(self._id, "FINISHED" if state == "finished" else "FAILED"))

    def _try(self, do: Callable[[], None]) -> None:
        if self._lost:  # told once
            return
        before = os.environ.get(_FILE_STORE)
        os.environ[_FILE_STORE] = "true"  # since 3.13 mlflow wants to be asked for its plain folders
        try:
            do()
        except Exception as told:
            self._lost = True
            warnings.warn(f"the mirror in MLflow failed, the run goes on: {told}", RuntimeWarning, stacklevel=3)
        finally:
            if before is None:
                del os.environ[_FILE_STORE]
            else:
                os.environ[_FILE_STORE] = before
