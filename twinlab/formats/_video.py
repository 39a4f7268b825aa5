"""Pictures as MP4 and back; depth as 12-bit logarithmic steps (LeRobot's way since 2026)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from twinlab.errors import FormatError

STEPS = 4095  # of 12 bits


@dataclass(frozen=True)
class Log:
    """How depth becomes steps: evenly in log(depth + shift), so that what is near is told finer.

    Attributes:
        low, high: depth of the first and the last step [m].
        shift: see above [m].
        log: whether it is so; else steps are even in depth.
    """

    low: float = 0.01
    high: float = 10.0
    shift: float = 3.5
    log: bool = True

    def steps(self, depth: np.ndarray) -> np.ndarray:
        """Depth [m] → steps 0 to 4095, uint16; what lies beyond the ends, +inf too, becomes the end."""
        low, high, x = self._bent(np.array(self.low)), self._bent(np.array(self.high)), self._bent(depth)
        return np.rint(np.clip((x - low) / (high - low), 0, 1) * STEPS).astype(np.uint16)

    def depth(self, steps: np.ndarray) -> np.ndarray:
        """Steps → depth [m], float32."""
        low, high = self._bent(np.array(self.low)), self._bent(np.array(self.high))
        x = low + steps.astype(float) / STEPS * (high - low)
        return (np.exp(x) - self.shift if self.log else x).astype(np.float32)

    def told(self) -> dict[str, Any]:
        """As LeRobot tells it in a feature's info."""
        return {
            "is_depth_map": True,
            "depth_unit": "m",
            "video.depth_min": self.low,
            "video.depth_max": self.high,
            "video.shift": self.shift,
            "video.use_log": self.log,
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Log":
        """From a feature's info; what it does not tell is as LeRobot has it by default."""
        keys = {"low": "video.depth_min", "high": "video.depth_max", "shift": "video.shift", "log": "video.use_log"}
        return cls(**{mine: told[theirs] for mine, theirs in keys.items() if theirs in told})

    def _bent(self, depth: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(depth, self.low) + self.shift) if self.log else depth.astype(float)


class Film:
    """A video that is being written, frame by frame.

    Args:
        path: of the file.
        codec: FFmpeg's name of the encoder.
        pixels: its pixel format.
        fps: frames per second [Hz].
        options: of the encoder.

    Attributes:
        count: frames so far.
    """

    def __init__(self, path: Path, codec: str, pixels: str, fps: int, options: dict[str, str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.count = path, 0
        self._bytes, self._packets = 0, 0
        self._codec, self._pixels, self._fps, self._options = codec, pixels, fps, options
        self._file: Any = av.open(str(path), "w")
        self._stream: Any = None

    @property
    def size(self) -> int:
        """Bytes so far; what the encoder still holds back counts as the mean of the others [B]."""
        return self._bytes * self.count // max(self._packets, 1)

    def add(self, pictures: np.ndarray) -> None:
        """Add pictures (time, row, column, 3) uint8, or steps of depth (time, row, column) uint16.

        Raises:
            FormatError: the encoder does not take them.
        """
        form = "rgb24" if pictures.ndim == 4 else "gray12le"
        try:
            if self._stream is None:
                self._stream = self._file.add_stream(self._codec, rate=self._fps, options=self._options)
                self._stream.height, self._stream.width = pictures.shape[1:3]
                self._stream.pix_fmt = self._pixels
            for picture in pictures:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=form)
                frame.pts = self.count
                self._mux(frame)
                self.count += 1
        except (av.FFmpegError, ValueError) as told:
            self._stream = None  # nothing is left in it that could be written
            raise FormatError(
                f"{self._codec!r} does not encode pictures of {pictures.shape[2]}×{pictures.shape[1]} as "
                f"{self._pixels!r} ({told}); ask for pixels='yuv444p', or for another codec"
            ) from told

    def close(self) -> None:
        """Write what is left."""
        if self._stream is not None:
            self._mux(None)
        self._file.close()

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._bytes += packet.size
            self._packets += 1
            self._file.mux(packet)


def pictures(path: Path, start: float, count: int, fps: float, deep: bool = False) -> np.ndarray:
    """The frames of a stretch of a video: (time, row, column, 3) uint8, or (time, row, column) uint16 if deep.

    Args:
        path: of the file.
        start: time of the first [s].
        count: how many.
        fps: frames per second [Hz].
        deep: whether it holds steps of depth.

    Raises:
        FormatError: it can't be decoded, lacks frames of the stretch, or has them at other times.
    """
    found: list[np.ndarray | None] = [None] * count
    try:
        with av.open(str(path), metadata_errors="replace") as file:
            stream = file.streams.video[0]
            file.seek(max(0, int((start - 0.5 / fps) / (stream.time_base or 1))), stream=stream)
            for frame in file.decode(stream):
                if frame.time is None:
                    continue
                at = (frame.time - start) * fps
                number = round(at)
                if number >= count:
                    break
                if number < 0:
                    continue
                if abs(at - number) > 0.25:
                    raise FormatError(
                        f"{str(path)!r}: a frame stands at {frame.time:.4f} s, {abs(at - number):.2f} of a frame off "
                        f"the times of {fps} Hz from {start:.4f} s; its episode's from_timestamp or its fps is wrong"
                    )
                found[number] = frame.to_ndarray(format="gray12le" if deep else "rgb24")
    except (av.FFmpegError, OSError, IndexError, MemoryError) as told:
        raise FormatError(f"{str(path)!r} can't be decoded ({told}); it is cut short, or no video") from told
    kept = [picture for picture in found if picture is not None]
    if len(kept) < count:
        raise FormatError(
            f"{str(path)!r} holds {len(kept)} of the {count} frames from {start:.3f} s on; it is cut short, or the "
            "episode's chunk_index, file_index or from_timestamp is of another video"
        )
    return np.stack(kept)
