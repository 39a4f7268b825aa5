"""Scenes: what is in a file reaches the spec, and what is wrong in it is said."""

import subprocess
import sys

import pytest
import tomli_w
from conftest import blind_tables

from twinlab.cell import Cell
from twinlab.errors import SceneError
from twinlab.scene import FOLDERS, read_scene, scene_names


def told(tmp_path, change) -> str:
    """The message that a changed scene gets."""
    tables = blind_tables()
    change(tables)
    path = tmp_path / "line.toml"
    path.write_text(tomli_w.dumps(tables), encoding="utf-8")
    with pytest.raises(SceneError) as caught:
        read_scene(path)
    return str(caught.value)


@pytest.mark.parametrize("name", scene_names())
def test_every_scene_builds_runs_and_keeps_its_digest(name):
    spec = read_scene(name)
    assert spec.digest == read_scene(name).digest == spec.change({}).digest
    assert hash(spec) == hash(read_scene(name))
    with Cell(spec) as cell:
        cell.step({})
        assert cell.time == pytest.approx(spec.physics.tick)


def test_an_unknown_key_names_file_table_key_and_the_nearest(tmp_path):
    message = told(tmp_path, lambda t: t["bodies"]["belt"].update(sped=0.2))
    assert "line.toml: [bodies.belt]" in message
    assert "'sped'" in message
    assert "Did you mean 'speed'?" in message


def test_a_wrong_type_says_what_came_and_what_was_wanted(tmp_path):
    message = told(tmp_path, lambda t: t["bodies"]["belt"].update(speed="fast"))
    assert "[bodies.belt] speed: came 'fast'" in message
    assert "speed of the surface [m/s]" in message


def test_a_wrong_unit_is_an_error_and_a_right_one_is_converted(tmp_path, blind_spec):
    message = told(tmp_path, lambda t: t["bodies"]["belt"].update(speed="0.1 kg"))
    assert "[bodies.belt] speed: came '0.1 kg'; wanted a value in m/s" in message
    assert blind_spec.change({"belt.speed": "150 mm/s"}).bodies["belt"].speed == 0.15


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t["bodies"]["belt"].update(kind="belt"), None),
        (lambda t: t["bodies"]["belt"].update(kind="conveyer"), "no 'conveyer' in bodies/"),
        (lambda t: t["bodies"]["belt"].pop("kind"), "needs kind ="),
        (lambda t: t["sensors"].update(eye={"kind": "rgb", "camera": "overhead"}), "no 'overhead'"),
        (lambda t: t["sensors"].update(belt={"kind": "encoder"}), "'belt' is both in [bodies] and in [sensors]"),
        (lambda t: t.update(physics={"tick": 0.0123}), "whole number of physics steps"),
        (lambda t: t.update(colour="red"), "unknown key 'colour'"),
        (lambda t: t["task"]["bins"].update(red="red_bim"), "[task] 'red_bim' is no body at which parts can be"),
        (lambda t: t["task"].update(belt="rail_far"), "[task] 'rail_far' is no body at which parts can be"),
        (lambda t: t["task"].update(scrap="scrap_bim"), "Did you mean 'scrap_bin'?"),
        (lambda t: t["task"]["bins"].pop("red"), "[task] bins: no bin for colour ['red']"),
        (lambda t: t["task"].update(window=[1.0, 0.0]), "[task] window: came [1.0, 0.0]"),
        (lambda t: t.update(renderer="rastr"), "renderer: no 'rastr' in renderers/"),
        (lambda t: t["bodies"]["belt"].update(speed=True), "[bodies.belt] speed: came True; wanted numbers"),
        (lambda t: t["bodies"]["belt"].update(speed="fast"), "[bodies.belt] speed: came 'fast'; wanted numbers"),
        (lambda t: t["bodies"]["belt"].update(position=[0, "far", 0]), "position: came [0, 'far', 0]; wanted numbers"),
        (lambda t: t["bodies"]["belt"].update(speed=float("inf")), "speed: came inf; wanted: input should be a finite"),
        (lambda t: t["bodies"]["arm"].update(torque=[87.0]), "[bodies.arm]: torque has 1 numbers for 7 joints"),
        (lambda t: t["bodies"]["arm"].update(low=[0, 0, 1], high=[1, 1, 0]), "must be below high"),
        (lambda t: t["bodies"]["arm"].update(home=[9, 0, 0.3, 0]), "[bodies.arm]: home (9.0, 0.0, 0.3) must lie"),
    ],
)
def test_each_mistake_has_its_message(tmp_path, change, words):
    if words is not None:
        assert words in told(tmp_path, change)


def test_what_is_not_there_or_no_toml_is_said(tmp_path):
    with pytest.raises(SceneError, match="Did you mean 'sorting'"):
        read_scene("sortin")
    broken = tmp_path / "broken.toml"
    broken.write_text("[bodies", encoding="utf-8")
    with pytest.raises(SceneError, match=r"broken\.toml: not TOML"):
        read_scene(broken)


def test_a_change_is_checked_and_leaves_the_spec_as_it_was(blind_spec):
    faster = blind_spec.change({"belt.speed": 0.2})
    assert (blind_spec.bodies["belt"].speed, faster.bodies["belt"].speed) == (0.1, 0.2)
    assert faster.digest != blind_spec.digest
    with pytest.raises(SceneError, match="speed"):
        blind_spec.change({"belt.speed": -1})
    with pytest.raises(SceneError, match="unknown"):
        blind_spec.change({"belts.speed": 1})


def test_which_sensors_are_redundant_is_no_part_of_what_a_run_follows_from(blind_spec):
    names = [name for name, sensor in blind_spec.sensors.items() if not sensor.redundant]
    assert blind_spec.needed == tuple(names) and names
    other = blind_spec.change({f"sensors.{name}.redundant": True for name in names})
    assert other.needed == () and other.digest == blind_spec.digest and other != blind_spec
    assert "redundant = true" in other.toml()


def test_how_much_recordings_are_disturbed_is_no_part_of_what_a_run_follows_from(blind_spec):
    other = blind_spec.change({"noise": 0.02})
    assert other.noise == 0.02 != blind_spec.noise and other.digest == blind_spec.digest
    assert "noise = 0.02" in other.toml()


@pytest.mark.parametrize("name", scene_names())
def test_every_scene_says_which_sensors_it_can_do_without(name):
    spec = read_scene(name)
    redundant = [n for n, sensor in spec.sensors.items() if sensor.redundant]
    assert redundant and spec.needed and not set(redundant) & set(spec.needed)


def test_a_sensor_that_is_called_redundant_in_a_wrong_way_is_told(tmp_path):
    assert "Did you mean 'redundant'?" in told(tmp_path, lambda t: t["sensors"]["wrench"].update(redundent=True))
    message = told(tmp_path, lambda t: t["sensors"]["wrench"].update(redundant="perhaps"))
    assert "[sensors.wrench] redundant: came 'perhaps'" in message and "can do without it" in message


def test_the_nominal_line_does_not_vary(blind_spec):
    feeder = blind_spec.vary(0).bodies["feeder"]
    assert (feeder.jitter, feeder.scatter, feeder.turn, feeder.mixing, feeder.defects) == (0, 0, 0, 0, 0)
    assert feeder.period == blind_spec.bodies["feeder"].period


def test_the_digest_is_the_same_in_another_process(sorting):
    code = "from twinlab.scene import read_scene; print(read_scene('sorting').digest)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == sorting.digest


@pytest.mark.parametrize(
    ("path", "words"), [("title.x", "'title' is 'Sorting cell' and no table"), ("belt.speed.x", "is 0.1 and no table")]
)
def test_a_change_within_what_is_no_table_is_told(sorting, path, words):
    with pytest.raises(SceneError, match=words):
        sorting.change({path: 1})


def test_an_empty_file_is_a_line_without_a_goal(tmp_path):
    (tmp_path / "empty.toml").write_text("")
    with Cell(read_scene(tmp_path / "empty.toml")) as cell:
        cell.step({})
        assert cell.task.instruction() == "Watch the line run." and cell.actuators == ()


@pytest.mark.parametrize("name", scene_names())
def test_a_line_that_is_written_and_read_is_the_same(name, tmp_path):
    spec = read_scene(name)
    for folder in (FOLDERS[0] / "meshes",):
        (tmp_path / folder.name).symlink_to(folder)
    (tmp_path / f"{name}.toml").write_text(spec.toml(), encoding="utf-8")
    assert read_scene(tmp_path / f"{name}.toml").digest == spec.digest


def test_a_body_that_works_with_one_that_is_not_there_is_told(sorting):
    with pytest.raises(SceneError, match=r"\[bodies.gripper\] no body 'arms'; there are .* Did you mean 'arm'"):
        sorting.change({"gripper.of": "arms"})
