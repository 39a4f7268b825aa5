"""Robot files: what is wrong with one, said before the physics only says that it cannot load it; quiet loading."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

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
