"""xacro into URDF, in a process of its own that reads nothing outside of the roots and cannot do anything else.

A xacro file holds Python expressions, and a scene must not run code that its files name. xacro keeps expressions to
mathematics, but not tightly (names within a lambda are not looked at). So the process that expands a file refuses by
an audit hook (PEP 578) all that touches the machine, except opening files below the roots for reading.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from twinlab.robots import _expand
from twinlab.robots._source import Source

_LONGEST = 60.0  # how long a file may take [s]


def expanded(source: Source, arguments: Mapping[str, str]) -> bytes:
    """The URDF that a xacro file stands for; which files it included is kept in `source.files`.

    Args:
        source: the file; `$(find package)` is looked up as packages of meshes are.
        arguments: name → value, as on xacro's command line.

    Raises:
        MeshError: xacro cannot expand it, or it asks for what is not its own.
    """
    order = {"file": str(source.path), "roots": [str(root) for root in source.roots], "arguments": dict(arguments)}
    try:
        done = subprocess.run(
            [sys.executable, "-P", _expand.__file__],
            input=json.dumps(order), capture_output=True, text=True, timeout=_LONGEST, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as told:
        raise source.wrong(f"is not expanded by xacro within {_LONGEST:.0f} s; does a macro call itself?") from told
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"error": f"its process ended with code {done.returncode}. {done.stderr.strip()[-500:]}"}
    if "error" in answer:
        raise source.wrong(f"can't be expanded by xacro: {answer['error']}")
    source.files.extend(Path(file) for file in answer["files"])
    return str(answer["text"]).encode()
