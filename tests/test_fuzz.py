"""Mutated scene files: each loads, or is refused with file and place, at once. `make fuzz` tries 2,000 of them."""

import copy
import math
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinlab.cell import Cell
from twinlab.errors import TwinlabError
from twinlab.scene import FOLDERS, read_scene, scene_names

TEXTS = {name: (FOLDERS[0] / f"{name}.toml").read_text(encoding="utf-8") for name in scene_names()}
NUMBERS = [math.nan, math.inf, -math.inf, 0, -1, 1e-300, 1e300, 2**62, True]
WORDS = ["", " ", "nan m", "1e400 m", "3 kg", "-5 mm", "\x07", "ß" * 50]
WAYS = ["../../../etc/passwd", "/etc/passwd", "~/x.urdf", "package://x/../../../y.stl", "file:///etc/passwd"]
LISTS = [[], [[]], [1], [1, "a"], [math.nan] * 3, [0, 0, 0], ["x", "y"]]
TABLES = [{}, {"x": {"y": 1}}, {"kind": "box"}, {"kind": 7}]
ODD = st.one_of(
    st.sampled_from([*NUMBERS, *WORDS, *WAYS, *LISTS, *TABLES]),
    st.floats(width=32),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=20),
)


def places(tables: dict[str, Any], way: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The ways to all keys of nested tables."""
    found = []
    for key, value in tables.items():
        found.append((*way, key))
        if isinstance(value, dict):
            found += places(value, (*way, key))
    return found


def mutate(tables: dict[str, Any], way: tuple[str, ...], how: str, value: Any) -> None:
    """Change what stands at one place."""
    for part in way[:-1]:
        tables = tables[part]
    key = way[-1]
    if how == "set":
        tables[key] = value
    elif how == "drop":
        del tables[key]
    elif how == "rename":
        tables[key + "x"] = tables.pop(key)
    elif how == "into":
        tables[key] = {key: tables[key]}
    else:
        tables["unheard_of"] = value


@st.composite
def files(draw: st.DrawFn) -> tuple[str, str]:
    """The name of a scene and a text that it was mutated to."""
    name = draw(st.sampled_from(sorted(TEXTS)))
    text = TEXTS[name]
    if draw(st.integers(0, 3)) == 0:
        at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 40))
        return name, text[:at] + draw(st.text(max_size=5)) + text[at + length :]
    tables = copy.deepcopy(tomllib.loads(text))
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from(places(tables)))
        mutate(tables, way, draw(st.sampled_from(["set", "set", "set", "drop", "rename", "into", "add"])), draw(ODD))
    return name, tomli_w.dumps(tables)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with what the scenes' files name."""
    made = tmp_path_factory.mktemp("mutants")
    for part in FOLDERS[0].iterdir():
        if part.is_dir():
            (made / part.name).symlink_to(part)
    return made


@settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(mutant=files())
def test_a_mutated_scene_loads_or_is_refused_with_its_file_and_place_within_a_second(folder, mutant):
    name, text = mutant
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    begin = time.process_time()
    spec, told = outcome(read_scene, path)
    assert time.process_time() - begin < 1.0
    assert spec is not None or path.name in told
    if spec is not None and spec.physics.rate <= 1000 and spec.physics.substeps <= 8:
        cell, told = outcome(Cell, spec, without=list(spec.sensors))
        assert cell is not None or told
        if cell is not None:
            cell.close()


def outcome(act: Callable[..., Any], *args: Any, **fields: Any) -> tuple[Any, str]:
    """What a call gave, or what one of our own errors said; any other error is one of the test."""
    try:
        return act(*args, **fields), ""
    except TwinlabError as told:
        return None, str(told)
