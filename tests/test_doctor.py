"""The doctor: sees what there is, and for what is missing says what to do."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from twinlab import doctor
from twinlab.cli import app
from twinlab.scene import scene_names

ROOT = Path(__file__).parents[1]
NO_OPENGL = {"__EGL_VENDOR_LIBRARY_FILENAMES": "/nowhere", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def findings() -> dict[str, doctor.Finding]:
    return {one.what: one for one in doctor.examine()}


def found(what: str) -> doctor.Finding:
    return next(one for one in doctor.examine() if one.what == what)


def test_a_machine_on_which_tests_run_lacks_nothing_that_is_needed(findings):
    assert not [one for one in findings.values() if one.needed and not one.good]


def test_it_says_which_versions_and_scenes_there_are(findings):
    assert findings["Python"].found == ".".join(map(str, sys.version_info[:3]))
    assert findings["xarray"].found == metadata.version("xarray")
    assert findings["scenes"].found == ", ".join(scene_names())
    assert int(findings["processors"].found) >= 1


def test_whatever_may_be_missing_has_a_cure(findings):
    for one in findings.values():
        assert one.good or one.cure, one.what
        if one.what.startswith("lib"):
            assert one.cure.startswith("sudo apt-get install lib"), one.what


def test_its_system_packages_are_those_that_the_set_up_installs(findings):
    system = next(line for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if "libEGL.so" in line)
    named = {one.cure.split()[-1] for one in findings.values() if one.what.startswith("lib")}
    assert named == set(re.findall(r":(\S+)", system))


def test_without_chromium_it_says_how_to_get_it_and_that_little_hangs_on_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    chromium = found("Chromium")
    assert (chromium.good, chromium.needed, chromium.found) == (False, False, "not found")
    assert "apt-get install chromium" in chromium.cure and "only the browser test" in chromium.cure


def test_with_a_chromium_in_the_path_it_says_where(monkeypatch, tmp_path):
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found("Chromium") == doctor.Finding("Chromium", True, str(program), found("Chromium").cure, needed=False)


@pytest.mark.parametrize("name", ["open3d", "zarr"])
def test_without_a_package_it_says_how_to_install_it(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)  # what Python itself does for a package that must not be found
    missing = found(name)
    assert not missing.good and missing.needed and name in missing.found
    assert "pip install -r requirements.lock" in missing.cure


def test_without_opengl_the_command_fails_and_names_the_packages():
    done = subprocess.run(
        [sys.executable, "-c", "from twinlab.cli import main; main()", "doctor"],
        capture_output=True,
        text=True,
        env={"PATH": "/nowhere", **NO_OPENGL},
    )
    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if "headless OpenGL" in line)
    assert "missing" in line and "sudo apt-get install libegl1 libgl1" in line
    assert "Traceback" not in done.stderr


def test_the_command_shows_every_finding_and_ends_well():
    done = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0
    assert all(what in done.output for what in ("Python", "pybullet", "libEGL", "headless OpenGL", "Chromium"))
