"""Documents: docs/sensors.md tells of every parameter of every sensor, and what docs/scaling.md shows runs."""

import re
from pathlib import Path

import fsspec
import pytest
import toy
import xarray as xr

from twinlab import rooms
from twinlab.sensors import Sensor
from twinlab.store import EpisodeStore

DOCS = Path(__file__).parents[1] / "docs"
SECTIONS = re.split(r"^## ", (DOCS / "sensors.md").read_text(encoding="utf-8"), flags=re.M)
SCALING = (DOCS / "scaling.md").read_text(encoding="utf-8")
KINDS = pytest.mark.parametrize("kind", rooms.names("sensors"))
COMMON = "Timing, loss and calibration"


def section(kind: str) -> str:
    """The one section whose title names a kind."""
    (found,) = [s for s in SECTIONS if f"`{kind}`" in s.partition("\n")[0]]
    return found


def own(kind: str) -> dict:
    """The fields that are a kind's own, or whose default is."""
    fields, common = rooms.load("sensors", kind).model_fields, Sensor.model_fields
    return {n: f for n, f in fields.items() if n not in common or f.default != common[n].default}


@KINDS
def test_every_parameter_of_a_sensor_stands_in_the_document(kind):
    told = section(kind)
    missing = [name for name in own(kind) if f"`{name}`" not in told]
    assert not missing, f"docs/sensors.md does not tell of {kind}'s {missing}"


@KINDS
def test_every_effect_of_a_sensor_stands_in_the_document(kind):
    told = section(kind)
    assert [e for e in rooms.load("sensors", kind).effects if f"`{e}`" not in told] == []


@KINDS
def test_every_number_of_a_sensor_says_its_unit(kind):
    for name, field in rooms.load("sensors", kind).model_fields.items():
        numbers = field.annotation in (int, float) or "float" in str(field.annotation)
        words = field.description or ""
        per_variable = name in ("offset_error", "quantum", "saturation")  # in the unit of what is measured
        assert not numbers or per_variable or re.search(r"\[[^]]+\]|unit", words), f"{kind}.{name}: {words!r}"


def test_the_common_parameters_stand_in_the_document():
    (told,) = [s for s in SECTIONS if s.startswith(COMMON)]
    silent = ("off", "clean")
    assert [n for n in Sensor.model_fields if f"`{n}`" not in told and n not in silent] == []


def test_a_store_in_an_object_store_is_read_as_the_document_shows(tmp_path):
    (example,) = (code for code in re.findall(r"```python\n(.*?)```", SCALING, flags=re.S) if "fsspec" in code)
    names: dict = {}
    exec(compile(example, "scaling.md", "exec"), names)
    store = EpisodeStore(tmp_path / "line")
    for seed in range(3):
        store.append(toy.episode(seed, ticks=20))
    files = fsspec.filesystem("memory")
    files.put(str(tmp_path / "line"), "/bucket/line", recursive=True)
    for came, wanted in zip(names["episodes"]("memory://bucket/line"), store, strict=True):
        xr.testing.assert_identical(came, wanted.load())
    chunk = next(path for path in files.find("/bucket/line/episodes/000001/data/tool") if "/c/" in path)
    files.pipe(chunk, files.cat(chunk)[:-1])
    with pytest.raises(OSError, match="000001 came damaged"):
        list(names["episodes"]("memory://bucket/line"))
