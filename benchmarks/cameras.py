"""How fast cameras are: `raster` beside PyBullet's TinyRenderer and beside a bare cast of the same rays.

The sorting line stands with its whole Panda and 20 parts on the belt. Each round takes, at each size, four pictures by
each way, one way after the other, so that what else the machine does hits all of them alike. Each picture is of another
state: parts and arm have moved. The fastest of the four stands for the round, as what disturbs only adds. `raster`
gives colour, depth, mask and normals from snapshots taken before; TinyRenderer gives colour, depth and mask. A
speed-up is the median over the rounds of the ratio within a round, with a 95 % interval by the bootstrap over rounds.

`floor_…` is the time of `raster` over that of Open3D's RaycastingScene (Embree) for one ray through each pixel into a
scene that was built once and never moves: what nothing that follows rays can undercut.

Run it as it is, and with LP_NUM_THREADS=1 OMP_NUM_THREADS=1 for one core. Each result is a line of JSON.
"""

import argparse
import json
import time
from collections import defaultdict
from typing import Any

import numpy as np
import open3d
import pybullet

from twinlab import frames
from twinlab.cameras import Camera
from twinlab.cell import Cell
from twinlab.renderers import View
from twinlab.renderers.raster import Raster
from twinlab.scene import read_scene
from twinlab.snapshot import Snapshot

SIZES = {"64": (64, 64), "128": (128, 128), "320x240": (320, 240), "640x480": (640, 480)}
LOOK: dict[str, Any] = {"fov": 0.62, "position": (1.9, -1.05, 1.15), "look_at": (0.37, 0.08, 0.17)}
BENT = (0.0, -0.3, 0.0, -2.2, 0.0, 1.9, 0.785)  # the Panda's arm above the belt [rad]
PARTS = 20
EACH = 4  # pictures of one way in a row


def build() -> Cell:
    """The sorting line with all its parts on the belt, and no sensor that renders by itself."""
    spec = read_scene("sorting").change({"feeder.count": PARTS})
    cell = Cell(spec, without=[name for name, sensor in spec.sensors.items() if hasattr(sensor, "camera")])
    assert len(cell.items) == PARTS
    return cell


def stir(cell: Cell, rng: np.random.Generator) -> Snapshot:
    """Move all parts and the arm a little and tell where they are."""
    for i, item in enumerate(cell.items):
        place = np.array([0.47 + 0.12 * (i % 2), -0.65 + 0.062 * i, 0.122]) + rng.normal(0, 0.003, 3) * (1, 1, 0)
        cell.world.place(item.name, frames.pose(place, 0.3 * i + rng.normal(0, 0.05)))
    angles = np.add(BENT, rng.normal(0, 0.01, len(BENT)))
    cell.world.set_joints("arm", {f"panda_joint{i + 1}": angle for i, angle in enumerate(angles)})
    return cell.world.snapshot()


def tiny(client: int, camera: Camera, light: tuple[float, float, float], shadow: bool) -> None:
    """One picture by PyBullet's software renderer."""
    up = (0, 0, 1)
    pybullet.getCameraImage(
        camera.width,
        camera.height,
        pybullet.computeViewMatrix(camera.position, camera.look_at, up),
        pybullet.computeProjectionMatrixFOV(np.degrees(camera.fov), camera.width / camera.height, 0.05, 10),
        lightDirection=light,
        shadow=int(shadow),
        renderer=pybullet.ER_TINY_RENDERER,
        physicsClientId=client,
    )


def still(snapshot: Snapshot) -> open3d.t.geometry.RaycastingScene:
    """All meshes where they are in a snapshot, ready to be cast at."""
    scene = open3d.t.geometry.RaycastingScene()
    for visual in snapshot.visuals:
        pose = frames.compose(snapshot.poses[visual.link], visual.pose)
        scene.add_triangles(
            frames.apply(pose, visual.mesh.vertices).astype(np.float32), visual.mesh.faces.astype(np.uint32)
        )
    return scene


def rays(camera: Camera) -> open3d.core.Tensor:
    """One ray through each pixel (height, width, 6)."""
    along = frames.rotate(camera.mount(), camera.intrinsics().rays().reshape(-1, 3))
    start = np.broadcast_to(camera.mount()[:3], along.shape)
    both = np.concatenate([start, along], axis=1).astype(np.float32)
    return open3d.core.Tensor(both.reshape(camera.height, camera.width, 6))


def drawn(cell: Cell, rng: np.random.Generator, view: View, *cameras: Camera) -> float:
    """How long a tick's pictures take [s], begun before the first is read, as a cell does; each tick is another."""
    spent = []
    seats = [(camera.intrinsics(), camera.mount()) for camera in cameras]
    for snapshot in [stir(cell, rng) for _ in range(EACH)]:
        start = time.perf_counter()
        for read in [view.begin(snapshot, lens, pose) for lens, pose in seats]:
            read()
        spent.append(time.perf_counter() - start)
    return min(spent)


def tinily(cell: Cell, rng: np.random.Generator, camera: Camera, shadow: bool) -> float:
    """How long TinyRenderer takes for one picture [s]; the world moves before each of them."""
    spent = []
    for _ in range(EACH):
        light = stir(cell, rng).light.direction
        start = time.perf_counter()
        tiny(cell.world.client, camera, light, shadow)
        spent.append(time.perf_counter() - start)
    return min(spent)


def cast(scene: open3d.t.geometry.RaycastingScene, through: open3d.core.Tensor) -> float:
    """How long a bare cast takes [s]."""
    spent = []
    for _ in range(EACH):
        start = time.perf_counter()
        scene.cast_rays(through)
        spent.append(time.perf_counter() - start)
    return min(spent)


def measure(cell: Cell, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way at each size, a list over rounds; before them, one round is not counted."""
    rng = np.random.default_rng(0)
    views = {"": Raster(shadows=False).open(), "shadow_": Raster().open()}
    cameras = {name: Camera(width=width, height=height, **LOOK) for name, (width, height) in SIZES.items()}
    aside = Camera(width=128, height=128, **(LOOK | {"position": (1.9, 1.05, 1.15)}))
    scene, through = still(stir(cell, rng)), {name: rays(camera) for name, camera in cameras.items()}
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds + 1):
        for name, camera in cameras.items():
            for kind, view in views.items():
                times[f"raster_{kind}{name}"].append(drawn(cell, rng, view, camera))
                times[f"tiny_{kind}{name}"].append(tinily(cell, rng, camera, bool(kind)))
            times[f"embree_{name}"].append(cast(scene, through[name]))
        for kind, view in views.items():
            times[f"one_{kind}128"].append(drawn(cell, rng, view, cameras["128"]))
            times[f"two_{kind}128"].append(drawn(cell, rng, view, cameras["128"], aside))
    for view in views.values():
        view.close()
    return {name: values[1:] for name, values in times.items()}


def told(name: str, values: np.ndarray, unit: str) -> dict[str, Any]:
    """The median of one value a round, and its 95 % interval."""
    draws = np.random.default_rng(1).integers(len(values), size=(2000, len(values)))
    low, high = np.percentile(np.median(values[draws], axis=1), [2.5, 97.5])
    numbers = {"value": np.median(values), "low": low, "high": high}
    return {"name": name} | {key: round(float(v), 4) for key, v in numbers.items()} | {"unit": unit, "n": len(values)}


def main(rounds: int) -> None:
    with build() as cell:
        times = {name: np.array(values) for name, values in measure(cell, rounds).items()}
    results = []
    for name in SIZES:
        for kind in ("", "shadow_"):
            ratio = times[f"tiny_{kind}{name}"] / times[f"raster_{kind}{name}"]
            results.append(told(f"speedup_{kind}{name}", ratio, "1"))
    results += [told(f"floor_{name}", times[f"raster_{name}"] / times[f"embree_{name}"], "1") for name in SIZES]
    for kind, name in (("", "two_cameras_over_one"), ("shadow_", "two_cameras_over_one_shadow")):
        results.append(told(name, times[f"two_{kind}128"] / times[f"one_{kind}128"], "1"))
    results += [told(f"{name}_ms", 1e3 * values, "ms") for name, values in times.items()]
    for result in results:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="how often all is measured")
    main(parser.parse_args().rounds)
