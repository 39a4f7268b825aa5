"""What `raster` keeps of a tuple of visuals: their meshes as one buffer, their textures; matrices per snapshot.

A visual whose mesh has coarser ones is an entry for each of them, and what a picture shows of it is the coarsest whose
error is within what shows nowhere there.
"""

from itertools import groupby
from typing import Any
from weakref import WeakKeyDictionary

import moderngl
import numba
import numpy as np

from twinlab import frames
from twinlab.meshes import Mesh, shading_normals
from twinlab.renderers import _shaders
from twinlab.renderers._sieve import Sieve
from twinlab.snapshot import Snapshot, Texture, Visual

_FINE = 100  # meshes of more faces are sieved before they are drawn
_CHOICES = 64  # choices of meshes whose sieves are kept
_VERTEX = np.dtype([("at", "f4", 3), ("normal", "f4", 3), ("paint", "u1", 4), ("which", "i4")])
_COVER = np.dtype([("over", "f4", 2), ("picture", "i4", 3)])


class Stage:
    """The meshes of one tuple of visuals, uploaded once; per snapshot only their matrices and which faces can show.

    Attributes:
        visuals: what is on it.
        world: the matrix (visual, 4, 4) of each visual's frame in the world, of the snapshot that was placed last.
        bodies: the body of each visual, the last one for nothing, int16.
        painted, casting: what a camera and the sun see of it.
    """

    def __init__(
        self, context: moderngl.Context, visuals: tuple[Visual, ...], paint: moderngl.Program, cast: moderngl.Program
    ) -> None:
        self.visuals = visuals
        self._links = np.array([v.link for v in visuals])
        self._mounts = frames.matrix(np.stack([v.pose for v in visuals]))
        ends = np.stack([[v.mesh.vertices.min(axis=0), v.mesh.vertices.max(axis=0)] for v in visuals]).astype(float)
        self._middle, self._half = ends.mean(axis=1), np.ptp(ends, axis=1) / 2
        self.snapshot: Snapshot | None = None
        self.world = self._mounts
        self.bodies = np.array([*(v.body for v in visuals), -1], np.int16)
        entries, count = _entries(visuals)
        vertices, faces = _merged(visuals, entries)
        self._fine = [mesh for _, mesh, _, _ in entries[:count]]
        self._ends = np.cumsum([0, *(len(mesh.faces) for mesh in self._fine)])
        self._of = np.array([number for number, *_ in entries[:count]], int)
        self._errors, self._nexts = (np.array([entry[i] for entry in entries[:count]]) for i in (2, 3))
        self._rows = faces[: self._ends[-1]]
        self._sieves: dict[bytes, Sieve | None] = {}
        self._first, self._count = int(self._ends[-1]), len(faces)
        self._held: list[Any] = []
        pictures = _pictures(context, visuals)
        self._pictures = pictures
        layout: list[Any] = [(self._kept(context.buffer(vertices)), "3f4 3f4 4f1 i4", "at", "normal", "paint", "which")]
        casting = [(layout[0][0], "3f4 16x i4", "at", "which")]
        if pictures is not None:
            self._kept(pictures)
            cover = np.concatenate([_cover(visuals, number, mesh) for number, mesh, _, _ in entries])
            layout.append((self._kept(context.buffer(cover)), "2f4 3i4", "over", "picture"))
        self.painted = _Drawing(self._kept(context.buffer(faces)), context, paint, layout, len(visuals))
        self.casting = _Drawing(self._kept(context.buffer(faces)), context, cast, casting, len(visuals))

    def place(self, snapshot: Snapshot) -> None:
        """Set `world` to where things are in a snapshot of these visuals."""
        if snapshot is not self.snapshot:
            self.world = frames.matrix(snapshot.poses[self._links]) @ self._mounts
            self.snapshot = snapshot

    def draw(
        self,
        drawing: "_Drawing",
        matrices: np.ndarray,
        pixels: np.ndarray,
        eye: np.ndarray,
        size: tuple[int, int],
        hidden: np.ndarray,
    ) -> None:
        """Draw all, by the program and in the framebuffer that are in use.

        Args:
            drawing: `painted` or `casting`.
            matrices: what the program is given, from each visual's frame, as from `seen` (visual, 3, 4).
            pixels: from where `matrices` lead to the picture: column * depth, row * depth, depth (3, 4).
            eye: where the picture is seen from in the world, homogeneous (4,).
            size: width and height of the picture [px].
            hidden: how far a surface may be off before it shows (visual,) [m]; of those with +inf nothing shows.
        """
        drawing.matrices.write(matrices)
        drawing.matrices.use(0)
        if drawing is self.painted and self._pictures is not None:
            self._pictures.use(2)
        first = self._first
        sieve = self._chosen(hidden)
        if sieve is not None:
            rows = sieve.kept(matrices, self.world, pixels, eye, size, _shaders.NEAR)
            first = self._first - len(rows)
            if len(rows):
                drawing.faces.write(rows, offset=first * 12)
        drawing.array.render(vertices=3 * (self._count - first), first=3 * first)

    def _chosen(self, hidden: np.ndarray) -> Sieve | None:
        """The fine meshes that show without a visible error, ready to be sieved."""
        chosen = _choice(hidden, self._of, self._errors, self._nexts)
        key = chosen.tobytes()
        if key not in self._sieves:
            numbers = np.flatnonzero(chosen)
            rows = [self._rows[self._ends[n] : self._ends[n + 1]] for n in numbers]
            meshes = [self._fine[n] for n in numbers]
            self._sieves[key] = Sieve(meshes, np.concatenate(rows), self._of[numbers]) if rows else None
            if len(self._sieves) > _CHOICES:
                self._sieves.pop(next(iter(self._sieves)))
        return self._sieves[key]

    def seen(self, view: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What `view`, a matrix (4, 4) from the world, makes of each visual.

        Returns:
            The matrices from the visuals' frames (visual, 3, 4), float32; low and high corners (visual, 3) of a box
            around each visual, along the axes to which they lead [m].
        """
        return _seen(view, self.world, self._middle, self._half)

    def release(self) -> None:
        """Give back what OpenGL holds."""
        for held in (self.painted, self.casting, *self._held):
            held.release()

    def _kept(self, part: Any) -> Any:
        self._held.append(part)
        return part


@numba.njit(cache=True, nogil=True)
def _seen(
    view: np.ndarray, world: np.ndarray, middle: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `Stage.seen`, for visuals that stand at `world` (visual, 4, 4).

    Args:
        middle, half: of each visual's box in its own frame, and how far that reaches to each side (visual, 3) [m].
    """
    count = len(world)
    matrices, low, high = np.empty((count, 3, 4), np.float32), np.empty((count, 3)), np.empty((count, 3))
    for n in range(count):
        w = world[n]
        for i in range(3):
            x, y, z = view[i, 0], view[i, 1], view[i, 2]
            at = x * w[0, 3] + y * w[1, 3] + z * w[2, 3] + view[i, 3]
            matrices[n, i, 3] = at
            reach = 0.0
            for j in range(3):
                turn = x * w[0, j] + y * w[1, j] + z * w[2, j]
                matrices[n, i, j] = turn
                at += turn * middle[n, j]
                reach += abs(turn) * half[n, j]
            low[n, i], high[n, i] = at - reach, at + reach
    return matrices, low, high


@numba.njit(cache=True, nogil=True)
def _choice(hidden: np.ndarray, of: np.ndarray, errors: np.ndarray, nexts: np.ndarray) -> np.ndarray:
    """Which of some meshes are the coarsest of their visual that show no error, bool (mesh,).

    Args:
        hidden: how far each visual's surface may be off (visual,) [m]; of those with +inf nothing shows.
        of: the visual of each mesh (mesh,).
        errors, nexts: how far each mesh is off, and the next coarser one of its visual (mesh,) [m].
    """
    chosen = np.empty(len(of), np.bool_)
    for m in range(len(of)):
        room = hidden[of[m]]
        chosen[m] = errors[m] <= room < nexts[m] and room < np.inf
    return chosen


class _Drawing:
    """A vertex array with faces and matrices of its own, for one kind of picture."""

    def __init__(
        self, faces: moderngl.Buffer, context: moderngl.Context, program: moderngl.Program, layout: Any, visuals: int
    ) -> None:
        self.faces = faces
        self.array = context.vertex_array(program, layout, faces)
        self.matrices = context.texture((3, visuals), 4, dtype="f4")  # the upper three rows of each

    def release(self) -> None:
        self.array.release()
        self.matrices.release()


_Entry = tuple[int, Mesh, float, float]  # a visual's number, a mesh of it, that one's error and the next one's [m]


def _entries(visuals: tuple[Visual, ...]) -> tuple[list[_Entry], int]:
    """All meshes of all visuals in the order of drawing, and how many of them come first: the fine ones.

    Large ones come last, so that a floor need not be painted where something stands on it; the same mesh in a row.
    """
    alike: dict[Mesh, int] = {}
    keys = [(np.ptp(v.mesh.vertices, axis=0).max(), alike.setdefault(v.mesh, len(alike))) for v in visuals]
    by_size = sorted(range(len(visuals)), key=keys.__getitem__)
    fine: list[_Entry] = []
    for _, group in groupby((n for n in by_size if len(visuals[n].mesh.faces) > _FINE), key=keys.__getitem__):
        numbers = list(group)
        plain = all(visuals[n].texture is None for n in numbers)
        meshes = [(0.0, visuals[numbers[0]].mesh), *(visuals[numbers[0]].mesh.coarser if plain else ())]
        nexts = [*(error for error, _ in meshes[1:]), np.inf]
        fine += [(n, mesh, error, after) for (error, mesh), after in zip(meshes, nexts, strict=True) for n in numbers]
    rest = (n for n in by_size if len(visuals[n].mesh.faces) <= _FINE)
    return [*fine, *((n, visuals[n].mesh, 0.0, np.inf) for n in rest)], len(fine)


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
