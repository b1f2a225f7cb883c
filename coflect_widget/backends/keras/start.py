"""Starts TensorFlow in a worker: on one processor, without a GPU, and without a word."""

from __future__ import annotations

import importlib
import os
import sys

_SETTINGS = {
    "KERAS_BACKEND": "tensorflow",
    "CUDA_VISIBLE_DEVICES": "-1",  # the training has it
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}


def start_tensorflow() -> None:
    """Import TensorFlow; what it writes to stderr while it starts is left out."""
    os.environ.update(_SETTINGS)
    # Its C++ parts write past Python's own stderr, and before they heed any setting.
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        importlib.import_module("tensorflow")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
