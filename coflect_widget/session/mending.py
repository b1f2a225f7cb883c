"""The part of a `Session` for the other remedy of a finding: the last layer, fitted again."""

from __future__ import annotations

from typing import Any

from coflect_widget import events
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.session.held import Held
from coflect_widget.training.together import several

#: Seconds that a checkpoint may take to be on disk.
DISK = 600.0


class Mends(Held):
    """Mixed into `Session`: refits."""

    def refit(
        self,
        finding: events.Finding | str | None = None,
        data: tuple[Any, Any] | None = None,
    ) -> Intervention:
        """Fit the last layer again, on held-out samples, those that it does badly on counting most.

        For where a finding cannot be ignored by exchange: in a loop of your own without
        `guidance_loss`, after the training, or when a loss term failed. It takes held-out samples
        in which the shortcut misleads; where none does it is refused. Returns once it is in force
        and on disk. `undo` takes it back until the training goes on, `prove` holds it beside a
        refit with shuffled weights of samples. A checkpoint from before it is kept.

        Parameters
        ----------
        finding : Finding or str, optional
            What it is against: then that is answered with "wrong reason", and a proof measures its
            pull.
        data : (x, y), optional
            Held-out samples, in the form and scale of the training data: inputs (n, ...) and class
            numbers (n,). The validation data if left out; half of them are fitted on then, and
            what is validated later is too good by that.

        Raises
        ------
        ValueError
            If nothing contradicts what the model goes by, there are too few samples, or the model
            ends in no linear layer (of torch); nothing has changed then.
        RuntimeError
            If a training is under way.
        """
        parts = self._led()
        name = "" if finding is None else finding if isinstance(finding, str) else finding.id
        with parts.beginning:
            if parts.busy:
                raise RuntimeError(parts.busy)
            if parts.loop.running:
                raise RuntimeError(
                    "refit() writes the last layer, and this session trains; stop() it or wait() "
                    "for it first: train() without arguments goes on after"
                )
            if several(parts.loop):
                raise RuntimeError("refit() is of one process, and several train this model")
            parts.busy = "refit() fits the last layer; wait for it"
        try:
            entry = parts.refits.refit(
                name, data, lambda called: parts.checkpoints.take(called).result(DISK)
            )
            parts.loop.snapshot_now()
            parts.checkpoints.take(f"after-{entry.id}").result(DISK)
            return entry
        finally:
            parts.busy = ""
