"""The part of a `Session` that a person tells the training with, and takes it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coflect_widget.guidance.ledger import Intervention, Ledger
from coflect_widget.guidance.state import Scope
from coflect_widget.records.cells import Pictured
from coflect_widget.session.arguments import whole_number
from coflect_widget.session.drawing import effects
from coflect_widget.session.held import Held
from coflect_widget.session.saying import feedback_of

if TYPE_CHECKING:
    from coflect_widget.events import Effect
    from coflect_widget.guidance.hits import Hit


class Guides(Held):
    """Mixed into `Session`: feedback, its reach, and undo."""

    def feedback(
        self,
        sample: int | None = None,
        look: Any = None,
        ignore: Any = None,
        instruction: str | None = None,
        strength: float | None = None,
        scope: Scope | None = None,
    ) -> Intervention:
        """Tell the training where to look, or what to ignore; returns once it is in force.

        Parameters
        ----------
        sample : int, optional
            The training sample that the regions are drawn on; everywhere if left out.
        look, ignore : ROI or list of ROI, optional
            On a picture a box ``(x0, y0, x1, y1)``, a polygon ``[(x, y), ...]`` or a boolean mask
            (H, W); coordinates are fractions of width and height from the top left.
            What is ignored in one sample is also swapped at the same and the mirrored places of
            other samples, because an artefact seldom keeps to one picture.
        instruction : str, optional
            Such as "increase focus by 10%", "focus top right", "ignore borders".
        strength : float, optional
            From 0 to 1, relative to the task loss.
        scope : {"sample", "class", "everywhere"}, optional
            For this sample alone, all of its class, or all samples.

        Raises
        ------
        ValueError
            If anything in it cannot be used; nothing has changed then.
        """
        command = feedback_of(
            self._made().modality, sample, look, ignore, instruction, strength, scope
        )
        return self._wait_for(self._led().desk.feedback(command), 60, "feedback()")

    def similar(self, intervention: Intervention | str, timeout: float = 600) -> list[Hit]:
        """Other samples that show what an intervention ignores, best first.

        Returns
        -------
        list of Hit
            ``.index``, ``.box`` as fractions, ``.score`` (1 for the same pixels).
        """
        name = intervention if isinstance(intervention, str) else intervention.id
        return self._wait_for(self._led().desk.similar(name), timeout, "similar()")

    def confirm(
        self, intervention: Intervention | str, indices: Sequence[int] | None = None
    ) -> Intervention:
        """Ignore it in those hits of `similar` too, each at its place; in all if left out."""
        name = intervention if isinstance(intervention, str) else intervention.id
        chosen = None if indices is None else [whole_number(k, "indices") for k in indices]
        return self._wait_for(self._led().desk.confirm(name, chosen), 60, "confirm()")

    def undo(self, intervention: Intervention | str) -> Intervention:
        """Take one intervention out again; later ones stay."""
        identifier = intervention if isinstance(intervention, str) else intervention.id
        return self._wait_for(self._led().desk.undo(identifier), 60, "undo()")

    @property
    def interventions(self) -> list[Intervention]:
        """The ledger: everything that was told to this training, oldest first."""
        return list(self.ledger.interventions)

    @property
    def ledger(self) -> Ledger:
        """The interventions as one object: ``session.ledger.save(path)``."""
        return self._made().steering.ledger

    @property
    def effects(self) -> Pictured[Effect]:
        """What interventions did, as far as it is measured; ``.text`` says it in a sentence."""
        parts = self._made()
        return effects(self.interventions, parts.gallery, parts.modality, parts.steering.extent)
