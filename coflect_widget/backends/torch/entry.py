"""Where whole numbers enter a model: the module that looks them up, and gradients by its output."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


class Entry:
    """The module that a model's whole numbers enter, found on a first pass.

    Parameters
    ----------
    model : torch.nn.Module
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._name: str | None = None

    def find(self, x: Tensor, call: Callable[[Tensor], Any]) -> nn.Module:
        """The first module with rows of its own that is given `x` (B, ...), or else its like.

        Raises
        ------
        ValueError
            If there is none.
        """
        if self._name is None:
            self._name = _name_of(self._model, x, call)
        return self._model.get_submodule(self._name)

    def rows(self, x: Tensor, call: Callable[[Tensor], Any]) -> int:
        """How many numbers the module has rows for."""
        module = self.find(x, call)
        weight: Any = module.weight
        return int(weight.shape[0])

    @contextlib.contextmanager
    def given(
        self, x: Tensor, call: Callable[[Tensor], Any], change: Callable[[Tensor], Tensor]
    ) -> Iterator[None]:
        """Within the block the module's output is what `change` makes of it."""

        def hook(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
            del module, arguments
            return change(output)

        handle = self.find(x, call).register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()


def refuse_floats_looked_up(
    model: nn.Module, x: Tensor, call: Callable[[Tensor], Any], name: str
) -> None:
    """Raise ValueError where a model looks up whole numbers (1, L) that come as floating point.

    Maps, and what changes inputs a little, would look up others, or none that there is.
    """
    if not x.is_floating_point() or x.ndim != 2 or bool((x != x.round()).any()):
        return
    ids = x.long()
    if bool(ids.min() < 0) or bool(ids.min() == ids.max()):
        return
    if _names(model, ids, lambda _: call(x))[0]:
        raise ValueError(
            f"{name} has whole numbers as floating point, and the model looks each of them up: "
            "pass them as integers, x.astype('int64') of an array or x.long() of a tensor"
        )


def _name_of(model: nn.Module, x: Tensor, call: Callable[[Tensor], Any]) -> str:
    """Name of the module; whether the pass succeeds does not matter."""
    same, alike = _names(model, x, call)
    found = same or alike
    if not found:
        raise ValueError(
            "inputs are whole numbers, and no module of the model looks each of them up: give it a "
            "torch.nn.Embedding that is called with the ids (B, L) as they are. Where the numbers "
            "are quantities and no ids, pass them as floating point, inputs.astype('float32')"
        )
    return found[0]


def _names(
    model: nn.Module, x: Tensor, call: Callable[[Tensor], Any]
) -> tuple[list[str], list[str]]:
    """Modules with rows of their own that are given these numbers, and others of this shape."""
    given_to_model = torch.where(x < 0, ~x, x)
    same: list[str] = []
    alike: list[str] = []
    handles = []

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            given = arguments[0] if arguments else None
            weight = getattr(module, "weight", None)
            if not isinstance(given, Tensor) or given.is_floating_point():
                return
            if given.shape == x.shape and isinstance(weight, Tensor) and weight.ndim == 2:
                equal = not given.is_meta and torch.equal(given, given_to_model.to(given))
                (same if equal else alike).append(name)

        return hook

    try:
        for name, module in model.named_modules():
            if not isinstance(module, nn.EmbeddingBag):
                handles.append(module.register_forward_pre_hook(look(name)))
        with contextlib.suppress(Exception), torch.no_grad():
            call(x)
    finally:
        for handle in handles:
            handle.remove()
    return same, alike
