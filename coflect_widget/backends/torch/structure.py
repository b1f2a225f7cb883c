"""A PyTorch model as bytes without its weights, and back, in a process that never saw its code.

Classes that were defined in a notebook cell, or in a module that only this process can import,
travel with it. Tensors of the state dict become placeholders; hooks, gradients and devices stay
behind.
"""

from __future__ import annotations

import io
from typing import Any

import torch
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.nn.utils import parametrize

from coflect_widget.backends.by_value import ByValuePickler, ByValueUnpickler, dumps, findable
from coflect_widget.backends.errors import ModelNotSendableError

_HOOK_TABLES = (
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def structure(model: torch.nn.Module) -> bytes:
    """What a worker needs to rebuild `model`, except the values of its weights.

    The model is not changed; hooks (other than those of ``torch.nn.utils``, which compute
    weights) and gradients are not sent, and every device becomes the CPU.

    Raises
    ------
    ModelNotSendableError
        If something in the model cannot be pickled, or is of a module that a worker cannot
        import; the message names it.
    """
    names: dict[int, str] = {}
    known: list[str] = []
    for name, value in model.state_dict(keep_vars=True).items():
        if isinstance(value, UninitializedParameter | UninitializedBuffer):
            raise ModelNotSendableError(
                f"model has a lazy weight {name!r} whose shape is not known yet; call the model "
                "once on a sample first"
            )
        if isinstance(value, torch.Tensor):
            names.setdefault(id(value), name)
            known.append(name)
    try:
        data = dumps((_unwrapped(model), known), _Pickler, names)
    except Exception as error:
        found = _culprit(model, names)
        remedy = ". Create it outside the model, or leave it out in the model's __getstate__"
        raise ModelNotSendableError(
            f"model cannot be sent to a worker: {found + remedy if found else error}"
        ) from error
    _check_imports(data)
    return data


def rebuild(data: bytes) -> tuple[torch.nn.Module, dict[str, torch.Tensor], set[str]]:
    """The model of `structure` on the CPU, in eval mode, without gradients for its weights.

    Returns
    -------
    model : torch.nn.Module
        Its weights hold whatever was in memory.
    weights : dict of str to Tensor
        The tensors to fill, by name; of weights that are tied only one name.
    known : set of str
        All names of the state dict.
    """
    unpickler = _Unpickler(io.BytesIO(data))
    model, known = unpickler.load()
    for weight in unpickler.weights.values():
        weight.requires_grad_(False)
    model.eval()
    return model, unpickler.weights, set(known)


def _check_imports(data: bytes) -> None:
    """Raise ModelNotSendableError where a worker could not import what `data` refers to."""
    unpickler = _Unpickler(io.BytesIO(data))
    unpickler.load()
    for module in sorted(unpickler.modules):
        if not findable(module):
            raise ModelNotSendableError(
                f"model cannot be sent to a worker: it needs the module {module!r}, which a worker "
                "cannot import. Put the folder that holds it on sys.path, for example "
                "sys.path.append('/folder'), and make the Session again"
            )


class _Pickler(ByValuePickler):
    def __init__(self, file: io.BytesIO, names: dict[int, str], **how: bool) -> None:
        super().__init__(file, **how)
        self._names = names

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, torch.Tensor) and id(obj) in self._names:
            is_parameter = isinstance(obj, torch.nn.Parameter)
            return (self._names[id(obj)], tuple(obj.shape), obj.dtype, is_parameter)
        return None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, torch.nn.Module):
            if parametrize.is_parametrized(obj):
                # Its class is made for this one module, forbids pickling, and travels by value.
                plain: Any = parametrize.type_before_parametrizations(obj)
                return (_blank, (type(obj),), _without_hooks(plain.__getstate__(obj)))
            reduced = obj.__reduce_ex__(4)
            if isinstance(reduced, tuple) and len(reduced) > 2 and isinstance(reduced[2], dict):
                return (*reduced[:2], _without_hooks(reduced[2]), *reduced[3:])
            return reduced
        if isinstance(obj, torch.device):
            return (torch.device, ("cpu",))
        if isinstance(obj, torch.Tensor):
            # Not in the state dict, so its values travel; a result of other tensors (as weight
            # normalisation keeps them) cannot take its history along.
            value = obj.detach().cpu()
            if isinstance(obj, torch.nn.Parameter):
                value = torch.nn.Parameter(value, requires_grad=False)
            return value.__reduce_ex__(4)  # type: ignore[no-untyped-call]  # torch's has no types
        return super().reducer_override(obj)


class _Unpickler(ByValueUnpickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.weights: dict[str, torch.Tensor] = {}

    def persistent_load(self, pid: Any) -> torch.Tensor:
        name, shape, dtype, is_parameter = pid
        if name not in self.weights:
            empty = torch.empty(shape, dtype=dtype)
            self.weights[name] = (
                torch.nn.Parameter(empty, requires_grad=False) if is_parameter else empty
            )
        return self.weights[name]


def _blank(kind: type[torch.nn.Module]) -> torch.nn.Module:
    return kind.__new__(kind)


def _without_hooks(state: dict[str, Any]) -> dict[str, Any]:
    state = dict(state)
    for table in _HOOK_TABLES:
        hooks = state.get(table)
        if hooks:
            # Weight and spectral normalisation and pruning compute weights in hooks.
            kept = {
                key: hook
                for key, hook in hooks.items()
                if type(hook).__module__.startswith("torch.nn.utils")
            }
            state[table] = type(hooks)(kept)
    return state


def _unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """The model inside torch.compile's or a data-parallel wrapper."""
    inner = getattr(model, "_orig_mod", None)
    if isinstance(inner, torch.nn.Module):
        return _unwrapped(inner)
    if isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        return _unwrapped(model.module)
    return model


def _culprit(model: torch.nn.Module, names: dict[int, str]) -> str | None:
    for path, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute in {"_modules", "_parameters", "_buffers", *_HOOK_TABLES}:
                continue
            try:
                _Pickler(io.BytesIO(), names).dump(value)
            except Exception as error:  # noqa: BLE001 - any of them is the answer
                where = f"{path}.{attribute}" if path else attribute
                return f"its attribute {where!r} ({type(value).__name__}): {error}"
    return None
