"""What each effect of a sensor costs: the same moment of the same line, measured with one effect after the other."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from twinlab import frames
from twinlab.cell import Action, Cell
from twinlab.errors import CellError, did_you_mean
from twinlab.intervals import interval, text
from twinlab.readings import Variable
from twinlab.scene import SceneSpec
from twinlab.sensors import COMMON

Error = Callable[[Cell, str], Mapping[str, float]]
"""Of a cell and the name of one of its sensors: name of an error → its value; NaN where it cannot be told."""

UNITS = {  # error → unit that people read, and how many of it are one of SI's
    "offset": ("mm", 1e3),
    "tilt": ("°", 180 / np.pi),
    "roughness": ("mm", 1e3),
    "holes": ("%", 100.0),
    "shift": ("mm", 1e3),
    "turn": ("°", 180 / np.pi),
    "rms": ("% of white", 100.0),
    "psnr": ("dB", 1.0),
}
CAMERA = "camera"  # the case of a camera that is off from its calibration
_FIELDS = {  # of each effect that sensors have in common: what gives it a strength
    "rate": ("rate",),
    "latency": ("latency",),
    "jitter": ("jitter",),
    "dropout": ("dropout",),
    "calibration": ("gain_error", "offset_error"),
    "quantisation": ("quantum",),
    "saturation": ("saturation",),
    "clock": ("clock_offset",),
    "group": ("group",),
}
_ERRORS = ("focal_error", "centre_error", "place_error", "turn_error")
_REACHES = (0.03, 0.02, 0.015)  # points that near a plane count for the next, better one [m]
_PARTNER = 0.02  # registration looks for partners within [m]
_OFF = np.array([0.004, -0.003, 0.003]), np.array([0.01, -0.01, 0.015])  # where registration starts from [m, rad]


def lone(spec: SceneSpec, sensor: str) -> SceneSpec:
    """The line with this sensor alone, without faults and with its clean value kept, so that it runs quickly.

    Raises:
        CellError: there is no such sensor.
    """
    if sensor not in spec.sensors:
        known = list(spec.sensors)
        raise CellError(f"no sensor {sensor!r}; there are {known}.{did_you_mean(sensor, known)}")
    return spec.change({"faults": {}, "sensors": {sensor: spec.sensors[sensor]}, f"sensors.{sensor}.clean": True})


def names(spec: SceneSpec, sensor: str) -> tuple[str, ...]:
    """The effects of a sensor that the scene gives any strength, and "camera" for its camera's calibration errors."""
    settings, camera = dict(spec.sensors[sensor]), spec.sensors[sensor].sees()
    common = [e for e in COMMON if any(np.any(settings[field]) for field in _FIELDS[e])]
    off = camera and any(getattr(spec.cameras[camera], key) for key in _ERRORS)
    return (*spec.sensors[sensor].effects, *common, *((CAMERA,) if off else ()))


def with_only(spec: SceneSpec, sensor: str, wanted: Iterable[str]) -> SceneSpec:
    """The line where only these effects of a sensor, out of `names`, are on.

    Raises:
        CellError: there is no such effect.
    """
    every, wanted = (*spec.sensors[sensor].effects, *COMMON), set(wanted)
    known, camera = (*every, CAMERA), spec.sensors[sensor].sees()
    for effect in wanted - set(known):
        raise CellError(f"no effect {effect!r} of {sensor!r}; there are {list(known)}.{did_you_mean(effect, known)}")
    changes: dict[str, Any] = {f"sensors.{sensor}.off": tuple(e for e in every if e not in wanted)}
    if camera and CAMERA not in wanted:
        changes |= {f"cameras.{camera}.{key}": 0.0 for key in _ERRORS}
    return spec.change(changes)


def costs(
    spec: SceneSpec,
    sensor: str,
    errors: Iterable[Error],
    seeds: Iterable[int],
    ticks: int = 20,
    action: Action | None = None,
    effects: Iterable[str] | None = None,
) -> xr.Dataset:
    """What each effect costs by itself, and what all cost together.

    Args:
        spec: the line.
        sensor: whose effects are switched on and off.
        errors: what is measured of the reading at the end of each run.
        seeds: one run for each case and seed; all cases see the same parts under a seed.
        ticks: how long a run is.
        action: what is done meanwhile; nothing by default.
        effects: which are tried; all of `names` that change an error by default.

    Returns:
        One variable for each error, over `effect` ("none", each alone, "all") and `seed`; SI units.
    """
    plain, seeds, errors = lone(spec, sensor), list(seeds), tuple(errors)
    tried = list(names(plain, sensor) if effects is None else effects)
    cases = {"none": (), **{e: (e,) for e in tried}, "all": names(plain, sensor)}
    found = {}
    for case, on in cases.items():
        with Cell(with_only(plain, sensor, on)) as cell:
            found[case] = [told(_at(cell, seed, ticks, action), sensor, errors) for seed in seeds]
    if effects is None:  # what changes nothing here is not told
        found = {c: rows for c, rows in found.items() if c in ("none", "all") or not _same(rows, found["none"])}
    values = {
        name: (("effect", "seed"), np.array([[row[name] for row in rows] for rows in found.values()]))
        for name in found["none"][0]
    }
    return xr.Dataset(values, {"effect": list(found), "seed": seeds}, {"sensor": sensor, "ticks": ticks})


def rows(found: xr.Dataset) -> list[dict[str, str]]:
    """Costs as text, one row an effect: mean and 95 % interval over seeds, in units that people read."""
    out = []
    for effect in found["effect"].values:
        row = {"effect": str(effect)}
        for name in found.data_vars:
            unit, size = UNITS.get(str(name), ("1", 1.0))
            row[f"{name} [{unit}]"] = text(*interval(size * found[name].sel(effect=effect).values))
        out.append(row)
    return out


def told(cell: Cell, sensor: str, errors: Iterable[Error]) -> dict[str, float]:
    """All errors of a sensor at the moment that a cell is at."""
    return {name: value for error in errors for name, value in error(cell, sensor).items()}


def moment(spec: SceneSpec, sensor: str, seed: int, ticks: int = 20, action: Action | None = None) -> Cell:
    """An open cell of a line at the moment that `costs` looks at; close it when done."""
    cell = Cell(spec)
    try:
        return _at(cell, seed, ticks, action)
    except BaseException:
        cell.close()
        raise


def plane_error(cell: Cell, sensor: str, body: str = "belt") -> Mapping[str, float]:
    """How well a depth picture tells where the upper face of a box or belt lies, by trimmed least squares.

    Args:
        cell: at the moment of interest.
        sensor: a depth sensor whose camera sees the face.
        body: whose face; it must have a `position` and a `size`.

    Returns:
        `offset`: height of the plane at the body's middle, measured minus true [m]; `tilt`: angle between the normals
        [rad]; `roughness`: standard deviation of the points about the plane [m]; `holes`: share of pixels without a
        depth where the clean picture has one [1].
    """
    points, holes = _world_points(cell, sensor)
    box: Any = cell.spec.bodies[body]
    place = frames.pose(box.position, getattr(box, "yaw", 0.0))
    own = frames.apply(frames.inverse(place), points) - (0, 0, box.size[2] / 2)
    own = own[(np.abs(own[:, :2]) < np.array(box.size[:2]) / 2 - 0.01).all(axis=1)]
    slope, height = np.zeros(2), 0.0
    for reach in _REACHES:
        apart = own[:, 2] - own[:, :2] @ slope - height
        within = np.abs(apart) < reach
        if within.sum() < 10:
            return {"offset": np.nan, "tilt": np.nan, "roughness": np.nan, "holes": holes}
        plane = np.column_stack([own[within, :2], np.ones(within.sum())])
        *slope, height = np.linalg.lstsq(plane, own[within, 2], rcond=None)[0]
    left = own[within, 2] - plane @ (*slope, height)
    return {
        "offset": float(height),
        "tilt": float(np.arctan(np.hypot(*slope))),
        "roughness": float(left.std(ddof=3)),
        "holes": holes,
    }


def registration_error(cell: Cell, sensor: str) -> Mapping[str, float]:
    """How far Open3D's point-to-plane ICP is off when it registers the measured cloud with the clean one.

    It starts 5.8 mm and 1.2° off. As the line and the camera are the same, the right answer is to move nothing.

    Returns:
        `shift`: distance between the found and the right place of the cloud's middle [m]; `turn`: angle between them
        [rad].
    """
    import open3d  # takes a second or more

    variable = _depth(cell, sensor)
    measured = _points(cell.readings[variable.name], variable)
    clean = _points(cell.truth[f"{variable.name}_clean"], variable)
    if min(len(measured), len(clean)) < 10:
        return {"shift": np.nan, "turn": np.nan}
    middle = clean.mean(axis=0)
    source, target = (
        open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points - middle)) for points in (measured, clean)
    )
    target.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(12))
    registration = open3d.pipelines.registration
    found = registration.registration_icp(
        source, target, _PARTNER, frames.matrix(frames.from_rotvec(*_OFF)),
        registration.TransformationEstimationPointToPlane(), registration.ICPConvergenceCriteria(max_iteration=50),
    )  # fmt: skip
    turn = (np.trace(found.transformation[:3, :3]) - 1) / 2
    return {
        "shift": float(np.linalg.norm(found.transformation[:3, 3])),
        "turn": float(np.arccos(np.clip(turn, -1, 1))),
    }


OF_DEPTH: tuple[Error, ...] = (plane_error, registration_error)


def picture_error(cell: Cell, sensor: str) -> Mapping[str, float]:
    """How far a picture of colours is from the clean one.

    Returns:
        `rms`: root mean square difference as a share of white [1]; `psnr`: the same as peak signal to noise ratio in
        decibels [1].
    """
    if f"{sensor}_clean" not in cell.truth:
        raise CellError(f"{sensor!r} keeps no clean value; set clean = true in the scene")
    apart = cell.readings[sensor].astype(float) - cell.truth[f"{sensor}_clean"]
    rms = float(np.sqrt((apart**2).mean())) / 255
    return {"rms": rms, "psnr": float(-20 * np.log10(rms)) if rms else np.inf}


def _at(cell: Cell, seed: int, ticks: int, action: Action | None) -> Cell:
    cell.reset(seed)
    for _ in range(ticks):
        cell.step({} if action is None else action)
    return cell


def _same(rows: list[dict[str, float]], others: list[dict[str, float]]) -> bool:
    pairs = zip(rows, others, strict=True)
    return all(np.array_equal(list(a.values()), list(b.values()), equal_nan=True) for a, b in pairs)


def _depth(cell: Cell, sensor: str) -> Variable:
    """The one depth picture of a sensor."""
    found = [v for v in cell.variables if v.name == sensor and v.kind == "depth" and len(v.shape) == 2]
    if not found or f"{sensor}_clean" not in cell.truth:
        kinds = {v.name: v.kind for v in cell.variables}
        raise CellError(
            f"{sensor!r} came as kind {kinds.get(sensor)!r}; wanted a depth sensor with clean = true and one picture "
            "a tick"
        )
    return found[0]


def _points(depth: np.ndarray, variable: Variable) -> np.ndarray:
    """Points (n, 3) in the optical frame [m] of a depth picture, by the calibration in its attributes."""
    fx, _, cx, _, fy, cy = variable.about["camera_matrix"][:6]
    rows, columns = np.nonzero(np.isfinite(depth))
    z = depth[rows, columns].astype(float)
    return np.stack([(columns - cx) / fx * z, (rows - cy) / fy * z, z], axis=1)


def _world_points(cell: Cell, sensor: str) -> tuple[np.ndarray, float]:
    """The measured points in the world (n, 3) [m], and the share of pixels that were lost."""
    variable = _depth(cell, sensor)
    depth, clean = cell.readings[variable.name], cell.truth[f"{variable.name}_clean"]
    seen = np.isfinite(clean)
    holes = float(np.isinf(depth[seen]).mean()) if seen.any() else np.nan
    eye = cell.spec.cameras[cell.spec.sensors[sensor].sees()].pose(cell.snapshot())
    return frames.apply(eye, _points(depth, variable)), holes
