"""What the dashboard's commands do to a session: checked, enqueued, answered when done."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future

from coflect_widget import events
from coflect_widget.events import Command
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.wiring import Wiring

Reply = Callable[[bool, str, int | None], None]


class CommandDesk:
    """Takes the commands of a dashboard, on any thread; nothing here waits."""

    def __init__(self, wiring: Wiring) -> None:
        # not held: a dashboard may be shown for longer than anybody needs the model
        self._wiring = weakref.ref(wiring)

    def handle(self, command: Command, reply: Reply) -> None:
        """Hand one command on; `reply(ok, text, step)` is called once it is done and on disk.

        Raises
        ------
        ValueError, IndexError, RuntimeError
            What the person should read; nothing has changed then.
        """
        wiring = self._wiring()
        if wiring is None or wiring.closed:
            raise RuntimeError("the session is closed; make a new one to go on")
        if isinstance(command, events.Pause | events.Resume | events.Stop):
            if not wiring.command(command.kind):
                raise ValueError("nothing is training; run session.train(epochs=...) in a cell")
            reply(True, command.kind, wiring.loop.step)
        elif isinstance(command, events.Advance):
            if not wiring.advance(command.unit):
                raise ValueError("nothing is training; run session.train(epochs=...) in a cell")
            reply(True, f"one {command.unit}", wiring.loop.step)
        elif isinstance(command, events.Feedback):
            _answer(wiring.steering.feedback(command), reply)
        elif isinstance(command, events.Similar):
            wiring.steering.similar(command.intervention)  # the hits come as events
            reply(True, f"Looking for more like {command.intervention}", None)
        elif isinstance(command, events.Confirm):
            _answer(wiring.steering.confirm(command.intervention, command.index), reply)
        elif isinstance(command, events.Undo):
            _answer(wiring.steering.undo(command.intervention), reply)
        elif isinstance(command, events.Explain):
            wiring.explain(command.index)
            reply(True, f"Explaining sample {command.index}", None)
        elif isinstance(command, events.SetQueue):
            wiring.set_queue(onset=command.onset)
            reply(True, "Right now, failing soon" if command.onset else "All failures", None)
        elif isinstance(command, events.OpenWindow):
            wiring.open_window()
            reply(True, "The review window is open", wiring.loop.step)
        elif isinstance(command, events.Judge):
            _answer_verdict(wiring.review.judge(command), reply)
        elif isinstance(command, events.CloseOthers):
            # Each of them may take seconds to end; whoever handles messages must not.
            threading.Thread(
                target=_close_others,
                args=(wiring.close_others, reply),
                name="coflect-closing",
                daemon=True,
            ).start()


def _close_others(close: Callable[[], list[str]], reply: Reply) -> None:
    try:
        ended = close()
    except Exception as error:  # noqa: BLE001 - the person gets the reason
        reply(False, str(error) or repr(error), None)
        return
    reply(True, f"Ended {', '.join(ended)}" if ended else "No other session is open", None)


def _answer_verdict(future: Future[events.Judged], reply: Reply) -> None:
    def done(finished: Future[events.Judged]) -> None:
        error = finished.exception()
        if error is not None:
            reply(False, str(error), None)
            return
        data = finished.result()
        label = f", trained as class {data.label}" if data.verdict == "wrong" else ""
        reply(True, f"Sample {data.index}: {data.verdict}{label}", None)

    future.add_done_callback(done)


def _answer(future: Future[Intervention], reply: Reply) -> None:
    def done(finished: Future[Intervention]) -> None:
        error = finished.exception()
        if error is not None:
            reply(False, str(error), None)
            return
        entry = finished.result()
        if not entry.id:  # an order, obeyed
            reply(True, entry.understood, entry.step)
            return
        words = "Undone; given at step" if entry.undone else "Applied at step"
        loss = f" ({entry.record.loss})" if entry.record.loss and not entry.undone else ""
        reply(True, f"{words} {entry.step}: {entry.understood}{loss}", entry.step)

    future.add_done_callback(done)
