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

from coflect_widget.backends.differentiable import Held, Noise, WorkerModel
from coflect_widget.backends.torch.entry import Entry
from coflect_widget.backends.torch.gradients import TorchGradients
from coflect_widget.backends.torch.numbers import call, within
from coflect_widget.backends.torch.outputs import logits_of as outputs_of
from coflect_widget.backends.torch.scored import Scored, own_names
from coflect_widget.backends.torch.structure import rebuild, structure

__all__ = ["TorchWorkerModel", "load", "structure"]

_POWER_ITERATIONS = 15


def load(structure: bytes) -> TorchWorkerModel:
    """Rebuild the model that `structure` made bytes of; its weights have no values yet."""
    model, weights, known = rebuild(structure)
    if isinstance(model, Scored):
        weights, known = own_names(weights, known)
    return TorchWorkerModel(model, weights, known)


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
        self._entries: dict[str, Entry] = {}

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

    def bound(self, held: Held | None = None) -> TorchGradients:
        name = "" if held is None else held.part.name
        entry = self._entries.setdefault(name, Entry(self.model))
        region = None if self.region is None else torch.from_numpy(self.region)
        if held is None:
            return TorchGradients(self.model, partial(call, self.model), entry, region)
        row = torch.from_numpy(np.array(held.row[None], np.float32))
        return TorchGradients(self.model, within(self.model, row, held.part), entry, region)

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

    def outputs(self, x: NDArray[np.float32], held: Held | None = None) -> NDArray[np.float32]:
        """In eval mode."""
        self.model.eval()
        bound = self.bound(held)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            outputs: NDArray[np.float32] = bound.logits(torch.from_numpy(x)).float().numpy()
        return outputs


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
