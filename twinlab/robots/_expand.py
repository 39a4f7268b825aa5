"""What the process that expands xacro runs: alone, without the rest of twinlab, so that it starts in a moment."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_HARMLESS = ("compile", "exec", "object.__getattr__", "sys._getframe", "builtins.id", "code.__new__")
_SEEING = ("os.listdir", "os.scandir", "glob.glob", "glob.glob/2")


def inside(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a path, with its links followed, lies in one of the roots."""
    real = path.resolve()
    return any(real.is_relative_to(root.resolve()) for root in roots)


def above(file: Path, roots: Sequence[Path]) -> list[Path]:
    """A file's folder and those above it, as far as they may be read, nearest first."""
    here = file.resolve().parent
    return [folder for folder in (here, *here.parents) if inside(folder, roots)]


def package(name: str, file: Path, roots: Sequence[Path]) -> Path | None:
    """The folder of a ROS package: of that name above the file, beside one of those, or in a root; None for none."""
    for folder in above(file, roots):
        for one in (folder, folder / name):
            if one.name == name and one.is_dir() and inside(one, roots):
                return one
    found = (root / name for root in roots)
    return next((one for one in found if one.is_dir() and inside(one, roots)), None)


def _answer(order: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a file: its text and the files that it included, or the error."""
    import xacro
    from xacro import substitution_args

    roots = [Path(root) for root in order["roots"]]

    def find(name: str) -> str:
        folder = package(name, Path(order["file"]), roots)
        if folder is None:
            raise FileNotFoundError(f"no package {name!r} above the file nor in {order['roots']}; declare it as a root")
        return str(folder)

    substitution_args._eval_find = substitution_args._eval_dict["find"] = find
    # all modules that xacro needs are loaded by a first file, because none can be any more after it
    xacro.process_doc(xacro.parse('<robot xmlns:xacro="http://www.ros.org/wiki/xacro"><a b="${1 + 1}"/></robot>'))
    os.environ.clear()  # a scene must not depend on it
    sys.addaudithook(_guard(roots))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # files may print
            document = xacro.process_file(order["file"], mappings=dict(order["arguments"]))
        return {"text": document.toxml(), "files": sorted(set(xacro.all_includes))}
    except Exception as told:  # xacro raises whatever its expressions raise
        at = [file for file in xacro.filestack or [] if file and file != order["file"]]
        return {"error": f"{told or type(told).__name__}" + (f" (in {at[-1]!r})" if at else "")}


def _guard(roots: Sequence[Path]) -> Callable[[str, tuple[Any, ...]], None]:
    """What refuses all but mathematics and reading below the roots.

    Its errors are no OSError, because xacro passes over those where an include is optional.
    """

    def guard(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _HARMLESS:
            return
        if event == "open" and isinstance(arguments[0], str) and not _writes(arguments):
            if inside(Path(arguments[0]), roots):
                return
            raise RuntimeError(f"it reads {arguments[0]!r}, outside of {[str(root) for root in roots]}")
        if event in _SEEING and inside(Path(arguments[0]), roots):
            return
        raise RuntimeError(f"it asks for {event} {arguments}, which no robot needs")

    return guard


def _writes(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    return bool(set(mode or "") & set("wax+")) or bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))


if __name__ == "__main__":
    print(json.dumps(_answer(json.load(sys.stdin))))
