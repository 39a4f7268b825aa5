"""The tree of a robot's links: names that are unique, one root, no cycle; its tips, and where its arm ends."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from twinlab.errors import did_you_mean
from twinlab.robots._source import Source

FIXED = ("fixed", "floating", "planar")  # types of joints that nothing drives: they stand still here
_TOOLS = ("tool0", "tcp", "tool", "grasptarget", "grasp", "ee_link", "ee", "tip", "flange")  # usual ends of such names


@dataclass(frozen=True, eq=False)
class Tree:
    """A robot's links and joints.

    Attributes:
        links: name → element, in the order of the file.
        joints: name → element, in the order of the file.
        parent: joint → name of its parent link.
        child: joint → name of its child link.
        root: the link that hangs on none.
    """

    links: Mapping[str, Element]
    joints: Mapping[str, Element]
    parent: Mapping[str, str]
    child: Mapping[str, str]
    root: str

    def below(self, link: str) -> Iterator[str]:
        """The joints whose parent a link is."""
        return (joint for joint, parent in self.parent.items() if parent == link)

    def tips(self) -> tuple[str, ...]:
        """The links that carry no other."""
        return tuple(link for link in self.links if link not in self.parent.values())

    def moving(self, joint: str) -> bool:
        """Whether a joint moves."""
        return self.joints[joint].get("type") not in FIXED

    def rigid(self, link: str) -> tuple[str, ...]:
        """A link and all that hang on it by joints that do not move."""
        fixed = [joint for joint in self.below(link) if not self.moving(joint)]
        return (link, *(one for joint in fixed for one in self.rigid(self.child[joint])))

    def arm(self, mounted: Sequence[str] = ()) -> tuple[tuple[str, ...], str]:
        """The joints of the arm, base first, and the link that is its tool: a guess that a scene may overrule.

        The arm goes on as long as each part moves just one other: it ends at a hand, whose fingers are several, or at
        the last link. Of the tips that are fixed to its end the tool is the last of those that the scene mounted, else
        one with a usual name, else the last one.

        Args:
            mounted: tips that the scene added.
        """
        joints, link = [], self.root
        while len(onward := self._onward(link)) == 1:
            joints += onward
            link = self.child[onward[0]]
        ends = [one for one in self.rigid(link) if one in self.tips()] or [link]
        own = [one for one in reversed(ends) if one in mounted]
        named = [one for tool in _TOOLS for one in ends if one.lower().endswith(tool)]
        return tuple(joints), [*own, *named, ends[-1]][0]

    def _onward(self, link: str) -> list[str]:
        """The joints that move parts against a link or what is fixed to it."""
        return [joint for one in self.rigid(link) for joint in self.below(one) if self.moving(joint)]


def tree(robot: Element, source: Source) -> Tree:
    """The links and joints of a robot.

    Raises:
        MeshError: a name is missing or there twice, a joint names no link, or they are no tree with one root.
    """
    links, joints = _named(robot, "link", source), _named(robot, "joint", source)
    if not links:
        raise source.wrong("has no <link>; is it a file of macros that another one calls?")
    parent, child = ({j: _end(joints[j], j, tag, links, source) for j in joints} for tag in ("parent", "child"))
    doubled = [link for link in links if list(child.values()).count(link) > 1]
    if doubled:
        by = [joint for joint, link in child.items() if link == doubled[0]]
        raise source.wrong(f"hangs the link {doubled[0]!r} on the joints {by}; a link has one parent, keep one of them")
    roots = [link for link in links if link not in child.values()]
    if not roots:
        raise source.wrong("has no root: each link hangs on another; take out the joint that closes the circle")
    if len(roots) > 1:
        raise source.wrong(
            f"has {len(roots)} roots, {roots}, and no joint ties them to each other; wanted one tree. Add fixed joints"
        )
    found = Tree(links, joints, parent, child, roots[0])
    reached = [found.root]
    for link in reached:  # grows while it is gone through
        reached += [child[joint] for joint in found.below(link)]
    if lost := [link for link in links if link not in reached]:
        raise source.wrong(f"ties the links {lost} in a circle, apart from its root {found.root!r}; take out one joint")
    return found


def _named(robot: Element, tag: str, source: Source) -> dict[str, Element]:
    out: dict[str, Element] = {}
    for number, element in enumerate(robot.findall(tag), 1):
        name = element.get("name", "").strip()
        if not name:
            raise source.wrong(f"has a <{tag}> without a name, the {number}. one; give it one")
        if name in out:
            raise source.wrong(f"has two {tag}s called {name!r}; give each a name of its own")
        element.set("name", name)
        out[name] = element
    return out


def _end(element: Element, joint: str, tag: str, links: Mapping[str, Element], source: Source) -> str:
    """The parent or child link of a joint."""
    found = element.find(tag)
    name = "" if found is None else found.get("link", "").strip()
    if name not in links:
        raise source.wrong(
            f"names the {tag} link {name!r} in the joint {joint!r}; there are {list(links)}.{did_you_mean(name, links)}"
        )
    return name
