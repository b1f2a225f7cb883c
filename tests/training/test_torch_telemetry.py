"""Outputs are copied where that is cheap, and nothing of them is lost or written over."""

import numpy as np
import torch

from coflect_widget.backends.base import StepOutput
from coflect_widget.backends.torch_telemetry import LARGE, STEPS, OutputBlocks


def made(step, rows, classes=3, **other):
    values = {
        "indices": np.arange(rows) + step,
        "targets": torch.full((rows,), step % classes),
        "logits": torch.full((rows, classes), float(step)),
        "loss": step / 2,
        "guidance_loss": 1.5 if step % 2 else None,
    }
    return StepOutput(**{**values, **other})


def keep(blocks, output):
    """What became of an output's parts."""
    return blocks.keep(
        output.indices, output.logits, output.targets, output.loss, output.guidance_loss
    )


def test_outputs_of_many_steps_stay_as_they_were():
    blocks = OutputBlocks()
    sizes = [8] * (2 * STEPS) + [5, 0, 12, 700, 8]
    given = [made(step, rows) for step, rows in enumerate(sizes)]
    kept = [keep(blocks, output) for output in given]
    for output in given:
        output.logits.zero_()  # as if the allocator had given it to somebody else
    for step, (rows, one) in enumerate(zip(sizes, kept, strict=True)):
        assert one.logits.shape == (rows, 3)
        assert (one.logits == step).all()
        assert (one.targets == step % 3).all()
        assert (one.indices == np.arange(rows) + step).all()
        assert one.loss == step / 2
        assert one.guidance_loss == (1.5 if step % 2 else None)
    held = {id(one.logits.base) for one in kept[: 2 * STEPS]}
    assert len(held) == 2


def test_what_is_large_or_of_another_kind_is_kept_as_it_is():
    blocks = OutputBlocks()
    for output in (
        made(1, 64, LARGE // 64),
        made(1, 4, logits=torch.zeros(4, 3, dtype=torch.bfloat16, requires_grad=True)),
        made(1, 4, targets=torch.zeros(4, 3)),
        made(1, 4, logits=torch.zeros(4, 3, device="meta")),
    ):
        kept = keep(blocks, output)
        assert kept.logits.data_ptr() == output.logits.data_ptr()
        assert kept.logits.dtype == output.logits.dtype
        assert not kept.logits.requires_grad
        assert kept.targets is output.targets
        assert kept.indices is output.indices
    assert keep(blocks, made(1, 4)).loss == 0.5
