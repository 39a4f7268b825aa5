"""Render docs/picture.png: the sorting line after 23 s under the expert."""

from pathlib import Path

from PIL import Image

from twinlab import rooms
from twinlab.cameras import Camera
from twinlab.cell import Cell
from twinlab.scene import read_scene

spec = read_scene("sorting")
expert = rooms.build("policies", "expert", spec=spec)
camera = Camera(width=1280, height=720, fov=0.66, position=(1.9, -1.1, 1.2), look_at=(0.4, 0.02, 0.13), up=(0, 0, 1))
view = rooms.build("renderers", "raster", samples=3, shadow_size=4096).open()
with Cell(spec) as cell:
    readings = cell.reset(60_001)
    for _ in range(470):
        readings = cell.step(expert({**readings, **cell.truth}))
    snapshot = cell.snapshot()
frame = view.render(snapshot, camera.intrinsics(), camera.pose(snapshot))
view.close()
Image.fromarray(frame.rgb).save(Path(__file__).with_name("picture.png"), optimize=True)
