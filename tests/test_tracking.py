"""Tracking: a run's folder tells what it was, without anybody's traces; the mirror may fail, the run does not."""

import contextlib
import getpass
import json
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from twinlab import tracking
from twinlab.errors import TrackingError
from twinlab.scene import read_scene
from twinlab.tracking import environment, read, start


@dataclass(frozen=True)
class Settings:
    steps: int = 3
    names: tuple[str, ...] = ("a", "b")


def test_a_run_keeps_line_settings_environment_figures_model_and_result(sorting, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"123")
    table = xr.Dataset({"oee": ("policy", [0.5, np.nan], {"units": "1"})}, coords={"policy": ["a", "b"]})
    with start(tmp_path / "runs", "first", sorting, Settings()) as run:
        run.log(1, loss=0.5, rate=0.1)
        run.log(2, loss=float("nan"))
        run.keep_model(tmp_path / "model")
        run.keep(table)
        assert read(run.folder).about["state"] == "running"
    found = read(run.folder)
    assert (found.about["name"], found.about["state"], found.about["digest"]) == ("first", "finished", sorting.digest)
    assert found.settings == {"steps": 3, "names": ["a", "b"]}
    assert read_scene(run.folder / "scene.toml").change({"name": "sorting"}).digest == sorting.digest
    assert found.metrics["loss"].sel(step=1) == 0.5 and np.isnan(found.metrics["loss"].sel(step=2))
    assert np.isnan(found.metrics["rate"].sel(step=2))
    assert (run.folder / "model" / "weights").read_bytes() == b"123"
    xr.testing.assert_identical(found.result, table)


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    folders = []
    for _ in range(3):
        with start(tmp_path, "run") as run:
            folders.append(run.folder.name)
    assert folders == ["run", "run-2", "run-3"]


def test_a_run_that_fails_says_so_and_keeps_what_it_had(tmp_path):
    with contextlib.suppress(ZeroDivisionError), start(tmp_path, "run") as run:
        run.log(1, loss=1.0)
        run.log(1 // 0)
    found = read(tmp_path / "run")
    assert found.about["state"] == "failed" and found.metrics["loss"].values.tolist() == [1.0]
    assert found.result is None


def test_a_line_that_was_half_written_is_left_out_if_it_is_the_last(tmp_path):
    with start(tmp_path, "run") as run:
        run.log(1, loss=1.0)
    file = run.folder / "metrics.jsonl"
    whole = file.read_text()
    file.write_text(whole + whole[:10])
    assert read(run.folder).metrics["loss"].values.tolist() == [1.0]
    file.write_text(whole[:10] + "\n" + whole)
    with pytest.raises(TrackingError, match="holds no run that can be read"):
        read(run.folder)


def test_the_environment_names_packages_and_nobody(tmp_path):
    found = environment()
    assert found["packages"]["pybullet"] == "3.2.7" and found["python"] == platform.python_version()
    text = json.dumps(found)
    for trace in (platform.node(), str(Path.home()), str(Path.cwd()), f'"{getpass.getuser()}"'):
        assert trace not in text


def test_an_installed_package_has_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(tracking.twinlab, "__file__", str(tmp_path / "__init__.py"))
    assert environment()["commit"] == ""


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b"])
def test_a_name_that_is_none_is_told(tmp_path, name):
    with (
        pytest.raises(TrackingError, match="wanted letters, digits, dots, dashes and underscores"),
        start(tmp_path, name),
    ):
        pass


def test_what_cannot_be_kept_or_read_is_told(tmp_path):
    with start(tmp_path, "run") as run, pytest.raises(TrackingError, match=r"no model in .*nowhere"):
        run.keep_model(tmp_path / "nowhere")
    with (
        pytest.raises(TrackingError, match=r"settings.json of a run: .*wanted plain values"),
        start(tmp_path, "odd", settings={"a": object()}),
    ):
        pass
    (tmp_path / "file").touch()
    for folder, said in (
        (tmp_path, "'file' is a file|is a file; give another"),
        (tmp_path / "file", "can't make a run"),
    ):
        with pytest.raises(TrackingError, match=said), start(folder, "file"):
            pass
    with pytest.raises(TrackingError, match="holds no run that can be read"):
        read(tmp_path / "nothing")


def test_mlflow_mirrors_a_run_into_a_folder_of_its_own(sorting, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"123")
    with start(tmp_path, "run", sorting, Settings(), mlflow=tmp_path / "mlruns") as run:
        run.log(3, loss=0.5)
        run.keep_model(tmp_path / "model")
        run.keep(xr.Dataset({"a": 1}))
    with pytest.MonkeyPatch.context() as allowed:
        allowed.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        client = mlflow.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
        (found,) = client.search_runs([client.get_experiment_by_name("twinlab").experiment_id])
        history = client.get_metric_history(found.info.run_id, "loss")
        names = {file.path for file in client.list_artifacts(found.info.run_id)}
    assert found.info.status == "FINISHED" and found.data.params["steps"] == "3"
    assert [(m.step, m.value) for m in history] == [(3, 0.5)]
    assert {"model", "result.json", "scene.toml", "environment.json"} <= names


def test_a_mirror_that_fails_is_told_once_and_loses_nothing(tmp_path):
    (tmp_path / "mlruns").write_text("no folder")
    with (
        pytest.warns(RuntimeWarning, match="the mirror in MLflow failed, the run goes on") as told,
        start(tmp_path, "run", mlflow=tmp_path / "mlruns") as run,
    ):
        run.log(1, loss=0.5)
    assert len(told) == 1
    assert read(run.folder).metrics["loss"].values.tolist() == [0.5] and read(run.folder).about["state"] == "finished"


def test_a_missing_mlflow_is_told_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(TrackingError, match="pip install mlflow-skinny"), start(tmp_path, "run", mlflow="here"):
        pass
    assert not list(tmp_path.iterdir())
