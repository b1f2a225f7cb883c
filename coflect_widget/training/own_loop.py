"""A training loop that somebody else wrote, with the same boundaries as ours.

The loop says what it computed (`observe`) and where a step ends (`step_done`); there commands
are run, pauses are held and snapshots taken, on the thread that calls. `over` does the latter
for a plain ``for batch in loader``; callbacks of other libraries call it themselves.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Sized
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Backend, NonFiniteLossError, StepOutput
from coflect_widget.events import RunState
from coflect_widget.tasks.base import Task
from coflect_widget.training.batches import Batches
from coflect_widget.training.loop import TrainingLoop
from coflect_widget.training.micro_batches import Pieces

Indices = NDArray[np.int64]

_NO_INDICES = (
    "this step's samples are not known: give observe() their indices in train_data, as a data set "
    "of (x, y, index) yields them, or loop over a torch DataLoader of the same data, or of a "
    "Subset of them, whose order can be followed"
)


_NOTHING = (
    "Nothing of this loop was recorded, because it never calls observe(): there are no metrics and "
    "no forecast. Add this line to its body, once the outputs of a batch are computed: {line} "
    "(indices are the places of its samples in train_data, None those that the loader tells)."
)
_NOTHING_SEEN = (
    "Nothing of this training was recorded, because the callback saw no output of the session's "
    "model: make the session from the module whose call gives the logits of a batch, for example "
    "Session(module.model, ...), and call it as model(x), not as model.forward(x)."
)


class Announce(Protocol):
    """Told on the training thread when a loop begins."""

    def __call__(self, steps: int, steps_per_epoch: int, batch_size: int) -> None:
        """`steps` more are expected, 0 where nobody knows."""


class OwnLoop:
    """Drives `loop` from outside; every method but `close` is for the thread that trains.

    Parameters
    ----------
    loop : TrainingLoop
    task : Task
    announce : Announce

    Attributes
    ----------
    task : Task
    session_closed : bool
        Whether nothing would be recorded any more.
    """

    def __init__(self, loop: TrainingLoop, task: Task, announce: Announce) -> None:
        self._loop = loop
        self.task = task
        self.session_closed = False
        self._announce = announce
        self._open = False
        self._begun = 0  # loops so far
        self._in_body = False  # of a `for`, which would have closed it had it been left
        self.judges = False
        self.used = False  #: the newest training was of a loop of the user's own
        #: a library saves its own checkpoint: time for ours
        self.save: Callable[[], object] = list
        #: a library goes on at this step: so shall a resumed session
        self.at_step: Callable[[int], object] = int
        self._latest: Indices | None = None  # of the batch that came last
        self._observed: tuple[Indices, Any, Any, Any] | None = None
        self._guidance: Any = None
        self._whole: StepOutput | None = None
        # Of this loop: steps so far, whether one was recorded, and what to say if none was.
        self._steps, self._recorded = 0, False
        self._silence: str | None = None
        self._pieces: Pieces | None = None  # of the batch that came last, once one was seen

    @property
    def backend(self) -> Backend:
        """What is trained, and with which framework."""
        return self._loop.backend

    @property
    def open(self) -> bool:
        """Whether a loop of the user's own is under way."""
        return self._open and self._loop.running

    @property
    def several(self) -> bool:
        """Whether other processes train the same model with this one."""
        return self._loop.together is not None

    # --- what a loop does --------------------------------------------------------------------

    def begin(
        self,
        steps: int = 0,
        steps_per_epoch: int = 0,
        batch_size: int | None = None,
        *,
        judges: bool = False,
    ) -> bool:
        """The calling thread trains from now on.

        Parameters
        ----------
        steps, steps_per_epoch : int
            How many are to come, 0 where nobody knows.
        batch_size : int, optional
        judges : bool
            Whether labels that a person has judged are trained as such.

        Returns
        -------
        bool
            False if a person stopped it before the first step.

        Raises
        ------
        RuntimeError
            If another training is under way.
        """
        if self.open and self._loop.on_this_thread:
            if self._in_body:
                raise RuntimeError(
                    "a loop of this session is under way, and this is in its body; put the other "
                    "after it, or go through what you only want to look at without session.loop(). "
                    "session.stop() ends it"
                )
            self.end("stopped")  # the loop before was left without a word
        if self._loop.running:
            raise RuntimeError("training is already running; stop() it first, or wait() for it")
        self._forget()
        self._announce(steps, steps_per_epoch, batch_size or self.backend.batch_size)
        self._loop.enter(steps)
        self._open = self.used = True
        self.judges = judges
        self._begun += 1
        self._steps, self._recorded, self._silence = 0, False, _NOTHING_SEEN
        if self._loop.advance(None):
            return True
        self.end("stopped")
        return False

    def observe(
        self, indices: Any, logits: Any = None, targets: Any = None, loss: Any = None
    ) -> None:
        """Say what this step computed; kept until the step ends, and never copied here.

        Parameters
        ----------
        indices : array_like (B,) or None
            Places in the training data; None takes those of the batch that came last, or, of
            fewer rows, the next of them: its pieces are one step.
        logits, targets, loss
            As `Session.observe` has them.

        Raises
        ------
        RuntimeError
            If no loop is under way.
        ValueError
            If the samples are not known, or do not fit the logits.
        """
        if not self.open:
            if self._open:  # stopped in the middle of this step
                return
            raise RuntimeError(
                "observe() is for the body of a loop: for batch in session.loop(loader): ..."
            )
        known = self._latest if indices is None else self._checked(indices)
        if known is None:
            raise ValueError(_NO_INDICES)
        logits, targets, loss = self.backend.observed(len(known), logits, targets, loss)
        piece = indices is None and self._is_piece(logits, targets, known)
        if piece:
            known = self._next_piece(known, len(logits))
        if len(logits) != len(known) or len(targets) != len(known):
            shown = f"{self.task.words.outputs} of shape {tuple(logits.shape)}"
            raise ValueError(
                f"observe() got {len(known)} indices, {shown} and {len(targets)} targets; they "
                "must belong to the same samples"
            )
        try:
            self.task.check(logits)
        except ValueError as error:
            raise ValueError(f"observe(): {error}") from None
        if piece:
            self._add_piece(known, logits, targets, loss)
            return
        if self._observed is not None:
            self._loop.advance(self._output())
        self._observed = (known, logits, targets, loss)

    def _is_piece(self, logits: Any, targets: Any, batch: Indices) -> bool:
        """Whether these rows are a part of the batch."""
        rows = len(logits)
        begun = self._pieces is not None and self._pieces.taken > 0
        return len(targets) == rows and (begun or rows < len(batch))

    def _next_piece(self, batch: Indices, rows: int) -> Indices:
        if self._observed is not None:
            raise ValueError(
                f"observe() got {rows} rows after all {len(batch)} of this batch; without indices "
                "each row is observed once: give observe() the whole batch, or each of its pieces"
            )
        return self._of_pieces(batch).next(rows)

    def _of_pieces(self, batch: Indices) -> Pieces:
        if self._pieces is None:
            self._pieces = Pieces(batch)
        return self._pieces

    def _add_piece(self, known: Indices, logits: Any, targets: Any, loss: Any) -> None:
        if len(known) and self._pieces is not None:
            # Now, because the piece's graph shall not stay for the rest of the batch.
            output = self.backend.step_output(known, logits, targets, loss, None)
            self._pieces.add(output, targets)

    def take(self, output: StepOutput) -> None:
        """A whole step's output, from a callback that made it with the backend's own step."""
        if self.open:
            self._checked(output.indices)
            self._whole = output

    def guidance_loss(self, inputs: Any, targets: Any, loss: Any) -> Any:
        """The term to add to this step's loss; 0.0 where no guidance is in force.

        Parameters
        ----------
        inputs : tensor (B, C, H, W)
            This batch, or piece of it, as the model got it.
        targets : tensor (B,) of int or (B, classes) of probabilities
        loss : tensor ()
            The task loss, which decides how much the guidance weighs.
        """
        indices = self._latest if self._observed is None else self._observed[0]
        pieces = None
        if indices is not None and len(inputs) != len(indices):
            if self._observed is None and len(inputs) < len(indices):
                pieces = self._of_pieces(indices)
            indices = None if pieces is None else pieces.guided(len(inputs), targets)
        term = self.backend.guidance_term(inputs, targets, loss, indices)
        if pieces is not None:
            pieces.add_guidance(term, loss)
        if term is None:
            return 0.0
        self._guidance = term
        return term

    def step_done(self) -> bool:
        """The step's end: record it, hold while paused. False: the loop must end now.

        Raises
        ------
        ValueError
            If a part of the batch's rows was observed in pieces and the rest was not.
        """
        if not self.open:
            return False
        self._steps += 1
        if self._loop.advance(self._output()):
            return True
        self.end("stopped")
        return False

    def epoch_done(self, validation: dict[str, float] | None = None) -> bool:
        """All batches of an epoch were seen; None has the session's own data validated.

        Returns
        -------
        bool
            False: the loop must end now.
        """
        if not self.open:
            return False
        self._say_silence()
        if validation is None:
            validation = self._loop.validate()
        self._loop.epoch_done(validation or {})
        return validation is not None and self.step_done()

    def end(self, state: RunState, error: BaseException | None = None) -> None:
        """Nothing is trained any more; a checkpoint is written. Harmless the second time."""
        if not self.open:
            return
        output = self._output(left=True)
        if output is not None:  # the others may be elsewhere: then no boundary of all
            (self._loop.record if self.several else self._loop.advance)(output)
        if error is None:
            self._say_silence()
        self._loop.leave(state, error)
        self._forget()

    def non_finite(self, error: NonFiniteLossError) -> None:
        """The loss of a step was NaN or infinite, and no weight has changed."""
        self._loop.observer.non_finite(self._loop.step, error)

    def notice(self, level: str, text: str) -> None:
        """A person should know this."""
        self._loop.observer.notice(level, text)

    def _say_silence(self) -> None:
        """Say once that the steps of this loop are not recorded, where none of several was."""
        text, self._silence = self._silence, None
        if text is None or self._recorded or not self._steps:
            return
        given = "None" if self._latest is not None else "indices"
        text = text.format(line=f"session.observe({given}, {self.task.words.observed})")
        self.notice("warning", text)
        warnings.warn(text, RuntimeWarning, stacklevel=2)

    def close(self) -> bool:
        """End a loop that can no longer do so itself; True if there was one.

        That is one of the calling thread, or of a thread that has ended.
        """
        owner = self._loop.controls.owner
        if not self.open or owner is None:
            return False
        if owner.is_alive() and not self._loop.on_this_thread:
            return False
        self.end("stopped")
        return True

    def disown(self) -> None:
        """In a forked process: a loop that is under way is the parent's, and ends there."""
        self._forget()
        self._begun += 1

    # --- for a bare loop -----------------------------------------------------------------------

    def over(self, loader: Iterable[Any], epochs: int, *, validate: bool) -> Batches:
        """The batches of `loader`, `epochs` times; see `Session.loop`."""
        return Batches(partial(self._over, loader, epochs, validate=validate))

    def _over(
        self, loader: Iterable[Any], epochs: int, *, validate: bool, in_body: bool
    ) -> Generator[Any]:
        try:
            per_epoch = len(loader) if isinstance(loader, Sized) else 0
        except TypeError:  # a loader of no known length has __len__ all the same
            per_epoch = 0
        size = getattr(loader, "batch_size", None)
        if not self.begin(epochs * per_epoch, per_epoch, size if isinstance(size, int) else None):
            return
        mine, self._in_body = self._begun, in_body
        self._silence = _NOTHING
        end: RunState = "stopped"  # also where the body breaks or raises
        try:
            # of a sampler that shares an epoch between processes, which goes by its number
            begin_epoch = getattr(getattr(loader, "sampler", None), "set_epoch", None)
            for _ in range(epochs):
                if begin_epoch is not None and epochs > 1:
                    begin_epoch(self._loop.epoch)
                with self.backend.follow(loader) as next_indices:
                    for batch in loader:
                        self.expect(next_indices())
                        yield batch
                        if mine != self._begun:
                            raise RuntimeError(
                                "another loop of this session has begun meanwhile, which ended "
                                "this one; go through one after the other"
                            )
                        if not self.step_done():
                            return
                if not self.epoch_done(None if validate else {}):
                    return
            end = "finished"
        finally:
            if mine == self._begun:  # an old loop may be collected while a newer one goes on
                self.end(end)

    def expect(self, indices: Any) -> None:
        """The samples of the batch that comes now; for `observe` without indices."""
        self._pieces = None
        self._latest = None if indices is None else self._checked(indices)

    def _checked(self, indices: Any) -> Indices:
        found = np.asarray(indices)
        if found.ndim != 1 or found.dtype.kind not in "iu":
            raise ValueError(
                f"indices has shape {found.shape} and type {found.dtype}; pass whole numbers (B,), "
                "the places of this batch's samples in train_data"
            )
        total = self.backend.num_train
        if len(found) and (found.min() < 0 or found.max() >= total):
            wrong = int(found[(found < 0) | (found >= total)][0])
            raise ValueError(
                f"indices has {wrong}, but the session's train_data has {total} samples; pass the "
                "session the same data that the loop trains on"
            )
        return found.astype(np.int64)

    def _output(self, *, left: bool = False) -> StepOutput | None:
        """What this step computed; of pieces fewer than all only where the loop was `left`."""
        observed, guidance, whole = self._observed, self._guidance, self._whole
        pieces, self._pieces = self._pieces, None
        self._observed = self._guidance = self._whole = None
        taken = pieces is not None and bool(pieces.taken)
        self._recorded = self._recorded or taken or observed is not None or whole is not None
        if observed is not None:
            return self.backend.step_output(*observed, guidance)
        if pieces is None or not pieces.taken:
            return whole
        if not (pieces.whole or left):
            raise ValueError(
                f"{pieces.taken} of the {len(pieces.indices)} rows of this batch were observed; "
                "without indices the pieces of a batch are taken in order, and must be all of it: "
                "observe the others too, or give observe() the indices of the samples that it gets"
            )
        return pieces.joined(self.backend.concatenate)

    def _forget(self) -> None:
        self._open = self._in_body = False
        self._latest = self._observed = self._guidance = self._whole = self._pieces = None
