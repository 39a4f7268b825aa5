"""Notebooks: short stories without definitions, kept with their outputs and without anybody's traces."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PATH = re.compile(r"(?<![\w.:/<-])/(?:home|root|Users|tmp|usr|opt|var|mnt|work)/")


def test_there_are_notebooks_and_they_are_numbered():
    assert NOTEBOOKS
    numbers = [p.name[:2] for p in NOTEBOOKS]
    assert all(number.isdigit() for number in numbers) and len(set(numbers)) == len(numbers)


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.name)
def notebook(request) -> nbformat.NotebookNode:
    found = nbformat.read(request.param, as_version=4)
    nbformat.validate(found)
    return found


def code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_a_notebook_is_at_most_sixty_lines_of_code(notebook):
    lines = [line.strip() for cell in code(notebook) for line in cell.source.splitlines()]
    assert 0 < len([line for line in lines if line and not line.startswith("#")]) <= 60


def test_a_notebook_defines_nothing(notebook):
    for cell in code(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def test_a_notebook_was_run_once_from_top_to_bottom_without_error(notebook):
    cells = code(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    for output in outputs:
        assert output.output_type != "error" and output.get("name") != "stderr"


def test_a_notebook_keeps_no_widget_state_and_nobodys_paths(notebook):
    assert "widgets" not in notebook.metadata
    for cell in code(notebook):
        for output in cell.outputs:
            told = [output.get("text", ""), *(text for kind, text in output.get("data", {}).items() if "text/" in kind)]
            assert not [text for text in told if PATH.search(text)]


def test_a_notebook_runs_on_the_plain_kernel(notebook):
    assert notebook.metadata.kernelspec.name == "python3"


def test_a_notebook_asks_one_question_and_begins_with_its_title(notebook):
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    others = [cell.source for cell in notebook.cells[1:] if cell.cell_type == "markdown"]
    assert not [text for text in others if re.search(r"^# ", text, re.MULTILINE)]
