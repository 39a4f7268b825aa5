"""SDF and MJCF into URDF by PyBullet, in a process of its own: some valid files kill the process that loads them.

PyBullet's `loadSDF` segfaults, for instance, on `gripper/wsg50_one_motor_gripper_free_base.sdf` of pybullet_data, and
with it a notebook's kernel would die. So a child process loads the file, writes each model as URDF, loads that as well,
and compares where all links are in random poses. The World then only ever loads URDF.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from twinlab.errors import MeshError, did_you_mean
from twinlab.robots import Format, digest, kept, quiet, remembered
from twinlab.world._dump import Model, dumped

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet

_LONGEST = 60.0  # how long a file may take [s]
_RECIPE = 1  # of what is kept: raise it whenever a file would give something else than before
_POSES = 5  # in which a model and its URDF are compared
_NEAR = 1e-6  # how far apart their links may be then [m]


def translated(name: str, path: Path, format: Format, model: str) -> Path:
    """A URDF file of one model of an SDF or MJCF file, kept by the file's content.

    Args:
        name: the body that is being built, for messages.
        path: the file, whose meshes have whole paths.
        format: "sdf" or "mjcf".
        model: its name, or that of its base link if several have the same; "" for the only one with joints that move.

    Raises:
        MeshError: PyBullet cannot load it, dies of it or takes too long, or there is no such model.
    """
    key = digest(f"models {_RECIPE} {format}", path.read_bytes())
    models: list[dict[str, Any]] = remembered(key, lambda: _tried(name, path, format))
    given = [one["name"] for one in models]
    for one in models:
        one["name"] = one["base"] if given.count(one["name"]) > 1 else one["name"]
    names = [one["name"] for one in models]
    if model and model not in names:
        raise MeshError(f"{name}: the file has no model {model!r}; there are {names}.{did_you_mean(model, names)}")
    fitting = [one for one in models if (one["name"] == model if model else one["moving"])]
    if len(fitting) != 1:
        what = f"are called {model!r}" if model else "have joints that move"
        hint = ": say which by model" if len(fitting) > 1 and not model else ""
        raise MeshError(f"{name}: {len(fitting)} of the file's models {names} {what}; wanted one robot{hint}")
    return kept(fitting[0]["urdf"], ".urdf")


def _tried(name: str, path: Path, format: Format) -> list[dict[str, Any]]:
    """All models of a file, from a child process."""
    order = json.dumps({"file": str(path), "format": format})
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from twinlab.world._try import main; main()"],
            input=order, capture_output=True, text=True, errors="replace", timeout=_LONGEST, check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    except subprocess.TimeoutExpired as told:
        raise MeshError(f"{name}: PyBullet takes more than {_LONGEST:.0f} s to load the {format} file") from told
    if done.returncode < 0:
        death = signal.Signals(-done.returncode).name
        raise MeshError(
            f"{name}: PyBullet dies ({death}) of this {format} file, valid or not (it was tried in a process of its "
            "own); convert it to URDF"
        )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"error": f"its process ended with code {done.returncode}"}
    if "error" in answer:
        said = " ".join(done.stderr.split())[-400:]
        raise MeshError(f"{name}: PyBullet cannot load the {format} file: {answer['error']}. {said}".rstrip())
    models: list[dict[str, Any]] = answer["models"]
    return models


def main() -> None:
    """What the child process does: an order from stdin, the answer to stdout, what PyBullet says to stderr."""
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        order = json.load(sys.stdin)
        try:
            answer: dict[str, Any] = {"models": _models(Path(order["file"]), order["format"])}
        except (MeshError, pybullet.error) as told:
            answer = {"error": str(told)}
        out.write(json.dumps(answer))


def _models(path: Path, format: Format) -> list[dict[str, Any]]:
    client = pybullet.connect(pybullet.DIRECT)
    if format == "sdf":
        numbers = pybullet.loadSDF(str(path), physicsClientId=client)
    else:
        numbers = pybullet.loadMJCF(str(path), flags=pybullet.MJCF_COLORS_FROM_FILE, physicsClientId=client)
    if not numbers:
        raise MeshError("it finds no model in it")
    tensors = _tensors(path) if format == "sdf" else {}
    found = [dumped(number, tensors, client) for number in numbers]
    for number, model in zip(numbers, found, strict=True):
        _compare(number, model, client)
    bare = _bare(path) if format == "mjcf" else set()
    return [{"name": m.name, "base": m.base, "moving": m.moving, "urdf": _without(m.urdf, bare)} for m in found]


def _bare(path: Path) -> set[str]:
    """The bodies of an MJCF file without `<inertial>`: PyBullet puts their mass where the joint is, not the shapes."""
    bodies = ElementTree.parse(path).getroot().iter("body")
    return {body.get("name", "") for body in bodies if body.find("inertial") is None}


def _without(urdf: str, links: set[str]) -> str:
    """The URDF where these links do not say what they weigh."""
    root = ElementTree.fromstring(urdf)
    for link in root.iter("link"):
        inertial = link.find("inertial")
        if inertial is not None and link.get("name") in links:
            link.remove(inertial)
    return ElementTree.tostring(root, encoding="unicode")


def _tensors(path: Path) -> Mapping[str, Sequence[float]]:
    """Link → the inertia that an SDF file gives: PyBullet takes boxes around what collides instead."""
    out = {}
    for link in ElementTree.parse(path).getroot().iter("link"):
        element = link.find("inertial/inertia")
        if element is not None:
            keys = ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
            out[link.get("name", "")] = [float(element.findtext(key) or "0") for key in keys]
    return out


def _compare(number: int, model: Model, client: int) -> None:
    """Raise unless the URDF stands as the model does, in a few poses."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.urdf")
        file.write_text(model.urdf, encoding="utf-8")
        other = pybullet.loadURDF(str(file), flags=pybullet.URDF_USE_INERTIA_FROM_FILE, physicsClientId=client)
    start = pybullet.getBasePositionAndOrientation(number, client)
    pybullet.resetBasePositionAndOrientation(other, *start, client)
    rng = np.random.default_rng(0)
    for _ in range(_POSES):
        positions = dict(zip(model.joints, rng.uniform(-0.5, 0.5, len(model.joints)).tolist(), strict=True))
        one, two = (_places(body, positions, model, client) for body in (number, other))
        apart = max((float(np.linalg.norm(one[link] - two[link])) for link in one), default=0.0)
        if apart > _NEAR:
            raise MeshError(f"its model {model.name!r} has joints that URDF can't hold: links are {apart:.2g} m apart")
    pybullet.removeBody(other, client)


def _places(body: int, positions: Mapping[str, float], model: Model, client: int) -> dict[str, np.ndarray]:
    """Link → centre of mass in the world where the joints stand like that."""
    infos = [pybullet.getJointInfo(body, i, client) for i in range(pybullet.getNumJoints(body, client))]
    for info in infos:
        name = model.renamed.get((body, info[0]), info[1].decode())
        if name in positions:
            pybullet.resetJointState(body, info[0], positions[name], physicsClientId=client)
    out = {}
    for info in infos:
        state = pybullet.getLinkState(body, info[0], computeForwardKinematics=True, physicsClientId=client)
        out[model.links.get((body, info[0]), info[12].decode())] = np.array(state[0])
    return out
