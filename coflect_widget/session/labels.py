"""Suspected labels, what a person says of them, and what is remembered of samples on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from coflect_widget import events
from coflect_widget.forecast import memory
from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.forecast.ranking import count_suspects, suspects
from coflect_widget.records.checkpoint_files import Contents
from coflect_widget.session.samples import Samples
from coflect_widget.session.telling import Telling, when_applied
from coflect_widget.tasks.base import Task
from coflect_widget.telemetry.store import JUDGED, LEFT_OUT
from coflect_widget.training.controls import Controls
from coflect_widget.training.own_loop import OwnLoop

#: Suspects that an event names; all of them are in `session.suspects`.
NAMED = 20


@dataclass(frozen=True, slots=True)
class Suspect:
    """A sample whose label may be wrong.

    Attributes
    ----------
    index : int
    doubt : float
        In [0, 1]: a score, and no probability.
    target, suggested : int
        Its label, and the class that the model sees in it.
    judged : str
        "right", "wrong" or "leave out" where a person has said so, else "".
    """

    index: int
    doubt: float
    target: int
    suggested: int
    judged: str


class Labels:
    """Who may be labelled wrongly, and the verdicts in force; any thread.

    Parameters
    ----------
    backend, task, controls, own_loop, samples, forecaster, tell
        What it acts on.
    labels_changed : callable (set of int)
        Told which samples were judged, at a step boundary; what was drawn on them follows.
    """

    def __init__(
        self,
        backend: Any,
        task: Task,
        controls: Controls,
        own_loop: OwnLoop,
        samples: Samples,
        forecaster: Forecaster,
        tell: Telling,
        labels_changed: Callable[[set[int]], None],
    ) -> None:
        self._backend = backend
        self._task = task
        self._controls = controls
        self._own_loop = own_loop
        self._samples = samples
        self._forecaster = forecaster
        self._tell = tell
        self._labels_changed = labels_changed
        self.verdicts: dict[int, events.Judged] = {}  # the one in force, of each sample judged

    # --- suspected labels ------------------------------------------------------------------------

    def suspects(self, most: int | None = None) -> list[Suspect]:
        """Most doubtful first, then those that were judged; on any thread."""
        store = self._forecaster.store
        found = suspects(store, most or store.num_samples)
        rows = [*found.tolist(), *(i for i in list(self.verdicts) if i not in set(found.tolist()))]
        return [
            Suspect(
                index=i,
                doubt=_share(float(store.doubt[i])),
                target=int(store.target[i]),
                suggested=int(store.predicted[i]),
                judged=self.verdicts[i].verdict if i in self.verdicts else "",
            )
            for i in rows
        ]

    def listed(self) -> events.Suspects:
        """The first of them and those judged, as they are recorded and shown."""
        store = self._forecaster.store
        first = self.suspects(NAMED)
        return events.Suspects(
            count=count_suspects(store),
            index=[s.index for s in first],
            doubt=[round(s.doubt, 4) for s in first],
            target=[s.target for s in first],
            suggested=[s.suggested for s in first],
            judged=[s.judged for s in first],
            noise=round(self._forecaster.queue.noise.rate, 4),
        )

    def judge(self, command: events.Judge) -> Future[events.Judged]:
        """Check now, apply at the next step boundary; done once it is on disk. Any thread.

        Raises
        ------
        ValueError, IndexError
            If it cannot be used; nothing has changed then.
        """
        self._samples.check(command.index)
        self.check_able()
        label = command.label
        if command.verdict == "wrong":
            if label is None:
                label = int(self._forecaster.store.predicted[command.index])
            self.check_label(label)
        elif label is not None:
            raise ValueError(f'a label is given with "wrong" only, not with {command.verdict!r}')
        recorded: Future[events.Judged] = Future()
        apply = partial(self._judge, command.index, command.verdict, label, recorded)
        when_applied(self._controls.submit(apply), recorded)
        return recorded

    def check_able(self) -> None:
        """Raise ValueError where training takes no other labels than the data set's."""
        if not self._task.labelled:
            raise ValueError(
                "samples are judged and left out where each has one class, and this is a "
                f"{self._task.name.replace('_', ' ')}; give a session data without them"
            )
        if not self._backend.takes_labels:
            raise ValueError(
                f"the {self._backend.name} backend cannot change labels while it trains"
            )

    def check_label(self, label: int) -> None:
        """Raise ValueError where a label is no class."""
        if not self._task.has_label(label):
            raise ValueError(
                f"label={label} is no class; the model has {self._task.groups}, counted from 0"
            )

    # --- at a step boundary, on the thread that trains ------------------------------------------

    def _judge(
        self, index: int, verdict: events.Verdict, label: int | None, recorded: Future[Any]
    ) -> None:
        data = self.verdict_on(index, verdict, label)
        self.put([data])
        if self._own_loop.open and not self._own_loop.judges:
            self._tell.warn(
                f"The batches of a loop of your own come as your loader gives them: sample {index} "
                "is trained as judged only where your loop sees to it."
            )
        self._tell.durably(data, recorded, data)

    def replay(self, data: events.Judged) -> None:
        """What was said at this step before the run was interrupted; it is on record already."""
        self.put([data])

    def verdict_on(self, index: int, verdict: events.Verdict, label: int | None) -> events.Judged:
        """A verdict beside the one in force; nothing changes."""
        own = int(self._backend.label_of(index))
        earlier = self.verdicts.get(index)
        before = own if earlier is None or earlier.label is None else earlier.label
        if verdict in ("right", "undo"):
            label = own
        return events.Judged(
            index=index, verdict=verdict, label=label, before=before, author=self._tell.author
        )

    def put(self, judged: Sequence[events.Judged]) -> None:
        """Have these verdicts in force, each in the place of the sample's earlier one."""
        verdicts = {**self.verdicts}
        for one in judged:
            verdicts[one.index] = one
            if one.verdict == "undo":
                del verdicts[one.index]
        # First what can fail: the log has only what training took.
        try:
            self._backend.set_labels(labels_of(verdicts))
            self._labels_changed({one.index for one in judged})
        except Exception:
            self._backend.set_labels(labels_of(self.verdicts))
            raise
        self.verdicts = verdicts
        self._forecaster.mark(partial(self._mark, list(judged)))

    def _mark(self, judged: Sequence[events.Judged]) -> None:
        store = self._forecaster.store
        for one in judged:
            index, label = one.index, one.label
            store.flags[index] &= ~np.uint8(JUDGED | LEFT_OUT)
            if one.verdict != "undo":
                store.flags[index] |= LEFT_OUT if one.verdict == "leave out" else JUDGED
            if label is not None and label != store.target[index]:
                suggested = store.predicted[index]
                store.forget(index)  # its history was another label's
                store.target[index], store.predicted[index] = label, suggested  # for the list
        self._forecaster.foresight.update(np.array([one.index for one in judged], np.int64))
        self._tell.emit(self.listed())
        self._forecaster.rank_again()

    # --- state -----------------------------------------------------------------------------------

    def kept(self) -> list[dict[str, Any]]:
        """The verdicts in force, for a checkpoint."""
        return [verdict.model_dump() for verdict in self.verdicts.values()]

    def take(self, kept: Sequence[Mapping[str, Any]]) -> None:
        """Put verdicts of a checkpoint into force; while nothing trains.

        The samples' flags are those of the forecast's memory.
        """
        found = [events.Judged.model_validate(one) for one in kept]
        self.verdicts = {verdict.index: verdict for verdict in found}
        if self.verdicts:
            self._backend.set_labels(labels_of(self.verdicts))

    def remember(self, contents: Contents) -> None:
        """Go on from what another session's checkpoint knows of the samples.

        Raises
        ------
        ValueError
            If it is of other training data.
        """
        kept = contents.tree["telemetry"]
        if kept is None:
            raise ValueError("the checkpoint has no memory of the samples")
        memory.check(kept["forecast"], self._forecaster.store)
        self.take(contents.tree["verdicts"])
        self._labels_changed(set(self.verdicts))
        self._forecaster.mark(partial(memory.restore_samples, self._forecaster, kept["forecast"]))


def labels_of(verdicts: Mapping[int, events.Judged]) -> dict[int, int | None]:
    """Labels that training is to use instead of the data set's; None leaves the sample out."""
    return {
        index: judged.label if judged.verdict == "wrong" else None
        for index, judged in verdicts.items()
        if judged.verdict != "right"
    }


def _share(doubt: float) -> float:
    """Doubt in [0, 1]: a half where suspicion begins."""
    doubt = max(0.0, min(doubt, 1e4))
    return doubt / (doubt + 0.75)
