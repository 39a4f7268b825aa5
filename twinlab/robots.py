"""Robot files: what is wrong with one, said before the physics only says that it cannot load it; quiet loading."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from twinlab.errors import MeshError


def check_robot(name: str, path: Path) -> None:
    """Raise unless a URDF file and every mesh that it names are there.

    Args:
        name: the body that is being built, for the message.
        path: the URDF file; PyBullet looks up meshes from its folder.

    Raises:
        MeshError: the file or a mesh is missing, or the file is not XML.
    """
    if not path.is_file():
        raise MeshError(f"{name}: no robot file {str(path)!r}; give a path, or a name below pybullet_data")
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as told:
        raise MeshError(f"{name}: {str(path)!r} is not XML ({told}); a URDF file was wanted") from told
    for element in root.iter("mesh"):
        mesh = element.get("filename", "").removeprefix("package://").removeprefix("file://")
        if not (path.parent / mesh).is_file():
            raise MeshError(
                f"{name}: {str(path)!r} names the mesh {mesh!r}, which is not in {str(path.parent)!r}; put it there"
            )


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what libraries write to stderr past Python while they are loaded."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@dataclass(frozen=True, eq=False)
class Fixture:
    """A solid that is fixed to a link of a robot.

    Attributes:
        name: of its link; `<name>_tip` is a frame at its far end.
        link: what it is fixed to.
        pose: of its foot in that link's frame; it stands along z (7,).
        form: "cylinder" or "box".
        size: width, depth and length (3,) [m].
        mass: [kg].
        colour: sRGB in 0–1.
    """

    name: str
    link: str
    pose: np.ndarray
    form: str
    size: tuple[float, float, float]
    mass: float
    colour: tuple[float, float, float]


def locate(file: str, roots: Sequence[Path]) -> Path:
    """A file by its path below one of the roots.

    Raises:
        MeshError: it is not there, or outside of all roots.
    """
    for root in roots:
        path = (root / file).resolve()
        if path.is_relative_to(root.resolve()) and path.is_file():
            return path
    raise MeshError(f"no file {file!r} below {[str(root) for root in roots]}; put it there, or correct the path")
