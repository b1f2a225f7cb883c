"""A PyTorch model in a worker: its weights come and go."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from coflect_widget.backends.differentiable import Noise, Others, WorkerModel
from coflect_widget.backends.torch import numbers
from coflect_widget.backends.torch.entry import Entry
from coflect_widget.backends.torch.gradients import TorchGradients, logits_of
from coflect_widget.backends.torch.outputs import forward_names
from coflect_widget.backends.torch.outputs import logits_of as outputs_of
from coflect_widget.backends.torch.structure import rebuild, structure

__all__ = ["TorchWorkerModel", "load", "structure"]

_POWER_ITERATIONS = 15


def load(structure: bytes) -> TorchWorkerModel:
    """Rebuild the model that `structure` made bytes of; its weights have no values yet."""
    return TorchWorkerModel(*rebuild(structure))


class TorchWorkerModel(WorkerModel):
    """`backends.differentiable.WorkerModel` for PyTorch.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode, on the CPU.
    weights : dict of str to Tensor
        The tensors that `load_weights` fills.
    known : set of str
        All names that may come with the weights.
    """

    def __init__(self, model: nn.Module, weights: dict[str, Tensor], known: set[str]) -> None:
        self.model = model
        self._weights = weights
        self._known = known
        self._entry = Entry(model)

    def load_weights(self, views: Mapping[str, NDArray[Any]]) -> None:
        """Copy weights, by name of the state dict, into the model.

        Raises
        ------
        KeyError
            If a weight is missing or unknown: the model was changed since it was sent.
        """
        missing = self._weights.keys() - views.keys()
        unknown = views.keys() - self._known
        if missing or unknown:
            names = ", ".join(sorted(missing | unknown))
            raise KeyError(f"the model's weights changed since it was sent to the worker: {names}")
        for name, weight in self._weights.items():
            try:
                np.copyto(weight.numpy(), views[name])
            except TypeError:  # of a type that numpy lacks, such as bfloat16: it came as float32
                weight.copy_(torch.from_numpy(np.array(views[name])))

    def randomise(self, seed: int) -> None:
        """Give the model random weights, as before any training; buffers of its own stay."""
        rng = np.random.default_rng(seed)
        # Drawing millions of numbers would take longer than the map; a prime length keeps the
        # repetition out of step with the filters.
        table = torch.from_numpy(rng.standard_normal(65_521, dtype=np.float32))
        for name, weight in self._weights.items():
            last = name.rpartition(".")[2]
            if isinstance(weight, nn.Parameter) and weight.ndim >= 2:
                fan_in = weight[0].numel()
                start = int(rng.integers(len(table)))
                places = (torch.arange(weight.numel()) + start) % len(table)
                weight.copy_(table[places].reshape(weight.shape) * math.sqrt(2 / fan_in))
            elif last in ("bias", "running_mean"):
                weight.zero_()
            elif weight.ndim == 1 and last in ("weight", "running_var"):
                weight.fill_(1)
            elif weight.ndim == 1 and last.endswith(("_u", "_v")):  # of spectral normalisation
                weight.copy_(F.normalize(table[torch.arange(len(weight)) % len(table)], dim=0))
        _settle(self.model)

    def fill(self) -> None:
        """Give weights some values with which a model can run."""
        generator = torch.Generator().manual_seed(0)
        for weight in self._weights.values():
            if weight.is_floating_point():
                # Positive, so that variances are valid and ReLUs let gradients through.
                weight.copy_(torch.rand(weight.shape, generator=generator) * 0.1)
            else:
                weight.zero_()
        _settle(self.model)

    def bound(self, others: Others = (), place: int = 0) -> TorchGradients:
        region = None if self.region is None else torch.from_numpy(self.region)
        return TorchGradients(self.model, _call(self.model, others, place), self._entry, region)

    def places(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        self.model.eval()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            output = self.model(torch.from_numpy(np.array(x)))
        logits: NDArray[np.float32] = outputs_of(output, self.model).float().numpy()
        return logits

    def probabilities(self, logits: Tensor) -> NDArray[np.float32]:
        """Softmax, unless the model has applied it already."""
        logits = logits.detach()
        if not bool((logits >= 0).all()) or not bool(((logits.sum(1) - 1).abs() < 1e-4).all()):
            logits = logits.float().softmax(1)
        found: NDArray[np.float32] = logits[0].float().numpy()
        return found

    @contextlib.contextmanager
    def seeded(self, seed: int) -> Iterator[Noise]:
        self.model.eval()
        # A generator of our own is not enough: the model may draw from the global one.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield lambda shape, spread: torch.normal(0.0, spread, shape)

    def outputs(
        self, x: NDArray[np.float32], others: Others = (), place: int = 0
    ) -> NDArray[np.float32]:
        """In eval mode; `others` serve all rows."""
        self.model.eval()
        bound = self.bound(others, place)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            outputs: NDArray[np.float32] = bound.logits(torch.from_numpy(x)).float().numpy()
        return outputs

    def focus(
        self, x: NDArray[np.float32], others: Others, place: int, target: int
    ) -> tuple[dict[str, float] | None, str]:
        """Share of each input in the sum of |gradient * input|; the shares sum to 1.

        None, and the reason, where an input moves the output but no gradient tells how much, as
        of token ids that an embedding looks up.
        """
        inputs = [torch.from_numpy(np.array(other, dtype=np.float32))[None] for other in others]
        inputs.insert(place, torch.from_numpy(np.array(x, dtype=np.float32)))
        leaves = [each.clone().requires_grad_() for each in inputs]
        with torch.enable_grad():
            output = self.model(*(leaf.clone() for leaf in leaves))
            score = logits_of(output, self.model)[0, target]
            gradients = torch.autograd.grad(score, leaves, allow_unused=True)
        names = input_names(self.model, len(leaves))
        mass = np.zeros(len(leaves))
        for k, (gradient, leaf) in enumerate(zip(gradients, leaves, strict=True)):
            if gradient is not None and gradient.any():
                mass[k] = float((gradient * leaf.detach()).abs().sum())
            elif self._moves(inputs, k):
                return None, (
                    f"the output has no gradient with respect to {names[k]!r}, though it depends "
                    "on it, as on token ids that an embedding looks up"
                )
        # Where nothing matters, no input matters more than another.
        shares = mass / mass.sum() if mass.sum() > 0 else np.full(len(mass), 1 / len(mass))
        return dict(zip(names, shares.tolist(), strict=True)), ""

    def _moves(self, inputs: list[Tensor], k: int) -> bool:
        """Whether other values of input `k` give another output."""
        x = inputs[k]
        # Values that occur, and zeros as padding, because others may be no ids.
        others = (x, torch.zeros_like(x), x.flatten().flip(0).reshape(x.shape), x.flatten()[:1])
        with torch.no_grad():
            outputs = [
                self.model(*inputs[:k], other.expand_as(x).clone(), *inputs[k + 1 :])
                for other in others
            ]
        before, *after = (logits_of(output, self.model) for output in outputs)
        return any(not torch.equal(before, each) for each in after)


def _settle(model: nn.Module) -> None:
    """Make weights of any values such as torch's own parametrizations can compute with.

    Spectral normalisation finds the largest singular values of the weights that are there, because
    those of others would be off by any factor. The Householder vectors of an orthogonal weight have
    a diagonal of ones.
    """
    computed: list[Callable[[], object]] = []
    for module in model.modules():
        if isinstance(module, parametrize.ParametrizationList):
            computed.append(module)
            if any(type(inner).__name__ == "_Orthogonal" for inner in module):
                module.original.diagonal(dim1=-2, dim2=-1).fill_(1)
        computed += [
            partial(hook, module, ())
            for hook in module._forward_pre_hooks.values()
            if type(hook).__module__ == "torch.nn.utils.spectral_norm"
        ]
    if not computed:
        return
    model.train()
    with torch.no_grad():
        for _ in range(_POWER_ITERATIONS):
            for compute in computed:
                compute()
    model.eval()


def input_names(model: nn.Module, count: int) -> list[str]:
    """What the model's ``forward`` calls its inputs; "input 0", ... where it does not say."""
    named = forward_names(model)
    return list(named[:count]) if len(named) >= count else [f"input {k}" for k in range(count)]


def _call(model: nn.Module, others: Others, place: int) -> Callable[[Tensor], Any]:
    """The model as a function of the picture (B, C, H, W); the other inputs are held."""
    if not others:
        return partial(numbers.call, model)
    fixed = [torch.from_numpy(np.array(other, dtype=np.float32))[None] for other in others]

    def call(x: Tensor) -> Any:
        rows = [other.expand(len(x), *other.shape[1:]).clone() for other in fixed]
        return model(*rows[:place], x, *rows[place:])

    return call
