"""Outputs are copied where that is cheap, and nothing of them is lost or written over."""

import numpy as np
import torch

from coflect_widget.backends.torch_telemetry import LARGE, TOGETHER, OutputBlocks


def made(step, rows, classes=3, **other):
    values = {
        "indices": np.arange(rows) + step,
        "targets": torch.full((rows,), step % classes),
        "logits": torch.full((rows, classes), float(step)),
        "loss": step / 2,
        "guidance_loss": 1.5 if step % 2 else None,
    }
    return {**values, **other}


def test_outputs_of_many_steps_stay_as_they_were():
    blocks = OutputBlocks()
    sizes = [8] * (3 * TOGETHER) + [5, 0, 12, 700, 8] + [8] * (2 * TOGETHER - 5)
    given = [made(step, rows) for step, rows in enumerate(sizes)]
    kept = [blocks.keep(**parts) for parts in given]
    assert all(isinstance(one.logits, np.ndarray) for one in kept)
    for parts in given:
        parts["logits"].zero_()  # as if the allocator had given it to somebody else
    for step, (rows, one) in enumerate(zip(sizes, kept, strict=True)):
        assert one.logits.shape == (rows, 3)
        assert (one.logits == step).all()
        assert (one.targets == step % 3).all()
        assert (one.indices == np.arange(rows) + step).all()
        assert one.loss == step / 2
        assert one.guidance_loss == (1.5 if step % 2 else None)
    assert len({id(one.logits.base) for one in kept[: 3 * TOGETHER]}) == 3


def test_what_is_large_or_of_another_kind_is_kept_as_it_is():
    for other in (
        {"logits": torch.zeros(64, LARGE // 64 + 1), "targets": torch.zeros(64, dtype=torch.long)},
        {"logits": torch.zeros(4, 3, dtype=torch.bfloat16, requires_grad=True)},
        {"targets": torch.zeros(4, 3)},
        {"logits": torch.zeros(4, 3, device="meta")},
        {"logits": torch.zeros(4)},
    ):
        blocks = OutputBlocks()
        given = [made(1, 4, **other) for _ in range(TOGETHER)]
        for parts, output in zip(given, [blocks.keep(**parts) for parts in given], strict=True):
            assert output.logits.data_ptr() == parts["logits"].data_ptr()
            assert output.logits.dtype == parts["logits"].dtype
            assert not output.logits.requires_grad
            assert output.targets is parts["targets"]
            assert output.indices is parts["indices"]
            assert output.loss == 0.5


def test_one_of_another_kind_does_not_keep_its_neighbours_from_a_block():
    blocks = OutputBlocks()
    outputs = [blocks.keep(**made(1, 4)) for _ in range(TOGETHER - 1)]
    odd = blocks.keep(**made(1, 4, targets=torch.zeros(4, 3)))
    assert all(isinstance(output.logits, np.ndarray) for output in outputs)
    assert isinstance(odd.logits, torch.Tensor)
