"""What `coflect.connect` gives: a session's methods on a training in another process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from coflect_widget import events
from coflect_widget.attribution.explanation import Explanation
from coflect_widget.elsewhere.link import Answer, Link
from coflect_widget.elsewhere.relay import Relay
from coflect_widget.elsewhere.values import (
    candidate_in,
    explanation_in,
    explanations_in,
    hit_in,
    intervention_in,
)
from coflect_widget.events import Command, Effect, Event, read_event
from coflect_widget.forecast.candidate import Candidate
from coflect_widget.guidance.hits import Hit
from coflect_widget.guidance.knobs import inputs_of
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.guidance.state import Scope
from coflect_widget.modalities import find_modality
from coflect_widget.session import Session
from coflect_widget.session.arguments import count, whole_number
from coflect_widget.session.labels import Suspect
from coflect_widget.session.saying import feedback_of
from coflect_widget.ui.sidebar import show_in_sidebar

T = TypeVar("T")

SECONDS = 60.0  # that a command may take
LONG = 600.0  # that a search or a checkpoint may take
PROOF_SECONDS = 3600.0  # that a proof may take
_TRAINS = ("training", "paused")
_INSTEAD = {
    "relabel": 'judge(index, "wrong", label=...) trains a sample under another label',
    "ledger": "interventions lists what it holds",
    "run": "events() and metrics give what it records; coflect.open_run(path) opens its folder",
    "at_risk": "candidates lists them; those that are not .wrong_now are at risk",
    "wrong_now": "candidates lists them, with .wrong_now",
}


class RemoteSession:
    """A training in another process; in a cell it shows the dashboard.

    Its methods and properties are those of `Session` and mean the same. Where the training is
    lost they raise ConnectionError with what to do.

    Attributes
    ----------
    id : str
        Name of the run.
    classes : list of str
    by : str
        Who is recorded as the author of what is asked here.
    """

    def __init__(self, place: str | Path, by: str, timeout: float) -> None:
        self.by = by
        self._link = Link(place, by, timeout)
        self.id = str(self._link.welcome["run"])
        self.classes = [str(one) for one in self._link.welcome["classes"]]
        self._modality = str(self._link.welcome["inputs"])
        self._relay: Relay | None = None

    def __repr__(self) -> str:
        return f"RemoteSession({self.id}, {self._link.lost or 'connected'})"

    def __enter__(self) -> RemoteSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the training goes on."""
        self._link.close()

    @property
    def lost(self) -> str | None:
        """Why the training is not heard any more; None while it is."""
        return self._link.lost

    # --- the course of the training -------------------------------------------------------------

    @property
    def state(self) -> str:
        """One of "idle", "training", "paused", "stopped", "finished" and "failed"."""
        return str(self._now()["state"])

    @property
    def metrics(self) -> dict[str, float | int | None]:
        """Last value of each metric, "step" and "epoch"."""
        return dict(self._now()["metrics"])

    def pause(self) -> None:
        """Hold training at the next step boundary; returns when it holds, or nothing trains."""
        self._order_if_training(events.Pause())
        self._until(lambda state: state != "training")

    def resume(self) -> None:
        """Go on after a pause; returns when training goes on, or nothing trains."""
        self._order_if_training(events.Resume())
        self._until(lambda state: state != "paused")

    def step(self, unit: Literal["step", "epoch"] | int = "step") -> None:
        """Train one step, or to the end of the epoch, or so many steps, then hold.

        Raises
        ------
        RuntimeError
            If nothing is training.
        """
        whole: Literal["step", "epoch"] = "epoch" if unit == "epoch" else "step"
        steps = 1 if unit in ("step", "epoch") else count(unit, "unit")
        done = int(self.metrics["step"] or 0)
        if not self._order_if_training(events.Advance(unit=whole, steps=steps)):
            raise RuntimeError("nothing is training; train(epochs=...) first, then pause()")
        wanted = done + 1 if whole == "epoch" else done + steps
        self._until(
            lambda state: (
                state not in _TRAINS
                or (state == "paused" and int(self.metrics["step"] or 0) >= wanted)
            )
        )

    def stop(self) -> None:
        """End training at the next step boundary and write a checkpoint; returns when it has."""
        self._order_if_training(events.Stop())
        self._until(lambda state: state not in _TRAINS)

    def train(self, epochs: int | None = None) -> None:
        """Train on after an end: so many epochs, or what a stopped training has left."""
        given = None if epochs is None else count(epochs, "epochs")
        self._order(events.Continue(epochs=given))

    def wait(self, timeout: float | None = None) -> bool:
        """Block until training has ended; False if `timeout` seconds passed first."""
        until = None if timeout is None else time.monotonic() + timeout
        while self.state in _TRAINS:
            if until is not None and time.monotonic() >= until:
                return False
            time.sleep(0.2)
        return True

    # --- guidance -------------------------------------------------------------------------------

    def feedback(
        self,
        sample: int | None = None,
        look: Any = None,
        ignore: Any = None,
        instruction: str | None = None,
        strength: float | None = None,
        scope: Scope | None = None,
    ) -> Intervention:
        """Tell the training where to look, or what to ignore; see `Session.feedback`."""
        modality = find_modality(self._modality)
        return self._entered(
            feedback_of(modality, sample, look, ignore, instruction, strength, scope)
        )

    def similar(self, intervention: Intervention | str, timeout: float = LONG) -> list[Hit]:
        """Other samples that show what an intervention ignores, best first."""
        asked = {"kind": "similar", "intervention": _name(intervention)}
        return [hit_in(one) for one in self._answer(self._link.ask(asked), timeout)[0]]

    def confirm(
        self, intervention: Intervention | str, indices: Sequence[int] | None = None
    ) -> Intervention:
        """Ignore it in those samples too that look the same; see `Session.confirm`."""
        chosen = None if indices is None else [whole_number(k, "indices") for k in indices]
        return self._entered(events.Confirm(intervention=_name(intervention), index=chosen))

    def undo(self, intervention: Intervention | str) -> Intervention:
        """Take one intervention out again; later ones stay."""
        return self._entered(events.Undo(intervention=_name(intervention)))

    def prove(
        self, intervention: Intervention | str, timeout: float = PROOF_SECONDS
    ) -> events.Proof:
        """Find out what an intervention did, where the training runs; see `Session.prove`.

        With the steps that effects are measured after, and three seeds. Nothing may train there.

        Raises
        ------
        ValueError, RuntimeError
            As `Session.prove`.
        TimeoutError
            After `timeout` seconds; the proof goes on, and is recorded when it is done.
        """
        name = _name(intervention)
        self._order(events.Prove(intervention=name), timeout)
        return self._newest(events.Proof, "proof", name)

    def keep(
        self, proved: events.Proof | Intervention | str, branch: events.Branch = "treated"
    ) -> events.Kept:
        """Go on from the end of one branch of the newest proof; see `Session.keep`."""
        name = proved.intervention if isinstance(proved, events.Proof) else _name(proved)
        self._order(events.Keep(intervention=name, branch=branch), LONG)
        return self._newest(events.Kept, "kept", name)

    def set(self, **knobs: Any) -> Intervention:
        """Turn knobs of the training, as ``lr=1e-4``; see `Session.set`."""
        return self._entered(events.SetKnobs(knobs=inputs_of(knobs)))

    def drop(self, index: int | Sequence[int]) -> Intervention:
        """Leave samples out of the training from the next step on."""
        several = [index] if isinstance(index, int) else list(index)
        chosen = [whole_number(k, "index") for k in several]
        return self._entered(events.LeaveOut(index=chosen))

    def judge(self, index: int, verdict: events.Verdict, label: int | None = None) -> None:
        """Say what is to become of a sample whose label is in doubt; see `Session.judge`."""
        given = None if label is None else whole_number(label, "label")
        number = whole_number(index, "index")
        self._order(events.Judge(index=number, verdict=verdict, label=given))

    @property
    def interventions(self) -> list[Intervention]:
        """Everything that was told to this training, oldest first; ``.record.author`` is who."""
        return [intervention_in(one) for one in self._read("interventions")[0]]

    @property
    def effects(self) -> list[Effect]:
        """What interventions did, as far as it is measured; ``.text`` says it in a sentence."""
        return [one.effect for one in self.interventions if one.effect is not None]

    # --- looking --------------------------------------------------------------------------------

    def explain(self, index: int, timeout: float = 120.0) -> Explanation:
        """Where the model looks on one training sample, now; see `Session.explain`."""
        asked = {"kind": "maps", "index": whole_number(index, "index")}
        return explanation_in(*self._answer(self._link.ask(asked), timeout))

    @property
    def candidates(self) -> list[Candidate]:
        """Samples that will be wrong some epochs from now, riskiest first."""
        value, pictures = self._read("candidates")
        return [candidate_in(one, pictures) for one in value]

    @property
    def suspects(self) -> list[Suspect]:
        """Samples whose label may be wrong, most doubtful first, then those that were judged."""
        return [Suspect(**one) for one in self._read("suspects")[0]]

    def timeline(self, index: int) -> list[Explanation]:
        """Where the model looked on one sample over the run, oldest first; see `Session`."""
        asked = {"kind": "timeline", "index": whole_number(index, "index")}
        return explanations_in(*self._answer(self._link.ask(asked), SECONDS))

    def events(self, type: str | None = None) -> list[Event]:  # noqa: A002 - the contract's name
        """Recorded events, oldest first; only those of `type`, if given."""
        _, buffers = self._answer(self._link.ask({"kind": "records", "type": type}), SECONDS)
        read = [read_event(line) for line in buffers[0].splitlines()]
        return [event for event in read if event is not None]

    def checkpoint(self, name: str | None = None, timeout: float = LONG) -> Path:
        """Write a checkpoint at the next step boundary; its folder where the training runs."""
        asked = {"kind": "checkpoint", "name": name}
        return Path(self._answer(self._link.ask(asked), timeout)[0])

    def save_html(self, path: str | Path) -> Path:
        """Write what the dashboard shows to one file here, which needs no kernel and no network."""
        file = Path(path).expanduser()
        file.write_bytes(self._read("page")[1][0])
        return file

    # --- shown ----------------------------------------------------------------------------------

    def dashboard(self) -> Any:
        """The dashboard widget; one, however often it is shown."""
        return self._shown().widget

    def sidebar(self) -> Any:
        """Show the dashboard in JupyterLab's right side panel; below the cell elsewhere."""
        shown = self._shown()
        return show_in_sidebar(shown.widget, f"Coflect {self.id}", shown.page)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_") or not hasattr(Session, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        instead = _INSTEAD.get(name, "use it in the process that trains")
        raise AttributeError(f"{name} is not to be had from another process: {instead}")

    def _shown(self) -> Relay:
        if self._relay is None:
            self._relay = Relay(self._link)
        return self._relay

    def _ipython_display_(self) -> None:
        self._shown().show()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.dashboard()._repr_mimebundle_(**kwargs)

    def _display_(self) -> Any:
        return self.dashboard()  # marimo shows what this returns

    # --- asked over the link --------------------------------------------------------------------

    def _order(self, command: Command, seconds: float = SECONDS) -> dict[str, Any]:
        asked = {"kind": "order", "command": command.model_dump(mode="json")}
        value: dict[str, Any] = self._answer(self._link.ask(asked), seconds)[0]
        return value

    def _newest(self, kind: type[T], name: str, intervention: str) -> T:
        """The newest event of that kind about an intervention."""
        found = [event.data for event in self.events(name) if event.intervention == intervention]
        return next(one for one in reversed(found) if isinstance(one, kind))

    def _order_if_training(self, command: Command) -> bool:
        try:
            self._order(command)
        except ValueError:  # all that can be wrong with what is asked in this way
            return False
        return True

    def _entered(self, command: Command) -> Intervention:
        return intervention_in(self._order(command)["entry"])

    def _read(self, what: str) -> Answer:
        return self._answer(self._link.ask({"kind": "read", "what": what}), SECONDS)

    def _now(self) -> dict[str, Any]:
        value: dict[str, Any] = self._read("now")[0]
        return value

    def _answer(self, asked: Future[Answer], seconds: float) -> Answer:
        try:
            return asked.result(seconds)
        except FutureTimeoutError:
            if asked.done():
                raise  # the training's own
            raise TimeoutError(
                f"{self.id} did not answer within {seconds:g} s; what was asked may still be done"
            ) from None

    def _until(self, reached: Callable[[str], bool]) -> None:
        until = time.monotonic() + SECONDS
        while not reached(self.state):
            if time.monotonic() >= until:
                raise TimeoutError(
                    f"training has not come to the end of its step within {SECONDS:g} s; it does "
                    "what it was told as soon as that is over"
                )
            time.sleep(0.02)


def _name(intervention: Intervention | str) -> str:
    return intervention if isinstance(intervention, str) else intervention.id
