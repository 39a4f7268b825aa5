"""A twin's meshes as one block of bytes and a table that says what is where; the browser unpacks it."""

from typing import Any

import numpy as np

from twinlab.meshes import Mesh
from twinlab.snapshot import Snapshot


def pack(snapshot: Snapshot) -> tuple[dict[str, Any], bytes]:
    """What the browser needs to draw a twin, but for the poses of its links.

    Returns:
        The table: names of links and bodies, for each mesh its numbers of vertices and faces and whether faces have
        colours of their own, and for each visual its link, mesh, pose (7,) in the link and colour (sRGB in 0–1).
        The bytes, mesh after mesh: positions float32 (vertex, 3) [m], indices uint32 (face, 3) and, where there are
        some, colours uint8 (face, 3), filled up to 4 bytes. A mesh that several visuals share stands there once.
    """
    meshes = list({id(v.mesh): v.mesh for v in snapshot.visuals}.values())
    place = {id(mesh): i for i, mesh in enumerate(meshes)}
    table = {
        "links": list(snapshot.links),
        "bodies": list(snapshot.bodies),
        "meshes": [
            {"vertices": len(m.vertices), "faces": len(m.faces), "coloured": m.colours is not None} for m in meshes
        ],
        "visuals": [
            {
                "link": int(v.link),
                "mesh": place[id(v.mesh)],
                "pose": [round(float(x), 7) for x in v.pose],
                "colour": [round(float(x), 4) for x in v.colour],
            }
            for v in snapshot.visuals
        ],
    }
    return table, b"".join(_bytes(mesh) for mesh in meshes)


def _bytes(mesh: Mesh) -> bytes:
    out = mesh.vertices.astype("<f4").tobytes() + mesh.faces.astype("<u4").tobytes()
    if mesh.colours is not None:
        colours = np.rint(255 * mesh.colours).astype(np.uint8).tobytes()
        out += colours + bytes(-len(colours) % 4)
    return out
