"""docs/results.md: one section a line and part, each between marks, and an overview of all targets in it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twinlab.errors import FormatError
from twinlab.evaluate import grid
from twinlab.files import whole

TITLES = {
    "prediction": "1. Prediction",
    "perception": "2. Perception",
    "control": "3. Control",
    "surprise": "4. Surprise",
    "calibration": "5. Calibration",
}
"""Part → its heading, in the order of the document."""

_HEAD = """# Results

What `twinlab evaluate` measured, line by line. Each part says how many episodes or runs it rests on, their seeds, 95 %
intervals and the digest of the model's weights. A target that is missed is printed as missed. What stands between two
marks `<!-- … -->` is written by the command and replaced when that part is measured again; all else is left alone.

<!-- overview -->
<!-- end overview -->
"""
_VERDICTS = {True: "met", False: "MISSED", None: "not measured"}
_ROW = re.compile(r"^\| (?P<name>[^|]+) \| (?P<found>(?:[^|]|\\\|)+) \| (?P<verdict>met|MISSED|not measured) \|$", re.M)
_MARK = re.compile(r"<!-- (end )?(\S+ (?:" + "|".join(TITLES) + r")|overview) -->")


@dataclass(frozen=True)
class Target:
    """What a line must show, and what was found.

    Attributes:
        name: what is asked for; the same words on each line, by which the overview counts.
        found: the number that was measured.
        met: whether it is met, None if it was not measured.
        lines: on how many lines it is asked for, 0 for all.
    """

    name: str
    found: str
    met: bool | None
    lines: int = 0


def verdicts(targets: Iterable[Target]) -> str:
    """Targets as a table that the overview finds again."""
    rows = [(_asked(one), one.found, _VERDICTS[one.met]) for one in targets]
    return grid(("target", "found", "verdict"), rows)


def write(path: str | Path, line: str, part: str, body: str) -> Path:
    """Put what was measured into the document, which is made if it is not there.

    Args:
        path: of the document.
        line: name of the line.
        part: one of `TITLES`.
        body: markdown.

    Raises:
        FormatError: a mark in the document has no end, or stands there twice.
    """
    path = Path(path)
    before = path.read_text(encoding="utf-8") if path.is_file() else _HEAD
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path, lasting=True) as draft:
        draft.write_text(placed(before, line, part, body, str(path)), encoding="utf-8")
    return path


def placed(text: str, line: str, part: str, body: str, where: str = "the document") -> str:
    """The document with a part's body at its place, and the overview of all that stands in it then."""
    _check(text, where)
    missing = [one for one in TITLES if f"<!-- {line} {one} -->" not in text]
    if part in missing:
        empty = "\n\n".join(f"<!-- {line} {one} -->\n<!-- end {line} {one} -->" for one in missing)
        text = f"{text.rstrip()}\n\n## {line}\n\n{empty}\n"
    text = _between(text, f"{line} {part}", f"### {TITLES[part]}\n\n{body.strip()}")
    return _between(text, "overview", overview(text)) if "<!-- overview -->" in text else text


def overview(text: str) -> str:
    """On which lines each target of a document is met, as a table."""
    found: dict[str, dict[str, list[str]]] = {}
    lines: list[str] = []
    for block in re.finditer(r"<!-- (\S+) (\w+) -->\n(.*?)<!-- end \1 \2 -->", text, re.S):
        for row in _ROW.finditer(block[3]):
            found.setdefault(row["name"], {}).setdefault(row["verdict"], []).append(block[1])
            lines += [block[1]]
    count = len(set(lines))
    if not found:
        return "Nothing is measured yet."
    rows = [
        (name, *(_listed(told.get(v, [])) for v in _VERDICTS.values()), _of(name, told)) for name, told in found.items()
    ]
    head = f"Targets, over {count} {'line' if count == 1 else 'lines'}:\n\n"
    return head + grid(("target", *_VERDICTS.values(), "over the lines"), rows)


def _asked(one: Target) -> str:
    return f"{one.name} (on {one.lines} lines or more)" if one.lines else one.name


def _of(name: str, told: dict[str, list[str]]) -> str:
    """Whether a target is met over the lines."""
    asked = re.search(r"\(on (\d+) lines or more\)$", name)
    met = len(told.get("met", []))
    if asked:
        return "met" if met >= int(asked[1]) else f"MISSED: {met} of {asked[1]}"
    missed = len(told.get("MISSED", []))
    return "MISSED" if missed else "met" if met else "not measured"


def _listed(lines: list[str]) -> str:
    return ", ".join(lines) or "–"


def _between(text: str, mark: str, body: str) -> str:
    begin, end = f"<!-- {mark} -->", f"<!-- end {mark} -->"
    before, rest = text.split(begin, 1)
    return f"{before}{begin}\n{body}\n{end}{rest.split(end, 1)[1]}"


def _check(text: str, where: str) -> None:
    """Marks must come in pairs, each once, so that nothing between others' marks is lost."""
    opened, seen = "", set()
    for found in _MARK.finditer(text):
        mark = found[2]
        if found[1] and mark == opened:
            opened = ""
        elif found[1] or opened or mark in seen:
            wanted = f"<!-- end {opened} -->" if opened else f"<!-- {mark} --> just once, and before its end"
            raise FormatError(f"{where}: came {found[0]!r}; wanted {wanted}; mend the marks or take another file")
        else:
            opened = mark
            seen.add(mark)
    if opened:
        raise FormatError(f"{where}: '<!-- {opened} -->' has no '<!-- end {opened} -->'; mend it or take another file")
