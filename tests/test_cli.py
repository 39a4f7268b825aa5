"""The `twinlab` command: thin, and a mistake is one clear line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from conftest import blind_tables
from typer.testing import CliRunner

from twinlab import cli, tracking
from twinlab.scene import read_scene, scene_names
from twinlab.store import EpisodeStore

VERBS = ("scenes", "check", "record", "train", "score", "evaluate", "experiment", "quickstart", "doctor")
WIDE = {"COLUMNS": "200", "TERM": "dumb"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> str:
    """The path of a scene without cameras."""
    path: Path = tmp_path_factory.mktemp("scene") / "blind.toml"
    path.write_text(tomli_w.dumps(blind_tables()), encoding="utf-8")
    return str(path)


def said(*words: object) -> str:
    """What a command that goes well prints."""
    done = CliRunner().invoke(cli.app, [str(word) for word in words], env=WIDE)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def refused(monkeypatch, capfd):
    """What a command that goes wrong prints, and its exit code."""

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["twinlab", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "1000")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capfd.readouterr().err
        assert "Traceback" not in told
        return ended.value.code, told

    return run


@pytest.fixture(scope="module")
def command() -> str:
    found = shutil.which("twinlab", path=str(Path(sys.executable).parent))
    assert found, "the package is not installed: pip install -e ."
    return found


def test_the_installed_command_lists_its_verbs(command):
    told = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    assert all(f" {verb} " in told for verb in VERBS)


def test_the_installed_command_shows_no_traceback(command):
    done = subprocess.run([command, "record", "sortin"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("SceneError: no scene 'sortin'")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb):
    told = said(verb, "--help")
    assert f"{verb} [OPTIONS]" in told and "--help" in told


def test_scenes_are_listed_with_their_digests():
    told = said("scenes")
    assert scene_names()
    for name in scene_names():
        assert name in told and read_scene(name).digest in told


def test_a_line_that_can_be_built_is_told_with_what_its_robot_files_leave_open():
    told = said("check", "valve_round").splitlines()
    assert told[0].startswith("arm: 10 of 10 links have no inertia") and told[-1].startswith("valve_round can be built")
    assert said("check", "palletising").startswith("palletising can be built: ")


def test_episodes_are_recorded_once(scene, tmp_path):
    words = ("record", scene, "--store", tmp_path / "s", "--policy", "still", "--episodes", 2, "--ticks", 4)
    for _ in range(2):
        told = said(*words, "--seed", 5, "--noise", 0.1, "--workers", 1)
        assert "2 episodes)" in told
    found = EpisodeStore(tmp_path / "s").attrs()
    assert [(f["seed"], f["ticks"], f["noise"], f["policy"]) for f in found] == [(s, 4, 0.1, "still") for s in (5, 6)]
    assert {f["scene_digest"] for f in found} == {read_scene(scene).digest}


def test_a_model_is_trained_on_a_store_and_lies_where_it_was_wanted(scene, tmp_path):
    said("record", scene, "--store", tmp_path / "s", "--episodes", 1, "--ticks", 60, "--workers", 1)
    assert f"trained: {tmp_path / 'm'}" in said("train", tmp_path / "s", "--out", tmp_path / "m", "--steps", 1).replace(
        "\n", ""
    )
    card = json.loads((tmp_path / "m" / "config.json").read_text())["card"]
    assert card["Settings"]["seeing"]["steps"] == card["Settings"]["following"]["steps"] == 1 and card["Data"][
        "train seeds"
    ] == [0]


def test_policies_are_scored_side_by_side(scene):
    words = ("--policy", "still", "--policy", "expert", "--seeds", 2, "--ticks", 8, "--workers", 1)
    told = said("score", scene, *words)
    table = told[told.index("mean over test seeds") :]
    assert all(word in table for word in ("still", "expert", "seeds", "throughput [1/h]", "oee", "[0.00, 0.00]"))


def test_an_unknown_scene_is_one_line_with_the_nearest(refused):
    code, told = refused("record", "sortin", "--episodes", 1)
    assert code == 1
    assert told.startswith("SceneError: no scene 'sortin'; there are") and "Did you mean 'sorting'?" in told
    assert len(told.splitlines()) == 1


def test_an_unknown_policy_is_one_line_with_the_nearest(refused, scene, tmp_path):
    code, told = refused("record", scene, "--policy", "exprt", "--store", tmp_path / "s")
    assert code == 1
    assert "no 'exprt' in policies/" in told and "Did you mean 'expert'?" in told
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("name", ["cloned", "planned"])
def test_a_missing_model_is_one_line(refused, scene, tmp_path, name):
    code, told = refused("score", scene, "--policy", name, "--model", tmp_path / "none", "--workers", 1, "--seeds", 1)
    assert code == 1 and told.strip().splitlines()[-1].startswith("ModelError: ") and "config.json" in told


def test_a_folder_that_is_no_store_is_one_line_and_left_alone(refused, scene, tmp_path):
    (tmp_path / "thesis.txt").touch()
    code, told = refused("record", scene, "--store", tmp_path, "--policy", "still")
    assert code == 1 and "holds something else, not a store; give another path" in told
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "words",
    [("record", "--ticks", "0"), ("score", "--seeds", "0"), ("record", "--noise", "-1"), ("fly",), ("train",)],
)
def test_a_wrong_word_on_the_command_line_is_told_by_the_command_line(refused, words):
    code, told = refused(*words)
    assert code == 2 and "Usage" in told


def test_random_streams_of_the_caller_are_left_alone(scene, tmp_path):
    np.random.seed(3)
    wanted = np.random.random()
    np.random.seed(3)
    said("record", scene, "--store", tmp_path / "s", "--episodes", 1, "--ticks", 2, "--workers", 1, "--noise", 0.5)
    assert np.random.random() == wanted


def test_a_mistake_in_a_scene_is_told_with_file_table_and_key(refused, tmp_path):
    tables = blind_tables()
    tables["bodies"]["belt"]["sped"] = 0.2
    (tmp_path / "line.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
    code, told = refused("record", tmp_path / "line.toml")
    assert code == 1 and told.startswith("SceneError: line.toml: [bodies.belt] unknown key 'sped'")


def test_a_strange_path_is_printed_as_it_is(refused, tmp_path):
    (tmp_path / "[" / "x]").mkdir(parents=True)
    (tmp_path / "[" / "x]" / "file").touch()
    code, told = refused("record", "--store", tmp_path / "[" / "x]")
    assert code == 1 and "[/x]' holds something else" in told


def test_training_on_no_store_makes_none(refused, tmp_path):
    code, told = refused("train", tmp_path / "nothing")
    assert code == 2 and "does not exist" in told
    assert not (tmp_path / "nothing").exists()


def test_an_experiment_prints_its_table_and_differences_and_keeps_both_runs_and_settings(scene, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = (
        "experiment", scene, "--factor", "policy=expert,still", "--factor", "belt.speed=80 mm/s,0.12", "--seeds", 2,
        "--ticks", 8, "--workers", 1, "--metric", "oee", "--compare", "availability",
    )  # fmt: skip
    told = said(*words)
    assert "8/8" in told and "availability against expert, paired by seed, holm over 2" in told
    assert all(word in told for word in ("belt.speed [m/s]", "0.08", "0.12", "still", "p_corrected", "significant"))
    run = next((tmp_path / "data" / "runs").glob("experiment-*"))
    assert set(tracking.read(run).result.data_vars) == {"oee", "availability", "items"}
    assert tracking.read(run).settings["factors"] == ["policy=expert,still", "belt.speed=80 mm/s,0.12"]
    said(*words)
    assert tracking.read(f"{run}-2").metrics["runs"].values.tolist() == [8.0], "runs were done again"


def test_an_evaluation_prints_its_tables_and_keeps_them_in_the_document(scene, tmp_path):
    words = (
        "evaluate",
        scene,
        "--nominal",
        0,
        "--varied",
        1,
        "--faulty",
        0,
        "--oracle",
        0,
        "--ticks",
        4,
        "--workers",
        1,
    )
    told = said(*words, "--parts", "control", "--folder", tmp_path / "runs", "--write", tmp_path / "results.md")
    kept = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "blind, control" in told and "| expert | 0 |" in told and "| expert | 0 |" in kept and "## blind" in kept


@pytest.mark.parametrize(
    ("words", "code", "wanted"),
    [
        (("--parts", "control,calbration"), 1, "no 'calbration'"),
        (("--all", "--model", "sorting"), 1, "each line has a model of its own"),
        (("--model", "nothing_there"), 1, "no config.json in 'nothing_there'"),
    ],
)
def test_an_evaluation_that_cannot_be_is_told_before_anything_runs(refused, scene, tmp_path, words, code, wanted):
    found, told = refused("evaluate", scene, *words, "--folder", tmp_path / "runs", "--write", tmp_path / "r.md")
    assert found == code and wanted in told and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--factor", "belt.speed"), "wanted a name and levels, such as belt.speed=0.1,0.15"),
        (("--factor", "belt.sped=1,2"), "has no such key"),
        (("--cluster", "tcp://127.0.0.1:1"), "no Dask scheduler answers at 'tcp://127.0.0.1:1'"),
    ],
)
def test_an_experiment_that_cannot_be_is_one_line(refused, scene, tmp_path, monkeypatch, words, wanted):
    monkeypatch.chdir(tmp_path)
    code, told = refused("experiment", scene, *words, "--folder", tmp_path / "runs")
    assert code == 1 and wanted in told


def test_scores_can_be_read_at_eighty_columns(scene, monkeypatch):
    monkeypatch.setattr(f"{__name__}.WIDE", {"COLUMNS": "80", "TERM": "dumb"})
    names = ("still", "program", "expert")
    told = said(
        "score", scene, *(w for n in names for w in ("--policy", n)), "--seeds", 2, "--ticks", 8, "--workers", 1
    )
    assert "…" not in told
    assert all(word in told for word in (*names, "throughput", "availability", "oee", "[0.00, 0.00]"))
