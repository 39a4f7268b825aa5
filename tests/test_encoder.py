"""The encoder: whole counts, speed of counts or of periods, a wheel that is not quite round its size, lost pulses."""

import numpy as np
import pytest

from twinlab import meshes
from twinlab.frames import IDENTITY, pose
from twinlab.sensing import Streams
from twinlab.sensors import Moment
from twinlab.sensors.encoder import Encoder
from twinlab.snapshot import Piece
from twinlab.world import World

EVERY = 12  # physics steps a sample


def runs(speed: float, encoder: Encoder, samples: int, seeds: int = 1) -> np.ndarray:
    """Travel and speed every 50 ms, of a belt that runs at a speed [m/s], by encoders of several seeds side by side.

    Returns:
        Shape (seed, sample, 2), or (sample, 2) for one seed.
    """
    draws, states = [Streams(seed, "encoder") for seed in range(seeds)], [None] * seeds
    out = np.empty((seeds, samples, 2))
    with World() as world:
        world.add("belt", [Piece(meshes.box((1, 1, 0.1)), IDENTITY, (0, 0, 0))], pose())
        world.surface("belt", np.array([speed, 0, 0]))
        for sample in range(samples):
            moment = Moment(world, {}, world.snapshot, None, None)
            for seed in range(seeds):
                clean, state = encoder.read("it", moment, states[seed])
                value, states[seed] = encoder.measure("it", moment, clean, state, draws[seed])
                out[seed, sample] = value["it"]
            for _ in range(EVERY):
                world.step()
    return out[0] if seeds == 1 else out


def test_an_encoder_without_effects_tells_what_the_belt_does():
    found = runs(0.3, Encoder(off=("all",)), 5)
    assert found[:, 0] == pytest.approx(0.3 * 0.05 * np.arange(5))
    assert found[:, 1] == pytest.approx(0.3)


@pytest.mark.parametrize(("pulses", "edges"), [(1000, 1), (1000, 4), (10_000, 4)])
def test_travel_is_a_whole_number_of_counts_and_off_by_less_than_one(pulses, edges):
    step = 1 / (pulses * edges)
    found = runs(0.1234, Encoder(pulses=pulses, edges=edges, off=("wheel",)), 40)
    counts = found[:, 0] / step
    assert counts == pytest.approx(np.rint(counts), abs=1e-3)
    error = found[:, 0] - 0.1234 * 0.05 * np.arange(40)
    assert (np.abs(error) < step + 1e-7).all()


def test_counting_is_right_on_average_over_where_the_first_count_lies():
    seeds, step = 2000, 0.001
    counts = runs(0.137, Encoder(pulses=1000, edges=1, off=("wheel",)), 2, seeds)[:, 1, 0] / step
    # 6.85 counts pass: 7 are counted where the index lies beyond 0.15 of a count, 6 elsewhere.
    assert set(np.rint(counts).astype(int)) == {6, 7}
    assert counts.mean() == pytest.approx(6.85, abs=4 * np.sqrt(0.85 * 0.15 / seeds))


def test_speed_from_counts_comes_in_steps_of_a_count_a_sample_and_is_right_on_average():
    encoder = Encoder(pulses=1000, edges=1, off=("wheel",))
    speed = runs(0.137, encoder, 200)[1:, 1]
    step = 0.001 / 0.05
    assert speed / step == pytest.approx(np.rint(speed / step), abs=1e-3)
    assert set(np.rint(speed / step).astype(int)) == {6, 7}  # 6.85 counts a sample
    assert speed.mean() == pytest.approx(0.137, abs=step / 199)  # the sum of all counts is off by one at most


def test_speed_from_periods_is_as_fine_as_the_timer():
    encoder = Encoder(method="period", timer=1e5, off=("wheel",))
    speed = runs(0.1, encoder, 3)[:, 1]
    # A count takes 250 µs, 25 ticks of the timer; with 0.103 m/s it would take 24.27, which is shown as 24.
    assert speed == pytest.approx(0.1)
    assert runs(0.103, encoder, 3)[:, 1] == pytest.approx(0.000025 / 24e-5)


def test_a_belt_slower_than_a_count_a_timeout_is_shown_as_standing():
    slow = Encoder(method="period", pulses=100, edges=1, timeout=0.5, off=("wheel",))
    assert runs(0.019, slow, 2)[:, 1] == pytest.approx(0)  # 10 mm take 0.526 s
    assert runs(0.021, slow, 2)[:, 1] == pytest.approx(0.021, rel=1e-4)
    assert runs(0.0, slow, 2)[:, 1] == pytest.approx(0)


def test_wheels_are_off_by_the_declared_share_for_a_whole_episode():
    seeds, sigma = 1000, 0.01
    encoder = Encoder(wheel=sigma, off=("count",))
    found = runs(0.2, encoder, 3, seeds)
    error = found[:, 2, 0] / (0.2 * 0.1) - 1
    assert error.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * seeds))  # standard error of a deviation
    assert abs(error.mean()) < 4 * sigma / np.sqrt(seeds)
    assert found[:, 1, 0] / (0.2 * 0.05) - 1 == pytest.approx(error, abs=1e-5)
    assert found[:, :, 1] / 0.2 - 1 == pytest.approx(np.tile(error, (3, 1)).T, abs=1e-5)


def test_so_many_counts_are_missed_as_declared():
    miss, samples = 0.02, 200
    encoder = Encoder(miss=miss, off=("wheel",))
    travel = runs(0.2, encoder, samples)[-1, 0]
    counts = 0.2 * 0.05 * (samples - 1) * 40_000
    assert 1 - travel * 40_000 / counts == pytest.approx(miss, abs=4 * np.sqrt(miss * (1 - miss) / counts) + 1 / counts)
