"""A backend of about a hundred lines: logistic regression in numpy, with maps of its own.

    register_backend("numpy", NumpyBackend)
    session = coflect.Session(Logistic(classes=10), (images, labels))

Sessions of it have metrics, the forecast, pause, resume, stop and checkpoints like any other. Its
maps are the weights times the pixels, which for a linear model is the whole truth.
"""

from __future__ import annotations

import pickle

import numpy as np

from coflect_widget.backends.base import Batch, Sample, StepOutput, WeightSpec
from coflect_widget.backends.state import TrainingState, copied


class Logistic:
    """A linear classifier; its weights (pixels, classes) are made by the backend."""

    def __init__(self, classes: int, learning_rate: float = 0.1) -> None:
        self.classes, self.learning_rate = classes, learning_rate
        self.weights = np.zeros((0, classes), np.float32)


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def cross_entropy(logits, targets):
    rows = np.arange(len(targets))
    return -np.log(softmax(logits)[rows, targets] + 1e-12).mean()


class NumpyBackend:
    """`coflect_widget.backends.base.Backend` for `Logistic`, but for what it has by default."""

    name, device, reads_at_boundary = "numpy", "cpu", False
    explainer = "numpy_logistic:LogisticExplainer"

    @staticmethod
    def recognises(model):
        return isinstance(model, Logistic)

    def __init__(self, model, train_data, val_data, *, num_classes, loss, optimizer, scheduler,
                 batch_size, config):  # fmt: skip
        self.model, self.seed, self.batch_size = model, config.seed, batch_size
        self.images, self.targets = (np.asarray(a) for a in train_data)  # (N, C, H, W), (N,)
        self.val = None if val_data is None else tuple(np.asarray(a) for a in val_data)
        self.num_classes, self.num_train = model.classes, len(self.images)
        self.num_val = 0 if self.val is None else len(self.val[0])
        if not len(model.weights):
            pixels = int(np.prod(self.images.shape[1:]))
            model.weights = np.zeros((pixels, model.classes), np.float32)

    # --- training ----------------------------------------------------------------------------

    @property
    def steps_per_epoch(self):
        return -(-self.num_train // self.batch_size)

    def begin(self):
        pass

    def train_batches(self, epoch, skip=0):
        order = np.random.default_rng([self.seed, epoch]).permutation(self.num_train)
        for step in range(skip, self.steps_per_epoch):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield Batch(rows, self.images[rows], self.targets[rows])

    def train_step(self, batch):
        x = batch.inputs.reshape(len(batch.indices), -1)
        logits = x @ self.model.weights
        error = softmax(logits) - np.eye(self.num_classes, dtype=np.float32)[batch.targets]
        self.model.weights -= self.model.learning_rate * x.T @ error / len(x)
        return self.step_output(batch.indices, logits, batch.targets, None, None)

    def evaluate(self, boundary):
        if self.val is None:
            return {}
        logits = self.val[0].reshape(self.num_val, -1) @ self.model.weights
        right = (logits.argmax(1) == self.val[1]).mean()
        return {"loss": float(cross_entropy(logits, self.val[1])), "accuracy": float(right)}

    def learning_rate(self):
        return self.model.learning_rate

    def end_epoch(self, validation):
        pass

    # --- telemetry, and loops of the user's own ------------------------------------------------

    def step_output(self, indices, logits, targets, loss, guidance_loss):
        loss = cross_entropy(logits, targets) if loss is None else loss
        return StepOutput(indices, targets, logits, loss, guidance_loss)

    # --- weights, samples ----------------------------------------------------------------------

    def weight_specs(self):
        return [WeightSpec("weights", self.model.weights.shape, "float32")]

    def copy_weights(self, destination):
        np.copyto(destination[0], self.model.weights)

    def read_sample(self, index):
        return Sample(self.images[index], int(self.targets[index]))

    def labels(self):
        return self.targets

    def probes(self):
        return list(self.images[:8])

    def state(self, memory, *, own_loop=False):
        weights = copied(memory, "weights", self.model.weights)
        return TrainingState({"weights": weights}, {"random": None})

    def restore(self, weights, rest, guidance):
        self.model.weights[:] = weights["weights"]

    def structure(self):
        return pickle.dumps(self.model.weights.shape)


class LogisticExplainer:
    """What a worker does; see `coflect_widget.attribution.worker.Explainer`."""

    def __init__(self, structure):
        self.weights = np.zeros(pickle.loads(structure), np.float32)

    def load_weights(self, views):
        self.weights = np.array(views["weights"])

    def rehearse(self, input_shape):
        pass

    def randomise(self, seed):
        shape = self.weights.shape
        self.weights = np.random.default_rng(seed).normal(size=shape).astype(np.float32)

    def logits(self, x):
        return x.reshape(len(x), -1) @ self.weights

    def explain(self, x, target, methods, samples, sigma, layer, seed, modality):
        probabilities = softmax(self.logits(x))[0]
        explained = int(probabilities.argmax()) if target is None else target
        share = (x[0] * self.weights[:, explained].reshape(x[0].shape)).sum(0)
        found = {"livecam": np.maximum(share, 0), "smoothgrad": np.abs(share)}
        maps = {name: found[name].astype(np.float32) for name in methods}
        return {"probabilities": probabilities, "explained": explained, **maps}
