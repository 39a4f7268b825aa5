"""A robot file on its way to the physics: who asks, what may be read, what was read, what was wrong with it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from twinlab.errors import MeshError, did_you_mean
from twinlab.robots._expand import above, inside, package


@dataclass(frozen=True, eq=False)
class Source:
    """A robot file that is being prepared.

    Attributes:
        name: the body that is being built, for messages.
        path: the file.
        roots: folders below which files may be read.
        files: what was read, the file itself first.
        notes: what was wrong and which default was taken.
    """

    name: str
    path: Path
    roots: tuple[Path, ...]
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def wrong(self, what: str) -> MeshError:
        """The error that says what is wrong with the file."""
        return MeshError(f"{self.name}: {str(self.path)!r} {what}")

    def note(self, what: str) -> None:
        """Keep a sentence about what was wrong and which default was taken."""
        if what not in self.notes:
            self.notes.append(what)

    def numbers(self, element: Element, key: str, default: str, count: int, where: str) -> tuple[float, ...]:
        """The numbers of an attribute; PyBullet would take what is none for 0 without a word.

        Commas between them and numbers beyond those wanted are taken out of the file, and told.

        Args:
            element: which has the attribute, or not.
            key: the attribute.
            default: what is taken where it is missing.
            count: how many numbers are wanted.
            where: what the element belongs to, for messages.

        Raises:
            MeshError: fewer, or what is no finite number.
        """
        text = element.get(key, default)
        apart = text.replace(",", " ") if count > 1 else text
        try:
            found = tuple(float(part) for part in apart.split())
        except ValueError:
            found = ()
        if len(found) < count or not all(map(math.isfinite, found)) or (len(found) > count and apart != text):
            wanted = "a finite number" if count == 1 else f"{count} finite numbers"
            raise self.wrong(f"gives {key}={text!r} in <{element.tag}> of {where}; wanted {wanted}")
        if len(found) > count or apart != text:
            element.set(key, " ".join(apart.split()[:count]))
            self.note(f"{where} gives {key}={text!r} in <{element.tag}>: {element.get(key)!r} is taken")
        return found[:count]


def locate(file: str, roots: Sequence[Path]) -> Path:
    """A file by its path below one of the roots, or by its whole path if that lies in one of them.

    Raises:
        MeshError: it is not there, or outside of all roots, also where a link or `..` leads out of them.
    """
    below = [root / file for root in roots]
    allowed = [path for path in below if inside(path, roots)]
    for path in allowed:
        if path.is_file():
            return path.resolve()
    folders = [str(root) for root in roots]
    if not allowed:
        raise MeshError(f"{file!r} lies outside of {folders}, and nothing else is read; copy it into one of these")
    raise MeshError(f"no file {file!r} below {folders}; put it there, or correct the path")


def mesh_file(uri: str, where: str, source: Source) -> Path:
    """The mesh file that a robot file names.

    `package://name/rest`, and `model://` likewise, is looked up in the folder of that package, then as `rest` from the
    file's folder upwards and below the roots: files are often copied without the folders around them. Other paths count
    from the file's folder upwards, as in PyBullet.

    Args:
        uri: as the file writes it.
        where: what names it, "link 'base', visual".
        source: the robot file.

    Raises:
        MeshError: it is not there, outside of the roots, or of a scheme that is not a file.
    """
    scheme, _, rest = uri.strip().rpartition("://")
    if scheme not in ("", "package", "model", "file") or not rest:
        raise source.wrong(f"names the mesh {uri!r} ({where}); wanted a path, package://, model:// or file://")
    out = False
    for path in _candidates(scheme, rest, source):
        if path.is_file():
            if inside(path, source.roots):
                source.files.append(path.resolve())
                return path.resolve()
            out = True
    if out:
        folders = [str(root) for root in source.roots]
        raise source.wrong(f"names the mesh {rest!r} ({where}) outside of {folders}, and nothing else is read; copy it")
    folder = source.path.parent / Path(rest).parent
    there = [one.name for one in folder.iterdir()] if inside(folder, source.roots) and folder.is_dir() else []
    raise source.wrong(
        f"names the mesh {rest!r}, which is not in {str(source.path.parent)!r} nor above it ({where}); "
        f"put it there, or declare the folder of its package as a root.{did_you_mean(Path(rest).name, there)}"
    )


def _candidates(scheme: str, rest: str, source: Source) -> Iterator[Path]:
    """Where a mesh may be, likeliest first."""
    if Path(rest).is_absolute():
        yield Path(rest)
        rest = rest.lstrip("/")  # some files write paths within their own folder like that
    head, _, tail = rest.partition("/")
    named = scheme in ("package", "model") and tail
    folders = above(source.path, source.roots)
    if named and (folder := package(head, source.path, source.roots)):
        yield folder / tail
    yield from (folder / rest for folder in folders)
    yield source.path.parent / rest  # leads out of the roots, if it has not come yet
    if named:
        yield from (folder / tail for folder in folders)
    yield from (root / rest for root in source.roots)
    if named:
        yield from (root / tail for root in source.roots)
