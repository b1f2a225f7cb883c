"""An explainer that does what it is told; no framework, so that its worker is soon there."""

import os
import signal
import time

import numpy as np

from coflect_widget.attribution import worker


class Faulty:
    """An explainer that does what the input's first value says; it needs no framework."""

    def __init__(self, data):
        self.value = None

    def rehearse(self, run):
        run()

    def load_weights(self, views):
        self.value = float(views["w"][0])

    def explain(self, x, target, methods, samples, sigma, layer, seed, modality):
        what = int(x.flat[0])
        if what == 1:
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        if what == 2:
            os.kill(os.getpid(), signal.SIGSTOP)
        if what == 3:
            raise MemoryError("no room")
        if what == 4:
            raise ValueError("cannot do this one")
        if what == 5:
            time.sleep(1.0)
        maps = np.arange(64, dtype=np.float32).reshape(8, 8)
        bad = np.full((8, 8), np.nan, np.float32) if what == 7 else maps
        probabilities = np.array([0.2, 0.8], np.float32)
        return {
            "livecam": bad,
            "smoothgrad": maps,
            "probabilities": probabilities,
            "explained": 1,
        }


def make(data):
    return Faulty(data)


def forget():
    """As a worker that somebody else has started anew."""
    worker._models.clear()
