"""Checkpoints on disk: a folder each, that is there whole or not at all.

::

    checkpoints/step_00000420/
        weights.safetensors   parameters and buffers, by the model's own names
        state.safetensors     arrays of all else: optimizer, random states, what is known of samples
        state.json            plain values, and where the arrays belong
        ledger.json           what a person told the training
        checkpoint.json       what it is a checkpoint of

A folder is made under another name, synced, and renamed. Nothing in it is executed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from coflect_widget.records.course import goings_back
from coflect_widget.records.durable import sync_folder
from coflect_widget.records.inside import TEXT_BYTES, is_there, open_inside, read_text
from coflect_widget.records.tensors import NoTensorsError, read_tensors, shapes_in, write_tensors
from coflect_widget.records.trees import Arrays, Bits, pack, unpack

FORMAT = "coflect-checkpoint-1"
FOLDER = "checkpoints"
MANIFEST, WEIGHTS = "checkpoint.json", "weights.safetensors"
STATE, ARRAYS, LEDGER = "state.json", "state.safetensors", "ledger.json"
_NAME = re.compile(r"step_\d{8,}(?:-\d+)?$")
_PART = re.compile(r"\.step_[\d-]+\.[0-9a-f]+\.part$")
#: Bytes of a text and of arrays that are read: what a file claims is not believed.
_MOST_TEXT, MOST_BYTES = 4 * TEXT_BYTES, 2**36
#: Checkpoints beside the best and the named ones that stay.
KEPT = 2
#: Reasons of those that come before what a person said: the first and the newest few stay, so that
#: the run can be replayed from there.
SAID = ("said", "knob")


class NoCheckpointError(ValueError):
    """A folder is no whole checkpoint; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a validation came to, by which the best checkpoint is chosen."""

    metric: str  #: such as "accuracy"
    direction: str  #: "higher" or "lower" is better
    value: float

    def beats(self, other: Score | None) -> bool:
        """Whether it is better; any is better than none, and than one of another metric."""
        if other is None or (other.metric, other.direction) != (self.metric, self.direction):
            return True
        return self.value > other.value if self.direction == "higher" else self.value < other.value

    def __str__(self) -> str:
        return f"{self.metric} {self.value:.4g} on validation, {self.direction} is better"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint of a run.

    Attributes
    ----------
    path : Path
        Its folder.
    step, epoch : int
        Optimizer steps done, and epochs completed.
    seq : int
        Events of the run that it has taken in have a smaller number.
    reason : str
        "time", "epoch", "best", "said", "knob", "asked", "finished", "stopped" or "failed".
    name : str
        Given by a person; such a checkpoint stays.
    score : Score or None
        Of the validation at that epoch's end, where it was the best so far.
    when : str
        UTC, as in ISO 8601.
    lacks : tuple of str
        What could not be kept.
    inexact : tuple of str
        Why a training that goes on from it differs from one that was not interrupted.
    facts : mapping
        Of model, data and settings, to compare with when it is resumed.
    """

    path: Path
    step: int
    epoch: int
    seq: int
    reason: str
    name: str
    score: Score | None
    when: str
    lacks: tuple[str, ...]
    inexact: tuple[str, ...]
    facts: Mapping[str, Any]

    @property
    def weights(self) -> Path:
        """The safetensors file of the weights."""
        return self.path / WEIGHTS

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.path.iterdir())


class Checkpoints(list[Checkpoint]):
    """The checkpoints of a run, oldest first; by number, or by the name that a person gave."""

    def __getitem__(self, which: Any) -> Any:
        if not isinstance(which, str):
            return super().__getitem__(which)
        for one in reversed(self):
            if one.name == which:
                return one
        named = [one.name for one in self if one.name]
        raise KeyError(f"no checkpoint is named {which!r}; named are: {', '.join(named) or 'none'}")

    @property
    def last(self) -> Checkpoint | None:
        """The one that was taken last."""
        return self[-1] if self else None

    @property
    def best(self) -> Checkpoint | None:
        """The one with the best validation in the run's course."""
        found: Checkpoint | None = None
        for one in self.of_course() if any(one.score is not None for one in self) else ():
            if one.score is not None and (found is None or one.score.beats(found.score)):
                found = one
        return found

    def of_course(self) -> list[Checkpoint]:
        """Those of what the run came to: what was gone back behind is left out."""
        if not self:
            return []
        kept: set[str] = set()
        until, back = float("inf"), ""
        for event, seq, name in reversed(goings_back(self[0].path.parent.parent)):
            if event < until or name == back:  # else of a course that was left
                kept |= {one.path.name for one in self if event < one.seq < until}
                kept.add(name)
                until, back = seq, name
        return [one for one in self if one.seq < until or one.path.name in kept]

    def of(self, step: int) -> Checkpoint | None:
        """The newest one of a step."""
        return next((one for one in reversed(self) if one.step == step), None)


def pick(run: str, found: Checkpoints, which: str | Checkpoint) -> Checkpoint:
    """The one rule by which a checkpoint is chosen: "best", "last", or a name that a person gave.

    Parameters
    ----------
    run : str
        Its id, for errors.
    found : Checkpoints
    which : str or Checkpoint
        A checkpoint is taken as it is.

    Raises
    ------
    ValueError
        If there is none such; no other is taken in its place.
    """
    if isinstance(which, Checkpoint):
        return which
    if not found:
        raise ValueError(
            f"{run} has no whole checkpoint; session.checkpoint() and every training's end "
            "leave one"
        )
    chosen = {"last": found.last, "best": found.best}.get(which)
    if chosen is not None:
        return chosen
    if which == "best":
        why = (
            "no epoch was validated since it went on from an earlier state or a kept branch; "
            'train one, or pass checkpoint="last"'
            if goings_back(found[0].path.parent.parent)
            else 'no validation was made; pass checkpoint="last"'
        )
        raise ValueError(f"{run} has no best checkpoint, because {why}")
    named = sorted({one.name for one in found if one.name})
    if which not in named:
        names = ["best", "last", *named]
        raise ValueError(f"checkpoint={which!r}: {run} has {', '.join(map(repr, names))}")
    return found[which]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a checkpoint holds.

    Attributes
    ----------
    weights : dict of arrays
    tree : Any
        All else, as it was given to `write_checkpoint`.
    ledger : str
        JSON.
    """

    weights: Arrays
    tree: Any
    ledger: str


def write_checkpoint(
    folder: Path,
    manifest: Mapping[str, Any],
    contents: Contents,
    aliases: Mapping[str, str] | None = None,
) -> Checkpoint:
    """Write a checkpoint into `folder`; on disk, under its own name, when this returns.

    Parameters
    ----------
    manifest : mapping
        The fields of `Checkpoint` but for `path`; what the tree holds and cannot be written is
        added to its "lacks".
    aliases : mapping, optional
        Weights that are the same memory as another one: they are written once, under its name.

    Raises
    ------
    OSError
        If the disk refuses. Nothing is left of it then.
    """
    folder.mkdir(exist_ok=True)  # the run folder is not made again: who moved it may bring it back
    name = f"step_{manifest['step']:08d}"
    part = folder / f".{name}.{secrets.token_hex(6)}.part"
    packed = pack(contents.tree)
    facts = {"format": FORMAT, **manifest, "lacks": [*manifest["lacks"], *packed.lacks]}
    try:
        part.mkdir()
        sizes = {
            WEIGHTS: write_tensors(part / WEIGHTS, contents.weights, aliases),
            ARRAYS: write_tensors(part / ARRAYS, packed.arrays),
        }
        for file, text in ((STATE, json.dumps(packed.plain)), (LEDGER, contents.ledger)):
            sizes[file] = (part / file).write_bytes(text.encode())
        facts["bytes"] = sizes
        (part / MANIFEST).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        for file in (*sizes, MANIFEST):
            with (part / file).open("r+b") as written:
                os.fsync(written.fileno())
        sync_folder(part)
        path = _renamed(part, folder / name)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)  # on a full disk it would take the last room
        raise
    sync_folder(folder)
    return _checkpoint(path, facts)


def _renamed(part: Path, path: Path) -> Path:
    number = 1
    wanted = path
    while path.exists():
        number += 1
        path = wanted.with_name(f"{wanted.name}-{number}")
    return part.rename(path)


def find_checkpoints(run: Path) -> Checkpoints:
    """The whole checkpoints in a run folder, oldest first; what is damaged is left out."""
    found = []
    try:
        names = sorted(path.name for path in (run / FOLDER).iterdir())
    except OSError:
        return Checkpoints()
    for name in names:
        if _NAME.match(name):
            with contextlib.suppress(NoCheckpointError):
                found.append(look_at(run, name))
    return Checkpoints(sorted(found, key=lambda one: (one.seq, one.when, one.path.name)))


def look_at(run: Path, name: str) -> Checkpoint:
    """What the checkpoint `name` of a run says of itself, with the sizes of its files compared.

    Raises
    ------
    NoCheckpointError
        If it is none, or not whole.
    """
    path = run / FOLDER / name
    try:
        facts = json.loads(read_text(run, f"{FOLDER}/{name}/{MANIFEST}"))
        if facts["format"] != FORMAT:
            raise ValueError(f"its format is {facts['format']!r}, this version reads {FORMAT!r}")
        for file in (WEIGHTS, ARRAYS, STATE, LEDGER):
            with open_inside(run, f"{FOLDER}/{name}/{file}") as opened:
                size = os.fstat(opened.fileno()).st_size
            if size != facts["bytes"][file]:
                raise ValueError(f"{file} has {size:,} bytes in place of {facts['bytes'][file]:,}")
        return _checkpoint(path, facts)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise NoCheckpointError(f"{str(path)!r} is no whole checkpoint: {error}") from None


def read_checkpoint(checkpoint: Checkpoint, most: int = MOST_BYTES) -> Contents:
    """Read all of a checkpoint; of a file with more than `most` bytes of arrays nothing.

    Raises
    ------
    NoCheckpointError
        If it is damaged.
    """
    run, name = checkpoint.path.parent.parent, checkpoint.path.name
    try:
        weights = _arrays(run, name, WEIGHTS, most)
        plain = json.loads(read_text(run, f"{FOLDER}/{name}/{STATE}", _MOST_TEXT))
        tree = unpack(plain, _arrays(run, name, ARRAYS, most))
        ledger = read_text(run, f"{FOLDER}/{name}/{LEDGER}", _MOST_TEXT)
    except (OSError, NoTensorsError, ValueError, KeyError, TypeError, RecursionError) as error:
        path = str(checkpoint.path)
        raise NoCheckpointError(f"{path!r} is no whole checkpoint: {error}") from None
    return Contents(weights, tree, ledger)


def weight_shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Names and shapes of its weights, without reading them.

    Raises
    ------
    NoCheckpointError
        If they cannot be read.
    """
    run, name = checkpoint.path.parent.parent, checkpoint.path.name
    try:
        with open_inside(run, f"{FOLDER}/{name}/{WEIGHTS}") as file:
            return shapes_in(file, os.fstat(file.fileno()).st_size)
    except (OSError, ValueError) as error:
        raise NoCheckpointError(f"{str(checkpoint.weights)!r} cannot be read: {error}") from None


def remove(checkpoints: Iterable[Checkpoint]) -> None:
    """Delete checkpoints; one that a program holds open stays until the next time."""
    for one in checkpoints:
        # Under a name that nobody takes for a checkpoint: what is half deleted is none.
        part = one.path.with_name(f".{one.path.name}.{secrets.token_hex(6)}.part")
        with contextlib.suppress(OSError):
            one.path.rename(part)
            shutil.rmtree(part, ignore_errors=True)


def sweep(run: Path) -> None:
    """Remove what a process left that was killed while it wrote; for the run's one writer."""
    folder = run / FOLDER
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        if _PART.match(path.name) and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _arrays(run: Path, name: str, file: str, most: int) -> dict[str, NDArray[Any] | Bits]:
    with open_inside(run, f"{FOLDER}/{name}/{file}", most) as opened:
        return read_tensors(opened, os.fstat(opened.fileno()).st_size)


def _checkpoint(path: Path, facts: Mapping[str, Any]) -> Checkpoint:
    score = facts.get("score")
    return Checkpoint(
        path=path,
        step=int(facts["step"]),
        epoch=int(facts["epoch"]),
        seq=int(facts["seq"]),
        reason=str(facts["reason"]),
        name=str(facts["name"]),
        score=None
        if score is None
        else Score(str(score["metric"]), str(score["direction"]), float(score["value"])),
        when=str(facts["when"]),
        lacks=tuple(map(str, facts["lacks"])),
        inexact=tuple(map(str, facts["inexact"])),
        facts=dict(facts["facts"]),
    )


def run_of(path: Path) -> tuple[Path, str]:
    """Run folder, and name of the checkpoint or "", of a path to either."""
    if path.parent.name == FOLDER and is_there(path.parent.parent, "events.jsonl"):
        return path.parent.parent, path.name
    return path, ""


def needless(found: Checkpoints) -> list[Checkpoint]:
    """Those that need not be kept.

    All but the last few steps, the best, the named ones, and some from before a person's words.
    """
    best = found.best
    said = [one for one in found if one.reason in SAID]
    kept = [*said[:1], *_newest(said), *_newest(found)]
    return [one for one in found if not (one.name or one is best or one in kept)]


def _newest(found: Iterable[Checkpoint]) -> list[Checkpoint]:
    """The newest of each of the last few steps."""
    newest: list[Checkpoint] = []
    for one in reversed([*found]):
        if len(newest) < KEPT and one.step not in [kept.step for kept in newest]:
            newest.append(one)
    return newest
