"""The step boundaries of a training that several processes do together.

At each of them all agree, without waiting, whether anything is to be heard. Where something is, all
stay at the same boundary: the process of rank 0 does what a person asks for and tells the others,
who do the same and go on, or end, when it says so. While it holds it tells again and again, so that
no collective waits for longer than about a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, Protocol

from coflect_widget.distributed.group import Fault, Group, RankFailedError
from coflect_widget.distributed.orders import Act, Order

#: Seconds between two messages while the others wait for the end of a validation.
PULSE = 1.0
#: Seconds that a process which fails waits for the others to know it; and that one whose
#: connection broke waits to hear why.
KNOWN, WHY = 10.0, 3.0

Validation = dict[str, float]


def several(loop: Any) -> bool:
    """Whether several processes train the model of a `loop.TrainingLoop`.

    True before they do, too, once they have met: what is done then, all do as they begin.
    """
    return loop.together is not None or bool(loop.backend.several)


class Place(Protocol):
    """The loop, as far as its boundaries need it."""

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def wanted(self) -> bool:
        """Whether there is something to do at this boundary, by this process alone."""

    def stay(self, meanwhile: Callable[[], None] | None = None, *, orders: bool = True) -> bool:
        """Do what is asked for; False where training must end.

        `meanwhile()` is called again and again while it holds. Without `orders` only what changes
        nothing of the training is done.
        """

    def hold(self, holding: bool) -> None:  # noqa: FBT001 - the one argument
        """The training is held, or goes on."""


class Asked(Protocol):
    """What a person asks for; see `training.controls.Controls`."""

    @property
    def orders(self) -> bool:
        """Whether anything was asked for that may change the training."""

    @property
    def advancing(self) -> bool:
        """Whether training is to hold at a boundary that may be the next one."""


class Together:
    """What the processes of a group say to each other at step boundaries.

    Parameters
    ----------
    group : Group
        Of more than one.
    place : Place
    asked : Asked
        What a person asks for; of rank 0.
    do : callable (Act)
        Do what was done in the process of rank 0; of any other.
    """

    def __init__(
        self,
        group: Group,
        place: Place,
        asked: Asked,
        do: Callable[[Act], None],
    ) -> None:
        self.group = group
        self._place = place
        self._asked = asked
        self._do = do
        self.leads = group.rank == 0
        self._acts: list[Act] = []  # done here, and to be told to the others
        self._number = 0  # of the newest act that they were told of
        self._stepwise = True  # all stay at the next boundary
        self._held = False
        self._told_at = 0.0

    def begin(self) -> None:
        """All stay at the next boundary: a training begins, or its step failed in all at once."""
        self._stepwise, self._held = True, False

    def done(self, act: Act) -> None:
        """A person did this here, in the process of rank 0."""
        self._acts.append(act)

    def boundary(self) -> bool:
        """Called by all between the same two steps. False: training must end."""
        met = self._stepwise or self.group.agree(self.leads and self._asked.orders)
        if self.leads:
            if met:
                going_on = self._place.stay(self._still)
                self._stepwise = going_on and self._asked.advancing
                self._tell("go" if going_on else "end")
                return going_on
            return not self._place.wanted or self._place.stay(orders=False)
        return not met or self._hear().then == "go"

    def validated(
        self, evaluate: Callable[[Callable[[], bool]], Validation | None]
    ) -> Validation | None:
        """What the leader's ``evaluate(boundary)`` gave, in each process; None: training must end.

        The others wait for it, and do meanwhile what a person asks for.
        """
        if not self.leads:
            order = self._hear()
            return order.validation if order.then == "go" else None
        found = evaluate(self._in_validation)
        self._stepwise = self._asked.advancing
        self._tell("end" if found is None else "go", found)
        return found

    def failed(self, error: BaseException, trace: str) -> BaseException:
        """Have the others know that this process fails; gives what is to be said of it here.

        Where another has failed before, or is gone, that is why.
        """
        fault = self._why(error)
        if fault is not None:
            return _as_error(fault, error)
        line = " ".join(str(error).split())
        mine = Fault(self.group.rank, f"{type(error).__name__}: {line}"[:2000], trace[-20_000:])
        with suppress(Exception):  # who cannot be reached knows by that
            self.group.fail(mine, KNOWN)
        return error

    def _why(self, error: BaseException) -> Fault | None:
        """The fault of another process, where this one fails because of that."""
        broken = isinstance(error, RuntimeError) and "onnection" in str(error)
        until = time.monotonic() + (WHY if broken else 0.0)
        while True:
            try:
                fault = self.group.fault()
            except Exception as lost:  # noqa: BLE001 - then the one that kept it is gone
                return Fault(0, f"it cannot be reached any more ({lost})")
            if fault is not None or time.monotonic() >= until:
                break
            time.sleep(0.05)
        if fault is None and broken:
            line = " ".join(str(error).split())
            return Fault(-1, f"its connection broke off ({line[:300]})")
        return fault

    # --- the two sides -----------------------------------------------------------------------

    def _in_validation(self) -> bool:
        going_on = True
        if self._place.wanted:
            going_on = self._place.stay(self._still)
        if time.monotonic() - self._told_at >= PULSE:
            self._tell("hold")
        return going_on

    def _still(self) -> None:
        self._tell("hold")

    def _tell(
        self, then: Literal["hold", "go", "end"], validation: Validation | None = None
    ) -> None:
        acts, self._acts = self._acts, []
        self._number += len(acts)
        order = Order(
            number=self._number,
            step=self._place.step,
            then=then,
            held=self._held,
            stepwise=self._stepwise,
            acts=tuple(acts),
            validation=validation,
        )
        self.group.tell(order.to_bytes())
        self._told_at = time.monotonic()

    def holding(self, held: bool) -> None:  # noqa: FBT001 - the one argument
        """A person holds the training, or lets it go on."""
        self._held = held

    def _hear(self) -> Order:
        """Do what the leader says until it says to go on, or to end."""
        place = self._place
        while True:
            order = Order.from_bytes(self.group.hear())
            if order.step != place.step:
                raise RankFailedError(
                    f"the processes are at different steps: that of rank 0 has done {order.step}, "
                    f"this one {place.step}; each must do the same number of steps, as with a "
                    "DistributedSampler"
                )
            self._number += len(order.acts)
            if order.number != self._number:
                raise RankFailedError(
                    f"rank 0 has said {order.number} things, and {self._number} were heard here"
                )
            for act in order.acts:
                self._do(act)
            if order.held != self._held:
                place.hold(order.held)
            self._stepwise = order.stepwise
            if order.then != "hold":
                return order


def _as_error(fault: Fault, cause: BaseException) -> RankFailedError:
    who = "another process" if fault.rank < 0 else f"the process of rank {fault.rank}"
    error = RankFailedError(f"{who} of this training has failed: {fault.text}")
    error.__cause__ = cause
    return error
