"""MCAP: ROS 2 messages at their sensors' own times, and bags of others on ticks."""

import io
import json

import numpy as np
import pytest
import toy
import xarray as xr
from mcap.reader import make_reader
from mcap.writer import Writer as Plain
from mcap_ros2.decoder import DecoderFactory
from mcap_ros2.writer import Writer
from PIL import Image

from twinlab.batches import hold
from twinlab.errors import FormatError
from twinlab.formats import _ros
from twinlab.formats.mcap import Mcap

SECOND = 10**9


def messages(path, topic):
    with path.open("rb") as file:
        return list(make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages(topics=[topic]))


def stamp(message) -> int:
    return message.decoded_message.header.stamp.sec * SECOND + message.decoded_message.header.stamp.nanosec


class Bag:
    """A file as a robot would record it: no word of twinlab in it."""

    def __init__(self, path):
        self.path, self.file = path, path.open("wb")
        self.out, self.schemas = Writer(self.file), {}

    def add(self, topic, schema, message, at, taken=None):
        if schema not in self.schemas:
            self.schemas[schema] = self.out.register_msgdef(schema, _ros.definition(schema))
        ns = round(at * SECOND)
        header = {"header": _ros.stamped(round((at if taken is None else taken) * SECOND))}
        self.out.write_message(topic, self.schemas[schema], header | message, ns)

    def close(self):
        self.out.finish()
        self.file.close()
        return self.path


@pytest.fixture
def bag(tmp_path):
    return Bag(tmp_path / "bag.mcap")


def joints(t, **more):
    return {"name": ["a", "b"], "position": [t, -t], **more}


def slow_camera() -> xr.Dataset:
    """A toy episode whose camera gives every second tick a picture, 20 ms late."""
    episode = toy.episode(0, 8)
    episode["top_rgb"].values[1::2] = episode["top_rgb"].values[::2]
    told = {"units": "s", "kind": "vector", "role": "reading"}
    return episode.assign(top_rgb_age=("time", np.tile([0.02, 0.07], 4).astype(np.float32), told))


def test_messages_carry_their_sensor_s_time_and_held_samples_are_not_repeated(tmp_path):
    path = Mcap(start=1.0).write([slow_camera()], tmp_path / "one.mcap")
    found = messages(path, "/top_rgb")
    assert [m.message.log_time for m in found] == [SECOND + i * SECOND // 10 for i in range(4)]
    assert [stamp(m) for m in found] == pytest.approx([m.message.log_time - 20_000_000 for m in found], abs=100)
    assert [m.message.publish_time for m in found] == [stamp(m) for m in found]
    assert len(messages(path, "/tool")) == 8
    (came,) = Mcap().read(path)
    xr.testing.assert_identical(came, slow_camera())


def test_a_recording_opens_with_the_types_that_ros_has(small_episode, tmp_path):
    path = Mcap().write([small_episode], tmp_path / "one.mcap")
    with path.open("rb") as file:
        reader = make_reader(file)
        assert reader.get_header().profile == "ros2"
        summary = reader.get_summary()
        types = {c.topic: summary.schemas[c.schema_id].name for c in summary.channels.values()}
    wanted = {"/overhead_rgb": "sensor_msgs/msg/Image", "/overhead_depth": "sensor_msgs/msg/Image",
              "/joints": "sensor_msgs/msg/JointState", "/wrench": "geometry_msgs/msg/WrenchStamped",
              "/tf": "tf2_msgs/msg/TFMessage", "/break_beam": "std_msgs/msg/Bool",
              "/action": "std_msgs/msg/Float32MultiArray", "/twin/events": "rcl_interfaces/msg/Log"}  # fmt: skip
    assert wanted.items() <= types.items()
    third = messages(path, "/joints")[3].decoded_message
    assert third.name == small_episode["joints_position"].attrs["labels"]
    assert np.array_equal(np.float32(third.velocity), small_episode["joints_velocity"][3])
    wrench = messages(path, "/wrench")[3].decoded_message.wrench
    assert np.float32(wrench.torque.z) == small_episode["wrench"].values[3, 5]
    depth = messages(path, "/wrist_depth")[0].decoded_message
    assert depth.encoding == "32FC1" and depth.step == 4 * depth.width
    camera = messages(path, "/wrist_depth/camera_info")[0].decoded_message
    assert list(camera.k) == small_episode["wrist_depth"].attrs["camera_matrix"] and camera.width == 64
    poses = messages(path, "/tf")[0].decoded_message.transforms
    assert [p.child_frame_id for p in poses] == small_episode["link_pose"].attrs["labels"]
    lines = messages(path, "/twin/events")
    assert len(lines) == small_episode.sizes["event"] and lines[0].decoded_message.msg.startswith("spawned")
    ages = small_episode["wrist_rgb_age"].values
    taken = {stamp(m) for m in messages(path, "/wrist_rgb")}
    shown = {
        10 * SECOND + round((t - a) * 1e9)
        for t, a in zip(small_episode["time"].values, ages.astype(float), strict=True)
    }
    assert max(min(abs(s - x) for x in shown) for s in taken) < 3000 and len(taken) <= len(ages)


def test_clouds_scans_and_all_kinds_of_numbers_come_back(tmp_path):
    rng = np.random.default_rng(0)
    told = {"units": "m", "role": "reading"}
    cloud = rng.normal(size=(5, 30, 3)).astype(np.float32)
    cloud[:, 20:] = np.inf
    beams = {"azimuth": [-1.0, 0.1], "range": [0.1, 30.0]}
    episode = toy.episode(0, 5).assign(
        points=(("time", "point", "axis"), cloud, told | {"kind": "cloud"}),
        scan=(("time", "ring", "ray"), rng.random((5, 1, 21)).astype(np.float32), told | {"kind": "range", **beams}),
        rings=(("time", "rings", "ray"), rng.random((5, 2, 21)).astype(np.float32), told | {"kind": "range", **beams}),
        pads=(("time", "pad", "r", "c"), rng.random((5, 2, 3, 3)).astype(np.float32), told | {"kind": "tactile"}),
        mask=(("time", "r", "c"), rng.random((5, 3, 3)) < 0.5, told | {"kind": "mask"}),
        ids=(("time", "r", "c"), rng.integers(-9, 9, (5, 3, 3)).astype(np.int16), told | {"kind": "mask"}),
        word=("time", np.array(["a", "b", "ü", "日本", ""]), told | {"kind": "label"}),
        exact=("time", rng.random(5), told | {"kind": "vector"}),
        count=("time", np.array([2**60, -1, 0, 1, 2]), told | {"kind": "vector"}),
    )
    path = Mcap().write([episode], tmp_path / "one.mcap")
    (came,) = Mcap().read(path)
    xr.testing.assert_identical(came, episode)
    assert messages(path, "/scan")[0].decoded_message.angle_max == pytest.approx(1.0)
    assert messages(path, "/points")[0].decoded_message.point_step == 12


def test_a_bag_of_others_is_held_on_ticks(bag):
    for i in range(21):  # joints every 20 ms, taken 5 ms before they are logged
        two = joints(i, velocity=[i, 0.0])
        bag.add("/arm/joint_states", "sensor_msgs/msg/JointState", two, 100 + 0.02 * i, 100 + 0.02 * i - 0.005)
    for i in range(4):  # a camera every 100 ms, 10 ms after the first joints
        picture = np.full((2, 3, 3), [10 * i, 1, 2], np.uint8)
        image = _ros.picture(picture) | {"encoding": "bgr8"}
        bag.add("/camera/image", "sensor_msgs/msg/Image", image, 100.01 + 0.1 * i)
    depth = np.array([[0, 1500]], np.uint16)
    bag.add("/camera/depth", "sensor_msgs/msg/Image", _ros.picture(depth), 100.0)
    force = {"wrench": {"force": {"x": 1.0, "y": 2.0, "z": 3.0}, "torque": {"x": 4.0, "y": 5.0, "z": 6.0}}}
    bag.add("/ft", "geometry_msgs/msg/WrenchStamped", force, 100.0)
    for n, t in ((2, 100.0), (1, 100.2)):
        bag.add("/points", "sensor_msgs/msg/PointCloud2", _ros.points(np.ones((n, 3), np.float32)), t)
    (came,) = Mcap(action="/arm/joint_states").read(bag.close())
    assert came.attrs["began"].startswith("1970-01-01T00:01:40.01") and came.sizes["time"] == 8
    rgb = came["camera_image"]
    assert rgb.attrs["kind"] == "image" and rgb[2, 0, 0].values.tolist() == [2, 1, 10]
    assert rgb[:, 0, 0, 2].values.tolist() == [0, 0, 10, 10, 20, 20, 30, 30]
    assert np.allclose(came["camera_image_age"], [0, 0.05] * 4, atol=1e-6) and came["camera_image_valid"].all()
    assert came["camera_depth"].values[0, 0].tolist() == [np.inf, 1.5] and came["camera_depth"].attrs["units"] == "m"
    assert came["ft"].values[-1].tolist() == [1, 2, 3, 4, 5, 6] and came["ft"].attrs["units"] == "N N N N m N m N m"
    assert came["points"].shape == (8, 2, 3) and np.isinf(came["points"].values[-1, 1]).all()
    action = came["action"]
    assert action.dims == ("time", "actuator") and action.attrs["role"] == "action"
    newest = np.floor((0.01 + 0.05 * np.arange(8)) / 0.02 + 1e-9)
    assert np.array_equal(action[:, 0], newest)
    assert np.array_equal(came["arm_joint_states_velocity"][:, 0], newest)
    assert action["actuator"].values.tolist() == ["a", "b"] and "action_age" not in came
    assert np.allclose(
        came["arm_joint_states_velocity_age"], 0.01 + 0.05 * np.arange(8) - 0.02 * newest + 0.005, atol=1e-6
    )
    assert hold([came])[1].tick == 0.05


def test_a_message_that_is_overdue_is_not_valid(bag):
    for i in (0, 1, 2, 3, 9, 10):
        bag.add("/j", "sensor_msgs/msg/JointState", joints(i), 0.1 * i + 1)
    (came,) = Mcap(tick=0.1).read(bag.close())
    assert came["j_position_valid"].values.tolist() == [True] * 5 + [False] * 4 + [True, True]
    assert np.allclose(came["j_position_age"], [0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0, 0], atol=1e-6)


def test_fields_are_told_with_their_units(bag):
    for t in (1.0, 1.05):
        bag.add("/j", "sensor_msgs/msg/JointState", joints(t, velocity=[1.0, 2.0], effort=[3.0, 4.0]), t)
    (came,) = Mcap().read(bag.close())
    units = {n: came[f"j_{n}"].attrs["units"] for n in ("position", "velocity", "torque")}
    assert units == {"position": "rad", "velocity": "rad s-1", "torque": "N m"}
    assert came["j_position"].attrs["labels"] == ["a", "b"]


def test_what_is_not_known_is_left_out_and_told(tmp_path):
    path = tmp_path / "mixed.mcap"
    with path.open("wb") as file:
        out = Plain(file)
        out.start()
        schema = out.register_schema("foxglove.Grid", "jsonschema", b"{}")
        text = out.register_channel("/grid", "json", schema)
        odd = out.register_channel("/odd", "cdr", out.register_schema("my_msgs/msg/Odd", "ros2msg", b"int32 x"))
        flag = out.register_channel("/flag", "cdr", out.register_schema("std_msgs/msg/Bool", "ros2msg", b"bool data"))
        for i in range(3):
            out.add_message(text, i * SECOND, json.dumps({}).encode(), i * SECOND)
            out.add_message(odd, i * SECOND, b"\0\1\0\0" + bytes(4), i * SECOND)
            out.add_message(flag, i * SECOND, b"\0\1\0\0" + bytes([i % 2]), i * SECOND)
        out.finish()
    (came,) = Mcap(tick=0.5).read(path)
    assert came.attrs["left_out"] == ["/grid", "/odd"]
    assert came["flag"].values.tolist() == [False, False, True, True, False] and came["flag"].attrs["kind"] == "pulse"
    with pytest.raises(
        FormatError, match=r"no topic '/flg'; it has \['/flag', '/grid', '/odd'\]. Did you mean '/flag'"
    ):
        list(Mcap(topics=("/flg",)).read(path))


def test_a_file_of_nothing_known_is_told(tmp_path):
    with (tmp_path / "none.mcap").open("wb") as file:
        out = Plain(file)
        out.start()
        out.finish()
    with pytest.raises(FormatError, match="holds no message whose schema is known"):
        list(Mcap().read(tmp_path / "none.mcap"))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"data": b"123"}, "/image': a message at 1000000000 ns contradicts itself"),
        ({"height": 7}, "contradicts itself"),
    ],
)
def test_a_message_that_contradicts_itself_is_told(bag, broken, said):
    bag.add("/image", "sensor_msgs/msg/Image", _ros.picture(np.zeros((2, 3, 3), np.uint8)) | broken, 1.0)
    with pytest.raises(FormatError, match=said):
        list(Mcap().read(bag.close()))


def test_packed_pictures_are_unpacked_and_broken_ones_told(tmp_path):
    out = io.BytesIO()
    shown = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(shown).save(out, "png")
    text = "std_msgs/Header header\nstring format\nuint8[] data\n" + "=" * 80 + "\nMSG: std_msgs/Header\n"
    for data, name in ((out.getvalue(), "good.mcap"), (b"no picture", "bad.mcap")):
        with (tmp_path / name).open("wb") as file:
            bag = Writer(file)
            schema = bag.register_msgdef(
                "sensor_msgs/msg/CompressedImage", text + "builtin_interfaces/Time stamp\nstring frame_id\n"
            )
            for at in (SECOND, 2 * SECOND):
                message = {"header": _ros.stamped(at), "format": "png", "data": data}
                bag.write_message("/cam/compressed", schema, message, at)
            bag.finish()
    (came,) = Mcap(tick=1.0).read(tmp_path / "good.mcap")
    assert np.array_equal(came["cam_compressed"][1], shown)
    with pytest.raises(FormatError, match="'/cam/compressed': a message at 1000000000 ns contradicts itself"):
        list(Mcap().read(tmp_path / "bad.mcap"))


def test_pictures_of_two_sizes_are_told(bag):
    for size in (2, 3):
        bag.add("/ok", "sensor_msgs/msg/JointState", joints(size) if size > 2 else {}, 1.0 + size)
        bag.add("/image", "sensor_msgs/msg/Image", _ros.picture(np.zeros((size, 3, 3), np.uint8)), 1.0 + size)
    path = bag.close()
    with pytest.raises(FormatError, match="leave the topic out"):
        list(Mcap().read(path))
    (came,) = Mcap(topics=("/ok",)).read(path)
    assert set(came.data_vars) == {"ok_position", "ok_position_age", "ok_position_valid"}


def test_a_filtered_recording_says_how_it_can_be_read(tmp_path):
    path = Mcap().write([toy.episode(0, 4)], tmp_path / "one.mcap")
    with path.open("rb") as file, (tmp_path / "less.mcap").open("wb") as less:
        reader, out, ids = make_reader(file), Plain(less), {}
        out.start()
        for schema, channel, message in reader.iter_messages():
            if channel.topic == "/tool":
                continue
            if channel.topic not in ids:
                kept = out.register_schema(schema.name, schema.encoding, schema.data)
                ids[channel.topic] = out.register_channel(channel.topic, channel.message_encoding, kept)
            out.add_message(ids[channel.topic], message.log_time, message.data, message.publish_time)
        notes = [m for m in reader.iter_metadata()]
        plain = less.tell()
        out.add_metadata(notes[0].name, notes[0].metadata)
        out.finish()
    assert plain
    with pytest.raises(FormatError, match="topic '/tool' has no messages, but twinlab's description tells of them"):
        list(Mcap().read(tmp_path / "less.mcap"))


def test_a_damaged_chunk_is_told(tmp_path):
    path = Mcap().write([toy.episode(0, 20)], tmp_path / "one.mcap")
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"is damaged .*copy it again, or mend it with `mcap recover`"):
        list(Mcap().read(path))
    path.write_bytes(data[:-3])
    with pytest.raises(FormatError, match="is cut short"):
        Mcap().read(path)


def test_several_episodes_for_one_file_are_told(tmp_path):
    with pytest.raises(FormatError, match="holds one episode and several came; give a folder"):
        Mcap().write([toy.episode(0, 4), toy.episode(1, 4)], tmp_path / "one.mcap")
    assert not list(tmp_path.iterdir())
