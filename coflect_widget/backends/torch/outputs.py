"""The logits among what a torch model gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, allclose, cat, nn, stack

from coflect_widget.backends.base import StepOutput

#: What models call their logits: Hugging Face's and most, then torchvision's segmentation.
_NAMES = ("logits", "out")
#: A plain attribute of a model whose logits were found by more than their name or place: the key
#: or position, and the width. It travels with the model to the workers.
_CHOSEN = "_coflect_logits"

_WRAPPER = (
    "wrap the model in a torch.nn.Module whose forward() returns the logits alone, for example "
    "return self.model(x)[{key!r}]"
)


def logits_of(output: Any, model: nn.Module | None = None, width: int | None = None) -> Tensor:
    """The logits (B, classes) in a model's output, which may carry more.

    What `choose` found for `model` counts first; then what is called `logits`, or else `out`, as
    a key or an attribute; of a mapping without these its one tensor of two dimensions, and of a
    tuple, (main, auxiliary), the first tensor, of `width` if that is known.

    Raises
    ------
    TypeError
        If there is no tensor in it.
    ValueError
        If a mapping has several tensors that could be it.
    """
    if isinstance(output, Tensor):
        return output
    if model is not None:
        key, known = chosen(model)
        width = width if known is None else known
        found = _member(output, key)
        if found is not None and found.ndim == 2 and found.shape[1] == width:
            return found
    for name in _NAMES:
        named = _member(output, name)
        if named is not None:
            return named
    tensors = [value for _, value in _members(output)]
    if not tensors:
        raise TypeError(
            f"the model gives a {type(output).__name__} without logits that could be found; have "
            'it give the logits (B, classes) alone, or as the key or attribute "logits"'
        )
    likely = [t for t in tensors if t.ndim == 2 and t.is_floating_point()]
    fitting = [t for t in likely if t.shape[1] == width]
    if isinstance(output, Mapping):
        if len(fitting or likely) > 1:
            raise ValueError(
                f"the model gives a mapping of {', '.join(map(str, output))}, of which several "
                'could be the logits; call the right one "logits"'
            )
        tensors = likely or tensors
    return (fitting or tensors)[0]


def gives_several(output: Any) -> bool:
    """Whether there are more tensors in a model's output than the logits."""
    return len(list(_members(output))) > 1


@dataclass(frozen=True, slots=True)
class Choice:
    """Which member of a model's output is the logits.

    Attributes
    ----------
    logits : Tensor
    key
        A mapping's key, a sequence's position or an attribute's name; None for a bare tensor.
    said : str
        A sentence for a person where something else could have been meant, or "".
    """

    logits: Tensor
    key: Any = None
    said: str = ""


def choose(output: Any, *, exactly: int | None, at_least: int) -> Choice:
    """Find the logits in a model's output for a few samples, in eval mode.

    Parameters
    ----------
    output
        What the model gave.
    exactly : int or None
        How many outputs there are, where ``classes=`` or the values to regress on tell.
    at_least : int
        One more than the largest label that is known.

    Raises
    ------
    TypeError
        If there is no tensor in it.
    ValueError
        If several tensors could be it, or none of several fits.
    """
    if isinstance(output, Tensor):
        return Choice(output)
    for name in _NAMES:
        named = _member(output, name)
        if named is not None:
            return Choice(named, name)
    likely = [(key, t) for key, t in _members(output) if t.ndim == 2 and t.is_floating_point()]
    if len(likely) < 2:
        logits = logits_of(output)
        return Choice(logits, next((key for key, t in _members(output) if t is logits), None))
    kind = f"a {type(output).__name__} of {', '.join(_shown(key, t) for key, t in likely)}"
    fitting = _fitting(likely, exactly, at_least)
    wanted = f"{exactly} outputs" if exactly is not None else f"labels up to {at_least - 1}"
    if len(fitting) != 1:
        problem = "none of them has" if not fitting else "more than one of them could belong to"
        way = _WRAPPER.format(key=(fitting or likely)[-1][0])
        names = "" if exactly is not None else "name the classes, classes=[...], or "
        raise ValueError(f"model gives {kind}; {problem} {wanted}: {names}{way}")
    key, logits = fitting[0]
    said = (
        f"The model gives {kind}; {_shown(key, logits)} was taken for the logits, because it fits "
        f"{wanted}. Where that is wrong, {_WRAPPER.format(key=key)}."
    )
    return Choice(logits, key, said)


def mark(model: nn.Module, key: Any, width: int) -> None:
    """Have `logits_of` know which member of the output of `model` is the logits, and its width.

    What another session noted is taken off where it needs no note: the only member has no key, and
    `logits_of` knows some names.
    """
    for module in (model, getattr(model, "module", None), getattr(model, "_orig_mod", None)):
        if not isinstance(module, nn.Module):
            continue
        if key is None or key in _NAMES:
            module.__dict__.pop(_CHOSEN, None)
        else:
            module.__dict__[_CHOSEN] = (key, width)


def note_width(model: nn.Module, width: int) -> None:
    """Have `logits_of` know how wide the logits are, where `mark` has noted nothing."""
    if _CHOSEN not in model.__dict__:
        model.__dict__[_CHOSEN] = (None, width)


def chosen(model: nn.Module) -> tuple[Any, int | None]:
    """What `mark` was told last: key and width; None where nothing is known."""
    found: tuple[Any, int | None] = getattr(model, _CHOSEN, (None, None))
    return found


def _fitting(
    likely: list[tuple[Any, Tensor]], exactly: int | None, at_least: int
) -> list[tuple[Any, Tensor]]:
    if exactly is not None:
        fitting = [(key, t) for key, t in likely if t.shape[1] == exactly]
    else:
        fitting = [(key, t) for key, t in likely if t.shape[1] >= max(2, at_least)]
        fitting = [(key, t) for key, t in fitting if t.shape[1] == at_least] or fitting
    # Probabilities beside the logits that they come from.
    made = [
        key
        for key, t in fitting
        if any(_from_logits(t, other) for _, other in fitting if other is not t)
    ]
    return [(key, t) for key, t in fitting if key not in made]


def _from_logits(values: Tensor, logits: Tensor) -> bool:
    if values.shape != logits.shape:
        return False
    logits = logits.float()
    known = (logits.softmax(1), logits.log_softmax(1), logits.sigmoid())
    values = values.float()
    if any(allclose(values, each, atol=1e-5) for each in known):
        # log_softmax of log_softmax is itself: of two that could be each other's, neither.
        return not allclose(logits.log_softmax(1), logits, atol=1e-5)
    return False


def _shown(key: Any, value: Tensor) -> str:
    return f"[{key!r}] with {value.shape[1]} columns"


def _member(output: Any, key: Any) -> Tensor | None:
    value: Any = None
    if isinstance(output, Mapping):
        value = output.get(key)
    elif isinstance(key, str):
        value = getattr(output, key, None)
    elif isinstance(output, list | tuple) and isinstance(key, int) and key < len(output):
        value = output[key]
    return value if isinstance(value, Tensor) else None


def _members(output: Any) -> Iterator[tuple[Any, Tensor]]:
    pairs: Any = ()
    if isinstance(output, Mapping):
        pairs = output.items()
    elif isinstance(output, list | tuple):
        pairs = enumerate(output)
    for key, value in pairs:
        if isinstance(value, Tensor):
            yield key, value


def forward_names(model: nn.Module) -> tuple[str, ...]:
    """What the model's ``forward`` calls its arguments; () where it does not say."""
    inner: Any = model
    while True:
        wrapped = getattr(inner, "_orig_mod", None)
        if wrapped is None and isinstance(
            inner, nn.DataParallel | nn.parallel.DistributedDataParallel
        ):
            wrapped = inner.module
        if wrapped is None:
            break
        inner = wrapped
    # A step asks, and reading a signature takes as long as a small layer.
    function = getattr(inner.forward, "__func__", None)
    if not isinstance(function, FunctionType):
        return _names(inner.forward)
    if function not in _known_names:
        _known_names[function] = _names(inner.forward)
    return _known_names[function]


#: What methods call their arguments, without the first.
_known_names: WeakKeyDictionary[Any, tuple[str, ...]] = WeakKeyDictionary()


def _names(function: Callable[..., Any]) -> tuple[str, ...]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return tuple(parameter.name for parameter in parameters if parameter.kind in kinds)


def one_after_the_other(outputs: Sequence[StepOutput]) -> tuple[Any, Any]:
    """Logits and targets of some steps; see `Backend.telemetry_arrays`."""
    # One array for all: each call costs its time, and on a device each copy a wait.
    logits = cat([output.logits for output in outputs]).float()
    targets = cat([output.targets for output in outputs])
    if logits.device.type != "cpu":
        return logits, targets  # reduced where they are: only a few numbers a sample travel
    return logits.numpy(), targets.cpu().numpy()


def one_piece(parts: Sequence[Tensor]) -> Tensor:
    """Logits, or targets, of the pieces of one step; where they are."""
    return cat(list(parts))


def as_floats(values: Sequence[Any]) -> list[float]:
    """Scalar tensors, or numbers, as floats; waits for the device once."""
    if all(isinstance(value, float) for value in values):
        return list(values)
    try:
        found: list[float] = stack(list(values)).view(len(values)).tolist()
    except (RuntimeError, TypeError):  # none, no tensors, or of several kinds
        return [float(value) for value in values]
    return found
