"""Who learns: a network that is proposed, one of the user's own, or boosted trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coflect_widget.config import nearest
from coflect_widget.projects.quickstart.learners.base import Learner
from coflect_widget.projects.quickstart.learners.boosted import BOOSTED, Boosted
from coflect_widget.projects.quickstart.learners.network import Network

__all__ = ["Learner", "learner_given", "learner_of"]


def learner_given(model: str | Callable[..., Any] | None) -> Learner:
    """Who a person gave as `model`.

    Raises
    ------
    ValueError
        If it is a name of nobody.
    TypeError
        If it is nothing that makes a network.
    """
    if not isinstance(model, str):
        return Network(model)
    if model in BOOSTED:
        return Boosted(model)
    raise ValueError(
        f"model={model!r} is not known; {nearest(model, list(BOOSTED))}; or give a class or "
        "function that makes a network"
    )


def learner_of(plan: Mapping[str, Any], own: Callable[..., Any] | None) -> Learner:
    """Who made such a plan; `own` makes a user's own network."""
    name = plan.get("net")
    return Boosted(name) if isinstance(name, str) and name in BOOSTED else Network(own)
