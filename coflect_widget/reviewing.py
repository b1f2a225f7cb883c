"""What a session does with its forecasts: probes, scores, suspected labels and verdicts on them.

`Review` is the wiring's organ for it; `Reviews` is the part of a `Session` that a person uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget import events
from coflect_widget.arguments import whole_number
from coflect_widget.forecast import state
from coflect_widget.forecast.label_noise import HeldOut
from coflect_widget.forecast.ranking import count_suspects, suspects
from coflect_widget.forecast.store import JUDGED, LEFT_OUT
from coflect_widget.record.journal import remedy

if TYPE_CHECKING:
    from coflect_widget.wiring import Wiring

#: Suspects that an event names; all of them are in `session.suspects`.
NAMED = 20
#: Steps between two snapshots, at least, that are taken at an epoch's end for a score.
SNAPSHOT_STEPS = 20
_VERDICTS = ("right", "wrong", "leave out", "undo")


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


class Review:
    """Acts on the forecaster's thread, except where a method says otherwise."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self.verdicts: dict[int, events.Judged] = {}  # the one in force, of each sample judged
        self._noise_said = False
        self._ended = -1  # step of the newest epoch's end that had probes

    # --- at an epoch's end ---------------------------------------------------------------------

    @property
    def _probes(self) -> bool:
        wiring = self._wiring
        # What draws random numbers may only be read between steps, which would hold training up;
        # and without labels outputs tell an error only beside the targets.
        return (
            wiring.config.forecast.probes > 0
            and not wiring.backend.reads_at_boundary
            and wiring.task.labelled
        )

    def keep_weights(self, step: int, epoch: int) -> None:
        """Have a snapshot of an epoch's end taken where a score needs it; at that boundary."""
        snapshots = self._wiring.snapshots
        if not self._probes or not self._wiring.scoreboard.due(epoch):
            return
        if snapshots.kept is None or step - snapshots.kept >= SNAPSHOT_STEPS:
            snapshots.kept, snapshots.wanted = step, True

    def epoch_ended(self, step: int, epoch: int, held_out: HeldOut | None) -> None:
        """Learn, score what is due, and ask for probes of what the forecast is least sure of."""
        wiring = self._wiring
        forecaster, board = wiring.forecaster, wiring.scoreboard
        forecaster.queue.epoch_ended(epoch, held_out)
        self._say_noise(forecaster.queue.noise.rate)
        for score in board.epoch_ended(epoch, forecaster.store, step):
            self._publish(score, step, epoch)
        wiring.stream.emit(self.listed(), step, epoch)
        count = min(wiring.config.forecast.probes, max(64, wiring.backend.num_train // 8))
        if not self._probes:
            return
        scored, due = board.to_evaluate(), forecaster.queue.due()
        wanted = np.concatenate([scored, due[~np.isin(due, scored)]])
        self._ended = step
        chosen = forecaster.foresight.shortlist(count)
        rows = [*wanted.tolist(), *chosen[~np.isin(chosen, wanted)].tolist()]
        wiring.scheduler.probe(rows, (step, len(wanted)) if len(wanted) else None)

    def _publish(self, score: events.ForecastScored, step: int, epoch: int) -> None:
        scores = self._wiring.scores
        scores[:] = [s for s in scores if s.epoch_named != score.epoch_named]
        scores.append(score)
        self._wiring.stream.emit(score, step, epoch)

    def probed(self, rows: NDArray[np.int64], logits: NDArray[np.float32], step: int) -> None:
        """Take in what a snapshot says; on the scheduler's thread."""
        self._wiring.forecaster.mark(partial(self._take, rows, logits, step))

    def _take(self, rows: NDArray[np.int64], logits: NDArray[np.float32], step: int) -> None:
        wiring = self._wiring
        store = wiring.forecaster.store
        wiring.forecaster.foresight.probed(rows, logits)
        if store.task.labelled:
            right = logits.argmax(axis=1) == store.target[rows]
            if step == self._ended:
                wiring.forecaster.queue.evaluated(rows, right)
            for score in wiring.scoreboard.evaluated(rows, right, step):
                self._publish(score, step, score.epoch_due)

    # --- suspected labels ------------------------------------------------------------------------

    def suspects(self, most: int | None = None) -> list[Suspect]:
        """Most doubtful first, then those that were judged; on any thread."""
        store = self._wiring.forecaster.store
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
        store = self._wiring.forecaster.store
        first = self.suspects(NAMED)
        return events.Suspects(
            count=count_suspects(store),
            index=[s.index for s in first],
            doubt=[round(s.doubt, 4) for s in first],
            target=[s.target for s in first],
            suggested=[s.suggested for s in first],
            judged=[s.judged for s in first],
            noise=round(self._wiring.forecaster.queue.noise.rate, 4),
        )

    def _say_noise(self, rate: float) -> None:
        """Say it once in a session that suspects are left out of the queue, and why."""
        if rate == 0 or self._noise_said:
            return
        self._noise_said = True
        self._wiring.notice(
            "warning",
            f"About {rate:.0%} of the training labels seem wrong: training contradicts many surely "
            "and all the time, and held-out data do not. Samples with a suspected label are in "
            "the list of suspects alone, and not in the queue; judge them there.",
        )

    def judge(self, command: events.Judge) -> Future[events.Judged]:
        """Check now, apply at the next step boundary; done once it is on disk. Any thread.

        Raises
        ------
        ValueError, IndexError
            If it cannot be used; nothing has changed then.
        """
        wiring = self._wiring
        wiring.check_index(command.index)
        if not wiring.task.labelled:
            raise ValueError(f"a {wiring.task.name} has no labels to judge")
        label = command.label
        if command.verdict == "wrong":
            if label is None:
                label = int(wiring.forecaster.store.predicted[command.index])
            if not wiring.task.has_label(label):
                raise ValueError(
                    f"label={label} is no class; the model has {wiring.task.groups}, counted from 0"
                )
        elif label is not None:
            raise ValueError(f'a label is given with "wrong" only, not with {command.verdict!r}')
        if not hasattr(wiring.backend, "set_labels"):
            raise ValueError(
                f"the {wiring.backend.name} backend cannot change labels while it trains"
            )
        recorded: Future[events.Judged] = Future()
        applied = wiring.controls.submit(
            partial(self._judge, command.index, command.verdict, label, recorded)
        )
        applied.add_done_callback(partial(_pass_on_failure, recorded))
        return recorded

    def _judge(
        self, index: int, verdict: events.Verdict, label: int | None, recorded: Future[Any]
    ) -> None:
        """At a step boundary, on the thread that trains."""
        wiring = self._wiring
        own = int(wiring.backend.label_of(index))
        earlier = self.verdicts.get(index)
        before = own if earlier is None or earlier.label is None else earlier.label
        if verdict in ("right", "undo"):
            label = own
        data = events.Judged(
            index=index, verdict=verdict, label=label, before=before, author=wiring.author
        )
        verdicts = {**self.verdicts, index: data}
        if verdict == "undo":
            del verdicts[index]
        # First what can fail: the log has only what training took.
        try:
            wiring.backend.set_labels(labels_of(verdicts))
            wiring.steering.labels_changed({index})
        except Exception:
            wiring.backend.set_labels(labels_of(self.verdicts))
            raise
        self.verdicts = verdicts
        if wiring.own_loop.open and not wiring.own_loop.judges:
            wiring.notice(
                "warning",
                f"The batches of a loop of your own come as your loader gives them: sample {index} "
                "is trained as judged only where your loop sees to it.",
            )
        wiring.forecaster.mark(partial(self._mark, index, verdict, label))
        wiring.emit(data, on_recorded=partial(_when_recorded, recorded))

    def _mark(self, index: int, verdict: events.Verdict, label: int | None) -> None:
        store = self._wiring.forecaster.store
        store.flags[index] &= ~np.uint8(JUDGED | LEFT_OUT)
        if verdict != "undo":
            store.flags[index] |= LEFT_OUT if verdict == "leave out" else JUDGED
        if label is not None and label != store.target[index]:
            suggested = store.predicted[index]
            store.forget(index)  # its history was another label's
            store.target[index], store.predicted[index] = label, suggested  # for the list
        self._wiring.forecaster.foresight.update(np.array([index]))
        self._wiring.emit(self.listed())
        self._wiring.forecaster.rank_again()

    # --- state -----------------------------------------------------------------------------------

    def save(self, file: Path) -> None:
        """Have what is known of the samples written beside a checkpoint; any thread."""
        wiring = self._wiring

        def write() -> None:
            try:
                state.save(file, wiring.forecaster.foresight, labels_of(self.verdicts))
            except OSError as error:
                wiring.notice("warning", f"The forecast's memory could not be written: {error}")
                wiring.saving.memory_failed(error)

        wiring.forecaster.mark(write)

    def restore(self, file: Path) -> None:
        """Go on from what `save` wrote; at a step boundary or while nothing trains."""
        wiring = self._wiring
        kept = state.load(file)
        kept.check(wiring.forecaster.foresight)
        if kept.labels:
            for index, label in kept.labels.items():
                verdict: events.Verdict = "leave out" if label is None else "wrong"
                self.verdicts[index] = events.Judged(index=index, verdict=verdict, label=label)
            wiring.backend.set_labels(labels_of(self.verdicts))
            wiring.steering.labels_changed(set(kept.labels))
        wiring.forecaster.mark(partial(kept.apply, wiring.forecaster.foresight))


class Reviews:
    """Mixed into `Session`: the queue's mode, suspected labels, and the review window."""

    def _open(self) -> Wiring:
        raise NotImplementedError

    def _made(self) -> Wiring:
        raise NotImplementedError

    @property
    def onset(self) -> bool:
        """Whether the queue holds only samples that are right now and will fail; may be set."""
        return self._made().forecaster.onset

    @onset.setter
    def onset(self, only: bool) -> None:
        self._open().set_queue(onset=bool(only))

    @property
    def suspects(self) -> list[Suspect]:
        """Samples whose label may be wrong, most doubtful first, then those that were judged."""
        return self._made().review.suspects()

    def judge(self, index: int, verdict: events.Verdict, label: int | None = None) -> events.Judged:
        """Say what is to become of a sample whose label is in doubt.

        Training follows from the next step on; a later verdict on the same sample replaces it.

        Parameters
        ----------
        index : int
            The sample's place in the training data.
        verdict : {"right", "wrong", "leave out", "undo"}
            The label is right and no longer suspected; it is wrong, and the sample is trained
            under `label`; the sample is left out of training; all as it was.
        label : int, optional
            With "wrong": the label; what the model last predicted if left out.

        Returns
        -------
        Judged
            What is recorded, once it is on disk.

        Raises
        ------
        ValueError, IndexError
            If it cannot be used; nothing has changed then.
        TimeoutError
            If training did not come to its next step within a minute.
        """
        if verdict not in _VERDICTS:
            raise ValueError(f"verdict={verdict!r}; expected one of {', '.join(_VERDICTS)}")
        command = events.Judge(
            index=whole_number(index, "index"),
            verdict=verdict,
            label=None if label is None else whole_number(label, "label"),
        )
        try:
            return self._open().review.judge(command).result(60)
        except FutureTimeoutError:
            raise TimeoutError("training did not come to a step's end within a minute") from None

    def open_window(self) -> None:
        """Open the review window by hand; the next intervention shuts it."""
        self._open().open_window()

    def restore_forecast(self, file: str | Path) -> None:
        """Let the forecast go on from the memory that another session of this model kept.

        It stands beside each checkpoint: ``checkpoints/step_00000420.forecast.npz``.

        Raises
        ------
        ValueError
            If it is no such file, or of other training data.
        """
        wiring = self._open()
        wiring.controls.submit(partial(wiring.review.restore, Path(file).expanduser())).result(60)
        wiring.forecaster.drain(60)


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


def _when_recorded(
    future: Future[events.Judged], event: events.Event, error: OSError | None
) -> None:
    if error is not None:
        future.set_exception(
            OSError(
                error.errno,
                f"applied, but it is not on disk yet: {error.strerror}; {remedy(error)}, it is "
                "tried again every second",
            )
        )
    else:
        assert isinstance(event.data, events.Judged)  # noqa: S101 - narrows the type
        future.set_result(event.data)


def _pass_on_failure(recorded: Future[Any], applied: Future[Any]) -> None:
    error = applied.exception()
    if error is not None:
        recorded.set_exception(error)
