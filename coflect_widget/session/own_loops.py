"""The part of a `Session` for those who keep the training loop they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from coflect_widget.session.arguments import count
from coflect_widget.session.held import Held


class OwnLoops(Held):
    """Mixed into `Session`: a bare loop, and the callbacks of other libraries."""

    def loop(
        self, loader: Iterable[Any], epochs: int = 1, *, validate: bool = True
    ) -> Iterator[Any]:
        """Go through `loader` in a loop of your own, on the thread that calls.

        ::

            for x, y in session.loop(loader, epochs=10):
                logits = model(x)
                loss = cross_entropy(logits, y)
                session.observe(None, logits, y)
                optimizer.zero_grad()
                (loss + session.guidance_loss(x, y, loss)).backward()
                optimizer.step()

        Between two batches a person's commands are followed: the loop is held while paused,
        and ends early when stopped. Each pass over the loader is an epoch.

        Parameters
        ----------
        loader : iterable
            Its batches are handed on as they are. Of a torch DataLoader the samples' indices
            are known; any other must yield them, for `observe`.
        epochs : int
        validate : bool
            Evaluate the session's `val_data` after each epoch.

        Raises
        ------
        RuntimeError
            If training is running already, or the session is closed.
        """
        parts = self._open()
        epochs = count(epochs, "epochs")
        if isinstance(loader, Iterator) and epochs > 1:
            raise TypeError(
                f"loader is a {type(loader).__name__}, which can be gone through only once; pass "
                "what makes it, such as a DataLoader, or epochs=1"
            )
        if not isinstance(loader, Iterable):
            raise TypeError(
                f"loader={type(loader).__name__} gives no batches; pass a DataLoader, a list of "
                "batches or anything else that a for loop takes"
            )
        if parts.loop.running and not parts.loop.on_this_thread:
            raise RuntimeError("training is already running; stop() it first, or wait() for it")
        return parts.own_loop.over(loader, epochs, validate=validate)

    def observe(
        self, indices: Any, logits: Any = None, targets: Any = None, loss: Any = None
    ) -> None:
        """Say what a step of a loop of your own computed; nothing is copied or waited for.

        Parameters
        ----------
        indices : array_like (B,) or None
            Places of the batch's samples in `train_data`; None where `loop` goes through a
            torch DataLoader. Then fewer rows than the batch has are its next ones: micro-batches
            come one after the other, as ``x.chunk(4)`` gives them, and are one step.
        logits : tensor (B, classes)
        targets : tensor (B,) of class numbers, or (B, classes) of probabilities
            In regression both are (B, D).
        loss : tensor (), optional
            The task's mean loss over these rows, before it is divided for an accumulated
            gradient; cross-entropy of the logits, or in regression the session's ``loss=``, if
            left out. With ``task="own_loss"`` each sample's own loss, a tensor or array (B,), and
            no logits and targets: ``session.observe(indices, loss=losses)``.

        Raises
        ------
        ValueError
            If the samples are not known, or do not fit together; also in `loop`, at the end of a
            batch of which only some rows were observed without indices.
        """
        self._open().own_loop.observe(indices, logits, targets, loss)

    def guidance_loss(self, inputs: Any, targets: Any, loss: Any) -> Any:
        """What the guidance in force adds to this step's loss; 0.0 where there is none.

        Parameters
        ----------
        inputs : tensor (B, C, H, W)
            The batch, or a piece of it, as the model got it.
        targets : tensor (B,) or (B, classes)
        loss : tensor ()
            The task loss; the strength of guidance is relative to it.

        Raises
        ------
        RuntimeError
            Inside a ``tf.function``, which would keep what its first call saw.
        """
        return self._open().own_loop.guidance_loss(inputs, targets, loss)

    def keras_callback(self) -> Any:
        """A ``keras.callbacks.Callback`` for ``model.fit``.

        Give ``fit`` the samples' indices as an integer third element:
        ``model.fit(x, y, sample_weight=numpy.arange(len(x)), callbacks=[...])``, or a
        ``tf.data.Dataset`` of (x, y, index).
        """
        from coflect_widget.integrations.keras import make_callback

        return make_callback(self._open().own_loop)

    def lightning_callback(self) -> Any:
        """A ``lightning.Callback`` for ``Trainer(callbacks=[...])``.

        The session's model is the LightningModule, or the module inside it that gives the
        logits.
        """
        from coflect_widget.integrations.lightning import make_callback

        return make_callback(self._open().own_loop)

    def transformers_callback(self) -> Any:
        """A ``transformers.TrainerCallback`` for ``Trainer(callbacks=[...])``.

        The session's model is the trainer's; the session's `train_data` has the samples of its
        ``train_dataset`` in the same order.
        """
        from coflect_widget.integrations.transformers import make_callback

        return make_callback(self._open().own_loop)
