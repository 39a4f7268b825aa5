"""Pages that open from a file, without a kernel and without a network."""

from pathlib import Path

import numpy as np
import pytest
from pictures import differ, pixels
from playwright.sync_api import Page, expect

from twinlab import frames, meshes
from twinlab.snapshot import Snapshot, Visual
from twinlab.widgets.report import report
from twinlab.widgets.scene_view import SceneView


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report on two seconds of a red cube that goes along a belt, while another waits below the floor."""
    solids = [meshes.box((1.6, 0.3, 0.1)), *[meshes.box((0.2, 0.2, 0.2))] * 2]
    colours = [(0.2, 0.2, 0.2), (0.9, 0.1, 0.1), (0.1, 0.1, 0.9)]
    visuals = tuple(Visual(i, i, solids[i].mesh, np.array(frames.IDENTITY), colours[i]) for i in range(3))
    poses = np.stack([frames.pose((0, 0, 0)), frames.pose((-0.7, 0, 0.15)), frames.pose((0, 0, -10))])
    names = ("belt", "part", "later")
    times = np.linspace(0, 2, 41)
    run = np.repeat(poses[None], len(times), axis=0)
    run[:, 1, 0] += 0.7 * times
    view = SceneView(Snapshot(0.0, names, names, poses, visuals, {})).replay(times, run)
    path = report(Path(tmp_path_factory.mktemp("report")) / "report.html", "A belt", view, {"Text": "Words."})
    return path.as_uri()


def red_at(picture: np.ndarray) -> float:
    """Where the red is, as a share of the picture's width."""
    red = (picture[..., 0] > 110) & (picture[..., 1:].max(axis=-1) < 90)
    assert red.sum() > 20, "no red part in the picture"
    return float(np.nonzero(red)[1].mean() / picture.shape[1])


def test_a_report_plays_steps_and_scrubs_from_a_file(page: Page, address: str):
    page.goto(address)
    canvas, slider = page.locator(".twinlab canvas"), page.get_by_role("slider")
    expect(page.locator(".tl-time")).to_have_text("0.00 / 2.00 s")
    canvas.wait_for()
    page.wait_for_function("() => document.querySelector('.twinlab canvas').width > 300")
    page.get_by_role("button", name="Show all").click()
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    start = pixels(canvas)
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".tl-time")).to_have_text("2.00 / 2.00 s")
    end = pixels(canvas)
    assert differ(start, end) > 0.01
    assert abs(red_at(end) - red_at(start)) > 0.2
    assert (((end[..., 2] > 120) & (end[..., :2].max(axis=-1) < 90)).sum()) == 0, "a waiting part is shown"
    page.get_by_role("button", name="One frame back").click()
    expect(slider).to_have_attribute("aria-valuetext", "1.95 s of 2.00 s")
    slider.press("Home")
    expect(page.locator(".tl-time")).to_have_text("0.00 / 2.00 s")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert abs(red_at(pixels(canvas)) - red_at(start)) < 0.02


def test_the_keyboard_plays_and_turns_the_view(page: Page, address: str):
    page.goto(address)
    canvas = page.locator(".twinlab canvas")
    canvas.focus()
    canvas.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.locator(".tl-time")).to_have_text("2.00 / 2.00 s")
    before = pixels(canvas)
    for _ in range(5):
        canvas.press("ArrowRight")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert differ(before, pixels(canvas)) > 0.02


def test_a_page_wears_the_readers_theme(page: Page, address: str):
    page.goto(address)
    brightness = {}
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        expect(page.locator(".twinlab")).to_have_attribute("data-theme", theme)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        brightness[theme] = pixels(page.locator(".twinlab canvas")).mean()
    assert brightness["light"] > brightness["dark"] + 100


def test_a_view_that_was_hidden_draws_when_it_is_shown(page: Page, address: str):
    page.add_init_script(
        "addEventListener('DOMContentLoaded', () => { document.querySelector('.page').style.display = 'none'; })"
    )
    page.goto(address)
    page.evaluate("() => { document.querySelector('.page').style.display = ''; }")
    page.wait_for_function("() => document.querySelector('.twinlab canvas')?.width > 300")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    red_at(pixels(page.locator(".twinlab canvas")))
