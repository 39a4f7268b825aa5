"""What several test files share."""

import tomllib
from pathlib import Path

import pytest
import tomli_w
from hypothesis import settings

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.scene import FOLDERS, SceneSpec, read_scene

settings.register_profile("fuzz", max_examples=2000)


def blind_tables() -> dict:
    """The sorting line without cameras: it runs three times as fast."""
    tables = tomllib.loads((FOLDERS[0] / "sorting.toml").read_text(encoding="utf-8"))
    sensors = tables["sensors"].items()
    return tables | {
        "cameras": {},
        "faults": {},
        "sensors": {n: s for n, s in sensors if s["kind"] not in ("rgb", "depth", "mask")},
    }


def small_tables() -> dict:
    """The same with one small camera."""
    full, tables = tomllib.loads((FOLDERS[0] / "sorting.toml").read_text(encoding="utf-8")), blind_tables()
    tables["cameras"] = {"overhead": full["cameras"]["overhead"] | {"width": 32, "height": 16}}
    tables["sensors"] |= {name: full["sensors"][name] for name in ("overhead_rgb", "overhead_depth")}
    return tables


@pytest.fixture(scope="session")
def blind_spec(tmp_path_factory) -> SceneSpec:
    path: Path = tmp_path_factory.mktemp("scenes") / "blind.toml"
    path.write_text(tomli_w.dumps(blind_tables()), encoding="utf-8")
    return read_scene(path)


@pytest.fixture(scope="session")
def sorting() -> SceneSpec:
    return read_scene("sorting")


@pytest.fixture(scope="session")
def blind_cell(blind_spec):
    with Cell(blind_spec) as cell:
        yield cell


@pytest.fixture(scope="session")
def small_episode(sorting):
    """Three seconds of the expert with all sensors."""
    with Cell(sorting) as cell:
        return record(cell, rooms.build("policies", "expert", spec=sorting), ticks=60, seed=7, noise=0.1)
