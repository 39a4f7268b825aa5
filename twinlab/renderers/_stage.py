"""What `raster` keeps of a tuple of visuals: their meshes as one buffer, their textures; matrices per snapshot.

A visual whose mesh has coarser ones is an entry for each of them, and what a picture shows of it is the coarsest whose
error is within what shows nowhere there.
"""

from itertools import groupby
from typing import Any
from weakref import WeakKeyDictionary

import moderngl
import numpy as np

from twinlab import frames
from twinlab.meshes import Mesh, shading_normals
from twinlab.renderers import _shaders
from twinlab.renderers._sieve import Sieve
from twinlab.renderers._solids import solids
from twinlab.snapshot import Snapshot, Texture, Visual

_FINE = 100  # meshes of more faces are drawn first
_VERTEX = np.dtype([("at", "f4", 3), ("normal", "f4", 3), ("paint", "u1", 4), ("which", "i4")])
_COVER = np.dtype([("over", "f4", 2), ("picture", "i4", 3)])


class Stage:
    """The meshes of one tuple of visuals, uploaded once; per snapshot only their matrices and which faces can show.

    Attributes:
        visuals: what is on it.
        world: the matrix (visual, 4, 4) of each visual's frame in the world, of the snapshot that was placed last.
        bodies: the body of each visual, the last one for nothing, int16.
        boxes: middle of each visual's box in its own frame, and how far that reaches to each side (visual, 3) [m].
        solids: their triangles, in the order of drawing.
        places: room for three numbers for each of their points (point, 3).
    """

    def __init__(self, context: moderngl.Context, visuals: tuple[Visual, ...], paint: moderngl.Program) -> None:
        self.visuals = visuals
        self._links = np.array([v.link for v in visuals])
        self._mounts = frames.matrix(np.stack([v.pose for v in visuals]))
        ends = np.stack([[v.mesh.vertices.min(axis=0), v.mesh.vertices.max(axis=0)] for v in visuals]).astype(float)
        self.boxes = ends.mean(axis=1), np.ptp(ends, axis=1) / 2
        self.snapshot: Snapshot | None = None
        self.world = self._mounts
        self.bodies = np.array([*(v.body for v in visuals), -1], np.int16)
        entries = _entries(visuals)
        vertices, faces = _merged(visuals, entries)
        self.solids = solids(entries)
        self.places = np.empty(self.solids.points.shape)
        self._sieve = Sieve(self.solids, faces)
        self._held: list[Any] = []
        pictures = _pictures(context, visuals)
        self._pictures = pictures
        layout: list[Any] = [(self._kept(context.buffer(vertices)), "3f4 3f4 4f1 i4", "at", "normal", "paint", "which")]
        if pictures is not None:
            self._kept(pictures)
            cover = np.concatenate([_cover(visuals, number, mesh) for number, mesh, _, _ in entries])
            layout.append((self._kept(context.buffer(cover)), "2f4 3i4", "over", "picture"))
        self._faces = self._kept(context.buffer(faces))
        self._array = self._kept(context.vertex_array(paint, layout, self._faces))
        self._matrices = self._kept(context.texture((3, len(visuals)), 4, dtype="f4"))  # the upper three rows of each

    def place(self, snapshot: Snapshot) -> None:
        """Set `world` to where things are in a snapshot of these visuals."""
        if snapshot is not self.snapshot:
            self.world = frames.matrix(snapshot.poses[self._links]) @ self._mounts
            self.snapshot = snapshot

    def draw(
        self, matrices: np.ndarray, pixels: np.ndarray, eye: np.ndarray, size: tuple[int, int], hidden: np.ndarray
    ) -> None:
        """Draw all, by the program and in the framebuffer that are in use.

        Args:
            matrices: what the program is given, from each visual's frame, as from `seen` (visual, 3, 4).
            pixels: from where `matrices` lead to the picture: column * depth, row * depth, depth (3, 4).
            eye: where the picture is seen from in the world (3,) [m].
            size: width and height of the picture [px].
            hidden: how far a surface may be off before it shows (visual,) [m]; of those with +inf nothing shows.
        """
        rows = self._sieve.kept(hidden, matrices, self.world, pixels, eye, size, _shaders.NEAR)
        if not len(rows):
            return
        self._matrices.write(matrices)
        self._matrices.use(0)
        if self._pictures is not None:
            self._pictures.use(1)
        self._faces.write(rows)
        self._array.render(vertices=rows.size)

    def release(self) -> None:
        """Give back what OpenGL holds."""
        for held in reversed(self._held):
            held.release()

    def _kept(self, part: Any) -> Any:
        self._held.append(part)
        return part


_Entry = tuple[int, Mesh, float, float]  # a visual's number, a mesh of it, that one's error and the next one's [m]


def _entries(visuals: tuple[Visual, ...]) -> list[_Entry]:
    """All meshes of all visuals in the order of drawing.

    Finely meshed ones come first and large ones last, so that a floor need not be painted where something stands on it;
    the same mesh in a row.
    """
    alike: dict[Mesh, int] = {}
    keys = [
        (len(v.mesh.faces) <= _FINE, np.ptp(v.mesh.vertices, axis=0).max(), alike.setdefault(v.mesh, len(alike)))
        for v in visuals
    ]
    in_order = sorted(range(len(visuals)), key=keys.__getitem__)
    entries: list[_Entry] = []
    for _, group in groupby(in_order, key=keys.__getitem__):
        numbers = list(group)
        plain = all(visuals[n].texture is None for n in numbers)
        meshes = [(0.0, visuals[numbers[0]].mesh), *(visuals[numbers[0]].mesh.coarser if plain else ())]
        nexts = [*(error for error, _ in meshes[1:]), np.inf]
        entries += [
            (n, mesh, error, after) for (error, mesh), after in zip(meshes, nexts, strict=True) for n in numbers
        ]
    return entries


def _merged(visuals: tuple[Visual, ...], entries: list[_Entry]) -> tuple[np.ndarray, np.ndarray]:
    """One array of vertices and one of faces (face, 3), int32, for all entries; each vertex knows its visual."""
    parts, faces, first = [], [], 0
    for number, mesh, _, _ in entries:
        visual = visuals[number]
        welded, corners = _welded(mesh)
        if visual.texture is not None:  # neighbours may take their place in the picture along other axes
            welded, corners = welded[corners.reshape(-1)], np.arange(corners.size).reshape(-1, 3)
        part = welded.copy()
        part["which"] = number
        if mesh.colours is None:
            part["paint"][:, :3] = np.round(np.clip(visual.colour, 0, 1) * np.array(255.0))
        parts.append(part)
        faces.append(corners + first)
        first += len(part)
    return np.concatenate(parts), np.concatenate(faces).astype(np.int32)


_ready: WeakKeyDictionary[Mesh, tuple[np.ndarray, np.ndarray]] = WeakKeyDictionary()


def _welded(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """A mesh's vertices and faces, with a vertex for each place, normal and colour; kept as long as the mesh is."""
    if mesh not in _ready:
        corners = np.zeros(mesh.faces.size, _VERTEX)
        corners["at"] = mesh.vertices[mesh.faces].reshape(-1, 3)
        corners["normal"] = shading_normals(mesh).reshape(-1, 3).round(4) + 0.0  # no -0.0
        if mesh.colours is not None:
            corners["paint"][:, :3] = np.repeat(np.round(mesh.colours.clip(0, 1) * 255), 3, axis=0)
        _, chosen, place = np.unique(corners.view(f"V{_VERTEX.itemsize}"), return_index=True, return_inverse=True)
        order = np.argsort(chosen)  # as the faces come to them, so that neighbours lie together
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        _ready[mesh] = corners[chosen[order]], rank[place.reshape(-1, 3)]
    return _ready[mesh]


def _textures(visuals: tuple[Visual, ...]) -> dict[Texture, int]:
    """Each texture once, and where its first texel lies; texel 0 is a white one for what has no texture."""
    places: dict[Texture, int] = {}
    first = 1
    for visual in visuals:
        if visual.texture is not None and visual.texture not in places:
            places[visual.texture] = first
            first += visual.texture.picture[..., 0].size
    return places


def _pictures(context: moderngl.Context, visuals: tuple[Visual, ...]) -> moderngl.Texture | None:
    """All textures in one, a texel after the other; None if there are none."""
    textures = _textures(visuals)
    if not textures:
        return None
    texels = np.concatenate([np.full((1, 3), 255, np.uint8), *(t.picture.reshape(-1, 3) for t in textures)])
    lines = -(-len(texels) // _shaders.TEXELS)
    sheet = np.zeros((lines * _shaders.TEXELS, 3), np.uint8)
    sheet[: len(texels)] = texels
    return context.texture((_shaders.TEXELS, lines), 3, sheet, alignment=1)


def _cover(visuals: tuple[Visual, ...], number: int, mesh: Mesh) -> np.ndarray:
    """For each vertex of an entry as in `_merged`: its place on its texture, and the texture's place."""
    texture = visuals[number].texture
    if texture is None:
        cover = np.zeros(len(_welded(mesh)[0]), _COVER)
        cover["picture"] = (0, 1, 1)
        return cover
    corners = mesh.vertices[mesh.faces].astype(float)
    a, b, c = corners.transpose(1, 0, 2)
    across = np.abs(np.cross(b - a, c - a)).argmax(axis=1)  # the first of equals: x before y before z
    others = np.array([[1, 2], [0, 2], [0, 1]])[across]
    rows, columns = texture.picture.shape[:2]
    flat = np.take_along_axis(corners, others[:, None, :], axis=2) / (texture.edge, texture.edge * rows / columns)
    cover = np.zeros(corners.size // 3, _COVER)
    cover["over"] = (flat - np.floor(flat.min(axis=1, keepdims=True))).reshape(-1, 2)  # small numbers are exact ones
    cover["picture"] = (_textures(visuals)[texture], columns, rows)
    return cover
