"""A line under construction: forms for all that stands in a scene file, beside the line as it stands."""

import html
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import ipywidgets
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from twinlab import rooms
from twinlab.cell import Cell
from twinlab.errors import SceneError, TwinlabError
from twinlab.scene import SceneSpec, read_scene
from twinlab.widgets._controls import noted, row
from twinlab.widgets.scene_view import SceneView

_ROOMS = ("bodies", "cameras", "sensors", "faults")
_ALONE = ("physics", "light", "task")


class SceneForm(ipywidgets.VBox):
    """Change a line and see it: `SceneForm(spec)`, or `SceneForm.blank("my_line")` for one that is empty.

    Each table of the scene is a form that is made from its schema: what a field means, its unit and its limits stand
    there too. What does not fit is told, and the line stays as it was; what the files of its robots left open, so that
    defaults were taken, stands below. Texts with units, such as "30 cm", are taken
    where a number is wanted.

    Args:
        spec: the line to begin with.
        height: of the 3D view [pixel].

    Attributes:
        spec: the line as it stands now; always one that loads.
        view: the 3D view.
    """

    def __init__(self, spec: SceneSpec, height: int = 380) -> None:
        self.spec = spec
        self._choice = ipywidgets.Select(rows=14, layout=ipywidgets.Layout(width="210px"))
        self._fields = ipywidgets.VBox(layout=ipywidgets.Layout(flex="1 1 380px", max_height="330px", overflow="auto"))
        self._told, self._notes = ipywidgets.HTML(), ipywidgets.HTML()
        self._room = ipywidgets.Dropdown(options=_ROOMS, layout=ipywidgets.Layout(width="110px"))
        self._kind = ipywidgets.Dropdown(options=rooms.names("bodies"), layout=ipywidgets.Layout(width="150px"))
        self._name = ipywidgets.Text(placeholder="name", layout=ipywidgets.Layout(width="150px"))
        with Cell(spec, without=tuple(spec.sensors)) as cell:
            self.view = SceneView(cell.snapshot(), height)
            self._notes.value = noted(cell.world.notes)
        self._choice.observe(lambda _: self._form(), "value")
        self._room.observe(lambda _: self._kinds(), "value")
        asked = [_button("Add", self._added), _button("Remove", self._removed)]
        line = row([self._room, self._kind, self._name, *asked])
        forms = row([self._choice, self._fields], "flex-start")
        super().__init__([self.view, line, forms, self._told, self._notes], layout=ipywidgets.Layout(width="100%"))
        self._list()

    @classmethod
    def blank(cls, name: str, height: int = 380) -> "SceneForm":
        """The form of an empty line, in the folder where the notebook runs.

        Raises:
            SceneError: the name is no good one.
        """
        return cls(SceneSpec(name=name, folder=Path.cwd(), task=rooms.build("tasks", "free")), height)

    def __repr__(self) -> str:
        return f"SceneForm({self.spec.name}, {len(self.spec.bodies)} bodies, {len(self.spec.sensors)} sensors)"

    def change(self, path: str, value: Any) -> None:
        """Give one value of the line, as `SceneSpec.change` names it, and show the line.

        Raises:
            TwinlabError: it does not fit, or the line cannot be built with it; the line stays as it was.
        """
        spec = self.spec.change({path: value})
        with Cell(spec, without=tuple(spec.sensors)) as cell:
            snapshot, notes = cell.snapshot(), cell.world.notes
        self.spec = spec
        self.view.show(snapshot)
        self._notes.value = noted(notes)

    def add(self, room: str, kind: str, name: str, **fields: Any) -> None:
        """Add a body, a camera, a sensor or a fault, with what is not its kind's default.

        Raises:
            TwinlabError: it does not fit; the line stays as it was.
        """
        if name in getattr(self.spec, room):
            raise SceneError(f"{self.spec.name}: there is a {name!r} in [{room}] already; give this one another name")
        self.change(f"{room}.{name}", fields if room == "cameras" else {"kind": kind, **fields})
        self._list(f"{room}.{name}")

    def remove(self, name: str) -> None:
        """Take something away.

        Raises:
            TwinlabError: the line has no such thing, or cannot do without it; it stays as it was.
        """
        room = next((room for room in _ROOMS if name in getattr(self.spec, room)), "")
        if not room:
            raise SceneError(f"{self.spec.name}: there is no {name!r} to remove")
        left = {key: part for key, part in self.spec.tables()[room].items() if key != name}
        self.change(room, left)
        self._list()

    def save(self, path: str | Path) -> SceneSpec:
        """Write the line to a scene file, read it again and give what was read.

        Raises:
            SceneError: the file does not end in .toml.
        """
        file = Path(path)
        if file.suffix != ".toml":
            raise SceneError(f"a scene file was to be {str(path)!r}; wanted a name that ends in .toml")
        file.write_text(self.spec.toml(), encoding="utf-8")
        return read_scene(file)

    def to_html(self) -> str:
        """The view's page: the line as it stands."""
        return self.view.to_html()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        shown = super()._repr_mimebundle_() or {}
        return dict(shown) | self.view.fallbacks()

    def _list(self, chosen: str = "") -> None:
        """Show what the line has."""
        names = [f"{room}.{name}" for room in _ROOMS for name in getattr(self.spec, room)]
        self._choice.options = [*names, *_ALONE]
        self._choice.value = chosen or self._choice.options[0]
        self._form()

    def _form(self) -> None:
        """Show the fields of the table that is chosen."""
        room, _, name = (self._choice.value or "task").partition(".")
        part = getattr(self.spec, room)
        part = part[name] if name else part
        about = (type(part).__doc__ or "").partition("\n")[0]
        lines: list[ipywidgets.Widget] = [ipywidgets.HTML(f"<b>{html.escape(self._choice.value)}</b>: {about}")]
        for key, field in type(part).model_fields.items():
            path = f"{self._choice.value}.{key}"
            lines.append(_field(key, field, getattr(part, key), partial(self._try, path)))
        self._fields.children = lines

    def _try(self, path: str, value: Any) -> None:
        self._guarded(lambda: self.change(path, value))

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do something; what goes wrong stands below the form."""
        try:
            act()
        except TwinlabError as told:
            style = "color:var(--jp-error-color1,#c62828);line-height:1.5;white-space:pre-wrap"
            self._told.value = f'<div role="alert" style="{style}">{html.escape(str(told))}</div>'
            return
        self._told.value = ""

    def _kinds(self) -> None:
        room = self._room.value
        self._kind.options = ("camera",) if room == "cameras" else rooms.names(room)

    def _added(self) -> None:
        self._guarded(lambda: self.add(self._room.value, self._kind.value, self._name.value.strip()))

    def _removed(self) -> None:
        self._guarded(lambda: self.remove(self._choice.value.partition(".")[2] or self._choice.value))


def _field(key: str, field: FieldInfo, value: Any, take: Callable[[Any], None]) -> ipywidgets.Widget:
    """A widget for one field, made from its type and description."""
    meant = field.description or ""
    unit = re.search(r"\[([^\]]+)\]$", meant)
    shown: dict[str, Any] = {
        "description": key.replace("_", " ") + (f" [{unit[1]}]" if unit and unit[1] != "1" else "")
    }
    shown |= {"tooltip": meant, "style": {"description_width": "150px"}, "layout": ipywidgets.Layout(width="360px")}
    wanted = field.annotation
    if wanted is bool:
        made = ipywidgets.Checkbox(value, indent=True, **shown)
    elif get_origin(wanted) is Literal:
        made = ipywidgets.Dropdown(options=get_args(wanted), value=value, **shown)
    else:
        made = ipywidgets.Text(_text(value), continuous_update=False, **shown)
        made.observe(lambda change: take(_read(change["new"])), "value")
        return made
    made.observe(lambda change: take(change["new"]), "value")
    return made


def _text(value: Any) -> str:
    """A value as it would stand in TOML; a text without quotes."""
    return value if isinstance(value, str) else _inline(value)


def _inline(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_inline(one)}" for key, one in value.items()) + " }"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, float):
        return format(value, ".10g")
    return "" if value is None else json.dumps(value)


def _read(text: str) -> Any:
    """What somebody wrote: TOML where it is some, else the text itself ("30 cm", a name)."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def _button(name: str, act: Callable[[], None]) -> ipywidgets.Button:
    made = ipywidgets.Button(description=name, layout=ipywidgets.Layout(width="80px"))
    made.on_click(lambda _: act())
    return made
