"""The form of a line: what is changed is seen, what does not fit is told and changes nothing."""

import ipywidgets
import pytest

from twinlab.errors import SceneError
from twinlab.scene import read_scene
from twinlab.widgets.scene_form import SceneForm

BOOM = """<robot name="boom">
<link name="base"/>
<link name="boom"><inertial><mass value="1"/>
<inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/></inertial></link>
<joint name="j" type="revolute"><parent link="base"/><child link="boom"/><axis xyz="0 0 1"/>
<limit lower="-1" upper="1" effort="5"/></joint>
</robot>"""


@pytest.fixture
def form(blind_spec) -> SceneForm:
    return SceneForm(blind_spec)


def field(form: SceneForm, chosen: str, name: str) -> ipywidgets.Widget:
    """The widget of a field whose description begins with a name."""
    form._choice.value = chosen
    return next(w for w in form._fields.children if getattr(w, "description", "").startswith(name))


def alert(form: SceneForm) -> str:
    return form._told.value


def test_a_field_says_its_unit_and_moves_the_line(form):
    speed = field(form, "bodies.belt", "speed")
    assert (speed.description, speed.value, speed.tooltip) == ("speed [m/s]", "0.1", "speed of the surface [m/s]")
    speed.value = "0.25"
    assert form.spec.bodies["belt"].speed == 0.25 and alert(form) == ""


def test_a_text_with_a_unit_is_taken_for_a_number(form):
    field(form, "bodies.belt", "position").value = '["53 cm", 0, "60 mm"]'
    assert form.spec.bodies["belt"].position == pytest.approx((0.53, 0, 0.06))


@pytest.mark.parametrize(
    ("chosen", "name", "text", "told"),
    [
        ("bodies.belt", "speed", "-1", "greater than or equal to 0"),
        ("bodies.belt", "speed", "3 kg", "speed"),
        ("task", "scrap", "nowhere", "is no body at which parts can be"),
        ("bodies.arm", "robot", "gone.urdf", "no file &#x27;gone.urdf&#x27;"),
    ],
)
def test_what_does_not_fit_is_told_and_the_line_stays_as_it_was(form, chosen, name, text, told):
    before = form.spec
    field(form, chosen, name).value = text
    assert told in alert(form) and form.spec == before


def test_a_choice_and_a_switch_have_widgets_of_their_own(form):
    by = field(form, "task", "by")
    assert isinstance(by, ipywidgets.Dropdown) and by.options == ("colour", "shape")
    by.value = "shape"
    assert form.spec.task.by == "shape"


def test_a_line_grows_from_nothing_and_is_kept_in_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    form = SceneForm.blank("press_shop")
    assert form.spec.bodies == {} and form.spec.task.instruction() == "Watch the line run."
    form.add("bodies", "box", "table", position=[0.4, 0, -0.02], size=[1, 1, 0.04])
    form.add("bodies", "bin", "out", position=[0.4, 0.2, 0])
    form.add("cameras", "camera", "top", position=[0.4, 0, 1.2], look_at=[0.4, 0, 0], up=[1, 0, 0])
    form.add("sensors", "rgb", "top_rgb", camera="top")
    assert repr(form) == "SceneForm(press_shop, 2 bodies, 1 sensors)"
    assert len(form.view._table["links"]) == 2, "table and bin are seen"
    assert form.save(tmp_path / "press_shop.toml").digest == form.spec.digest
    assert read_scene(tmp_path / "press_shop.toml").cameras["top"].position == (0.4, 0, 1.2)
    with pytest.raises(SceneError, match=r"wanted a name that ends in \.toml"):
        form.save(tmp_path / "press_shop")


def test_what_a_robot_file_leaves_open_is_told_below_the_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "boom.urdf").write_text(BOOM, encoding="utf-8")
    form = SceneForm.blank("press_shop")
    assert form._notes.value == ""
    form.add("bodies", "arm", "arm", robot="boom.urdf")
    assert "<li>arm: joint &#x27;j&#x27; gives no velocity" in form._notes.value
    form.remove("arm")
    assert form._notes.value == ""


def test_the_buttons_add_and_remove(form):
    form._room.value = "sensors"
    assert "imu" in form._kind.options
    form._kind.value, form._name.value = "imu", "shaker"
    form._added()
    assert form._choice.value == "sensors.shaker" and "shaker" in form.spec.sensors
    form._removed()
    assert "shaker" not in form.spec.sensors and alert(form) == ""


def test_what_a_line_cannot_do_without_stays(form):
    with pytest.raises(SceneError, match="no body 'arm'"):
        form.remove("arm")
    with pytest.raises(SceneError, match="there is no 'ghost' to remove"):
        form.remove("ghost")
    with pytest.raises(SceneError, match=r"there is a 'belt' in \[bodies\] already"):
        form.add("bodies", "belt", "belt")
    assert {"arm", "belt"} <= set(form.spec.bodies)
