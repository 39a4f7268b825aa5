"""Widgets in JupyterLab: the quickstart as it ships, and a panel under a user's hands."""

import re

import nbformat
from pictures import differ, pixels
from playwright.sync_api import Locator, Page, expect

CELLS = (
    """
from twinlab.policies.expert import Expert
from twinlab.policies.still import Still
from twinlab.scene import read_scene
from twinlab.widgets.panel import Panel

class Faulty(Still):
    def __call__(self, readings):
        raise RuntimeError("out of ideas")

spec = read_scene("sorting")
panel = Panel(spec, Expert(spec), sliders={"bodies.belt.speed": (0.05, 0.2)}, seconds=600)
panel
""",
    """
Panel(spec, Faulty())
""",
)


def drawn(canvas: Locator) -> None:
    """Bring a canvas into sight and wait until it shows its last frame."""
    canvas.scroll_into_view_if_needed()
    canvas.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def press(page: Page, name: str) -> None:
    """Press the first panel's button of that name."""
    page.locator(f".widget-button:text-is('{name}')").first.click()


def test_the_quickstart_runs_and_its_replay_plays_in_both_themes(lab, page: Page):
    with lab.notebook(page, "notebooks/00_quickstart.ipynb"):
        lab.run_all(page)
        player = page.locator(".twinlab", has=page.locator(".tl-bar:not([hidden])")).first
        canvas, slider = player.locator("canvas"), player.get_by_role("slider")
        drawn(canvas)
        start = pixels(canvas)
        assert start.std() > 10, "the view is blank"
        player.get_by_label("Speed of the replay").select_option("8")
        player.get_by_role("button", name="Play").click()
        expect(player.get_by_role("button", name="Pause")).to_be_visible()
        slider.evaluate(
            "s => new Promise(done => (function f() { s.value > s.max / 2 ? done() : requestAnimationFrame(f) })())"
        )
        player.get_by_role("button", name="Pause").click()
        drawn(canvas)
        played = pixels(canvas)
        assert differ(start, played) > 0.003, "nothing moves"
        slider.fill(slider.evaluate("s => String(s.max / 5)"))
        drawn(canvas)
        scrubbed = pixels(canvas)
        assert differ(played, scrubbed) > 0.003, "scrubbing shows nothing else"
        for theme in ("dark", "light", "dark"):
            lab.wear(page, theme)
            expect(player).to_have_attribute("data-theme", theme)
        drawn(canvas)
        assert pixels(canvas).mean() < scrubbed.mean() - 60


def test_a_panel_runs_pauses_stops_restarts_and_tells_its_errors(lab, page: Page):
    cells = [nbformat.v4.new_code_cell(code.strip()) for code in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab.folder / "panel.ipynb")
    with lab.notebook(page, "panel.ipynb"):
        lab.run_all(page)
        player, pictures = page.locator(".twinlab").first, page.locator(".twinlab-pictures canvas")
        drawn(player.locator("canvas"))
        start, seen = pixels(player.locator("canvas")), [pixels(pictures.nth(i)) for i in range(4)]
        assert min(picture.std() for picture in seen) > 3, "a camera shows nothing"
        press(page, "Run")
        page.get_by_text("spawned 1").wait_for()
        assert int(lab.ask(page, "panel.counts['spawned']")) == 1, "the kernel answers while the line runs"
        assert differ(start, pixels(player.locator("canvas"))) > 0.001
        assert max(differ(seen[i], pixels(pictures.nth(i))) for i in range(4)) > 0.001
        press(page, "Pause")
        press(page, "Resume")
        page.locator(".widget-slider [role=slider]").press("ArrowRight")
        page.get_by_text(re.compile(r"^0\.\d\d of 600 s")).wait_for()
        assert float(lab.ask(page, "panel.spec.bodies['belt'].speed")) > 0.1
        page.get_by_text(re.compile(r"^[1-9]\.\d\d of 600 s")).wait_for()
        press(page, "Stop")
        player.locator(".tl-bar:not([hidden])").wait_for()
        player.get_by_role("slider").fill("0.5")
        expect(player.locator(".tl-time b")).to_have_text("0.50")
        assert any(lab.ask(page, "panel.view.seek") == "0.5" for _ in range(100)), "the kernel did not hear of the seek"
        page.locator(".widget-button:text-is('Run')").last.click()
        expect(page.get_by_role("alert")).to_have_text("The run ended: RuntimeError: out of ideas")


def test_the_sensors_notebook_shows_each_effect_at_the_flick_of_a_switch(lab, page: Page):
    with lab.notebook(page, "notebooks/02_sensors.ipynb"):
        lab.run_all(page)
        canvases = page.locator(".twinlab-pictures").first.locator("canvas")
        canvases.first.scroll_into_view_if_needed()

        def apart() -> float:
            return differ(pixels(canvases.nth(0)), pixels(canvases.nth(1)))

        assert pixels(canvases.nth(0)).std() > 10, "the clean picture is blank"
        noisy = apart()
        assert noisy > 0.03
        press(page, "None")
        page.locator("td:text-is('holes') + td:has-text('0.00 %')").first.wait_for()
        assert apart() == 0, "with all effects off the measured picture is the clean one"
        page.get_by_label("edge", exact=True).first.check()
        page.locator("td:text-is('holes') + td:not(:has-text('0.00 %'))").first.wait_for()
        assert 0 < apart() < noisy
        assert float(lab.ask(page, "depth.errors['holes']")) > 0
        press(page, "All")
        page.locator("td:text-is('holes') + td").first.wait_for()
        page.locator(".widget-slider [role=slider]").first.press("Home")
        page.wait_for_function("() => document.body.innerText.includes('0.000')")
        assert float(lab.ask(page, "depth.spec.sensors[DEPTH].subpixel")) == 0


def test_a_line_is_changed_in_its_form_and_seen(lab, page: Page):
    with lab.notebook(page, "notebooks/01_build_a_line.ipynb"):
        lab.run_all(page)
        canvas = page.locator(".twinlab canvas").first
        drawn(canvas)
        start = pixels(canvas)
        assert start.std() > 10, "the view is blank"
        colour = page.get_by_label(re.compile("^colour")).first
        colour.fill("red")
        colour.press("Enter")
        expect(page.get_by_role("alert").first).to_contain_text("[bodies.table] colour: came 'red'")
        colour.fill("[0.9, 0.1, 0.1]")
        colour.press("Enter")
        expect(page.get_by_role("alert")).to_have_count(0)
        assert lab.ask(page, "form.spec.bodies['table'].colour") == "(0.9, 0.1, 0.1)"
        drawn(canvas)
        assert differ(start, pixels(canvas)) > 0.05, "the table does not change its colour"


def test_what_is_foreseen_is_drawn_anew_for_another_moment_and_without_a_sensor(lab, page: Page):
    with lab.notebook(page, "notebooks/05_dream_and_reality.ipynb"):
        lab.run_all(page)
        picture = page.locator(".widget-image").first
        picture.scroll_into_view_if_needed()
        seen = [picture.get_attribute("src")]
        for change in (
            lambda: page.get_by_label("off", exact=True).select_option(["overhead", "tcp"]),
            lambda: page.locator(".widget-slider [role=slider]").first.press("Home"),
        ):
            change()
            expect(picture).not_to_have_attribute("src", seen[-1] or "")
            seen.append(picture.get_attribute("src"))
        assert lab.ask(page, "shown.values") == "{'at': 20, 'without': ('overhead', 'tcp')}"
        expect(page.get_by_role("alert")).to_have_count(0)


def test_what_is_perceived_is_drawn_anew_when_sensors_are_switched_off(lab, page: Page):
    with lab.notebook(page, "notebooks/06_which_sensor_matters.ipynb"):
        lab.run_all(page)
        picture = page.locator(".widget-image").first
        picture.scroll_into_view_if_needed()
        seen = picture.get_attribute("src") or ""
        page.get_by_label("off", exact=True).select_option(["wrist_rgb", "break_beam"])
        expect(picture).not_to_have_attribute("src", seen)
        assert lab.ask(page, "off.value") == "('wrist_rgb', 'break_beam')"
        expect(page.get_by_role("alert")).to_have_count(0)
