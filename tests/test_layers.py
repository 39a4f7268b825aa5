"""The house's rules: imports point up the table of docs/design.md, libraries stay in their rows, files stay small."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "twinlab"
FILES = sorted(HOUSE.rglob("*.py"))
WIDGETS = {"ipywidgets", "anywidget", "IPython", "traitlets"}


def table() -> dict[str, int]:
    """Module or room → its row."""
    rows = {}
    for line in (ROOT / "docs/design.md").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\| (\d+) \| (.+?) \|", line):
            for name in re.findall(r"`([a-z_]+)(?:\.py|/)`", found[2]):
                rows[name] = int(found[1])
    return rows


ROWS = table()


def place(file: Path) -> str:
    return file.relative_to(HOUSE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of all imports, at any depth; a room that is built by a literal name counts."""
    out = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            out |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names if node.module == "twinlab")}
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("build", "load")
        ):
            first = node.args[0] if node.args else None
            if ast.unparse(node.func.value) == "rooms" and isinstance(first, ast.Constant):
                out.add(f"twinlab.{first.value}")
    return out


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(HOUSE)))
def test_imports_point_up_the_table(file):
    if file == HOUSE / "__init__.py":
        return
    here = place(file)
    assert here in ROWS, f"{here} stands in no row of docs/design.md"
    for name in imports(ast.parse(file.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] == "twinlab" and len(parts) > 1 and parts[1] != here:
            assert parts[1] in ROWS, f"{name} stands in no row"
            assert ROWS[parts[1]] < ROWS[here], f"row {ROWS[here]} ({here}) imports row {ROWS[parts[1]]} ({name})"


def test_the_table_names_what_there_is():
    there = {place(f) for f in FILES} - {"__init__"}
    assert set(ROWS) == there


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(HOUSE)))
def test_libraries_stay_in_their_rows(file):
    tops = {name.split(".")[0] for name in imports(ast.parse(file.read_text(encoding="utf-8")))}
    here = place(file)
    assert "pybullet" not in tops or here == "world"
    assert not tops & {"torch", "lightning_fabric"} or here == "plots" or 15 <= ROWS[here] <= 21
    assert not tops & WIDGETS or here == "widgets"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(HOUSE)))
def test_files_and_functions_stay_small_and_honest(file):
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{node.name} is too long"
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), "a bare except"
    assert 'filterwarnings("ignore"' not in text
