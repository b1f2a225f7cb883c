"""The part of a `Session` that tells: metrics, the queue, maps, what was recorded.

A cell shows the queue and the maps as pictures; see `session.drawing`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from coflect_widget import events
from coflect_widget.attribution.timeline import read_timeline
from coflect_widget.forecast.candidate import Candidate
from coflect_widget.records.cells import Pictured
from coflect_widget.records.run import Run
from coflect_widget.session.arguments import point, whole_number
from coflect_widget.session.drawing import listed
from coflect_widget.session.held import Held

if TYPE_CHECKING:
    from coflect_widget.attribution.explanation import Explanation


class Looks(Held):
    """Mixed into `Session`: what the training and its forecast say."""

    @property
    def metrics(self) -> dict[str, float | int | None]:
        """Last value of each metric ("loss", "accuracy", "val_loss", ...), "step" and "epoch"."""
        parts = self._made()
        return {**parts.newest.metrics, "step": parts.loop.step, "epoch": parts.loop.epoch}

    @property
    def candidates(self) -> Pictured[Candidate]:
        """Samples that will be wrong some epochs from now, riskiest first.

        The first ``forecast.top`` of those at risk and those wrong now together; each says which
        it is. Empty before the first ranking, and where nothing is likely to be wrong.
        """
        return self._listed(self._candidates()[: self._made().config.forecast.top])

    @property
    def at_risk(self) -> Pictured[Candidate]:
        """Samples that are right now and will be wrong, riskiest first; as many at most."""
        return self._listed([c for c in self._candidates() if not c.wrong_now])

    @property
    def wrong_now(self) -> Pictured[Candidate]:
        """Samples that are wrong now and will be then, surest first; as many at most.

        None while `onset` is set.
        """
        return self._listed([c for c in self._candidates() if c.wrong_now])

    def _listed(self, candidates: list[Candidate]) -> Pictured[Candidate]:
        parts = self._made()
        forecast = parts.newest.forecast
        horizon = 0 if forecast is None else forecast.horizon
        return listed(candidates, self.classes, horizon, parts.gallery.content)

    def _candidates(self) -> list[Candidate]:
        parts = self._made()
        forecast = parts.newest.forecast
        if forecast is None:
            return []
        unknown = [None] * len(forecast.index)  # of classes
        doubtful = set(forecast.doubtful)
        return [
            Candidate(
                index, risk, target, predicted, reason, parts.gallery.thumbnail(index),
                wanted, given, error, index in doubtful,
            )
            for index, risk, target, predicted, reason, wanted, given, error in zip(
                forecast.index,
                forecast.risk,
                forecast.target,
                forecast.predicted,
                forecast.reason,
                forecast.target_value or unknown,
                forecast.predicted_value or unknown,
                forecast.error or unknown,
                strict=True,
            )
        ]  # fmt: skip

    def explain(
        self,
        index: int,
        timeout: float = 120.0,
        *,
        target: int | str | None = None,
        at: tuple[float, float] | None = None,
    ) -> Explanation:
        """Where the model looks on one training sample, now.

        Parameters
        ----------
        index : int
        timeout : float
            In seconds.
        target : int or str, optional
            The class or label, by number or name, that the map is of; the likeliest if left out. In
            segmentation the map is of its mean score over the pixels that are predicted as it.
        at : (x, y), optional
            In segmentation a point in the picture, in fractions from the top left: the map is of
            the mean score over the connected region that the model predicts there.

        Raises
        ------
        IndexError
            If there is no such sample.
        ValueError
            If there is no such class, or no such point.
        RuntimeError
            If no explanation can be given; the message says why.
        TimeoutError
            If it takes longer than `timeout` seconds.
        """
        parts = self._led(steers=False)
        parts.scheduler.start()
        number, place = whole_number(index, "index"), point(at, "at")
        asked = parts.desk.explain(number, self._class_named(target), place)
        explanation = self._wait_for(asked, timeout, "explain()")
        parts.stream.flush()
        picture = parts.gallery.explained(explanation.index, explanation.model_step)
        content = parts.gallery.content(explanation.index)
        return replace(explanation, picture=picture, classes=tuple(self.classes), content=content)

    def _class_named(self, target: int | str | None) -> int | None:
        if target is None:
            return None
        if not isinstance(target, str):
            return whole_number(target, "target")
        if target not in self.classes:
            raise ValueError(
                f"target={target!r} is no class; expected one of "
                f"{', '.join(map(repr, self.classes[:20]))}"
            )
        return self.classes.index(target)

    def timeline(self, index: int) -> list[Explanation]:
        """Where the model looked on one training sample over the run, oldest first.

        One explanation for each training step at which the sample was explained, as far as
        ``config["attribution"]["maps_per_sample"]`` keeps them; [] where it never was.

        Raises
        ------
        IndexError
            If there is no such sample.
        """
        number = whole_number(index, "index")
        self._made().samples.check(number)
        if not (self._made().closed or self._elsewhere):
            self._made().stream.flush()
        return read_timeline(self._run, number)

    def events(self, type: str | None = None) -> list[events.Event]:  # noqa: A002 - the contract's name
        """Recorded events, oldest first; only those of `type`, if given."""
        self._on_disk()
        return self._run.events(type)

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger of the standard library; what it logs is an event "log" of the run.

        From the level of the logger ``coflect`` on; warnings and above if nothing is set.
        So is what is logged under ``coflect`` elsewhere in this process, in its newest run.
        """
        return self._made().outlets.log.logger

    @property
    def run(self) -> Run:
        """The run folder: ``.id``, ``.path``, ``.events()``, ``.scalars()``, ``.config``."""
        return self._run
