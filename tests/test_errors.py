"""Errors: one family, raised on purpose only, with the nearest known name at the end."""

import ast
import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlab import errors
from twinlab.errors import TwinlabError, did_you_mean

HOUSE = Path(errors.__file__).parent
FAMILY = {n: c for n, c in vars(errors).items() if inspect.isclass(c) and c.__module__ == errors.__name__}
OF_A_PROTOCOL = {"IndexError": "__getitem__", "KeyError": "__getitem__"}  # how a sequence or mapping says: not here


def _validates(function: ast.FunctionDef) -> bool:
    return any("_validator" in ast.unparse(d) for d in function.decorator_list)


def raised() -> list[tuple[str, str, str]]:
    """(file, error, function) of each `raise Something(...)` of the package; validators of pydantic left out."""
    out = []
    for file in sorted(HOUSE.rglob("*.py")):
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef) or _validates(function):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    out.append((file.name, ast.unparse(node.exc.func), function.name))
    return out


RAISED = raised()


@pytest.mark.parametrize("name", FAMILY)
def test_every_error_is_a_twinlab_error_that_says_what_it_stands_for(name):
    assert issubclass(FAMILY[name], TwinlabError)
    assert len(FAMILY[name].__doc__) > 20


@pytest.mark.parametrize("name", sorted(set(FAMILY) - {"TwinlabError"}))
def test_every_error_is_raised_somewhere_and_has_a_built_in_parent_too(name):
    assert name in {error for _, error, _ in RAISED}
    assert any(parent.__module__ == "builtins" and parent is not Exception for parent in FAMILY[name].__mro__[1:-3])


def test_the_package_raises_errors_of_its_own_family_only():
    strange = {(file, error) for file, error, where in RAISED if error not in FAMILY}
    strange -= {(file, error) for file, error, where in RAISED if OF_A_PROTOCOL.get(error) == where}
    strange -= {
        (file, error) for file, error, _ in RAISED if error.endswith(".wrong")
    }  # `Source.wrong` gives a MeshError
    strange -= {(file, error) for file, error in strange if file == "_expand.py"}  # a process of its own
    strange -= {("parts.py", "ValueError")}  # within a validator of pydantic
    assert strange <= {("cli.py", "typer.Exit")}


def test_the_nearest_known_name_is_offered_and_nothing_where_none_is_near():
    assert did_you_mean("froce", ["depth", "force"]) == " Did you mean 'force'?"
    assert did_you_mean("froce", iter({"depth": 1, "force": 2})) == " Did you mean 'force'?"
    assert did_you_mean("zzz", ["depth", "force"]) == ""
    assert did_you_mean("depth", []) == ""


@given(st.lists(st.text("abcdef", min_size=5, max_size=9), min_size=1, unique=True), st.data())
def test_a_name_with_one_letter_too_many_finds_its_way_back(known, data):
    name = data.draw(st.sampled_from(known))
    assert did_you_mean(name + "x", known) == f" Did you mean {name!r}?"
