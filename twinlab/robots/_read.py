"""Text of robot files into elements: URDF, SDF and MJCF told apart, xacro expanded, what is no robot refused."""

from collections.abc import Mapping
from typing import Literal
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from twinlab.robots._source import Source
from twinlab.robots._xacro import expanded

Format = Literal["urdf", "sdf", "mjcf"]
_FORMATS: dict[str, Format] = {"robot": "urdf", "sdf": "sdf", "mujoco": "mjcf"}


class _DocumentTypeError(Exception):
    pass


def read(source: Source, arguments: Mapping[str, str]) -> tuple[Format, Element]:
    """What kind of robot file it is, and its root element; xacro is expanded.

    Args:
        source: the file.
        arguments: of the xacro file, name → value.

    Raises:
        MeshError: it is empty, no XML, declares a document type, or is no robot.
    """
    source.files.append(source.path)
    data = source.path.read_bytes().strip(b" \t\r\n\0")  # blanks before the first tag are no XML, but seen often
    if not data:
        raise source.wrong("is empty; wanted a URDF, xacro, SDF or MJCF file")
    root = _parsed(data, source)
    if source.path.suffix == ".xacro" or any(_macro(element) for element in root.iter()):
        root = _parsed(expanded(source, arguments), source)
    elif arguments:
        raise source.wrong(f"is no xacro file, but came with arguments {dict(arguments)}; leave them out")
    if root.tag not in _FORMATS:
        raise source.wrong(f"holds <{root.tag}>; wanted <robot> (URDF, xacro), <sdf> or <mujoco> at its top, once")
    return _FORMATS[root.tag], root


def _macro(element: Element) -> bool:
    """Whether an element is for xacro, or has something for it in an attribute."""
    return element.tag.startswith("xacro:") or any("$(" in value or "${" in value for value in element.attrib.values())


def _parsed(data: bytes, source: Source) -> Element:
    """The root element.

    Prefixes stay in the tags, as old files use some that they never declare. Document types are refused: no robot file
    needs one, and entities can blow a small file up to gigabytes.
    """
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as told:
        raise source.wrong(f"is not XML ({told}); a URDF, xacro, SDF or MJCF file was wanted") from told
    except _DocumentTypeError as told:
        raise source.wrong("declares a document type (<!DOCTYPE); take it out, a robot file needs none") from told
    return builder.close()


def _refuse(*_: object) -> None:
    raise _DocumentTypeError
