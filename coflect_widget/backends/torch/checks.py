"""What a torch model and its data can be taken for, before anything is trained."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from coflect_widget.backends.base import batch_cuts
from coflect_widget.backends.sourced import same_shapes
from coflect_widget.backends.torch.data import Source
from coflect_widget.backends.torch.entry import Entry, refuse_floats_looked_up
from coflect_widget.backends.torch.modes import Frozen, evaluating
from coflect_widget.backends.torch.numbers import call, within
from coflect_widget.backends.torch.outputs import choose, forward_names, mark
from coflect_widget.backends.torch.rehearsal import rehearse, rows_for, shown_shape
from coflect_widget.backends.torch.several import note, row_call
from coflect_widget.modalities import Modality
from coflect_widget.modalities.image.inputs import channels_last


def check_model(model: nn.Module) -> None:
    """Raise ValueError for a model that cannot be trained as it is."""
    if any(weight.device.type == "meta" for weight in [*model.parameters(), *model.buffers()]):
        raise ValueError(
            "model has weights on the meta device, which have no values; make it without "
            "torch.device('meta'), or call model.to_empty(device='cpu') and load its weights"
        )


def choose_device(model: nn.Module, wanted: str | None) -> torch.device:
    """The device asked for, that of the model, or the best that is there."""
    if wanted is not None:
        try:
            device = torch.device(wanted)
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                f"config['device'] = {wanted!r} cannot be used here ({error}); "
                "use 'cpu', or leave it out to take the best device present"
            ) from error
        return device
    first = next(model.parameters(), None)
    if first is None:
        raise ValueError("model has no parameters; there is nothing to train")
    if first.device.type != "cpu":
        return first.device
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_channels(model: nn.Module, source: Source) -> None:
    """Raise ValueError for pictures (H, W, C); where the model says how many, it decides."""
    shape = source.input_shape
    takes = next((m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if not channels_last(shape) or takes == shape[0]:
        return
    if source.dataset is None:
        remedy = "images.transpose(0, 3, 1, 2), or of a tensor images.permute(0, 3, 1, 2)"
    else:
        remedy = "image.transpose(2, 0, 1) from the data set, or of a tensor image.permute(2, 0, 1)"
    raise ValueError(
        f"{source.argument} has inputs of shape {tuple(shape)}, which look like pictures with "
        f"their channels last (H, W, C); torch has them first (C, H, W): pass {remedy}"
    )


def check_alike(sources: Sequence[Source]) -> None:
    """Raise ValueError unless training and validation data have inputs and targets of one kind."""
    train, *val = sources
    for other in val:
        if other.regression != train.regression:
            raise ValueError(
                "one of train_data and val_data has class numbers and the other has values to "
                "regress on; give both the same kind of targets"
            )
        same_shapes(train.input_shape, other.input_shape)


def look_up(model: nn.Module, sources: Sequence[Source], device: torch.device) -> Modality:
    """What inputs are; where they are whole numbers, those that the model looks up.

    Raises
    ------
    ValueError
        If it does not do so, or has no rows for some of them.
    """
    train = sources[0]
    note(model, row_call(train.packing, forward_names(model)))
    inner: nn.Module = getattr(model, "_orig_mod", model)  # what is compiled shows no modules
    row = torch.from_numpy(train.sample(0).input)[None].to(device)
    if train.modality.whole:
        with evaluating(inner):
            count = Entry(inner).rows(row, partial(call, inner))
        known = train.modality.numbered(count)
        for source in sources:
            source.set_numbers(count, known)
        return known
    if any(isinstance(module, nn.Embedding) for module in inner.modules()):
        with evaluating(inner):
            for part in (one for one in train.modality.members if not one.modality.whole):
                where = f"{train.argument}, in its input {part.name!r},"
                refuse_floats_looked_up(inner, part.of(row), within(inner, row, part), where)
            if not train.modality.members:
                refuse_floats_looked_up(inner, row, partial(call, inner), train.argument)
    counts = {}
    for part in (one for one in train.modality.members if one.modality.whole):
        with evaluating(inner), contextlib.suppress(ValueError):  # a model may compare ids alone
            counts[part.name] = Entry(inner).rows(part.of(row), within(inner, row, part))
    if train.modality.members:
        for source in sources:
            source.number_parts(counts)
    return train.modality


class Outputs(NamedTuple):
    """How many outputs a model has, and what was guessed to find out."""

    outputs: int
    said: list[str]


def find_outputs(
    model: nn.Module, source: Source, num_classes: int | None, device: torch.device
) -> Outputs:
    """Run the model on the first sample, in eval mode, and find the logits in what it gives.

    Raises
    ------
    ValueError, TypeError
        If it fails, or its output is none that the targets can belong to.
    """
    first = source.sample(0)
    inputs = torch.from_numpy(first.input)[None].to(device)
    try:
        with evaluating(model):
            output = call(model, inputs.clone())
    except Exception as error:
        shown = shown_shape(model, inputs)
        assumed = source.modality.assumed(first.input)
        raise ValueError(
            f"model fails on a batch of shape {shown} made from train_data[0]: "
            f"{error}{_of_another_type(model)}{f'. {assumed}' if assumed else ''}"
        ) from error
    exactly = source.values().shape[1] if source.regression else num_classes
    largest = 0 if source.regression else int(source.labels().max())
    choice = choose(output, exactly=exactly, at_least=largest + 1)
    logits = choice.logits
    if logits.ndim != 2:
        raise ValueError(_not_two_dimensions(logits))
    outputs = int(logits.shape[1])
    mark(model, choice.key, outputs)
    if num_classes is not None and outputs != num_classes:
        raise ValueError(
            f"model has {outputs} outputs but classes= names {num_classes}; give the last "
            f"layer {num_classes} outputs or name {outputs} classes"
        )
    said = [choice.said] if choice.said else []
    if not source.regression:
        said += _of_classes(logits, largest, named=num_classes is not None)
    assumed = source.modality.assumed(first.input)
    said += [assumed] if assumed else []
    return Outputs(outputs, said)


def first_rows(source: Source, batch_size: int, outputs: int) -> tuple[Tensor, Tensor]:
    """Inputs (n, ...) and targets (n,) or (n, D) of a few samples that have been read already."""
    known = source.read_so_far()
    numbers = math.prod(source.input_shape)
    chosen = known[: rows_for(batch_size, len(known), outputs, numbers)]
    samples = [source.sample(i) for i in chosen]
    inputs = torch.from_numpy(np.stack([sample.input for sample in samples]))
    if not source.regression:
        return inputs, torch.tensor([sample.target for sample in samples])
    values = source.values()  # of all samples, or of the probes
    places = chosen if len(values) == source.length else [source.probes().index(i) for i in chosen]
    wanted = torch.from_numpy(values[places])
    return inputs, wanted if wanted.is_floating_point() else wanted.long()


def rehearse_step(
    model: nn.Module,
    loss: Any,
    source: Source,
    batch_size: int,
    outputs: int,
    *,
    frozen: Frozen,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> bool:
    """Take one step on a copy of the model, so that what does not fit is found now.

    Whether the model gave more than a tensor in train mode.
    """
    smallest = min(b - a for a, b in batch_cuts(source.length, batch_size))
    # A batch of one is trained on where it is, and tried with one.
    inputs, targets = first_rows(source, 1 if smallest == 1 else batch_size, outputs)
    device = next(model.parameters()).device
    output, _ = rehearse(
        model,
        loss,
        inputs.to(device),
        targets.to(device),
        outputs=outputs,
        frozen=frozen,
        autocast=autocast,
    )
    return output is not None and not isinstance(output, Tensor)


def _of_classes(logits: Tensor, largest: int, *, named: bool) -> list[str]:
    """What outputs and labels were taken for, where that could be wrong."""
    outputs = int(logits.shape[1])
    if outputs == 1:
        raise ValueError(
            "model has 1 output; a classifier needs at least 2: give a binary classifier two "
            f"outputs, this one {max(2, largest + 1)}, and leave loss= out or pass "
            "torch.nn.CrossEntropyLoss(). To regress, pass floating point targets and "
            "loss=torch.nn.MSELoss()"
        )
    said = []
    if not named and 2 * (largest + 1) <= outputs:
        said.append(
            f"Labels go from 0 to {largest}, as far as they are known, and the model has "
            f"{outputs} outputs: they were taken for the first {largest + 1} of {outputs} "
            "classes. Give the last layer as many outputs as there are classes, or name them "
            "all with classes=."
        )
    values = logits.float()
    if bool(((values.sum(1) - 1).abs() < 1e-4).all() and (values >= 0).all()):
        said.append(
            "The model's outputs are probabilities that sum to 1, and they were taken for "
            "logits, as cross-entropy takes them: leave the softmax out of the model."
        )
    return said


def _not_two_dimensions(logits: Tensor) -> str:
    shape = tuple(logits.shape)
    found = f"model gives {shape} for one sample; it must give logits (1, classes)"
    if logits.ndim > 2 and math.prod(shape[2:]) == 1:
        return f"{found}: end it with torch.nn.Flatten()"
    if logits.ndim == 4:
        return (
            f"{found}. One output for each place needs task='segmentation' and masks (N, H, W); to "
            "classify the whole picture, end the model with torch.nn.AdaptiveAvgPool2d(1) and "
            "torch.nn.Flatten()"
        )
    if logits.ndim == 3:
        return f"{found}: of tokens (B, N, D) take the class token or their mean"
    return f"{found}: leave out squeeze() or flatten(), so that a sample keeps its row"


def _of_another_type(model: nn.Module) -> str:
    """What to say of weights that are no float32, which inputs are."""
    types = {weight.dtype for weight in model.parameters() if weight.is_floating_point()}
    others = ", ".join(sorted(map(str, types - {torch.float32})))
    if not others:
        return ""
    fewer = (
        ", and config={'mixed_precision': True} to compute in fewer bits"
        if types & {torch.float16, torch.bfloat16}
        else ""
    )
    return f". It has weights of {others}, but inputs are float32: pass model.float(){fewer}"
