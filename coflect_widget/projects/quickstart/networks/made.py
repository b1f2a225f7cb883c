"""Networks made of plain values, their weights read, and their outputs as arrays."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from coflect_widget.projects.quickstart.networks.lstm import LstmNet
from coflect_widget.projects.quickstart.networks.picture import PictureNet
from coflect_widget.projects.quickstart.networks.series import ForecastNet, SeriesNet
from coflect_widget.projects.quickstart.networks.table import TableNet
from coflect_widget.projects.quickstart.networks.text import TextNet
from coflect_widget.projects.quickstart.networks.watch import WatchNet

_NETS: dict[str, Any] = {
    "table": TableNet, "text": TextNet, "series": SeriesNet, "image": PictureNet,
    "forecast": ForecastNet, "lstm": LstmNet, "watch": WatchNet,
}  # fmt: skip
_RATE, _DECAY = 1e-3, 1e-2
_AT_ONCE = 256
#: So far outputs of a network that was made faster may lie from its own, in parts of the largest.
_ALIKE = 1e-6
#: What `net` is called where the network is a user's own, and where its name stands.
OWN, CALLED = "own", "called"


def planned(config: Mapping[str, Any], own: Callable[..., Any] | None) -> dict[str, Any]:
    """Plain values of `Inputs.network`, of a user's own network where there is one.

    Raises
    ------
    TypeError
        If it cannot be called.
    """
    if own is None:
        return dict(config)
    if isinstance(own, nn.Module) or not callable(own):
        raise TypeError(
            f"model={_short(own)} must be a class or function that makes a network, so that the "
            "network can be made again: give the class, model=Net, and not Net(...)"
        )
    name = getattr(own, "__qualname__", type(own).__name__)
    return {**config, "net": OWN, CALLED: f"{getattr(own, '__module__', '')}.{name}"}


def make(
    config: Mapping[str, Any],
    seed: int = 0,
    x: NDArray[Any] | None = None,
    evidence: NDArray[Any] | None = None,
    own: Callable[..., Any] | None = None,
) -> nn.Module:
    """A network of `planned`; the global random state stays as it is.

    Parameters
    ----------
    config : mapping
    seed : int
        Its weights depend on this alone, and on what follows.
    x, evidence : ndarray, optional
        Inputs (N, ...) and targets (N, outputs) of the training part; for a network whose weights
        are read afterwards they are left out.
    own : callable, optional
        What makes a user's own network; it is given those of the values that it has arguments for.

    Raises
    ------
    ValueError
        If the values are none of a network, or are of a user's own that is not given.
    TypeError
        If a user's own is no network of torch, or needs what is not known.
    """
    given = dict(config)
    name = given.pop("net", "")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _own(given, own) if name == OWN else _known(name, given)
    prepare: Any = getattr(model, "prepare", None)
    if prepare is not None and x is not None and evidence is not None:
        prepare(torch.from_numpy(x), torch.from_numpy(evidence))
    return model


def _known(name: str, given: Mapping[str, Any]) -> nn.Module:
    kind = _NETS.get(name)
    if kind is None:
        raise ValueError(f"no network is called {name!r}")
    try:
        model: nn.Module = kind(**given)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"no {name} network is made of these: {error}") from None
    return model


def _own(given: dict[str, Any], own: Callable[..., Any] | None) -> nn.Module:
    called = given.pop(CALLED, "a function")
    if own is None:
        raise ValueError(
            f"its network was made by {called}, and no code is kept in a run folder: give what "
            "made it, Pipeline.of(run, model=...), or coflect serve RUN --model module:name"
        )
    known = inspect.signature(own).parameters
    every = any(one.kind is one.VAR_KEYWORD for one in known.values())
    needed = [
        one.name for one in known.values()
        if one.default is one.empty and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    ]  # fmt: skip
    lacking = [name for name in needed if name not in given]
    if lacking:
        raise TypeError(
            f"model={called} needs {', '.join(lacking)}; it may ask for {', '.join(given)}, and "
            "other arguments must have a value of their own"
        )
    model = own(**{name: value for name, value in given.items() if every or name in known})
    if not isinstance(model, nn.Module):
        raise TypeError(f"model={called} gave {_short(model)}; expected a torch.nn.Module")
    return model


def _short(value: object) -> str:
    text = repr(value).partition("\n")[0]
    return text if len(text) < 60 else f"{text[:57]}..."


def optimizer() -> Any:
    """What makes the optimizer of a network from its parameters."""
    return partial(torch.optim.AdamW, lr=_RATE, weight_decay=_DECAY)


def square_loss() -> nn.Module:
    """The mean square of what is missed."""
    return nn.MSELoss()


def put_weights(model: nn.Module, weights: Mapping[str, NDArray[Any]]) -> None:
    """Give a network weights by its own names.

    Raises
    ------
    ValueError
        If they are not this network's.
    """
    try:
        model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"the weights are not this network's: {error}") from None


def outputs_of(model: nn.Module, x: NDArray[Any]) -> NDArray[np.float32]:
    """What it says of inputs (N, ...), (N, outputs); its mode and gradients stay as they are."""
    was = model.training
    device = next(model.parameters()).device
    model.eval()
    try:
        with torch.no_grad():
            found = [
                model(torch.from_numpy(x[k : k + _AT_ONCE]).to(device)).cpu().numpy()
                for k in range(0, len(x), _AT_ONCE)
            ]
    finally:
        model.train(was)
    return np.concatenate(found)


def answering(model: nn.Module) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """What `outputs_of` says, to 1e-5, of a network that is not trained again: in less time.

    Normalisations are put into the convolutions before them, and pictures lie channels last. The
    first inputs are given to the network as it is too: where it says something else, or cannot be
    changed so, or raises of such pictures, it stays as it is. For one thread at a time.
    """
    model.eval()
    quick, seen = _quick(model), False

    def answer(x: NDArray[Any]) -> NDArray[np.float32]:
        nonlocal quick, seen
        parts = []
        with torch.inference_mode():
            for k in range(0, len(x), _AT_ONCE):
                part = torch.from_numpy(x[k : k + _AT_ONCE])
                told = None if quick is None else _told(quick, part)
                if told is None:
                    told, quick = model(part), None  # what neither can take changes nothing
                elif not seen:
                    told, other = model(part), told
                    if bool(torch.isfinite(told).all()):
                        seen = True
                        off = (told - other).abs().max() / told.abs().max().clamp(min=1)
                        quick = quick if off <= _ALIKE else None
                parts.append(told.numpy())
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return answer


def _told(quick: nn.Module, part: torch.Tensor) -> torch.Tensor | None:
    """What it says of inputs that lie channels last; None where it cannot take them so."""
    if part.ndim == 4:
        part = part.contiguous(memory_format=torch.channels_last)
    try:
        told: torch.Tensor = quick(part)
    except Exception:  # noqa: BLE001 - a network of one's own may do anything with its inputs
        return None
    return told


def _quick(model: nn.Module) -> nn.Module | None:
    try:
        from torch.fx.experimental.optimization import fuse

        fused: Any = fuse(model)
        found: nn.Module = fused.to(memory_format=torch.channels_last)
        return found
    except Exception:  # noqa: BLE001 - not every network can be traced, for many reasons
        return None
