"""TensorFlow is slow to import; these tests share one process and one set of data."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from tests.one_worker import make_session

__all__ = ["make_session"]
