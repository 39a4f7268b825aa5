"""What is missing on this machine, and how to get it."""

import ctypes.util
import importlib
import os
import shutil
import sys
from dataclasses import dataclass

from twinlab import rooms
from twinlab.errors import RendererError
from twinlab.scene import scene_names

_PACKAGES = ("pybullet", "torch", "open3d", "moderngl", "jupyterlab", "ipywidgets", "anywidget", "xarray", "zarr")
_LIBRARIES = {"EGL": "libegl1", "GL": "libgl1", "usb-1.0": "libusb-1.0-0", "gomp": "libgomp1"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: its name.
        good: whether it is as it should be.
        found: what was seen.
        cure: what to do if it is not good.
        needed: whether twinlab's main job fails without it.
    """

    what: str
    good: bool
    found: str
    cure: str = ""
    needed: bool = True


def examine() -> tuple[Finding, ...]:
    """Look at everything that twinlab needs; nothing is changed."""
    version = ".".join(map(str, sys.version_info[:3]))
    python = Finding("Python", sys.version_info[:2] == (3, 11), version, "use Python 3.11: pybullet has wheels for it")
    packages = [_package(name) for name in _PACKAGES]
    libraries = [_library(name, package) for name, package in _LIBRARIES.items()]
    scenes = scene_names()
    return (
        python,
        *packages,
        *libraries,
        _renders(),
        Finding("scenes", bool(scenes), ", ".join(scenes) or "none", "run from a checkout, or install the wheel again"),
        _browser(),
        _processors(),
    )


def _package(name: str) -> Finding:
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as told:  # OSError: a shared library that the package needs is missing
        return Finding(name, False, str(told), f"pip install -r requirements.lock, or see why {name} does not load")
    return Finding(name, True, str(getattr(module, "__version__", "installed")))


def _library(name: str, package: str) -> Finding:
    found = ctypes.util.find_library(name)
    return Finding(f"lib{name}", found is not None, found or "not found", f"sudo apt-get install {package}")


def _renders() -> Finding:
    try:
        rooms.build("renderers", "raster").open().close()
    except RendererError as told:
        return Finding("headless OpenGL", False, str(told).splitlines()[0], "sudo apt-get install libegl1 libgl1")
    return Finding("headless OpenGL", True, "a context opens")


def _browser() -> Finding:
    found = shutil.which("chromium")
    cure = "sudo apt-get install chromium (only the browser test needs it)"
    return Finding("Chromium", found is not None, found or "not found", cure, needed=False)


def _processors() -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding("processors", count >= 2, str(count), "two are recommended; all works with one", needed=False)
