"""The run directory as a whole: ``run.json``, its stages, its plan."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dtopics.data import Block
from dtopics.errors import RunAccessError, RunError, RunMismatchError
from dtopics.store.fingerprint import fingerprint
from dtopics.store.lease import Lease
from dtopics.store.location import Location
from dtopics.store.stage import Stage
from dtopics.store.state import check_stage, check_state

FORMAT_VERSION = 1


class Run:
    """A run directory.

    Parameters
    ----------
    location : Location
        Where it is, or will be.

    Attributes
    ----------
    state : dict
        What ``run.json`` says: ``corpus``, ``segments``, ``config`` and ``stages`` (the
        fingerprints) of the fit going on, ``fitted`` (the same of the last that was finished,
        with its ``topics_version`` and `versions`). `save` writes it.
    n_segments : int
        How many segments are looked at: those of the topics in use, or one more that is added.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self.state: dict[str, Any] = {"format_version": FORMAT_VERSION, "stages": {}}
        self.n_segments = 1
        self._lease: Lease | None = None

    @classmethod
    def open(cls, location: Location) -> Run:
        """Open a run that is there.

        Raises
        ------
        RunAccessError
            Where there is none.
        RunError
            Where its format is another version's, or ``run.json`` is not JSON.
        """
        run = cls(location)
        if not run.load():
            message = f"no run at {location}: there is no run.json; fit one with `dtopics fit`"
            raise RunAccessError(message)
        return run

    def load(self) -> bool:
        """Read ``run.json`` into `state`; return whether there is one."""
        try:
            data = (self.location / "run.json").read()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except RunAccessError:
            raise
        except Exception as error:  # without credentials, say: each store has errors of its own
            message = f"cannot read {self.location}/run.json: {type(error).__name__}: {error}"
            raise RunAccessError(message) from error
        try:
            state = json.loads(data)
        except ValueError as error:
            message = f"{self.location}/run.json is not JSON: {error}"
            raise RunError(message) from error
        if not isinstance(state, dict) or state.get("format_version") != FORMAT_VERSION:
            found = state.get("format_version") if isinstance(state, dict) else None
            message = (
                f"{self.location} has run format {found}, this dtopics reads {FORMAT_VERSION}; "
                "use the version of dtopics that wrote it"
            )
            raise RunError(message)
        state = {"stages": {}, **state}
        check_state(state, str(self.location))
        self.state = state
        self.n_segments = state.get("fitted", {}).get("segments", 1)
        return True

    @contextlib.contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Keep other processes from writing to the run inside the ``with``.

        Parameters
        ----------
        what : str
            What this one does, as others are told.

        Raises
        ------
        RunBusyError
            Where another process writes to it.
        """
        if self._lease is not None:
            yield
            return
        lease = Lease(self.location / "lease", what)
        lease.take()
        self._lease = lease
        try:
            yield
        finally:
            self._lease = None
            lease.release()

    def save(self) -> None:
        """Write `state` to ``run.json``, at once.

        Raises
        ------
        RunBusyError
            Where another process writes to the run.
        RunError
            Where one has written to it since this one read it.
        """
        with self.writing("a step"):
            assert self._lease is not None
            self._lease.check()
            now = Run(self.location)
            now.load()
            if now.state.get("revision", 0) != self.state.get("revision", 0):
                message = (
                    f"{self.location} was changed by another process; open it again, with "
                    "TopicModel.load, to go on from there"
                )
                raise RunError(message)
            self.state["revision"] = self.state.get("revision", 0) + 1
            data = json.dumps(self.state, indent=2, allow_nan=False).encode()
            (self.location / "run.json").write(data)

    def check_writable(self) -> None:
        """Raise RunAccessError where nothing can be written."""
        probe = self.location / f"probe-{uuid.uuid4().hex}"
        try:
            probe.create(b"")
            probe.remove()
        except RunAccessError:
            raise
        except Exception as error:
            message = f"cannot write to {self.location}: {type(error).__name__}: {error}"
            raise RunAccessError(message) from error

    def claim(self, corpus: str, described: str) -> None:
        """Make this the run of a corpus.

        Parameters
        ----------
        corpus : str
            The corpus's fingerprint.
        described : str
            What it is, for the error.

        Raises
        ------
        RunMismatchError
            Where the run holds another corpus; nothing of it is touched.
        """
        held = self.state.get("corpus")
        if held is not None and held["fingerprint"] != corpus:
            message = (
                f"{self.location} is the run of another corpus ({held['described']}); "
                f"this one is {described}. Give it a run directory of its own, or remove that one. "
                "Other files, columns or formats make another corpus, and so do changed files."
            )
            raise RunMismatchError(message)
        self.state["corpus"] = {"fingerprint": corpus, "described": described}

    def check_free(self, folder: Location) -> None:
        """See that the assignments in `folder`, if there are any, are this run's own.

        They are written over, and those of another configuration go: what somebody else left
        under such names must not.

        Raises
        ------
        RunMismatchError
        """
        parts = [name for name in folder.names() if name.startswith("part-")]
        if parts and "assignments" not in self.state:
            message = (
                f"{folder} holds {parts[0]}, which this run did not write and would remove; give a "
                "folder that is new or empty"
            )
            raise RunMismatchError(message)

    def stage(
        self,
        name: str,
        config: Mapping[str, Any],
        reads: Sequence[Stage | str] = (),
        segments: Sequence[tuple[str, int, int]] = (),
    ) -> Stage:
        """Return the stage of this configuration and put it into use.

        Parameters
        ----------
        name : str
        config : mapping
            What its data depends on, beside what it reads.
        reads : sequence of Stage or str
            The stages, or other fingerprints, that it reads.
        segments : sequence of (name, n_rows, block_rows)
            As in `Stage`, where its blocks are not the plan's.
        """
        self._catch_up()
        keys = [read if isinstance(read, str) else read.fingerprint for read in reads]
        key = fingerprint(name, config, keys)
        self.state["stages"][name] = key
        if segments:
            self.state.setdefault("divided", {})[key] = [list(segment) for segment in segments]
        self.save()
        return self.stage_at(name, key)

    def _catch_up(self) -> None:
        """Take over what other handles of the same topics noted meanwhile.

        Steps that only look, at topics over time say, note their stages as well: two handles must
        not refuse each other for that.
        """
        if self._lease is not None:
            return
        now = Run(self.location)
        if now.load() and now._topics_version == self._topics_version:
            self.state["revision"] = now.state.get("revision", 0)
            self.state["stages"] = {**now.state["stages"], **self.state["stages"]}
            divided = {**now.state.get("divided", {}), **self.state.get("divided", {})}
            self.state["divided"] = divided
            segments, others = self.state.get("segments", []), now.state.get("segments", [])
            if others[: len(segments)] == segments:  # of an update that was broken off
                self.state["segments"] = others

    @property
    def _topics_version(self) -> str | None:
        version: str | None = self.state.get("fitted", {}).get("topics_version")
        return version

    def use(self, stages: Mapping[str, str]) -> None:
        """Put stages into use that are there already, by their names and fingerprints."""
        self.state["stages"].update(stages)
        self.save()

    def has_fitted(self, name: str) -> bool:
        """Whether the last fit that was finished has a stage of this name."""
        return name in self.state.get("fitted", {}).get("stages", {})

    def fitted(self, name: str) -> Stage:
        """Return a stage of the last fit that was finished.

        Raises
        ------
        RunError
            Where no fit was finished.
        """
        if not self.has_fitted(name):
            message = f"{self.location} has no {name} yet; run the same `dtopics fit` again"
            raise RunError(message)
        return self.stage_at(name, self.state["fitted"]["stages"][name])

    @property
    def labelled(self) -> Stage:
        """The stage of the documents' labels, which the topics in use map."""
        return self.fitted("labels" if self.has_fitted("labels") else "clusters")

    def in_use(self) -> list[Stage]:
        """Return the stages of the fit that is going on, or was the last, in their order."""
        return [self.stage_at(name, key) for name, key in self.state["stages"].items()]

    @property
    def finished(self) -> dict[str, Any]:
        """The configuration, stages and topics of the last fit that was finished.

        Raises
        ------
        RunError
            Where none was.
        """
        if "fitted" not in self.state:
            message = f"the fit in {self.location} is not finished; run the same command again"
            raise RunError(message)
        return self.state["fitted"]  # type: ignore[no-any-return]

    def blocks(self) -> list[Block]:
        """Return the plan's blocks without their pieces."""
        return [
            Block(segment["name"], index, start, min(rows, segment["n_rows"] - start))
            for segment in self.segments
            for rows in [segment["block_rows"]]
            for index, start in enumerate(range(0, segment["n_rows"], rows))
        ]

    def begin(self, config: Mapping[str, Any]) -> None:
        """Note what a fit is about to do; what earlier ones left stays until it is done."""
        self.n_segments = 1
        self.state["config"] = dict(config)
        self.state["stages"] = {}
        self.save()

    def finish(self, topics_version: str) -> None:
        """Note that the fit is done, and put its topics into use."""
        stages = dict(self.state["stages"])
        self.state["fitted"] = {
            "config": self.state["config"],
            "stages": stages,
            "topics_version": topics_version,
            "segments": self.n_segments,
            "versions": [
                {"version": topics_version, "made": "fit", "stages": stages,
                 "segments": self.n_segments}
            ],
        }  # fmt: skip
        self.save()

    @property
    def versions(self) -> list[dict[str, Any]]:
        """The versions of the topics since the fit, the last of which is in use.

        Each has its ``version``, what ``made`` it, and the ``stages`` that it changed, by name.
        """
        return list(self.finished["versions"])

    def add_version(self, topics_version: str, made: str, stages: Mapping[str, str]) -> None:
        """Put a version of the topics into use that was made of the one before.

        Parameters
        ----------
        topics_version : str
        made : str
            The step that made it, for people.
        stages : mapping of str to str
            Fingerprints of the stages that are others than before, by name.
        """
        entry = {"version": topics_version, "made": made, "stages": dict(stages),
                 "segments": self.n_segments}  # fmt: skip
        self._use_versions([*self.versions, entry])

    def drop_versions(self, n_kept: int) -> None:
        """Take an earlier version of the topics up again; what later ones left stays."""
        self._use_versions(self.versions[:n_kept])

    def _use_versions(self, versions: list[dict[str, Any]]) -> None:
        stages: dict[str, str] = {}
        for entry in versions:
            stages.update(entry["stages"])
        self.state["stages"].update(stages)
        self.state["fitted"].update(
            versions=versions, stages=stages, topics_version=versions[-1]["version"],
            segments=versions[-1]["segments"],
        )  # fmt: skip
        self._forget_divisions()
        self.n_segments = versions[-1]["segments"]
        self.save()

    def _forget_divisions(self) -> None:
        """Forget how stages are divided that no version has: each update leaves some."""
        every = [self.state["stages"], *(entry["stages"] for entry in self.versions)]
        used = {key for stages in every for key in stages.values()}
        held = self.state.get("divided", {})
        self.state["divided"] = {key: parts for key, parts in held.items() if key in used}

    def topics_folder(self, version: str) -> Location:
        """Return where a version of the topics lies; a version is its stage's fingerprint."""
        return self.location / "topics" / version

    @property
    def foreign(self) -> Location:
        """Where objects lie that only pickle can keep."""
        return self.location / "foreign"

    def stage_at(self, name: str, key: str) -> Stage:
        """Return a stage by its name and fingerprint, as it lies there."""
        check_stage(name, key)
        planned = [[s["name"], s["n_rows"], s["block_rows"]] for s in self.segments]
        divided = self.state.get("divided", {}).get(key, planned)
        if planned and planned[0] in divided:  # the plan's blocks, and others beside them
            names = {name for name, _, _ in planned}
            divided = [*planned, *(entry for entry in divided if entry[0] not in names)]
        segments = tuple((str(s), int(n), int(rows)) for s, n, rows in divided)
        return Stage(name, key, self.location / "stages" / name / key, segments)

    @property
    def segments(self) -> list[dict[str, Any]]:
        """The segments' names and row counts, as ``run.json`` has them."""
        return self.state.get("segments", [])[: self.n_segments]  # type: ignore[no-any-return]

    @property
    def starts(self) -> dict[str, int]:
        """The number of the first document of each segment."""
        starts, start = {}, 0
        for segment in self.segments:
            starts[segment["name"]] = start
            start += segment["n_rows"]
        return starts

    def over_segments(self, stage: Stage) -> Stage:
        """Return a stage under a key that says how many segments are read of it.

        Its blocks of earlier segments stay when one is added; what is summed over all does not.
        """
        if self.n_segments == 1:
            return stage
        key = fingerprint("segments", {"n": self.n_segments}, [stage.fingerprint, *(
            segment["corpus"] + segment["vectors"] for segment in self.segments[1:]
        )])  # fmt: skip
        return replace(stage, fingerprint=key)
