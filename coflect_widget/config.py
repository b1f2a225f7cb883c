"""Every knob of a session, with its default, validated before any thread starts."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Settings that belong together; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


class Gates(Section):
    """Conditions that must all hold before the review window opens."""

    warmup_epochs: int = Field(default=5, ge=0)
    #: accuracy must reach 1 / classes plus this; where one class is more frequent, its share plus
    #: as large a part of what is left above it
    above_chance: Fraction = 0.15
    #: the best accuracy of the last so many epochs ...
    plateau_epochs: int = Field(default=4, ge=1)
    #: ... exceeds the best before them by at most this
    plateau_delta: Fraction = 0.005
    #: share of samples still wrong; less where one class is more frequent, by the same measure
    min_error: Fraction = 0.08
    #: overlap of successive rankings' top candidates ...
    overlap: Fraction = 0.60
    #: ... in each of the last so many rankings
    overlap_rankings: int = Field(default=3, ge=1)
    cooldown_epochs: int = Field(default=3, ge=0)


class ForecastConfig(Section):
    """What is forecast and when a person is asked to look."""

    horizon_epochs: int = Field(default=4, ge=1)
    #: samples in each list: those right now and at risk, and those wrong now
    top: int = Field(default=10, ge=1, le=100)
    #: show only samples that are right now
    onset: bool = False
    #: samples looked at under the newest weights after an epoch, as far as idle time and half of
    #: attribution.budget reach; 0 looks at none
    probes: int = Field(default=1024, ge=0, le=65_536)
    #: in regression, errors above this quantile of the newest few thousand count as wrong
    error_quantile: float = Field(default=0.8, gt=0, lt=1)
    gates: Gates = Gates()


class AttributionConfig(Section):
    """How maps are computed and what they may cost."""

    method: Literal[
        "livecam", "gradcam", "integrated", "occlusion", "shapley", "smoothgrad", "consensus"
    ] = "consensus"
    #: name of the module whose output LiveCAM reads, as in model.named_modules(); found if None
    layer: str | None = None
    #: noisy copies that SmoothGrad may take; it stops earlier where its map has converged
    smoothgrad_samples: int = Field(default=32, ge=1, le=1024)
    #: standard deviation of SmoothGrad's noise as a share of the input's range
    smoothgrad_sigma: float = Field(default=0.15, gt=0, le=1)
    #: processor seconds a minute that background overlays may use
    budget: float = Field(default=6.0, ge=0, le=60)
    #: seconds that a training on the processor may rest, between two steps, for one map that a
    #: person waits for; 0 never
    click_rest: float = Field(default=0.5, ge=0, le=5)
    #: whether each map is judged: does it show what the model uses?
    checks: bool = True
    #: maps of one sample that the run folder keeps; the first and the newest always stay
    maps_per_sample: int = Field(default=24, ge=2)
    #: megabytes of maps that the run folder keeps, over all samples
    maps_megabytes: float = Field(default=512.0, gt=0)
    #: seconds after which a job counts as hung
    deadline: float = Field(default=60.0, gt=0)


class GuidanceConfig(Section):
    """How strokes change the loss."""

    strength: Fraction = 0.3
    #: what an "ignore" stroke becomes; None lets the engine choose
    ignore_loss: Literal["fill", "input_gradient"] | None = None
    #: guided rows as a share of all rows: small batches get theirs every few steps
    replay_share: float = Field(default=0.1, gt=0, le=1)
    #: steps after an intervention at which its effect is measured; 0 measures none
    effect_after: int = Field(default=200, ge=0)


class FindingsConfig(Section):
    """The search for small regions that decide by themselves."""

    #: "ask" looks after epochs and has the coach ask about each; "report" only records them; with
    #: "off" `Session.find_shortcuts()` alone looks
    act: Literal["ask", "report", "off"] = "off"
    #: with "ask": for so many of the findings, as a share of them, a random place is asked about
    #: too, and as many findings are asked about without their figures: nobody can tell which is
    #: which
    controls: float = Field(default=0.1, ge=0, le=0.5)


class DisplayConfig(Section):
    """How an input becomes a picture: pixel = value * std + mean, per channel; None finds out."""

    mean: list[float] | None = None
    std: list[float] | None = None
    #: what is drawn as black and as white; None finds out, for the whole data set
    window: tuple[float, float] | None = None
    #: which channels of a picture are drawn: one in gray, or three as red, green and blue; None
    #: takes the only one, or the first three
    channels: list[int] | None = None

    @field_validator("channels")
    @classmethod
    def _one_or_three(cls, channels: list[int] | None) -> list[int] | None:
        if channels is not None and (len(channels) not in (1, 3) or min(channels) < 0):
            raise ValueError("give one channel or three, counted from 0, for example [3, 2, 1]")
        return channels

    @field_validator("window")
    @classmethod
    def _two_values(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        if window is not None and not window[0] < window[1]:
            raise ValueError("black must be less than white, for example (0.0, 4095.0)")
        return window


class ProcessConfig(Section):
    """What a session may set for the whole process it runs in."""

    #: while a training runs: freed memory is kept, threads take short turns at the interpreter,
    #: and OpenMP's idle helpers are given back. On SIGTERM, trainings end with a checkpoint before
    #: the process does. False leaves all four as they are
    touch: bool = True


class Config(Section):
    """Settings of a session.

    Parameters are grouped in sections; unknown names are errors that suggest the nearest
    name. ``Config.from_mapping({"seed": 1, "forecast": {"top": 5}})`` is what
    ``Session(config={...})`` does.
    """

    #: makes two equal runs equal: order of samples, guidance, dropout
    seed: int = Field(default=0, ge=0, lt=2**31)
    #: "cpu", "cuda", "cuda:1", "mps"; None takes the fastest present
    device: str | None = None
    #: None switches it on where the device has it (CUDA), but not for regression: 16 bits would
    #: round the values to three digits
    mixed_precision: bool | None = None
    #: steps between two records of training metrics
    log_every: Steps = 10
    #: steps between two rankings
    forecast_every: Steps = 20
    #: steps between two periodic overlays
    xai_every: Steps = 100
    #: what a torch schedule of the learning rate counts; "auto" finds out when train() says how
    #: much is to be trained, and tells where it was no plain case
    schedule_unit: Literal["auto", "batch", "epoch"] = "auto"
    #: processes that a torch DataLoader may use; 0 reads samples on the training thread
    loader_workers: int = Field(default=0, ge=0)
    #: minutes between two checkpoints of a training; 0 takes them only at its end, the best, and
    #: before what a person says
    checkpoint_minutes: float = Field(default=10.0, ge=0)
    #: name that the ledger gives as author; None takes the user name of the machine
    author: str | None = None
    forecast: ForecastConfig = ForecastConfig()
    attribution: AttributionConfig = AttributionConfig()
    guidance: GuidanceConfig = GuidanceConfig()
    findings: FindingsConfig = FindingsConfig()
    display: DisplayConfig = DisplayConfig()
    process: ProcessConfig = ProcessConfig()

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ValueError(explain(type(self), error, _place)) from None

    @classmethod
    def from_mapping(cls, values: Config | Mapping[str, Any] | None) -> Config:
        """Check `values` and fill in defaults.

        Raises
        ------
        ValueError
            If a name is unknown (the nearest one is suggested) or a value does not fit.
        """
        if values is None:
            return cls()
        if isinstance(values, Config):
            return values
        if not isinstance(values, Mapping):
            raise TypeError(
                f"config must be a coflect.Config or a mapping, not {type(values).__name__}; "
                'for example config={"seed": 1}'
            )
        return cls(**{str(name): value for name, value in values.items()})


def nearest(name: str, known: list[str]) -> str:
    """' Did you mean ...?' for the known name closest to `name`, or the list of all."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(sorted(known))}"


def explain(
    root: type[BaseModel], error: ValidationError, place: Callable[[list[str]], str]
) -> str:
    """What is wrong with settings, a line a setting, the nearest name for an unknown one.

    Parameters
    ----------
    root : type
        What was to be made.
    error : ValidationError
    place : callable
        Says where a setting is, from the names that lead to it.
    """
    return "\n".join(_explain(root, one, place) for one in error.errors())


def _place(path: list[str]) -> str:
    return "config[" + "][".join(repr(part) for part in path) + "]"


def _explain(root: type[BaseModel], error: Any, place: Callable[[list[str]], str]) -> str:
    path = [str(part) for part in error["loc"]]
    where = place(path)
    if error["type"] == "missing":
        return f"{where} is missing"
    if error["type"] != "extra_forbidden":
        said = error["msg"].removeprefix("Value error, ")
        if said.startswith("config["):  # a Config within other settings has said it already
            return str(said)
        return f"{where} = {error['input']!r}: {said[0].lower()}{said[1:]}"
    section: type[BaseModel] = root
    for part in path[:-1]:
        inner = section.model_fields[part].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        section = inner
    return f"{where} is not a setting; {nearest(path[-1], list(section.model_fields))}"
