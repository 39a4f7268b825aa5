"""Scenes: a TOML file becomes a `SceneSpec`; whatever is wrong in it is said with file, table and key."""

import re
import tomllib
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from twinlab import rooms
from twinlab.bodies import Actuator, Body
from twinlab.cameras import Camera, Lamp
from twinlab.errors import SceneError, TwinlabError, did_you_mean
from twinlab.faults import Fault
from twinlab.files import fingerprint
from twinlab.sensing import clock
from twinlab.sensors import Imager, Sensor
from twinlab.tasks import Task
from twinlab.units import to_si

_HOUSE = Path(__file__).parent
FOLDERS = (_HOUSE.parent / "scenes", _HOUSE / "scenes")  # in a checkout; in an installed wheel
_Model = TypeVar("_Model", bound=BaseModel)
_ROOMS = ("bodies", "sensors", "faults")
_MANY = ("bodies", "sensors", "cameras", "faults")


class Physics(BaseModel):
    """How the physics runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    rate: float = Field(240, gt=0, description="physics steps per second [Hz]")
    substeps: int = Field(1, ge=1, description="solver steps in each of them [1]")
    iterations: int = Field(50, ge=1, description="solver iterations a substep [1]")
    apart: float = Field(
        0.005, gt=0, description="contact breaking threshold, a share of the smaller body's radius [1]"
    )
    gravity: float = Field(-9.81, description="along z [m/s^2]")
    tick: float = Field(0.05, gt=0, description="length of a control tick, a whole number of physics steps [s]")

    @field_validator("tick")
    @classmethod
    def _whole(cls, tick: float, info: Any) -> float:
        steps = tick * info.data.get("rate", 1 / tick)
        if abs(steps - round(steps)) > 1e-6 or round(steps) < 1:
            raise ValueError(f"must be a whole number of physics steps, is {steps:.3f} of them")
        return tick

    @property
    def steps(self) -> int:
        """Physics steps in a tick."""
        return round(self.tick * self.rate)


class SceneSpec(BaseModel):
    """A line as data; frozen, hashable by its digest. `change` and `vary` build a new one, checked again."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
    name: str
    folder: Path | None = Field(None, exclude=True)  # where its file lies: robots and meshes are looked up from there
    title: str = ""
    description: str = ""
    planned_run_time: float = Field(5.0, gt=0, description="planned run time per item, PRI of ISO 22400-2 [s]")
    ticks: int = Field(600, ge=1, description="how long an episode of this line should be, in control ticks [1]")
    renderer: str = Field("raster", description="which of renderers/ draws the cameras' pictures")
    gate: float = Field(0.0, ge=0, description="largest gap of a replayed plan that is done, 0: no gate [training std]")
    noise: float = Field(0.15, ge=0, description="how much recordings of its expert are disturbed at most [1]")
    physics: Physics = Physics()
    bodies: dict[str, Body] = Field(default_factory=dict)
    cameras: dict[str, Camera] = Field(default_factory=dict)
    sensors: dict[str, Sensor] = Field(default_factory=dict)
    light: Lamp = Lamp()
    faults: dict[str, Fault] = Field(default_factory=dict)
    task: Task

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """SHA-256 of all that a run follows from, defaults included, as 16 hex digits; not of `redundant`, `noise`."""
        tables = self.tables()
        for sensor in tables["sensors"].values():
            del sensor["redundant"]  # a measured answer: a recording stays one of this line when it is corrected
        del tables["noise"]
        if not self.gate:
            del tables["gate"]
        return fingerprint(tables)

    @property
    def actuators(self) -> tuple[Actuator, ...]:
        """What an action holds, in this order."""
        return tuple(actuator for name, body in self.bodies.items() for actuator in body.actuators(name))

    @property
    def pictures(self) -> tuple[str, ...]:
        """The sensors that look through a camera: what a blind policy does without."""
        return tuple(name for name, sensor in self.sensors.items() if sensor.sees())

    @property
    def needed(self) -> tuple[str, ...]:
        """The sensors that a policy sees and that are not declared `redundant`: without one of them it must stop."""
        return tuple(name for name, sensor in self.sensors.items() if not (sensor.truth or sensor.redundant))

    @property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """Property → values, of the items that the line's bodies bring."""
        return {key: values for body in self.bodies.values() for key, values in body.kinds().items()}

    def tables(self) -> dict[str, Any]:
        """The spec as plain tables, the way they would stand in TOML."""
        out = self.model_dump(mode="json", exclude={"bodies", "sensors", "faults", "task", "cameras"})
        out["cameras"] = {name: camera.model_dump(mode="json") for name, camera in self.cameras.items()}
        for room in _ROOMS:
            out[room] = {name: _table(part) for name, part in getattr(self, room).items()}
        return out | {"task": _table(self.task)}

    def toml(self) -> str:
        """The line as a scene file; what is as by default is left out."""
        out: dict[str, Any] = {}
        for key in ("title", "description", "planned_run_time", "ticks", "renderer", "gate", "noise"):
            if getattr(self, key) != type(self).model_fields[key].default:
                out[key] = getattr(self, key)
        for key in ("physics", "light"):
            out |= {key: table} if (table := _apart(getattr(self, key))) else {}
        for room in _ROOMS:
            out |= {room: {name: _kind(part) | _apart(part) for name, part in getattr(self, room).items()}}
        cameras = {name: _apart(camera) for name, camera in self.cameras.items()}
        text = tomli_w.dumps(out | {"cameras": cameras, "task": _kind(self.task) | _apart(self.task)})
        return re.sub(
            r"\[\n((?: +[-+.\w]+,\n)+) *\]",
            lambda found: f"[{', '.join(found[1].split()).replace(',,', ',')[:-1]}]",
            text,
        )

    def change(self, changes: Mapping[str, Any]) -> "SceneSpec":
        """The same line with other values: `spec.change({"belt.speed": 0.2, "faults.slip": Slip(of="belt")})`.

        Args:
            changes: "table.key", "table.name.key" or, as names differ, "name.key" → value; a whole table is a mapping
                or an object such as a sensor or a fault.

        Raises:
            SceneError: no such key, or a value that does not fit.
        """
        tables = self.tables()
        for path, value in changes.items():
            *way, key = self._full(path)
            table: Any = tables
            for part in way:
                if not isinstance(table, dict) or part not in table:
                    raise SceneError(
                        f"{self.name}: no {path!r} to change; {part!r} is unknown.{did_you_mean(part, table)}"
                    )
                table = table[part]
            if not isinstance(table, dict):
                raise SceneError(f"{self.name}: no {path!r} to change; {'.'.join(way)!r} is {table!r} and no table")
            table[key] = _plain(value)
        return _build(tables, f"{self.name} with {dict(changes)}", self.folder)

    def vary(self, share: float) -> "SceneSpec":
        """The line with all that differs between seeds scaled by `share`; 0 is the nominal line."""
        changes = {}
        parts = {f"bodies.{name}": body for name, body in self.bodies.items()}
        for path, part in {**parts, "task": self.task}.items():
            for key, field in type(part).model_fields.items():
                if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("varies"):
                    changes[f"{path}.{key}"] = share * getattr(part, key)
        return self.change(changes)

    def ideal(self) -> "SceneSpec":
        """The line with sensors that have no effects at all, and cameras that are just where they were calibrated."""
        errors = ("focal_error", "centre_error", "place_error", "turn_error")
        changes: dict[str, Any] = {f"sensors.{name}.off": ["all"] for name in self.sensors}
        return self.change(changes | {f"cameras.{name}.{key}": 0.0 for name in self.cameras for key in errors})

    def _full(self, path: str) -> list[str]:
        parts = path.split(".")
        for room in _MANY:
            if parts[0] in getattr(self, room) and len(parts) > 1:
                return [room, *parts]
        return parts


def scene_names() -> tuple[str, ...]:
    """The scenes that `read_scene` finds by name."""
    return tuple(sorted({p.stem for folder in FOLDERS for p in folder.glob("*.toml")}))


def read_scene(scene: str | Path) -> SceneSpec:
    """The spec of a scene, by its name ("sorting") or by a path to a TOML file.

    Raises:
        SceneError: there is no such scene, or something in it is wrong; the message says file, table and key.
    """
    path = Path(scene)
    if path.suffix != ".toml":
        found = [folder / f"{scene}.toml" for folder in FOLDERS if (folder / f"{scene}.toml").is_file()]
        if not found:
            known = scene_names()
            raise SceneError(f"no scene {str(scene)!r}; there are {list(known)}.{did_you_mean(str(scene), known)}")
        path = found[0]
    if not path.is_file():
        raise SceneError(f"no scene file {str(path)!r}; give the name of a scene or the path of a TOML file")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as told:
        raise SceneError(f"{path.name}: not TOML: {told}") from told
    return _build({"name": path.stem, **tables}, path.name, path.resolve().parent)


def _table(part: Any) -> dict[str, Any]:
    return _kind(part) | part.model_dump(mode="json")


def _kind(part: Any) -> dict[str, Any]:
    return {"kind": type(part).__module__.rpartition(".")[2]}


def _apart(part: BaseModel) -> dict[str, Any]:
    """The fields that are not as by default."""
    return part.model_dump(mode="json", exclude_defaults=True, exclude_none=True)


def _plain(value: Any) -> Any:
    """A value as it would stand in TOML; mappings may hold objects too."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, Body | Sensor | Fault | Task):
        return _table(value)
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _build(tables: Mapping[str, Any], where: str, folder: Path | None) -> SceneSpec:
    """The checked spec of plain tables; `where` begins every message."""
    if "folder" in tables:
        raise SceneError(f"{where}: folder: a scene's folder is where its file lies; leave this key out")
    tables = dict(tables) | {"folder": folder}
    for room in _ROOMS:
        parts = _named(tables, room, where)
        tables[room] = {name: _variant(room, table, f"{where}: [{room}.{name}]") for name, table in parts.items()}
    cameras = _named(tables, "cameras", where)
    tables["cameras"] = {name: _checked(Camera, t, f"{where}: [cameras.{name}]") for name, t in cameras.items()}
    tables["task"] = _variant("tasks", tables.get("task", {"kind": "free"}), f"{where}: [task]")
    tables["physics"] = _checked(Physics, tables.get("physics", {}), f"{where}: [physics]")
    tables["light"] = _checked(Lamp, tables.get("light", {}), f"{where}: [light]")
    _check_names(tables, where)
    spec = _checked(SceneSpec, tables, where)
    try:
        rooms.load("renderers", spec.renderer)
    except TwinlabError as told:
        raise SceneError(f"{where}: renderer: {told}") from told
    for name, body in spec.bodies.items():
        for other in body.needs():
            if other not in spec.bodies:
                known = list(spec.bodies)
                raise SceneError(
                    f"{where}: [bodies.{name}] no body {other!r}; there are {known}.{did_you_mean(other, known)}"
                )
    places = [name for name, body in spec.bodies.items() if body.region() is not None]
    if misfit := spec.task.misfit(places, spec.kinds):
        raise SceneError(f"{where}: [task] {misfit}")
    _check_clocks(spec, where)
    for name, fault in spec.faults.items():
        _check_fault(spec, name, fault, f"{where}: [faults.{name}]")
    return spec


def _check_clocks(spec: SceneSpec, where: str) -> None:
    for name, sensor in spec.sensors.items():
        try:
            clock(name, sensor, spec.sensors, 1 / spec.physics.rate, spec.physics.tick)
        except TwinlabError as told:
            raise SceneError(f"{where}: {told}") from told


def _check_fault(spec: SceneSpec, name: str, fault: Fault, where: str) -> None:
    """What a fault names must be there, and it must be able to act on it."""
    actuators = [a.name for body_name, body in spec.bodies.items() for a in body.actuators(body_name)]
    there: dict[str, list[str]] = {
        "sensor": list(spec.sensors),
        "camera": list(spec.cameras),
        "body": list(spec.bodies),
        "actuator": [*dict.fromkeys(a.partition(".")[0] for a in actuators), *actuators],
        "line": [""],
    }
    known = list(dict.fromkeys(there[fault.target]))
    if fault.of not in known:
        wanted = (
            "it acts on the whole line" if fault.target == "line" else f"wanted a {fault.target}; there are {known}"
        )
        raise SceneError(f"{where} of: came {fault.of!r}; {wanted}.{did_you_mean(fault.of, known)}")
    if fault.target == "body":
        body = spec.bodies[fault.of]
        if misfit := fault.misfit(type(body).model_fields, body.flaws):
            raise SceneError(f"{where} of {fault.of!r}: {misfit}")


def _named(tables: Mapping[str, Any], room: str, where: str) -> Mapping[str, Any]:
    parts = tables.get(room, {})
    if not isinstance(parts, Mapping):
        raise SceneError(f"{where}: {room} came as {parts!r}; wanted tables [{room}.name]")
    return parts


def _variant(room: str, table: Any, where: str) -> Any:
    if not isinstance(table, Mapping) or not isinstance(table.get("kind"), str):
        raise SceneError(f'{where} needs kind = "…"; kinds are {list(rooms.names(room))}')
    fields = {key: value for key, value in table.items() if key != "kind"}
    try:
        kind = rooms.load(room, table["kind"])
    except TwinlabError as told:
        raise SceneError(f"{where} kind: {told}") from told
    return _checked(kind, fields, where)


def _checked(model: type[_Model], fields: Any, where: str) -> _Model:
    if not isinstance(fields, Mapping):
        raise SceneError(f"{where} came as {fields!r}; wanted a table")
    try:
        return model.model_validate(_in_si(model, fields, where))
    except ValidationError as told:
        raise SceneError("\n".join(_said(e, model.model_fields, where) for e in told.errors())) from told


def _in_si(model: type[BaseModel], fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of a table, and of tables within it, with all numbers in SI units."""
    known, values = model.model_fields, dict(fields)
    for key in values.keys() & known.keys():
        field, here = known[key], f"{where} {key}"
        inner, many = _inner(field.annotation)
        value = values[key]
        if inner is None:
            values[key] = to_si(value, field.description or "", here)
            if _no_number(values[key], field.annotation):
                meant = f" ({field.description})" if field.description else ""
                raise SceneError(f"{here}: came {value!r}; wanted numbers{meant}")
        elif isinstance(value, Mapping) and not many:
            values[key] = _in_si(inner, value, here)
        elif isinstance(value, Mapping):
            tables = {k: v for k, v in value.items() if isinstance(v, Mapping)}
            values[key] = {**value, **{k: _in_si(inner, v, f"{here}.{k}") for k, v in tables.items()}}
        elif isinstance(value, list | tuple):
            values[key] = [
                _in_si(inner, v, f"{here}[{i}]") if isinstance(v, Mapping) else v for i, v in enumerate(value)
            ]
    return values


def _inner(wanted: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model that a field's tables are checked by, None if it holds none, and whether it holds several."""
    if isinstance(wanted, type) and issubclass(wanted, BaseModel):
        return wanted, False
    found = [part for part in get_args(wanted) if isinstance(part, type) and issubclass(part, BaseModel)]
    return (found[0], True) if found and get_origin(wanted) in (dict, tuple) else (None, False)


def _no_number(value: Any, wanted: Any) -> bool:
    """Whether a text or a truth value stands where a number is wanted; pydantic would turn it into one."""
    if wanted in (int, float):
        return isinstance(value, bool | str)
    parts = [part for part in get_args(wanted) if part is not ...]
    if get_origin(wanted) is not tuple or not isinstance(value, list | tuple):
        return False
    return any(_no_number(one, part) for one, part in zip(value, cycle(parts), strict=False))


def _said(error: ErrorDetails, known: Mapping[str, Any], where: str) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{where} unknown key {key!r}; known are {sorted(known)}.{did_you_mean(key, known)}"
    if error["type"] == "missing":
        return f"{where} {key!r} is missing; it has no default"
    if not error["loc"]:
        return f"{where}: {error['msg'].removeprefix('Value error, ')}"
    field = known.get(str(error["loc"][0]))
    meant = f" ({field.description})" if field is not None and field.description else ""
    return f"{where} {key}: came {error['input']!r}; wanted: {error['msg'].lower()}{meant}"


def _check_names(tables: Mapping[str, Any], where: str) -> None:
    """A name stands for one thing, so that `change` and the readings are never ambiguous."""
    seen: dict[str, str] = {}
    for room in _MANY:
        for name in tables[room]:
            if name in seen:
                raise SceneError(f"{where}: {name!r} is both in [{seen[name]}] and in [{room}]; rename one")
            if not name.isidentifier():
                raise SceneError(f"{where}: [{room}.{name}] is no good name; use letters, digits and underscores")
            seen[name] = room
    for name, sensor in tables["sensors"].items():
        if isinstance(sensor, Imager) and sensor.camera not in tables["cameras"]:
            camera, known = sensor.camera, list(tables["cameras"])
            raise SceneError(
                f"{where}: [sensors.{name}] camera: no {camera!r}; there are {known}.{did_you_mean(camera, known)}"
            )
