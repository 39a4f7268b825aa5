"""What faults do to a line in one episode: to its cameras and light, its actuators, its bodies and what they bring.

What they do to sensors stands in `sensing.py`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
from pydantic import BaseModel

from twinlab import frames
from twinlab.cameras import Mounted
from twinlab.errors import CellError, did_you_mean
from twinlab.events import Event, Item
from twinlab.faults import Course, Fault, course
from twinlab.readings import Readings, Variable
from twinlab.renderers import Frame
from twinlab.sensing import stream
from twinlab.snapshot import Light

Courses = tuple[Course, ...]
_Model = TypeVar("_Model", bound=BaseModel)


def courses(faults: Mapping[str, Fault], seed: int) -> Courses:
    """The faults in the episode of a seed, in the order of the scene."""
    return tuple(course(name, fault, seed, stream(seed, name)) for name, fault in faults.items())


def coming(every: Courses) -> Courses:
    """Those that happen in this episode; of the others nobody needs to be asked again."""
    return tuple(c for c in every if c.start is not None)


def triggered(every: Courses, name: str, time: float) -> Courses:
    """All faults, of which the one of a name begins at a time [s].

    Raises:
        CellError: there is no such fault, or it changes what a reset plans.
    """
    known = [c.name for c in every]
    if name not in known:
        raise CellError(f"no fault {name!r} to trigger; there are {known}.{did_you_mean(name, known)}")
    one = every[known.index(name)]
    if one.fault.planned:
        raise CellError(
            f"fault {name!r} changes what a reset plans for the whole episode and cannot begin later; set its onset: "
            f'spec.change({{"faults.{name}.onset": 5}})'
        )
    return tuple(replace(c, start=time) if c is one else c for c in every)


def on(every: Courses, target: str, of: str = "") -> Courses:
    """Those that act on a sensor, camera, actuator, body or line of a name."""
    return tuple(c for c in every if c.fault.target == target and c.fault.of == of)


def variables(every: Courses) -> tuple[Variable, ...]:
    """The truth of what goes wrong; nothing for a line without faults."""
    names = tuple(c.name for c in every)
    return (Variable("fault_level", ("fault",), (len(names),), "float32", "1", "vector", "truth", names),) * bool(names)


def truth(every: Courses, time: float) -> Readings:
    """How strong each fault is at a time [s]."""
    return {"fault_level": np.array([c.level(time) for c in every], np.float32)} if every else {}


def events(every: Courses, before: float, now: float) -> tuple[Event, ...]:
    """Which faults came and which went between two times [s]."""
    out = []
    for one in every:
        was, is_ = one.level(before) > 0 and before >= 0, one.level(now) > 0
        if was != is_:
            out.append(Event(now, "fault" if is_ else "recovered", one.name, one.fault.of))
    return tuple(out)


def light(every: Courses, lit: Light, time: float) -> Light:
    """What is left of a line's light at a time [s]."""
    share = float(np.prod([c.fault.light(c.level(time)) for c in on(every, "line")]))
    return lit if share == 1 else replace(lit, sun=lit.sun * share, ambient=lit.ambient * share)


def mount(every: Courses, name: str, camera: Mounted, time: float) -> Mounted:
    """A camera as it stands at a time [s]."""
    for one in on(every, "camera", name):
        if (level := one.level(time)) and (moved := one.fault.moved(level, one.seed)) is not None:
            camera = replace(camera, mount=frames.compose(camera.mount, moved))
    return camera


def frame(every: Courses, name: str, seen: Frame, time: float) -> Frame:
    """What a camera gets to see at a time [s]."""
    for one in on(every, "camera", name):
        if level := one.level(time):
            seen = one.fault.frame(seen, level, one.seed)
    return seen


def commands(
    every: Courses, values: Mapping[str, float], held: Mapping[str, Mapping[str, float]], time: float
) -> tuple[dict[str, float], dict[str, Mapping[str, float]]]:
    """The set-points that reach the actuators at a time [s], and what each fault keeps of its onset.

    Args:
        every: all faults.
        values: actuator → what is asked for.
        held: what the last call gave to keep.
        time: of the tick.
    """
    out, kept = dict(values), {}
    for one in every:
        level = one.level(time)
        if one.fault.target == "actuator" and level:
            own = {n: v for n, v in out.items() if one.fault.of in (n, n.partition(".")[0])}
            kept[one.name] = held.get(one.name, own)
            out |= one.fault.command(own, kept[one.name], level)
    return out, kept


def changed(every: Courses, name: str, body: _Model, time: float) -> _Model:
    """A body whose fields are as its faults leave them at a time [s]; the same object if nothing is changed."""
    factors: dict[str, float] = {}
    for one in on(every, "body", name):
        if level := one.level(time):
            for key, factor in one.fault.fields(level).items():
                factors[key] = factors.get(key, 1.0) * factor
    if not factors:
        return body
    return type(body)(**{**body.model_dump(), **{key: getattr(body, key) * f for key, f in factors.items()}})


def brought(
    every: Courses, name: str, items: tuple[Item, ...], kinds: Mapping[str, tuple[str, ...]]
) -> tuple[Item, ...]:
    """What a body really brings of what was planned."""
    for one in on(every, "body", name):
        items = one.fault.items(items, one.level, kinds, one.rng)
    return items
