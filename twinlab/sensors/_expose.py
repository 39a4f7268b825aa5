"""What happens within an exposure, each in one pass over the pixels: motion smears the light, electrons get noise."""

import numba
import numpy as np

_LEVELS = 4096  # steps of the table that turns linear light into sRGB
_TAPS = 7  # moments within an exposure that a blurred pixel is the mean of, at most


def _encoded(values: np.ndarray) -> np.ndarray:
    """Linear light in 0–1 as sRGB in 0–1 (IEC 61966-2-1)."""
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


SRGB = np.rint(255 * _encoded(np.linspace(0, 1, _LEVELS))).astype(np.uint8)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def smeared(
    light: np.ndarray, at: np.ndarray, speed: np.ndarray, stride: int, late: np.ndarray, time: np.float32
) -> np.ndarray:
    """The light that falls on each pixel while what it shows moves.

    What is here at some moment of the exposure is, in the picture of now, further along its way. A row is the mean of
    as many moments as its fastest pixel needs; beyond its edge the picture goes on as it is there.

    Args:
        light: of now, float32 (row, column, 3).
        at: where each pixel is in it, columns and rows, float32 (height, width, 2) [px]; empty if just where it is.
        speed: columns and rows per second of what every `stride`-th pixel of `light` shows, and those behind it, as
            `flow` gives them, float32 (row / stride, column / stride, 2) [px/s]; empty if it stands.
        stride: see above [px].
        late: how much later than the picture's each row's exposure is, float32 (height,) [s].
        time: how long an exposure is [s].

    Returns:
        float32 (height, width, 3).
    """
    half, one = np.float32(0.5), np.float32(1)
    height, width = at.shape[:2] if at.size else light.shape[:2]
    out = np.empty((height, width, 3), np.float32)
    way = np.zeros((4, width), np.float32)  # column, row and their speeds
    way[0] = np.arange(width)
    whole, rest = np.empty((2, width), np.int32), np.empty((2, width), np.float32)
    fastest, begin, end = np.float32(0), 0, width
    for r in range(height):
        if at.size:
            fastest = _bent(way, at[r], speed, stride, light.shape[:2])
        else:
            if r % stride == 0:
                fastest, begin, end = _straight(way, speed[r // stride], stride)
            out[r] = light[r]
            if begin == end:
                continue
            way[1] = np.float32(r)
        out[r, begin:end] = 0
        taps = min(np.int32(np.ceil(fastest * time)) + np.int32(1), np.int32(_TAPS))
        share = one / np.float32(taps)
        for tap in range(taps):
            moment = late[r] + time * ((np.float32(tap) + half) * share - half)
            _add(light, way, moment, share, begin, end, whole, rest, out[r])
    return out


@numba.njit(cache=True, nogil=True)
def _straight(way: np.ndarray, speed: np.ndarray, stride: int) -> tuple[np.float32, int, int]:
    """Put the speeds of a row of the flow (column / stride, 2) [px/s] into `way`; see `smeared`.

    Returns:
        The highest along an axis [px/s], and between which pixels they are [px].
    """
    flat = speed.reshape(-1)
    fastest, begin, end = _largest(flat), 0, flat.size
    if fastest == 0:
        return fastest, 0, 0
    while flat[begin] == 0:
        begin += 1
    while flat[end - 1] == 0:
        end -= 1
    begin, end = begin // 2 * stride, min((end + 1) // 2 * stride, way.shape[1])
    for c in range(begin, end):
        way[2, c], way[3, c] = speed[c // stride, 0], speed[c // stride, 1]
    return fastest, begin, end


@numba.njit(cache=True, nogil=True, fastmath=True)
def _largest(values: np.ndarray) -> np.float32:
    """The largest magnitude of some numbers (n,)."""
    out = np.float32(0)
    for value in values:
        out = max(out, abs(value))
    return out


@numba.njit(cache=True, nogil=True)
def _bent(way: np.ndarray, at: np.ndarray, speed: np.ndarray, stride: int, shape: tuple[int, int]) -> np.float32:
    """Put where a row's pixels are in the light of a shape (width, 2) [px], and their speeds there, into `way`.

    Returns:
        The highest speed along an axis [px/s].
    """
    zero, half = np.float32(0), np.float32(0.5)
    low, right = np.float32(shape[0] - 1), np.float32(shape[1] - 1)
    fastest = zero
    for c in range(way.shape[1]):
        u, v = at[c]
        way[0, c], way[1, c] = u, v
        if speed.size:
            i, j = np.int32(min(max(v, zero), low) + half), np.int32(min(max(u, zero), right) + half)
            way[2, c], way[3, c] = speed[i // stride, j // stride]
            fastest = max(fastest, abs(way[2, c]), abs(way[3, c]))
    return fastest


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nnan"})
def _add(
    light: np.ndarray,
    way: np.ndarray,
    moment: np.float32,
    share: np.float32,
    begin: int,
    end: int,
    whole: np.ndarray,
    rest: np.ndarray,
    row: np.ndarray,
) -> None:
    """Add to the pixels `begin` to `end` of a row what they see at one moment, between pixels in both directions.

    Args:
        light: float32 (row, column, 3).
        way: column, row [px] and their speeds [px/s] of each pixel, float32 (4, width).
        moment: time since the picture [s].
        share: of the row's light that comes from this moment [1].
        begin, end: which pixels [px].
        whole, rest: room for column and row where they are then, int32 and float32 (2, width).
        row: what is added to, float32 (width, 3).
    """
    for i in range(2):
        most, some = np.float32(light.shape[1 - i] - 1), slice(begin, end)
        _placed(way[i, some], way[2 + i, some], moment, most, whole[i, some], rest[i, some])
    flat, to, (x, y) = light.reshape(-1), row.reshape(-1), rest
    # Unsigned, because numba looks at every signed index whether it counts from the end.
    three, line, last = np.uintp(3), np.uintp(light.shape[1] * 3), np.uintp(light.size - 3)
    for c in range(np.uintp(begin), np.uintp(end)):
        # The pixel, the one to its right, below, and below that.
        k = np.uintp(whole[1, c]) * line + np.uintp(whole[0, c]) * three
        m = min(k + three, last)
        n, o = min(k + line, last), min(m + line, last)
        d = x[c] * y[c] * share
        b, q = x[c] * share - d, y[c] * share - d
        a = share - b - q - d
        for p in range(three):
            to[c * three + p] += a * flat[k + p] + b * flat[m + p] + q * flat[n + p] + d * flat[o + p]


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nnan"})
def _placed(
    start: np.ndarray, speed: np.ndarray, moment: np.float32, most: np.float32, whole: np.ndarray, rest: np.ndarray
) -> None:
    """Where pixels are at a moment [s] along one axis, from 0 to the most [px], as a whole number and the rest.

    It is a function of its own, of one axis, so that it becomes vector instructions. All arrays are (pixel,).
    """
    for c in range(len(start)):
        at = min(max(start[c] - moment * speed[c], np.float32(0)), most)
        below = np.floor(at)
        whole[c], rest[c] = np.int32(below), at - below


@numba.njit(cache=True, nogil=True, error_model="numpy")
def exposed(
    light: np.ndarray,
    gain: np.ndarray,
    dark: np.ndarray,
    drawn: np.ndarray,
    quantiles: np.ndarray,
    table: np.ndarray,
    shot: np.float32,
    read: np.float32,
    full: np.float32,
    scale: np.float32,
) -> tuple[np.ndarray, float]:
    """The picture that a sensor makes of light: uneven gain, shot and read noise, dark signal, saturation, sRGB.

    Shot and read noise are independent and normal, so their sum is drawn at once.

    Args:
        light: mean electrons, float32 (height, width, 3).
        gain: of each pixel over the mean, float32 (height, width, 3) [1]; empty for an even sensor.
        dark: signal of each pixel, float32 (height, width, 3) [e]; empty for an even sensor.
        drawn: places in `quantiles` of the noise, uint16 (height * width * 3,); empty for no noise.
        quantiles: of the standard normal distribution, float32 (65536,).
        table: `SRGB`; a table that is handed in is looked up twice as fast as one that is compiled in.
        shot: 1 with shot noise, 0 without.
        read: variance of the read noise [e²].
        full: electrons at which a pixel is full [e].
        scale: linear brightness of one electron [1/e].

    Returns:
        sRGB, uint8 (height, width, 3), and the mean linear brightness [1].
    """
    zero, half, most = np.float32(0), np.float32(0.5), np.float32(_LEVELS - 1)
    height, n, total = light.shape[0], light.shape[1] * 3, 0
    out = np.empty(light.shape, np.uint8)
    lit, shown = light.reshape(height, n), out.reshape(height, n)
    e, z, level = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.int32)
    # Short loops of one kind each over a row become vector instructions: a third faster than one loop.
    for r in range(height):
        e[:] = lit[r]
        if gain.size:
            g = gain[r].reshape(n)
            for i in range(n):
                e[i] *= g[i]
        if drawn.size:
            place = drawn[r * n : (r + 1) * n]
            for i in range(n):
                z[i] = quantiles[place[i]]
            for i in range(n):
                e[i] += np.sqrt(shot * max(e[i], zero) + read) * z[i]
        if dark.size:
            d = dark[r].reshape(n)
            for i in range(n):
                e[i] += d[i]
        for i in range(n):
            level[i] = np.int32(min(max(e[i], zero), full) * scale * most + half)
            total += level[i]
        for i in range(n):
            shown[r, i] = table[np.uint32(min(level[i], _LEVELS - 1))]
    return out, float(total / (light.size * (_LEVELS - 1)))
