"""What Keras models have in common whose targets are no class numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Batch, Sample, StepOutput
from coflect_widget.backends.differentiable import Ops
from coflect_widget.backends.keras.backend import KerasBackend
from coflect_widget.backends.keras.guidance import KerasGuided
from coflect_widget.backends.keras.step import make_outputs, other_metrics


class OtherTargets(KerasBackend):
    """A `KerasBackend` whose samples have rows of numbers (D,), or masks (H, W), as targets."""

    takes_labels = False
    task_name = ""

    def __init__(self, *given: Any, task: str | None = None, **more: Any) -> None:
        del task  # it is this one
        if more.get("class_weight") is not None:
            raise ValueError(
                f"class_weight= is for one class a sample, and under task={self.task_name!r} "
                "there is none; weigh in the loss that the model is compiled with"
            )
        self._outputs_alone: Any = None
        super().__init__(*given, **more)

    def ops(self) -> Any:
        """How outputs and targets make a loss of guidance, as `differentiable.Ops`."""
        raise NotImplementedError

    def tally(self) -> Any:
        """As `tasks.tallies` has them: counts how good outputs are."""
        raise NotImplementedError

    def _assume(self, of_layout: str, outputs: Any) -> None:
        said = self.assumptions + ([of_layout] if of_layout else [])
        for source in self.sources():
            said += source.assumptions
        self.assumptions = list(dict.fromkeys(said))

    def train_step(self, batch: Batch) -> StepOutput:
        own = self.of_step(batch.targets)
        return self.step(batch.indices, batch.inputs, own, self.targets(own))

    def as_judged(self, indices: NDArray[np.int64], labels: Any) -> tuple[Any, None]:
        return labels, None

    def class_numbers(self, targets: NDArray[Any]) -> Any:
        """The targets themselves: no sample has one class."""
        return self.of_step(targets)

    def targets(self, labels: NDArray[Any]) -> NDArray[Any]:
        return labels

    def recompile(self) -> None:
        super().recompile()
        self._outputs_alone = None

    def validate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        source = self.val_source
        if source is None:
            return {}
        self.take_compiled()
        if self._outputs_alone is None:
            self._outputs_alone = make_outputs(self.keras_model, self.model)
        total, tally = 0.0, self.tally()
        for batch in source.batches(np.arange(source.length), max(self.batch_size, 128)):
            if not boundary():
                return None
            own = self.of_step(batch.targets)
            loss, outputs = self._outputs_alone(batch.inputs, self.targets(own))
            total += float(loss) * len(batch.indices)
            self.count(tally, outputs, own)
        named: dict[str, float] = {"loss": total / source.length} | tally.values(source.length)
        return named | {k: v for k, v in other_metrics(self.keras_model).items() if k not in named}

    def count(self, tally: Any, outputs: Any, targets: NDArray[Any]) -> None:
        """Take outputs of a batch, as `Classifier.logits` has them, into a tally."""
        tally.add(outputs.numpy(), targets)

    def guided(self) -> KerasGuided:
        made = super().guided()
        made.ops = cast("Ops", self.ops())
        return made

    def read_rows(self, indices: Sequence[int]) -> tuple[NDArray[np.float32], Any]:
        """Inputs (n, ...) as the model takes them, and targets (n, ...)."""
        samples = [self.train_source.sample(int(i)) for i in indices]
        return np.stack([x for x, _ in samples]), np.stack([y for _, y in samples])

    def as_sample(self, found: Any) -> Sample:
        x, target = found
        return Sample(input=self.model.chw(x), target=0, targets=target)

    def label_of(self, index: int) -> int:
        return 0
