"""Outputs are copied where that is cheap, and nothing of them is lost or written over."""

import numpy as np
import torch

from coflect_widget.backends.base import StepOutput
from coflect_widget.backends.torch_telemetry import LARGE, copy_small


def made(step, rows, classes=3, **other):
    values = {
        "indices": np.arange(rows) + step,
        "targets": torch.full((rows,), step % classes),
        "logits": torch.full((rows, classes), float(step)),
        "loss": step / 2,
        "guidance_loss": 1.5 if step % 2 else None,
    }
    return StepOutput(**{**values, **other})


def test_outputs_of_many_steps_stay_as_they_were():
    sizes = [8, 8, 5, 0, 12, 700, 8]
    outputs = [made(step, rows) for step, rows in enumerate(sizes)]
    given = [output.logits for output in outputs]
    copy_small(outputs)
    for logits in given:
        logits.zero_()  # as if the allocator had given it to somebody else
    for step, (rows, one) in enumerate(zip(sizes, outputs, strict=True)):
        assert isinstance(one.logits, np.ndarray)
        assert one.logits.shape == (rows, 3)
        assert (one.logits == step).all()
        assert (one.targets == step % 3).all()
        assert (one.indices == np.arange(rows) + step).all()
        assert one.loss == step / 2
        assert one.guidance_loss == (1.5 if step % 2 else None)
    assert len({id(one.logits.base) for one in outputs}) == 1


def test_what_is_large_or_of_another_kind_is_kept_as_it_is():
    for other in (
        {"logits": torch.zeros(64, LARGE // 64 + 1), "targets": torch.zeros(64, dtype=torch.long)},
        {"logits": torch.zeros(4, 3, dtype=torch.bfloat16)},
        {"targets": torch.zeros(4, 3)},
        {"targets": torch.zeros(4, dtype=torch.long, device="meta")},
        {"logits": torch.zeros(4, 3, device="meta")},
        {"logits": torch.zeros(4)},
    ):
        given = [made(1, 4, **other) for _ in range(3)]
        before = [(output.logits, output.targets, output.indices) for output in given]
        copy_small(given)
        for output, (logits, targets, indices) in zip(given, before, strict=True):
            assert output.logits is logits
            assert output.targets is targets
            assert output.indices is indices
            assert output.loss == 0.5


def test_one_of_another_kind_does_not_keep_its_neighbours_from_being_copied():
    for odd in ({"targets": torch.zeros(4, 3)}, {"targets": torch.zeros(4)}):
        for place in (0, 3):
            outputs = [made(1, 4) for _ in range(5)]
            outputs.insert(place, made(1, 4, **odd))
            copy_small(outputs)
            copied = [isinstance(output.logits, np.ndarray) for output in outputs]
            assert copied == [at != place for at in range(6)]


def test_outputs_of_other_widths_are_copied_apart():
    outputs = [made(1, 4), made(2, 4, classes=5), made(4, 4)]
    copy_small(outputs)
    for step, output in zip((1, 2, 4), outputs, strict=True):
        assert isinstance(output.logits, np.ndarray)
        assert (output.logits == step).all()
