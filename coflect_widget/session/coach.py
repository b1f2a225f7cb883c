"""The coach: says what a person may want to do next, from figures that are there already.

Each rule looks at the `Situation` and gives one sentence with its figures, or None. The first rule
that speaks is heard; what was dismissed is not said again for the same cause. A training that goes
well is left alone. All of it runs on the thread that writes the record, after the training has gone
on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from coflect_widget.events import Advice, Control, Event, Metrics, Payload
from coflect_widget.session.alarms import TOGETHER
from coflect_widget.session.situation import DISMISS, Situation, Told
from coflect_widget.studies.controls import BLIND

__all__ = ["DISMISS", "Coach", "advise"]

log = logging.getLogger("coflect")

#: Epochs that an intervention is given before a gap of before it is spoken of again, and that a
#: measured effect is.
PATIENCE = 3
#: Epochs and steps of training without a fall of the loss after which it is said, and the share by
#: which it must have fallen. Small networks need some dozens of steps before it falls at all.
FLAT_EPOCHS, FLAT_STEPS, FLAT = 3, 200, 0.01
#: Wrong samples at most that are spoken of as the last few.
FEW = 5
#: Advice of these kinds tells of something that is wrong; in the log it is a warning.
_WARNS = frozenset({"failed", "not-finite", "harmed", "parted", "flat", "labels"})
_LONGEST = 160  # letters of an exception's line

Rule = Callable[[Situation], Advice | None]


class Coach:
    """Follows the events of one run and says what changes; one thread, the record's.

    Parameters
    ----------
    emit : callable (Advice)
        Records it.
    watched : callable () -> bool
        Whether a browser shows the run; where none does, the advice is logged.

    Attributes
    ----------
    advice : Advice or None
        What holds now.
    """

    def __init__(self, emit: Callable[[Payload], None], watched: Callable[[], bool]) -> None:
        self.advice: Advice | None = None
        self._emit = emit
        self._watched = watched
        self._now = Situation()
        self._said_at = -1  # the epoch at which it was

    def event(self, event: Event) -> None:
        """Take in one event; a listener of the stream."""
        if isinstance(event.data, Advice):
            return
        self._now.take(event)
        if isinstance(event.data, Metrics):  # each epoch's end has other events too
            return
        found = advise(self._now)
        old, now = self.advice, self._now.epoch
        if found == old or (found and old and found.key == old.key and now == self._said_at):
            return  # figures of the same cause are renewed once an epoch
        self.advice, self._said_at = found, now
        self._emit(found or Advice(key="", text=""))
        if found is not None and not self._watched() and (old is None or old.key != found.key):
            level = logging.WARNING if found.key.split(":")[0] in _WARNS else logging.INFO
            log.log(level, "%s", found.text)


def advise(now: Situation) -> Advice | None:
    """The most urgent advice that was not dismissed; None where there is none."""
    for rule in RULES:
        advice = rule(now)
        if advice is not None and advice.key not in now.dismissed:
            return advice
    return None


# --- the rules, most urgent first ------------------------------------------------------------


def _failed(now: Situation) -> Advice | None:
    if now.state != "failed" or now.failure is None:
        return None
    error = now.failure.error
    error = error if len(error) <= _LONGEST else error[: _LONGEST - 1] + "…"
    return Advice(
        key=f"failed:{now.step}",
        text=f"Training failed after step {now.step}: {error}",
        button=f"Continue, {now.left} steps left" if now.left else None,
        does="continue" if now.left else None,
    )


def _not_finite(now: Situation) -> Advice | None:
    found = now.non_finite
    if found is None:
        return None
    bad = [index for index in found.samples if index not in now.seen_to]
    if found.in_data and bad:
        first = bad[0]
        others = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        can = found.may_leave_out
        return Advice(
            key=f"not-finite:{first}",
            text=f"Sample #{first} makes the loss NaN{others}: {_lower(found.sentence)}.",
            button=f"Leave out #{first}" if can else f"Show #{first}",
            does="leave_out" if can else "open",
            sample=first,
        )
    if found.in_data or now.state != "paused" or now.step > now.non_finite_at:
        return None
    rate = "" if now.learning_rate is None else f", below {now.learning_rate:.3g}"
    return Advice(
        key=f"not-finite:step {now.non_finite_at}",
        text=f"The loss was NaN or infinite at step {now.non_finite_at}, and no sample's values "
        f"are: begin again with a lower learning rate{rate}.",
    )


def _harmed(now: Situation) -> Advice | None:
    alarm = now.alarms.get("collapse") or now.alarms.get("parted")
    if alarm is not None and (told := now.told.get(alarm.notice.intervention or "")):
        figures = alarm.notice.figures
        if told.in_force and len(figures) == 2:
            first, second = figures.values()
            if alarm.notice.alarm == "collapse":
                what = f"{alarm.notice.about} {_rate(first)} to {_rate(second)}"
            else:
                what = f"training {_rate(first)}, validation {_rate(second)}"
            return _undo(told, f"Since {_named(told)}: {what}.")
    for told in reversed(now.in_force):
        if told.effect is not None and told.effect.verdict == "harmed":
            return _undo(told, f"Since {_named(told)}{_others(now, told)}: {_accuracy(told)}.")
    return None


def _undo(told: Told, text: str) -> Advice:
    name = told.record.id
    return Advice(
        key=f"harmed:{name}",
        text=text,
        button=f"Undo {name}",
        does="undo",
        sample=told.record.sample,
        intervention=name,
    )


def _parted(now: Situation) -> Advice | None:
    alarm = now.alarms.get("parted")
    if alarm is None or len(alarm.notice.figures) != 2:
        return None
    if now.in_force and now.epoch - now.in_force[-1].epoch <= PATIENCE:
        return None  # a person has acted: what it does is being measured
    about = alarm.notice.about
    train = now.trained.get(about, alarm.notice.figures["training"])
    held = now.validated.get(about, alarm.notice.figures["validation"])
    if about != "loss" and train - held < TOGETHER:
        return None  # the alarm's own end comes with the next epoch's
    risky = now.forecast.index[0] if now.forecast is not None and now.forecast.index else None
    known = now.looked_at if risky is None else risky
    sample = 0 if known is None else known  # a shortcut is in any of them
    if about == "loss":
        figures, what = f"Loss: training {train:.3g}, validation {held:.3g}", "its samples by heart"
    else:
        figures = f"Training {_rate(train)}, validation {_rate(held)}"
        what = "a shortcut, or its samples by heart"
    return Advice(
        key=f"parted:{alarm.step}",
        text=f"{figures}: it may be learning {what}. See where it looks.",
        button="See where it looks",
        does="look",
        sample=sample,
    )


def _finding(now: Situation) -> Advice | None:
    """What the card in the dashboard asks about."""
    found = now.questions.asked
    if found is None:
        return None
    return Advice(
        key=f"finding:{found.id}",
        text=BLIND if isinstance(found, Control) or found.blind else found.text,
        button=f"Show #{found.index[0]}",
        does="open",
        sample=found.index[0],
    )


def _flat(now: Situation) -> Advice | None:
    losses = now.whole_epochs
    if now.above_guessing is not False or len(losses) < FLAT_EPOCHS or now.step < FLAT_STEPS:
        return None
    first, last = losses[0], losses[-1]
    if not first > 0 or min(losses) < first * (1 - FLAT):
        return None
    if (now.learning_rate or 0) > (now.first_rate or 0):
        return None  # a warm-up
    rate = "" if now.learning_rate is None else f", {now.learning_rate:.3g},"
    return Advice(
        key="flat",
        text=f"The loss has not fallen in {len(losses)} epochs ({first:.4g} then, {last:.4g} now): "
        f"the learning rate{rate} may be too small, or far too large.",
    )


def _labels(now: Situation) -> Advice | None:
    found = now.suspects
    if found is None or found.noise <= 0:
        return None
    open_rows = [row for row, verdict in enumerate(found.judged) if not verdict]
    if not open_rows:
        return None
    row = open_rows[0]
    index, label, other = found.index[row], found.target[row], found.suggested[row]
    return Advice(
        key="labels",
        text=f"About {found.noise:.0%} of the labels seem wrong: #{index}, labelled "
        f"{now.name_of(label)}, looks like {now.name_of(other)}.",
        button=f"Show #{index}",
        does="open",
        sample=index,
    )


def _without_effect(now: Situation) -> Advice | None:
    told = _newest_measured(now, "no measurable effect")
    if told is None or told.effect is None or not told.record.strokes:
        return None
    steps = told.effect.to_step - told.effect.from_step
    return Advice(
        key=f"none:{told.record.id}",
        text=f"No measurable effect of {_named(told)} in {steps} steps: draw it larger or "
        "strengthen it, or take it back.",
        button=f"Undo {told.record.id}",
        does="undo",
        sample=told.record.sample,
        intervention=told.record.id,
    )


def _helped(now: Situation) -> Advice | None:
    told = _newest_measured(now, "helped")
    if told is None or told.effect is None:
        return None
    figures = next((m for m in told.effect.measures if m.name.endswith(" accuracy")), None)
    if figures is not None and figures.after > figures.before:
        newest = now.validated.get("accuracy")
        later = ""
        if newest is not None and _rate(newest) != _rate(figures.after):
            later = f", {_rate(newest)} now"
        text = f"Helped: {_accuracy(told)} since {_named(told)}{_others(now, told)}{later}."
    else:
        what = told.effect.text.split(";")[0].capitalize()
        text = f"{what}, since {_named(told)}{_others(now, told)}."
    sample = told.record.sample
    return Advice(
        key=f"helped:{told.record.id}",
        text=text,
        button=None if sample is None else f"Show #{sample}",
        does=None if sample is None else "open",
        sample=sample,
        intervention=told.record.id,
    )


def _newest_measured(now: Situation, verdict: str) -> Told | None:
    """The newest intervention in force, where this is its verdict and not long known."""
    told = now.in_force[-1] if now.in_force else None
    if told is None or told.effect is None or told.effect.verdict != verdict:
        return None
    recent = now.epoch - told.measured <= PATIENCE
    return told if recent else None


def _stopped(now: Situation) -> Advice | None:
    if now.state != "stopped" or not now.left:
        return None
    return Advice(
        key=f"stopped:{now.step}",
        text=f"Stopped after step {now.step} of {now.total}; {now.left} steps are left.",
        button="Continue",
        does="continue",
    )


def _worth_a_look(now: Situation) -> Advice | None:
    """The review window is open: the forecast has settled, and what a person says still counts."""
    if not now.window_open or now.forecast is None:
        return None
    listed = now.listed(wrong=False) or now.listed(wrong=True)
    if not listed:
        return None
    index, risk = listed[0]
    due = now.forecast_epoch + now.forecast.horizon
    more = f", and {len(listed) - 1} more" if len(listed) > 1 else ""
    return Advice(
        key=f"look:{now.opened}",
        text=f"A good time to look: #{index} will be wrong at epoch {due} with a probability of "
        f"{risk:.0%}{more}.",
        button=f"Show #{index}",
        does="open",
        sample=index,
    )


def _last_few(now: Situation) -> Advice | None:
    if now.state not in ("paused", "finished", "stopped") or now.forecast is None:
        return None
    wrong = now.listed(wrong=True)
    if now.listed(wrong=False) or not 0 < len(wrong) <= FEW or now.above_guessing is False:
        return None
    rows = sorted(index for index, _ in wrong)
    are = "sample is" if len(rows) == 1 else "samples are"
    return Advice(
        key="few:" + ",".join(map(str, rows)),
        text=f"Nothing is at risk; {len(rows)} {are} wrong now: "
        f"{', '.join(f'#{index}' for index in rows)}.",
        button=f"Show #{wrong[0][0]}",
        does="open",
        sample=wrong[0][0],
    )


RULES: tuple[Rule, ...] = (
    _failed,
    _not_finite,
    _harmed,
    _finding,
    _parted,
    _flat,
    _labels,
    _helped,
    _without_effect,
    _stopped,
    _worth_a_look,
    _last_few,
)


# --- words ---------------------------------------------------------------------------------


def _named(told: Told) -> str:
    """An intervention as a person remembers it: "the box on #998"."""
    record = told.record
    where = "" if record.sample is None else f" on #{record.sample}"
    shapes = {_shape(stroke.roi) for stroke in record.strokes}
    if len(record.strokes) == 1:
        return f"the {shapes.pop()}{where} ({record.id})"
    if record.strokes:
        return f"the {len(record.strokes)} marks{where} ({record.id})"
    words = record.instruction or record.understood
    return f"{words!r} ({record.id})" if words else record.id


def _others(now: Situation, told: Told) -> str:
    """Other interventions within the steps over which its effect was measured."""
    effect = told.effect
    assert effect is not None  # noqa: S101 - narrows the type
    count = sum(effect.from_step <= one.step <= effect.to_step for one in now.in_force) - 1
    return f" and {count} other{'s' * (count > 1)}" if count > 0 else ""


def _shape(roi: dict[str, object]) -> str:
    return next((name for name in ("box", "polygon", "mask") if name in roi), "mark")


def _accuracy(told: Told) -> str:
    """What a measured effect's accuracy was and is."""
    assert told.effect is not None  # noqa: S101 - narrows the type
    figures = next((m for m in told.effect.measures if m.name.endswith(" accuracy")), None)
    if figures is None:
        return told.effect.text
    return f"{figures.name} {_rate(figures.before)} to {_rate(figures.after)}"


def _rate(share: float) -> str:
    """A share with two digits; what is not all is never "1.00"."""
    return f"{min(share, 0.99) if 0.99 < share < 1 else share:.2f}"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
