"""Who learns: a network that is proposed, one of the user's own, boosted trees, or k-means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coflect_widget.config import nearest
from coflect_widget.projects.quickstart.learners.base import Learner
from coflect_widget.projects.quickstart.learners.boosted import BOOSTED, Boosted
from coflect_widget.projects.quickstart.learners.clusters import KMEANS, Kmeans
from coflect_widget.projects.quickstart.learners.network import NAMED, Network

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
    if model == KMEANS:
        return Kmeans()
    if model in NAMED:
        return Network(named=model)
    known = nearest(model, [*BOOSTED, KMEANS, *NAMED])
    raise ValueError(
        f"model={model!r} is not known; {known}; or give a class or function that makes a network"
    )


def learner_of(plan: Mapping[str, Any], own: Callable[..., Any] | None) -> Learner:
    """Who made such a plan; `own` makes a user's own network."""
    name = plan.get("net")
    if isinstance(name, str) and name in (*BOOSTED, KMEANS):
        return learner_given(name)
    return Network(own)
