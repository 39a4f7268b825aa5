"""What is installed: the lock, conda's file and the package agree; licences are there; nobody's folders are told."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WANTED = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def pins() -> dict[str, Requirement]:
    """Normalised name → its line in the lock."""
    lines = [Requirement(line) for line in LOCK.splitlines() if line and not line.startswith("#")]
    assert len({line.name for line in lines}) == len(lines)
    return {canonicalize_name(line.name): line for line in lines}


@pytest.mark.parametrize("wanted", WANTED, ids=lambda r: r.name)
def test_the_lock_pins_each_dependency_to_a_version_that_the_package_allows(wanted):
    pin = pins()[canonicalize_name(wanted.name)]
    (exact,) = pin.specifier
    assert exact.operator == "==" and "*" not in exact.version
    assert wanted.specifier.contains(exact.version)


def test_every_line_of_the_lock_is_an_exact_pin_of_a_public_package():
    for name, pin in pins().items():
        assert [s.operator for s in pin.specifier] == ["=="], name
        assert pin.url is None, name
    for foreign in ("+cpu", "://", "--", "@", ".com", ".org"):
        assert foreign not in LOCK, foreign


def test_torch_and_open3d_are_those_that_need_no_gpu_by_name():
    named = {r.name: str(r.specifier) for r in WANTED}
    assert named["torch"] == "==2.13.*"
    assert "open3d-cpu" in named and "open3d" not in named
    assert "open3d-cpu" in pins() and "open3d" not in pins()


def test_condas_file_takes_the_same_python_and_all_else_from_the_package():
    plain = [entry for entry in CONDA["dependencies"] if isinstance(entry, str)]
    (by_pip,) = (entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict))
    assert CONDA["channels"] == ["conda-forge"]
    assert "python=3.11" in plain and "pip" in plain
    assert PROJECT["requires-python"] == ">=3.11,<3.12"
    assert [line for line in by_pip if re.fullmatch(r"-e \.(\[test\])?", line)] == by_pip


def test_condas_file_brings_the_system_libraries_that_the_makefile_asks_debian_for():
    system = next(line for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if "libEGL.so" in line)
    debian = set(re.findall(r":(lib[a-z]+)", system))
    conda = {entry for entry in CONDA["dependencies"] if isinstance(entry, str) and entry.startswith("lib")}
    assert debian == conda == {"libegl", "libgl", "libusb", "libgomp"}


def test_the_licence_is_apache_2_and_the_licences_of_what_is_shipped_are_there():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["license"] == "Apache-2.0"
    assert all(list(ROOT.glob(pattern)) for pattern in PROJECT["license-files"])
    assert "The MIT License" in (ROOT / "LICENSES/three.txt").read_text(encoding="utf-8")


def test_what_is_shipped_has_a_place_in_the_wheel():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert wheel["wheel"]["force-include"] == {"scenes": "twinlab/scenes", "data/models": "twinlab/data/models"}
    assert all((ROOT / folder).is_dir() for folder in wheel["wheel"]["force-include"])


HOMES = "|".join(("home/[a-z]", "Users/[A-Za-z]", "root/", "work/", "tmp/[a-z]"))
ELSEWHERE = re.compile(rf"(?<![\w.:/}}\])-])/(?:{HOMES})")


def test_no_file_names_a_home_or_a_workplace():
    assert ELSEWHERE.search("in " + "/".join(("", "home", "somebody"))) and not ELSEWHERE.search("model/home/x")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    contents = {name: (ROOT / name).read_bytes() for name in listed.splitlines() if (ROOT / name).is_file()}
    texts = {name: content.decode("utf-8") for name, content in contents.items() if b"\0" not in content}
    assert len(texts) > 100
    assert not [(name, found[0]) for name, text in texts.items() if (found := ELSEWHERE.search(text))]
