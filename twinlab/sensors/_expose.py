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
def smeared(light: np.ndarray, at: np.ndarray, speed: np.ndarray, late: np.ndarray, time: np.float32) -> np.ndarray:
    """The light that falls on each pixel while what it shows moves.

    What is here at some moment of the exposure is, in the picture of now, further along its way. A row is the mean of
    as many moments as its fastest pixel needs; beyond its edge the picture goes on as it is there.

    Args:
        light: of now, float32 (row, column, 3).
        at: where each pixel is in it, columns and rows, float32 (height, width, 2) [px]; empty if just where it is.
        speed: columns and rows per second of what `light` shows, float32 (row, column, 2) [px/s]; empty if it stands.
        late: how much later than the picture's each row's exposure is, float32 (height,) [s].
        time: how long an exposure is [s].

    Returns:
        float32 (height, width, 3).
    """
    zero, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    height, width = at.shape[:2] if at.size else light.shape[:2]
    right, low = np.float32(light.shape[1] - 1), np.float32(light.shape[0] - 1)
    out = np.empty((height, width, 3), np.float32)
    way = np.zeros((4, width), np.float32)  # column, row and their speeds
    for r in range(height):
        fastest, begin, end = zero, width, 0
        for c in range(width):
            u, v = np.float32(c), np.float32(r)
            if at.size:
                u, v = at[r, c, 0], at[r, c, 1]
            way[0, c], way[1, c] = u, v
            if speed.size:
                i, j = np.int32(min(max(v, zero), low) + half), np.int32(min(max(u, zero), right) + half)
                way[2, c], way[3, c] = speed[i, j, 0], speed[i, j, 1]
            quick = max(abs(way[2, c]), abs(way[3, c]))
            fastest = max(fastest, quick)
            if at.size or quick > zero:
                begin, end = min(begin, c), c + 1
        if not at.size:
            out[r] = light[r]
        out[r, begin:end] = zero
        taps = min(np.int32(np.ceil(fastest * time)) + np.int32(1), np.int32(_TAPS))
        share = one / np.float32(taps)
        for tap in range(taps):
            _add(light, way, late[r] + time * ((np.float32(tap) + half) * share - half), share, begin, end, out[r])
    return out


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nnan"})
def _add(
    light: np.ndarray, way: np.ndarray, moment: np.float32, share: np.float32, begin: int, end: int, row: np.ndarray
) -> None:
    """Add to the pixels `begin` to `end` of a row what they see at one moment, between pixels in both directions.

    Args:
        light: float32 (row, column, 3).
        way: column, row [px] and their speeds [px/s] of each pixel, float32 (4, width).
        moment: time since the picture [s].
        share: of the row's light that comes from this moment [1].
        begin, end: which pixels [px].
        row: what is added to, float32 (width, 3).
    """
    zero, (rows, columns) = np.float32(0), light.shape[:2]
    right, low = np.float32(columns - 1), np.float32(rows - 1)
    flat = light.reshape(-1)
    for c in range(begin, end):
        x = min(max(way[0, c] - moment * way[2, c], zero), right)
        y = min(max(way[1, c] - moment * way[3, c], zero), low)
        i, j = np.int32(y), np.int32(x)
        x, y = x - np.float32(j), y - np.float32(i)
        k = (i * columns + j) * 3  # the pixel, the one to its right, below, and below that
        m = k + (3 if j + 1 < columns else 0)
        n, o = (k + columns * 3, m + columns * 3) if i + 1 < rows else (k, m)
        d = x * y * share
        b, q = x * share - d, y * share - d
        a = share - b - q - d
        row[c, 0] += a * flat[k] + b * flat[m] + q * flat[n] + d * flat[o]
        row[c, 1] += a * flat[k + 1] + b * flat[m + 1] + q * flat[n + 1] + d * flat[o + 1]
        row[c, 2] += a * flat[k + 2] + b * flat[m + 2] + q * flat[n + 2] + d * flat[o + 2]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def exposed(
    light: np.ndarray,
    gain: np.ndarray,
    dark: np.ndarray,
    drawn: np.ndarray,
    quantiles: np.ndarray,
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
            shown[r, i] = SRGB[min(level[i], _LEVELS - 1)]
    return out, float(total / (light.size * (_LEVELS - 1)))
