"""What a person has beside a run: its model and its data."""

import coflect_widget as coflect
from tests.conftest import tiny_cnn

net = tiny_cnn
not_callable = 3


def data():
    return coflect.data.synthetic(n=48, seed=1)
