"""The physics: the only module that imports pybullet. Names in, arrays out; one client, one clock."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twinlab.errors import WorldError
from twinlab.robots import Fixture, locate, prepare, quiet
from twinlab.snapshot import Piece, Visual
from twinlab.world import _ties as ties
from twinlab.world._drawn import visuals
from twinlab.world._kept import Body
from twinlab.world._kept import Saved as Saved
from twinlab.world._mechanism import Link as Link
from twinlab.world._mechanism import mechanism
from twinlab.world._moved import Moved
from twinlab.world._recipe import Different as Different
from twinlab.world._recipe import Recipe, key
from twinlab.world._robot import described, loaded
from twinlab.world._shapes import collision
from twinlab.world._try import translated

with quiet():  # PyBullet tells its build time on stderr, which notebooks would show
    import pybullet
    import pybullet_data

_STILL = (0.0, 0.0, 0.0)
_APART = 0.005  # contact breaking threshold: PyBullet multiplies it with the radius of the smaller body [1]


class World(Moved):
    """One PyBullet client with names.

    Args:
        step: length of a physics step [s].
        substeps: solver steps within each of them; more is finer and slower.
        iterations: solver iterations a substep.
        gravity: along z [m/s^2].
        roots: folders in which files are looked up, before pybullet_data; nothing outside of them is read.
        apart: how far surfaces part before their contact is forgotten, as a share of the smaller body's radius [1].

    Attributes:
        notes: what was wrong in the files of its robots and which default was taken, "arm: …".
    """

    def __init__(
        self,
        step: float = 1 / 240,
        substeps: int = 1,
        iterations: int = 50,
        gravity: float = -9.81,
        roots: Sequence[Path] = (),
        apart: float = _APART,
    ) -> None:
        self.client = pybullet.connect(pybullet.DIRECT)
        if self.client < 0:
            raise WorldError("PyBullet gave no client; close some worlds first (it can hold about 1,000)")
        if not pybullet.isNumpyEnabled():
            raise WorldError("this PyBullet was built without NumPy; install the wheel: pip install pybullet==3.2.7")
        self._step, self._substeps, self._iterations, self._gravity = step, substeps, iterations, gravity
        self._apart = apart
        self.roots = (*roots, Path(pybullet_data.getDataPath()))
        self._bodies, self._recipe = {}, Recipe()
        self.reset()

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect from PyBullet; calling it twice does no harm."""
        if self.client >= 0:
            pybullet.disconnect(self.client)
            self.client = -1

    def reset(self, again: bool = False) -> bool:
        """Empty the world and set the clock to zero.

        Args:
            again: whether the same bodies will be added in the same order. Then they are kept and put back where they
                stood; `add`, `assemble` and `load` raise `Different` at the first that is not the same.

        Returns:
            Whether they are kept. They are not where going back is not exact, as with moving compounds.
        """
        self._check_open()
        again = again and self._recipe.saved >= 0 and all(body.exact for body in self._bodies.values())
        if again:
            for link in tuple(self._ties):
                self.untie(link)
            pybullet.restoreState(stateId=self._recipe.saved, physicsClientId=self.client)
            self._recipe.at, self._recipe.again = 0, True
        else:
            self._empty()
        self.steps = 0
        self._bodies = {}
        self._robots: list[int] = []
        self._names, self._memo, self._driven = {}, {}, {}
        self._links, self._stood = (), None
        self._visuals = ()
        self.notes: tuple[str, ...] = ()
        self._surfaces = {}
        self._ties, self._loads, self._before = {}, {}, {}
        self._efforts: dict[tuple[str, ...], dict[str, Any]] = {}
        return again

    def built(self) -> None:
        """Say that all bodies are there: the next `reset(again=True)` can come back to here.

        Raises:
            Different: fewer bodies were added than before.
        """
        recipe = self._recipe
        if recipe.at < len(recipe.steps):
            raise Different
        if recipe.saved < 0 and all(body.exact for body in self._bodies.values()):
            recipe.saved = pybullet.saveState(physicsClientId=self.client)

    def _empty(self) -> None:
        self._recipe = Recipe()
        pybullet.resetSimulation(physicsClientId=self.client)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=self._step / self._substeps, numSolverIterations=self._iterations,
            contactBreakingThreshold=self._apart, deterministicOverlappingPairs=1, physicsClientId=self.client,
        )  # fmt: skip
        pybullet.setGravity(0, 0, self._gravity, physicsClientId=self.client)

    # ---- building

    def add(
        self,
        name: str,
        pieces: Sequence[Piece],
        pose: np.ndarray,
        mass: float = 0.0,
        friction: float = 0.6,
        rolling: float = 0.0,
        gyration: np.ndarray | None = None,
    ) -> None:
        """Add a rigid body of convex pieces.

        Args:
            name: its name; no other body may have it.
            pieces: what it is made of.
            pose: its frame in the world (7,).
            mass: [kg]; 0 stands still for ever.
            friction: Coulomb coefficient, multiplied with that of what it touches.
            rolling: rolling friction coefficient [m].
            gyration: moments of inertia over mass about its axes (3,) [m^2]; None for PyBullet's own, of its bounds.
        """
        made_of = key("add", name, [(p.solid, p.pose) for p in pieces], friction, rolling)
        number = self._recipe.known(made_of)
        if number is None:
            number = pybullet.createMultiBody(
                baseMass=mass,
                baseCollisionShapeIndex=collision(name, pieces, self.client),
                basePosition=pose[:3],
                baseOrientation=pose[3:],
                physicsClientId=self.client,
            )
            pybullet.changeDynamics(
                number, -1, lateralFriction=friction, rollingFriction=rolling, physicsClientId=self.client
            )
            self._recipe.wrote(made_of, number)
        body = self._register(name, number, (), mass)
        body.gyration = None if gyration is None else gyration.tolist()
        body.compound = sum(p.solid.form != "surface" for p in pieces) > 1
        self.place(name, pose, mass)  # also a new one, so that it stands where it will after a reset, to the last bit
        self._draw(body, 0, pieces)

    def assemble(self, name: str, pieces: Sequence[Piece], links: Sequence[Link], pose: np.ndarray) -> None:
        """Add a mechanism: a base that stands still and links that move against it or each other.

        Args:
            name: its name; joints and links are called as `links` are.
            pieces: what the base is made of; may be empty.
            links: each after its parent.
            pose: frame of the base in the world (7,).
        """
        parts = [(link.name, [(p.solid, p.pose) for p in link.pieces], link.pose, link.mass) for link in links]
        made_of = key("assemble", name, [(p.solid, p.pose) for p in pieces], parts)
        number = self._recipe.known(made_of)
        if number is None:
            number = mechanism(name, pieces, links, pose, self.client)
            self._recipe.wrote(made_of, number)
        else:
            pybullet.resetBasePositionAndOrientation(number, pose[:3], pose[3:], self.client)
        body = self._register(name, number, tuple(link.name for link in links))
        moving = [(i, link) for i, link in enumerate(links) if link.joint != "fixed"]
        body.exact = all(sum(p.solid.form != "surface" for p in link.pieces) < 2 for link in links)
        body.moves([(i, link.name, link.low, link.high) for i, link in moving])
        self._stand(name)
        self._robots += [number]
        for i, own in enumerate((pieces, *(link.pieces for link in links))):
            self._draw(body, i, own)

    def load(self, name: str, file: str, pose: np.ndarray, faces: int = 200, fixtures: Sequence[Fixture] = ()) -> None:
        """Load a robot from a URDF, xacro, SDF or MJCF file and fix its base.

        Args:
            name: the body's name.
            file: path below one of the roots.
            pose: frame of its base link in the world (7,).
            faces: to how many triangles each drawn mesh is reduced, or to more where that would be off by over 2 mm.
            fixtures: what is screwed to its links.

        Raises:
            MeshError: the file or a mesh that it names is missing, or PyBullet cannot read it.
        """
        made = prepare(name, file, self.roots, fixtures, translate=translated)
        self.notes += tuple(f"{name}: {note}" for note in made.notes)
        made_of = key("load", name, made.path, made.inertia, pose)
        number = self._recipe.known(made_of)
        if number is None:
            number = loaded(name, made, pose, self.client)
            self._recipe.wrote(made_of, number)
        links, joints, inertial = described(number, self.client)
        body = self._register(name, number, links)
        body.moves(joints)
        body.inertial = inertial
        self._stand(name)
        self._robots += [number] if body.joints else []
        self._visuals += tuple(visuals(number, body.index, body.first, faces, self.client))

    def find(self, file: str) -> Path:
        """A file by its path below one of the roots.

        Raises:
            MeshError: it is not there, or outside of all roots.
        """
        return locate(file, self.roots)

    # ---- moving

    def step(self) -> None:
        """One physics step; moving surfaces are pushed on before and put back after every substep."""
        self._check_open()
        self._memo.clear()
        self._before = {}
        client, surfaces, efforts, held = self.client, self._surfaces.values(), self._efforts.values(), self._ties
        if held:
            self._loads = {link: np.zeros(6) for link in held}
        for _ in range(self._substeps):
            for one in surfaces:
                pybullet.resetBaseVelocity(one.number, one.velocity, _STILL, client)
            for effort in efforts:
                pybullet.setJointMotorControlArray(**effort)
            pybullet.stepSimulation(client)
            for one in surfaces:
                pybullet.resetBasePositionAndOrientation(one.number, *one.home, client)
            if held:
                for link, tie in held.items():
                    self._loads[link] += ties.load(tie, client) / self._substeps
        for one in surfaces:
            one.travel += one.speed * self._step
        for number in self._robots:
            pybullet.getLinkState(number, 0, 0, 1, client)  # see `_follow`
        self.steps += 1

    # ---- going back

    def save(self) -> Saved:
        """The state of now, kept by PyBullet until `forget` or the next reset (400 KiB of memory each)."""
        self._check_open()
        masses = {name: body.mass for name, body in self._bodies.items() if body.mass is not None}
        surfaces = {name: (one.velocity, one.travel) for name, one in self._surfaces.items()}
        number = pybullet.saveState(physicsClientId=self.client)
        joints = {name: self._joints(body) for name, body in self._bodies.items() if body.joints}
        return Saved(number, self.steps, masses, surfaces, dict(self._ties), dict(self._loads), joints)

    def restore(self, saved: Saved) -> None:
        """Bring a state back: poses, velocities, contacts, masses, moving surfaces, the clock.

        Motors must be driven anew before the next step, as a cell's bodies do.
        """
        self._check_open()
        for name, mass in saved.masses.items():
            if self._bodies[name].mass != mass:
                self._weigh(name, mass)
        pybullet.restoreState(stateId=saved.number, physicsClientId=self.client)
        self._driven.clear()
        self._ties = ties.brought_back(self._ties, saved.ties, self.client)
        self._loads, self._before = dict(saved.loads), saved.joints
        for name in self._bodies:
            self._stand(name)
        for number in self._robots:
            self._follow(number)
        for name, (velocity, travel) in saved.surfaces.items():
            self.surface(name, np.array(velocity))
            self._surfaces[name].travel = travel
        self.steps = saved.steps

    def forget(self, saved: Saved) -> None:
        """Give back the memory that a saved state takes."""
        self._check_open()
        pybullet.removeState(saved.number, physicsClientId=self.client)

    def _draw(self, body: Body, link: int, pieces: Sequence[Piece]) -> None:
        self._visuals += tuple(
            Visual(body.first + link, body.index, p.solid.mesh, p.pose, p.colour, p.gloss, p.texture)
            for p in pieces
            if not p.hidden
        )

    def _register(self, name: str, number: int, links: tuple[str, ...], mass: float | None = None) -> Body:
        if name in self._bodies:
            raise WorldError(f"two bodies are called {name!r}; give each a name of its own")
        body = Body(number, len(self._bodies), len(self._links), links, mass=mass)
        self._bodies[name], self._names[number] = body, name
        self._links += (name, *(f"{name}/{link}" for link in links))
        return body
