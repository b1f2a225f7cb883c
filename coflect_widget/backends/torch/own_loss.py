"""A torch model that a loop of the user's own trains by whatever loss it has.

Only the losses of samples are known here: neither labels nor outputs are looked for, so data may be
items of any form, and what the model gives is never kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from coflect_widget.backends.any_items import TASK
from coflect_widget.backends.base import StepOutput
from coflect_widget.backends.guided_outputs import OfScores
from coflect_widget.backends.state import Memory, TrainingState
from coflect_widget.backends.torch.any_items import ItemSource
from coflect_widget.backends.torch.checks import check_model, choose_device
from coflect_widget.backends.torch.guidance import TorchGuided
from coflect_widget.backends.torch.methods import load
from coflect_widget.backends.torch.modes import Frozen
from coflect_widget.backends.torch.ops import TorchOps
from coflect_widget.backends.torch.ranks import Ranked
from coflect_widget.backends.torch.scored import Scored, ScoreFunction, try_score
from coflect_widget.backends.torch.state import KeepsState
from coflect_widget.backends.torch.steps import OfSteps
from coflect_widget.backends.torch.structure import structure
from coflect_widget.backends.torch.token_losses import losses_of_output
from coflect_widget.backends.torch.weights import WeightCopies
from coflect_widget.config import Config
from coflect_widget.modalities import LISTED, Modality
from coflect_widget.records.trees import Arrays
from coflect_widget.tasks import OwnLoss

NO_MAPS = (
    f"{TASK} has no maps and takes no strokes: a loss alone does not say which output of the model "
    "they would be of; Session(..., score=function) does, a function score(model, inputs) that "
    "gives one number a sample"
)
EXPLAINER = "coflect_widget.backends.torch.methods:load"
_RIGHT = (
    "A loss has no right or wrong of its own: a sample counts as right while its loss is not above "
    "the quantile {quantile:g} of the newest losses, and as wrong above it. "
    'config={{"forecast": {{"error_quantile": ...}}}} sets another.'
)
_PER_SAMPLE = (
    "give one loss for each sample, (B,): compute it with reduction='none' and take the mean of "
    "what belongs to one sample, for example cross_entropy(logits.transpose(1, 2), y, "
    "reduction='none').mean(1) of logits (B, T, words); losses.mean() is what the loop trains on"
)


class OwnLossBackend(KeepsState, Ranked, OfSteps):
    """Implements `backends.base.Backend` for losses of a loop of the user's own.

    Parameters
    ----------
    model : torch.nn.Module
        Never called here but by `score`: its weights are kept in checkpoints.
    optimizer : torch.optim.Optimizer, callable or None
        Where it is the loop's own optimizer, its values can be turned as knobs.
    score : callable or None
        ``score(model, inputs)`` gives one number a sample, (B,), for inputs (B, ...) as they are
        drawn, pictures or ids: what maps are of, and what a stroke keeps.

    Raises
    ------
    TypeError, ValueError
        If an argument means nothing where a loss is all that is known.
    """

    name = "torch"
    load = staticmethod(load)
    takes_labels = reads_val = False
    num_classes = 0

    def __init__(
        self,
        model: nn.Module,
        train_data: Any,
        val_data: Any | None,
        *,
        num_classes: int | None,
        loss: Any,
        optimizer: Any,
        scheduler: Any,
        batch_size: int,
        config: Config,
        class_weight: Mapping[int, float] | None = None,
        modality: Modality | None = None,
        task: str | None = None,
        score: ScoreFunction | None = None,
    ) -> None:
        del task
        super().__init__()
        if not isinstance(model, nn.Module):
            raise TypeError(f"model is a {type(model).__name__}; pass a torch.nn.Module")
        for argument, given, instead in (
            ("val_data", val_data, "validate in your own loop"),
            ("classes", num_classes, "there are no labels"),
            ("loss", loss, "compute it in your own loop, for session.observe(indices, loss=...)"),
            ("class_weight", class_weight, "weigh the losses in your own loop"),
        ):
            if given is not None:
                raise ValueError(f"{argument}= is not for {TASK}; leave it out: {instead}")
        model = self._take_off(model)
        check_model(model)
        self.seed, self.batch_size = config.seed, batch_size
        tables = [m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)]
        self.train_source = ItemSource(train_data, "train_data", max(tables, default=0), modality)
        self.val_source = None
        self.modality = self.train_source.modality
        self.task = OwnLoss(
            config.forecast.error_quantile, self.num_train, scored=score is not None
        )
        self.assumptions.append(_RIGHT.format(quantile=config.forecast.error_quantile))
        self._device = self.choose(model, config.device)
        self.device = str(self._device)
        self.model = model.to(self._device)
        self._scored = None if score is None else self._with_score(score)
        self.explainer = "" if score is None else EXPLAINER
        self.take_optimizer(optimizer, scheduler)
        #: how large the losses of the first step were that had any
        self._at_first: float | None = None
        self._frozen = Frozen()
        self._frozen.look(self.model)
        self._copies = WeightCopies(self._device)
        # The loop of the user's own steps its schedule and scales its gradients itself.
        self._each_batch, self._unit_known, self._scaler = None, True, None

    def choose(self, model: nn.Module, wanted: str | None) -> torch.device:
        """Where the model is to be."""
        return choose_device(model, wanted)

    # --- a loop of the user's own -----------------------------------------------------------------

    def observed(self, rows: int, logits: Any, targets: Any, loss: Any) -> tuple[Any, Any, Any]:
        """Losses (B,) as what is kept of a step: a copy, which holds no graph and no logits."""
        if logits is not None or targets is not None:
            raise ValueError(
                f"observe() takes losses alone under {TASK}: session.observe(indices, loss=losses)."
                " Lightning's callback gives logits; write the loop with session.loop()"
            )
        if loss is None:
            raise ValueError(
                f"observe() needs the losses of the samples under {TASK}: "
                "session.observe(indices, loss=losses)"
            )
        losses = torch.as_tensor(loss).detach()
        shape = tuple(losses.shape)
        if not losses.ndim and rows == 1:
            losses = losses.reshape(1)
        if losses.ndim != 1 or len(losses) > rows:
            raise ValueError(
                f"observe() got a loss of shape {shape} for {rows} samples; {_PER_SAMPLE}"
            )
        if losses.dtype.is_complex:
            raise ValueError(f"observe() got losses of type {losses.dtype}; pass real numbers")
        kept = losses.clone().float()
        if self._scored is not None and self._at_first is None:  # such a step waits for a device
            size = float(kept.abs().mean())  # a log-density or a reward may be below 0
            # Losses of 0, as of a margin that is kept or a weight that warms up, are no scale.
            self._at_first = size if math.isfinite(size) and size > 0 else None
        return kept, torch.zeros(len(kept), dtype=torch.int64), None

    def step_output(
        self,
        indices: NDArray[np.int64],
        logits: Tensor,
        targets: Tensor,
        loss: Any,
        guidance_loss: Any,
    ) -> StepOutput:
        """`logits` are what `observed` gave; the loss of the step is their mean."""
        mean = logits.mean() if loss is None else loss
        on_cpu = isinstance(mean, Tensor) and mean.device.type == "cpu"
        added = guidance_loss.detach() if isinstance(guidance_loss, Tensor) else None
        return StepOutput(indices, targets, logits, mean.item() if on_cpu else mean, added)

    losses_of_output = staticmethod(losses_of_output)

    def telemetry_arrays(self, outputs: Sequence[StepOutput]) -> tuple[Any, Any]:
        losses, none = super().telemetry_arrays(outputs)
        return (losses.cpu().numpy() if isinstance(losses, Tensor) else losses), none

    # --- what it does not do ----------------------------------------------------------------------

    def expect(self, steps: int) -> None:
        """Refuse to train: only the user's own loop knows how to."""
        raise ValueError(
            f"{TASK} is trained by a loop of your own: for batch in session.loop(loader): ... "
            "session.observe(None, loss=losses) ..."
        )

    def labels(self) -> NDArray[Any]:
        """None: (N, 0)."""
        return np.zeros((self.num_train, 0), np.float32)

    # --- maps and strokes, where a score is given -------------------------------------------------

    def _with_score(self, score: Any) -> Scored:
        """The model as maps see it; raises where it has no score for what can be drawn."""
        if not callable(score):
            raise TypeError(
                f"score={score!r} cannot be called; pass a function score(model, inputs) that "
                "gives one number a sample, (B,)"
            )
        if self.modality is LISTED:
            raise ValueError(
                "score= is for samples that can be drawn, pictures (C, H, W) or ids (T,), and "
                "train_data has none; leave it out"
            )
        scored = Scored(self.model, score)
        try_score(scored, self.read_rows([0, 0])[0])
        return scored

    def structure(self) -> bytes:
        if self._scored is None:
            raise ValueError(NO_MAPS)
        return structure(self._scored)

    def guided(self) -> TorchGuided | None:
        if self._scored is None:
            return None
        ops = OfScores(TorchOps(), lambda: self._at_first or 0.0)
        return TorchGuided(self._scored, self.read_rows, self._device, ops)

    def set_guidance(self, guidance: Any) -> str:
        if self._scored is None:
            raise ValueError(NO_MAPS)
        return super().set_guidance(guidance)

    def guidance_term(
        self, inputs: Any, targets: Any, loss: Any, indices: NDArray[np.int64] | None
    ) -> Any | None:
        """`inputs` (B, ...) are what `score` takes; `targets` are not looked at."""
        if self.guiding is None:
            return None
        if not isinstance(inputs, Tensor):
            raise ValueError(
                f"guidance_loss() got inputs of type {type(inputs).__name__}; pass those that "
                "score= takes, one tensor (B, ...): of a list torch.stack(inputs)"
            )
        none = torch.zeros(len(inputs), dtype=torch.int64, device=self._device)
        rows = None if indices is None else torch.from_numpy(indices).to(self._device)
        of = torch.as_tensor(loss).detach()
        found: Tensor | None = self.guiding.loss(inputs, none, of, rows)
        return found

    def read_rows(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """What is drawn of training samples (n, ...), on the model's device, and no labels: 0."""
        rows = np.stack([self.train_source.sample(int(index)).input for index in indices])
        inputs = torch.from_numpy(rows).to(self._device)
        return inputs, torch.zeros(len(rows), dtype=torch.int64, device=self._device)

    # --- weights, and what a training goes on with ------------------------------------------------

    def seed_here(self) -> int:
        """One seed in all processes, as a loop of one's own would set it."""
        return self.seed

    def state(self, memory: Memory, *, own_loop: bool = False) -> TrainingState:
        found = super().state(memory, own_loop=own_loop)
        found.rest["at_first"] = self._at_first
        return found

    def restore(self, weights: Arrays, rest: Mapping[str, Any], guidance: Any) -> None:
        self._at_first = rest.get("at_first") or None
        super().restore(weights, rest, guidance)
