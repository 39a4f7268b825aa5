"""Rooms: one new file is one new variant; what is unknown is said; nothing loads before it is asked for."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from conftest import blind_tables

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.episodes import record
from twinlab.errors import SceneError, UnknownVariantError
from twinlab.scene import read_scene

VARIANTS = ("bodies", "codecs", "formats", "planners", "policies", "renderers", "sensors", "skills", "tasks")
FILES = [(room, name) for room in VARIANTS for name in rooms.names(room)]

SENSOR = """
    import numpy as np
    from pydantic import Field

    from twinlab.readings import Variable
    from twinlab.sensors import Sensor


    class TableScale(Sensor):
        'How heavily everything presses on a body.'

        of: str = Field("table", description="the body")
        tare: float = Field(0, description="what is taken off [N]")

        def variables(self, name, moment):
            return (Variable(name, (), (), "float32", "N", "vector"),)

        def read(self, name, moment, state):
            return {name: np.array(moment.world.contacts(self.of).force.sum() - self.tare, np.float32)}, None
"""

PLANNER = """
    from dataclasses import dataclass

    import numpy as np

    from twinlab.planners import Search


    @dataclass(frozen=True)
    class Corners:
        'Tries the limits only: bang-bang.'

        samples: int = 64

        def plan(self, cost, prior, low, high, rng, limits=None, slope=None):
            search = Search(cost, prior, low, high, limits)
            search.try_out(np.where(rng.random((self.samples, *search.centre.shape)) < 0.5, low, high))
            return search.best
"""


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """A folder for variants of one's own; what is added to rooms is taken away again."""
    monkeypatch.setattr(rooms, "_extra", {})
    return tmp_path


def write(folder: Path, name: str, code: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(textwrap.dedent(code), encoding="utf-8")
    return folder


# ---- one new file is all


def test_a_new_sensor_and_a_new_scene_are_one_file_each_and_no_edit(own):
    rooms.add_folder("sensors", write(own / "sensors", "table_scale.py", SENSOR))
    tables = blind_tables()
    tables["sensors"] = {"scale": {"kind": "table_scale", "tare": "2 N"}}
    (own / "weighing.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")

    spec = read_scene(own / "weighing.toml")
    with Cell(spec) as cell:
        assert set(cell.reset(1)) == {"scale", "meaning"}
        cell.world.place(cell.items[0].name, np.array([-0.2, 0, 0.02, 0, 0, 0, 1]), mass=0.5)
        episode = record(cell, rooms.build("policies", "still"), ticks=3, seed=1)
        cell.world.place(cell.items[0].name, np.array([-0.2, 0, 0.02, 0, 0, 0, 1]), mass=0.5)
        for _ in range(10):
            readings = cell.step({})
        assert readings["scale"] == pytest.approx(0.5 * 9.81 - 2, abs=0.1)
    assert spec.tables()["sensors"]["scale"]["kind"] == "table_scale"
    assert episode["scale"].attrs == {"units": "N", "kind": "vector", "role": "reading"}
    assert read_scene(own / "weighing.toml").digest == spec.change({}).digest == episode.attrs["scene_digest"]


def test_a_new_sensor_gets_the_same_checks_and_messages_as_any_other(own):
    rooms.add_folder("sensors", write(own / "sensors", "table_scale.py", SENSOR))
    tables = blind_tables()
    tables["sensors"] = {"scale": {"kind": "table_scale", "taer": 2}}
    (own / "weighing.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
    with pytest.raises(SceneError, match=r"\[sensors\.scale\] unknown key 'taer'.* Did you mean 'tare'"):
        read_scene(own / "weighing.toml")


def test_a_new_planner_is_one_file_and_no_edit(own):
    rooms.add_folder("planners", write(own / "planners", "corners.py", PLANNER))
    low, high = np.array([-1.0, -0.5]), np.array([1.0, 0.5])
    wish = np.array([1.0, -0.5])

    def cost(actions: np.ndarray) -> np.ndarray:
        return np.abs(actions - wish).sum(axis=(1, 2))

    planner = rooms.build("planners", "corners", samples=200)
    found = planner.plan(cost, np.zeros((2, 2)), low, high, np.random.default_rng(0))
    assert "corners" in rooms.names("planners")
    assert found.tolist() == [[1.0, -0.5]] * 2  # 200 draws of 16 corners


def test_a_scene_can_neither_add_a_folder_nor_name_a_file(own):
    write(own / "sensors", "table_scale.py", SENSOR)
    for wrong in ({"folders": [str(own)]}, {"sensors": {"scale": {"kind": str(own / "sensors/table_scale")}}}):
        (own / "line.toml").write_text(tomli_w.dumps({**blind_tables(), **wrong}), encoding="utf-8")
        with pytest.raises(SceneError, match=r"unknown key 'folders'|no '/.*table_scale' in sensors/"):
            read_scene(own / "line.toml")


# ---- list, load, build


@pytest.mark.parametrize(("room", "name"), FILES)
def test_every_file_of_a_room_loads_by_its_name(room, name):
    found = rooms.load(room, name)
    assert found.__name__.lower() == name.replace("_", "")
    assert found.__module__ == f"twinlab.{room}.{name}"
    assert found.__doc__


def test_names_are_the_files_that_do_not_begin_with_an_underscore():
    folder = Path(rooms.__file__).parent / "codecs"
    assert (folder / "_pictures.py").is_file()
    assert rooms.names("codecs") == tuple(sorted(f.stem for f in folder.glob("[a-z]*.py")))


def test_build_gives_the_variant_with_the_fields_that_were_given():
    encoder = rooms.build("sensors", "encoder", of="other_belt")
    assert type(encoder) is rooms.load("sensors", "encoder")
    assert (encoder.of, encoder.rate) == ("other_belt", 0)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: rooms.load("sensors", "encodr"), "no 'encodr' in sensors/; there are ['break_beam', "),
        (lambda: rooms.load("sensors", "encodr"), "Did you mean 'encoder'?"),
        (lambda: rooms.build("planners", "cme"), "Did you mean 'cem'?"),
        (lambda: rooms.load("sensors", "__init__"), "no '__init__' in sensors/"),
        (lambda: rooms.load("sensors", "../bodies/arm"), "no '../bodies/arm' in sensors/"),
        (lambda: rooms.names("sensor"), "no room 'sensor'; there are ["),
        (lambda: rooms.names("sensor"), "Did you mean 'sensors'?"),
        (lambda: rooms.add_folder("planer", "."), "Did you mean 'planners'?"),
        (lambda: rooms.add_folder("planners", "nowhere"), "no folder 'nowhere' to add to planners/"),
    ],
)
def test_what_is_unknown_is_said_with_what_there_is(ask, words):
    with pytest.raises(UnknownVariantError) as told:
        ask()
    assert words in str(told.value)


def test_a_file_without_a_class_of_its_name_is_an_error(own):
    rooms.add_folder("planners", write(own / "planners", "bold_guess.py", "class Guess: pass"))
    with pytest.raises(UnknownVariantError, match=r"bold_guess\.py in planners/ has no class 'BoldGuess'"):
        rooms.load("planners", "bold_guess")


def test_the_houses_own_file_wins_over_an_added_one(own):
    rooms.add_folder("planners", write(own / "planners", "cem.py", "class Cem: pass"))
    assert rooms.load("planners", "cem").__module__ == "twinlab.planners.cem"


def test_two_folders_with_files_of_one_name_do_not_mix(own):
    for number in (1, 2):
        folder = write(own / f"n{number}", "guess.py", f"class Guess:\n    number = {number}")
        rooms.add_folder("planners", folder)
    assert rooms.load("planners", "guess").number == 1  # the one that was added first
    assert rooms.load("planners", "guess") is rooms.load("planners", "guess")


# ---- lazily


def test_a_file_loads_when_it_is_asked_for_and_not_before(own):
    folder = write(own / "planners", "broken.py", "raise RuntimeError('this file was run')")
    rooms.add_folder("planners", folder)
    assert "broken" in rooms.names("planners")
    assert rooms.build("planners", "cem").iterations == 3
    with pytest.raises(RuntimeError, match="this file was run"):
        rooms.load("planners", "broken")


def test_loading_one_sensor_loads_no_other():
    code = """
        import sys
        from twinlab import rooms
        rooms.names("sensors")
        print(*(m for m in sys.modules if m.startswith("twinlab.")))
        rooms.load("sensors", "width")
        print(*(m for m in sys.modules if m.startswith("twinlab.sensors.")))
        """
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    listed, loaded = found.stdout.splitlines()
    assert set(listed.split()) == {"twinlab.errors", "twinlab.rooms"}
    assert loaded == "twinlab.sensors.width"


def test_a_file_that_was_broken_can_be_mended_and_loaded(own):
    rooms.add_folder("sensors", write(own, "late.py", "raise ValueError('half written')"))
    with pytest.raises(ValueError, match="half written"):
        rooms.load("sensors", "late")
    write(own, "late.py", "class Late:\n    whole = True")
    assert rooms.load("sensors", "late").__name__ == "Late"
