"""A session on the embedded data, ready to be trained: handwritten digits with a trap in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coflect_widget.data import decoy_digits
from coflect_widget.session import Session


def demo(run_dir: str | Path | None = None, **arguments: Any) -> Session:
    """Make a `Session` with a small residual network on `data.decoy_digits`.

    A coloured square in a corner of each training image gives the class away; the validation
    images have no square. The network learns the square until somebody tells it not to.

    Parameters
    ----------
    run_dir : path
    **arguments
        Passed on to `Session`.
    """
    from coflect_widget.projects.demo_model import small_resnet

    train, val = decoy_digits("train"), decoy_digits("test", square="none")
    model = small_resnet(num_classes=len(train.classes))
    return Session(model, train, val, classes=train.classes, run_dir=run_dir, **arguments)
