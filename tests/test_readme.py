"""The README: what it says can be typed, run, seen and followed."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL))
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
LINKS = sorted(set(re.findall(r"\]\(([^)\s]+)\)", TEXT)))


def test_its_two_commands_stand_in_the_makefile():
    commands = re.findall(r"^make (\w+)", BLOCKS["sh"], re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert commands == ["demo", "test"]
    for command in {*commands, *re.findall(r"`make (\w+)", TEXT)}:
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command
    assert "make test" in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_its_commands_of_twinlab_exist():
    from twinlab.cli import app

    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert set(re.findall(r"`twinlab ([a-z]+)", TEXT)) <= verbs


def test_its_examples_run_as_they_stand_one_after_the_other(capsys):
    assert len([line for line in EXAMPLES[0].splitlines() if line.strip()]) == 10
    names: dict = {}
    exec(compile(EXAMPLES[0], "README.md", "exec"), names)
    shape, _, correct = capsys.readouterr().out.rpartition(" ")
    assert shape == "(200, 64, 64, 3)"
    assert float(correct) == names["kpis"](names["episode"]).correct >= 0
    assert names["episode"].attrs["seed"] == 60_000
    for example in EXAMPLES[1:]:
        exec(compile(example, "README.md", "exec"), names)
    assert capsys.readouterr().out == "0.5 ('noise',)\n"


def test_its_picture_is_a_png_that_shows_something():
    (file,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)
    with Image.open(ROOT / file) as picture:
        assert picture.format == "PNG" and picture.width >= 400
        assert np.asarray(picture.convert("L")).std() > 20


@pytest.mark.parametrize("link", LINKS)
def test_its_links_lead_to_files_that_are_there(link):
    assert "://" in link or (ROOT / link.partition("#")[0]).exists()


def test_its_results_are_filled_in():
    assert "RESULTS" not in TEXT


def test_it_says_what_was_not_run():
    assert "conda itself was not run" in " ".join(TEXT.split())
    assert "TORCH_INDEX" in TEXT
