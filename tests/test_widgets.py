import asyncio
import base64
import dataclasses
import gzip
import hashlib
import json
import re
import time
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from nbconvert import HTMLExporter

from twinlab import frames, meshes, rooms, scene
from twinlab.errors import CellError, ReadingsError, SceneError, StoreError
from twinlab.frames import Intrinsics
from twinlab.meshes import Mesh
from twinlab.policies.still import Still
from twinlab.snapshot import Snapshot, Visual
from twinlab.widgets import _poster, scene_view
from twinlab.widgets._cameras import Cameras
from twinlab.widgets._code import STATIC, player
from twinlab.widgets._geometry import pack
from twinlab.widgets.panel import Panel
from twinlab.widgets.report import Report, report
from twinlab.widgets.scene_view import SceneView


def twin(seed: int = 0, name: str = "part") -> Snapshot:
    """Two boxes of one mesh, a painted one, and one that waits below the floor."""
    box = meshes.box((0.2, 0.1, 0.1)).mesh
    painted = Mesh(box.vertices, box.faces, np.linspace(0, 1, 36, dtype=np.float32).reshape(12, 3))
    at = frames.pose((0, 0, 0.1))
    visuals = tuple(Visual(i, i, mesh, at, (0.2, 0.4, 0.6)) for i, mesh in enumerate((box, box, painted, box)))
    poses = np.stack([frames.pose((i, 0.1 * seed, 0)) for i in range(4)])
    poses[3, 2] = -10
    names = ("table", "belt", name, "later")
    return Snapshot(0.0, names, names, poses, visuals, {})


def run_of(snapshot: Snapshot, count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Times and poses of a run in which the third link goes up."""
    poses = np.repeat(snapshot.poses[None], count, axis=0)
    poses[:, 2, 2] = np.linspace(0, 0.8, count)
    return 0.05 * np.arange(count), poses


def data_of(page: str) -> dict:
    return json.loads(re.search(r'class="twinlab-data">(.*?)</script>', page, re.DOTALL)[1])


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), "<f4")


# ---- the view


def test_packed_meshes_hold_what_the_snapshot_holds():
    snapshot = twin()
    table, block = pack(snapshot)
    first = snapshot.visuals[0].mesh
    count = len(first.vertices)
    assert [m["coloured"] for m in table["meshes"]] == [False, True]
    assert [v["mesh"] for v in table["visuals"]] == [0, 0, 1, 0]
    assert np.array_equal(np.frombuffer(block, "<f4", 3 * count).reshape(-1, 3), first.vertices)
    assert np.array_equal(np.frombuffer(block, "<u4", 36, 12 * count).reshape(-1, 3), first.faces)
    colours = np.frombuffer(block, np.uint8, 36, 24 * count + 2 * 36 * 4)
    assert np.abs(colours.reshape(12, 3) / 255 - snapshot.visuals[2].mesh.colours).max() < 0.002
    assert len(block) % 4 == 0


def test_a_view_says_shortly_what_it_shows():
    view = SceneView(twin())
    assert repr(view) == "SceneView(4 links)"
    assert repr(view.replay(*run_of(twin()))) == "SceneView(4 links, 9 frames)"


def test_live_frames_are_capped_and_the_newest_is_kept():
    view, sent = SceneView(twin()), []
    view.observe(lambda change: sent.append(change["new"]), "_live")
    visuals, start = view._snapshot.visuals, time.monotonic()
    for i in range(1, 400):
        view.show(dataclasses.replace(twin(i), visuals=visuals))
    assert 1 <= len(sent) <= 30 * (time.monotonic() - start) + 1
    assert np.allclose(unpacked(data_of(view.to_html())["run"])[7:][0:2], [1, 39.9], atol=1e-4)


def test_a_frame_that_came_too_fast_is_shown_as_soon_as_it_may_be():
    async def watch() -> bytes:
        view, arrived = SceneView(twin()), asyncio.get_running_loop().create_future()
        last = dataclasses.replace(twin(5), visuals=view._snapshot.visuals)
        view.show(dataclasses.replace(twin(4), visuals=view._snapshot.visuals))
        view.observe(lambda change: arrived.set_result(change["new"]), "_live")
        view.show(last)
        return await asyncio.wait_for(arrived, 10)

    assert np.frombuffer(asyncio.run(watch()), "<f4")[1] == np.float32(0.5)


def test_other_visuals_go_to_the_browser_again():
    view = SceneView(twin())
    was = view._mesh
    other = twin()
    view.show(dataclasses.replace(other, visuals=(*other.visuals[:1], *other.visuals[2:])))
    assert view._mesh == was and len(view._table["visuals"]) == 3


def test_showing_a_live_frame_ends_a_replay():
    view = SceneView(twin()).replay(*run_of(twin()))
    view.show(twin(1))
    assert repr(view) == "SceneView(4 links)"


def test_a_replay_begins_at_its_start():
    times, poses = run_of(twin())
    assert SceneView(twin()).replay(times + 3, poses).seek == 3


@pytest.mark.parametrize(
    ("times", "poses", "told"),
    [
        (np.arange(3), np.zeros((3, 5, 7)), r"wanted \(frame,\) and \(frame, 4, 7\)"),
        (np.arange(2), np.zeros((3, 4, 7)), "of the same scene and seed"),
        (np.zeros(0), np.zeros((0, 4, 7)), "wanted"),
        (np.arange(3), np.full((3, 4, 7), np.nan), "not finite"),
        (np.array([0, 1, 1]), np.zeros((3, 4, 7)), "ascend"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(times, poses, told):
    with pytest.raises(ReadingsError, match=told):
        SceneView(twin()).replay(times, poses)


def test_the_picture_shows_all_that_is_on_the_line_and_not_more():
    lens = Intrinsics.from_fov(640, 360, float(np.radians(32)))
    points = _poster.points(twin())
    assert points[:, 2].min() > -5
    seen = frames.apply(frames.inverse(_poster.camera(points, lens)), points)
    pixels = lens.project(seen) / (640, 360)
    assert pixels.min() > 0 and pixels.max() < 1
    assert np.ptp(pixels, axis=0).max() > 0.85


# ---- pages and notebooks


def test_a_page_asks_no_network_and_holds_the_whole_run():
    times, poses = run_of(twin())
    page = SceneView(twin()).replay(times, poses).to_html()
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    kept = data_of(page)
    assert np.allclose(unpacked(kept["times"]), times)
    assert np.abs(unpacked(kept["run"]).reshape(4, 7, 9).transpose(2, 0, 1) - poses).max() < 5e-5


def test_a_page_does_not_break_on_strange_names():
    page = SceneView(twin(name="</script><b>&")).to_html()
    assert data_of(page)["table"]["links"][2] == "</script><b>&"
    assert page.count("</script>") == 2


def test_the_same_twin_gives_the_same_page():
    assert SceneView(twin()).to_html() == SceneView(twin()).to_html()


def test_a_notebook_keeps_a_picture_and_not_the_player(monkeypatch):
    monkeypatch.delenv(scene_view.STATIC_PAGES, raising=False)
    data, _ = SceneView(twin())._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    assert sum(len(str(value)) for value in data.values()) < 60_000
    assert "data:image/png" in converted(data)


def test_a_notebook_made_for_static_pages_keeps_the_player(monkeypatch):
    monkeypatch.setenv(scene_view.STATIC_PAGES, "1")
    data, _ = SceneView(twin())._repr_mimebundle_()
    assert "<iframe" in converted(data) and "twinlab-data" in converted(data)


def converted(data: dict) -> str:
    """What nbconvert makes of a cell with this output."""
    output = nbformat.v4.new_output("display_data", data=data)
    cell = nbformat.v4.new_code_cell("view", outputs=[output], id="one")
    page, _ = HTMLExporter(template_name="basic").from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    return page


def test_the_player_is_in_the_kernel_once_and_in_no_view():
    one, two = SceneView(twin()), SceneView(twin())
    assert one._code is two._code
    assert gzip.decompress(one._code.packed).decode() == player()
    assert len(one._esm) < 2_000


def test_a_view_works_after_all_widgets_were_closed():
    SceneView(twin())
    ipywidgets.Widget.close_all()
    assert SceneView(twin())._code.comm is not None


def test_the_built_player_is_of_these_sources_and_keeps_the_licence():
    js = STATIC.parent / "js"
    sources = [js / "package.json", js / "build.mjs", *sorted((js / "src").iterdir(), key=lambda p: p.name)]
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()[:16]
    assert digest in player().splitlines()[0], "js/ has changed; build the player anew as js/README.md says"
    assert "The MIT License" in player() and "three.js authors" in player()
    assert "</script" not in player()


def test_every_widget_can_be_a_page():
    assert rooms.names("widgets")
    for name in rooms.names("widgets"):
        assert callable(rooms.load("widgets", name).to_html), name


# ---- the panel


@pytest.fixture(scope="module")
def spec() -> scene.SceneSpec:
    return scene.read_scene("sorting")


class Faulty(Still):
    """A policy that breaks."""

    def __call__(self, readings):
        raise RuntimeError("no <idea>")


def test_a_run_ends_as_a_replay_with_its_counts(spec):
    panel = Panel(spec, Still(), seconds=1.5)
    assert repr(panel) == "Panel(sorting, 1.5 s)"
    assert "2 notes on robot files" in panel._notes.value and "<li>arm: 10 of 10 links" in panel._notes.value
    panel.run(blocking=True)
    assert panel.counts == {"spawned": sum(e.kind == "spawned" for e in panel.events)}
    assert repr(panel.view) == f"SceneView({len(panel.view._table['links'])} links, 31 frames)"
    assert panel.view.seek == pytest.approx(1.5)
    assert "1.50" in panel._controls._status.value


def test_a_slider_changes_the_line(spec):
    panel = Panel(spec, Still(), {"bodies.belt.speed": (0.05, 0.2)}, seconds=0.1)
    assert panel.spec == spec
    (slider,) = panel._sliders.values()
    assert slider.description == "belt speed [m/s]" and not slider.continuous_update
    slider.value = 0.15
    assert panel.spec.bodies["belt"].speed == 0.15


@pytest.mark.parametrize(
    ("sliders", "told"),
    [({"bodies.belt.sped": (0, 1)}, "Did you mean 'speed'"), ({"bodies.belt.speed": (-1, 1)}, "greater than or equal")],
)
def test_a_slider_that_does_not_fit_is_refused_at_once(spec, sliders, told):
    with pytest.raises(SceneError, match=told):
        Panel(spec, Still(), sliders)


def test_what_breaks_in_a_run_is_raised_and_shown(spec):
    panel = Panel(spec, Faulty(), seconds=1)
    with pytest.raises(RuntimeError, match="no <idea>"):
        panel.run(blocking=True)
    assert "RuntimeError: no &lt;idea&gt;" in panel._controls._told.value
    assert 'role="alert"' in panel._controls._told.value


def test_a_run_on_a_kernels_loop_leaves_the_loop_free_and_stops(spec):
    async def notebook() -> tuple[int, Panel]:
        panel, turns = Panel(spec, Still(), seconds=600), 0
        panel.run()
        panel.pause()
        panel.pause(False)
        while panel._shown is None or panel._shown.tick < 3:
            await asyncio.sleep(0)
            turns += 1
        panel.stop()
        await panel.finished()
        return turns, panel

    turns, panel = asyncio.run(notebook())
    assert turns > 100
    assert panel._controls.stop.disabled and panel._controls.start.description == "Run"
    assert "frames" in repr(panel.view)


def test_a_new_run_waits_for_the_end_of_one_with_the_same_policy(spec):
    async def notebook() -> list[Panel]:
        policy = Still()
        panels = [Panel(spec, policy, seconds=s) for s in (600, 0.2)]
        for panel in panels:
            panel.run()
        for panel in panels:
            await panel.finished()
        return panels

    first, second = asyncio.run(notebook())
    assert first._run.latest is None or first._run.latest.tick < 600 / 0.05
    assert second._run.latest.tick == 4 and second._run.error is None


def test_a_run_without_a_loop_says_how_to_run(spec):
    with pytest.raises(CellError, match=r"run\(blocking=True\)"):
        Panel(spec, Still(), seconds=1).run()


def test_depth_is_bright_where_near_and_grey_where_nothing_is(spec):
    variable = next(v for v in cell_variables(spec) if v.kind == "depth")
    cameras = Cameras([variable])
    depth = np.full(variable.shape, 2.0, np.float32)
    depth[0, 0], depth[0, 1] = 1.0, np.inf
    cameras.show({variable.name: depth})
    near, nothing, far = np.frombuffer(cameras._pixels, np.uint8).reshape(*variable.shape, 3)[0, :3].astype(int)
    assert near.sum() > far.sum() + 200
    assert nothing.tolist() == [60, 60, 66]
    assert cameras._notes == ["1.00–2.00 m"]


def cell_variables(spec):
    from twinlab.cell import Cell

    with Cell(spec) as cell:
        return cell.variables


# ---- the report


def summary() -> xr.Dataset:
    values = [[0.9, 0.85, 0.95], [0.123456, np.nan, np.nan]]
    return xr.Dataset(
        {"correct": (("policy", "statistic"), values, {"units": "1"}), "runs": ("policy", [20, 4], {"units": "1/h"})},
        coords={"policy": ["expert", "still"], "statistic": ["mean", "low", "high"]},
    )


def test_a_report_shows_texts_tables_figures_and_where_they_come_from():
    figure, axes = plt.subplots(layout="constrained")
    axes.plot([0, 1], [1, 0])
    axes.set(xlabel="time [s]", ylabel="height [m]")
    plt.close(figure)
    page = Report(
        "Sorting <parts>",
        SceneView(twin()).replay(*run_of(twin())),
        {
            "Scores": ["First.\n\nSecond.", summary()],
            "Events": [{"time": 1.23456, "kind": "picked"}, {"time": 2, "right": True}],
            "Frame": pd.DataFrame({"x": [1.0, np.nan]}),
            "Tool": figure,
        },
        lead="It works.",
        headline={"Correct": "90 %"},
        settings={"scene": {"digest": "abc", "seed": 7}},
    ).to_html()
    assert "<h1>Sorting &lt;parts&gt;</h1>" in page
    assert "<p>First.</p>" in page and "<p>Second.</p>" in page
    assert "0.9 [0.85, 0.95]" in page and ">0.1235<" in page and "runs [1/h]" in page
    assert ">1.235<" in page and ">yes<" in page and ">–<" in page
    assert 'alt="height [m] over time [s]"' in page and "data:image/svg+xml;base64," in page
    assert "scene.digest" in page and ">abc<" in page
    assert data_of(page)["table"]["links"][0] == "table"


def test_a_report_is_one_file_that_is_the_same_each_time(tmp_path: Path):
    one = report(tmp_path / "new" / "a.html", "T", SceneView(twin()), {"S": summary()})
    two = report(tmp_path / "b.html", "T", SceneView(twin()), {"S": summary()})
    assert one.read_bytes() == two.read_bytes()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.html"]


def test_a_report_that_cannot_be_written_says_so(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write"):
        report(tmp_path / "file" / "a.html", "T")
