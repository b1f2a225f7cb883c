"""A callback for ``keras.Model.fit``.

Keras shows a callback neither logits nor samples, and leaves no way to change the loss. So for
the time of one fit the callback puts a step of the backend's in place of the compiled train
function: the same loss, optimizer and metrics, on the batches that fit brings.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import MissingFrameworkError, NonFiniteLossError
from coflect_widget.training.own_loop import OwnLoop

_NO_INDICES = (
    "fit() got data without the samples' indices; give them as an integer third element: "
    "model.fit(x, y, sample_weight=numpy.arange(len(x)), ...), or a tf.data.Dataset of "
    "(x, y, index) such as Dataset.from_tensor_slices((x, y, numpy.arange(len(x))))"
)
_ACCURACIES = (
    "val_accuracy", "val_acc", "val_sparse_categorical_accuracy", "val_categorical_accuracy",
    "val_binary_accuracy",
)  # fmt: skip


def make_callback(own: OwnLoop) -> Any:
    """See `Session.keras_callback`."""
    try:
        import keras
    except ImportError:
        raise MissingFrameworkError(
            "keras_callback() needs Keras, which is not installed; "
            "run: pip install 'coflect-widget[keras]'"
        ) from None
    if own.backend.name != "keras":
        raise TypeError("keras_callback() is for sessions whose model is a keras.Model")
    return type("CoflectCallback", (_Hooks, keras.callbacks.Callback), {})(own)


class _Hooks:
    """Keras's hooks, in the order in which it calls them."""

    model: Any
    params: Any

    def __init__(self, own: OwnLoop) -> None:
        super().__init__()
        self._own = own
        self._backend: Any = own.backend
        self._begun = self._told_of_weights = False
        self._seen: NDArray[np.bool_] = np.zeros(self._backend.num_train, bool)  # in this epoch

    def on_train_begin(self, logs: Any = None) -> None:
        if self._own.session_closed:
            raise RuntimeError(
                "the callback's session is closed and would record nothing; make a new Session and "
                "give fit() its keras_callback(), or leave the callback out"
            )
        model = self.model
        if model is not self._backend.keras_model:
            raise ValueError(
                "the session's model is not the one that is fitted; use one model, and train one "
                "that takes several columns or inputs with session.train()"
            )
        if model.steps_per_execution > 1:
            raise ValueError(
                "model was compiled with steps_per_execution > 1; compile it without, because "
                "commands are looked at between two steps"
            )
        self._backend.take_compiled()
        self._begun = self._told_of_weights = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._seen[:] = False
        if self._begun:
            return
        # Not before, because nobody else says which epoch is the first (initial_epoch=).
        per_epoch = self.params.get("steps") or 0
        steps = per_epoch * ((self.params.get("epochs") or 1) - epoch)
        model = self.model
        if not self._own.begin(steps, per_epoch, judges=True):
            model.stop_training = True
        self._begun = True
        model.train_function = self._step
        model.test_function = self._backend.test_function

    def _step(self, iterator: Any) -> Any:
        """One step in place of Keras's own; what it gives are the logs."""
        model = self.model
        if not self._own.open:
            if model.stop_training:  # stopped before the first step
                return model.get_metrics_result()
            model.make_train_function(force=True)  # another fit: ours was interrupted
            return model.train_function(iterator)
        with self._told_of_errors():
            return self._trained(iterator)

    @contextmanager
    def _told_of_errors(self) -> Iterator[None]:
        """Keras does not tell callbacks of a fit that ends with an error, or is interrupted."""
        try:
            yield
        except StopIteration:
            raise  # no error: so Keras learns where data of unknown length end
        except BaseException as error:
            self._leave_functions()
            if isinstance(error, Exception):
                self._own.end("failed", error)
            else:
                self._own.end("stopped")
            raise

    def _trained(self, iterator: Any) -> Any:
        model = self.model
        data = next(iterator)
        third = data[2] if isinstance(data, tuple) and len(data) == 3 else None
        if third is None or np.asarray(third).dtype.kind not in "iu":
            raise ValueError(_NO_INDICES)
        x, y = data[0], data[1]
        indices = np.asarray(third).reshape(-1).astype(np.int64)
        own = self._backend.class_numbers(np.asarray(y))
        labels, weights = self._backend.as_judged(indices, own)
        if labels is not own:
            y = self._backend.targets(labels)
        try:
            output = self._backend.step(indices, x, labels, y, weights, metrics=True)
        except NonFiniteLossError as error:
            self._own.non_finite(error)
        else:
            self._own.take(output)
            self._notice_repeats(indices)
        return model.get_metrics_result()

    def _notice_repeats(self, indices: NDArray[np.int64]) -> None:
        """Whole numbers that come again within an epoch may be weights."""
        again = self._seen[indices]
        self._seen[indices] = True
        if self._told_of_weights or not (again.any() or len(np.unique(indices)) < len(indices)):
            return
        self._told_of_weights = True
        self._own.notice(
            "warning",
            "fit() brought the same index more than once in an epoch. Whole numbers as "
            "sample_weight or third element are the samples' places in train_data; if they are "
            "weights, forecast and maps are of other samples: pass numpy.arange(len(x)), and "
            "class_weight= to Session.",
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        with self._told_of_errors():  # a pause is held here
            if not self._own.step_done():
                self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        found = {}
        if "val_loss" in logs:
            found["loss"] = float(logs["val_loss"])
        accuracy = next((logs[name] for name in _ACCURACIES if name in logs), None)
        if accuracy is not None:
            found["accuracy"] = float(accuracy)
        with self._told_of_errors():
            if not self._own.epoch_done(found or None):
                self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        self._own.end("finished")
        self._leave_functions()

    def _leave_functions(self) -> None:
        """The next fit makes its own."""
        self.model.train_function = self.model.test_function = None
