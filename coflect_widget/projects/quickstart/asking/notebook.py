"""Questions in a notebook: selectors that follow one another, a button, and then the dashboard."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from coflect_widget.projects.quickstart.deciding import Choices, Decision, Question, decide
from coflect_widget.projects.quickstart.looking import Look

_LABELS = {
    "target": "Predict", "kind": "Data are", "task": "Target is", "leave_out": "Telling columns",
}  # fmt: skip


class Asking(widgets.VBox):  # type: ignore[misc]
    """Shows what was found, asks what is not certain, and builds.

    Parameters
    ----------
    look : Look
    choices : Choices
        What is known already.
    build : callable
        Makes the session of a `Decision`.

    Attributes
    ----------
    session : DataSession or None
        Once it is built.
    selectors : dict of str to ipywidgets.Dropdown
        By the name of the question.
    button : ipywidgets.Button
    """

    def __init__(
        self, look: Look, choices: Choices, build: Callable[[Decision], tuple[Any, list[str]]]
    ) -> None:
        self.session: Any = None
        self._look, self._given, self._build = look, choices, build
        self._decision: Decision | None = None
        self._found = widgets.HTML(_block(str(look)))
        self._said = widgets.HTML()
        self.selectors: dict[str, widgets.Dropdown] = {}
        self._asked = widgets.VBox()
        self.button = widgets.Button(description="Build", button_style="primary", disabled=True)
        self.button.on_click(self._built)
        super().__init__([self._found, self._asked, self._said, self.button])
        self._follow()

    def _follow(self, answered: str | None = None) -> None:
        """Ask what has to be asked after the answers that are there."""
        if answered is not None:  # what was asked after it depends on it
            names = list(self.selectors)
            for name in names[names.index(answered) + 1 :]:
                del self.selectors[name]
        choices = self._given
        self._decision = None
        try:
            while isinstance(found := decide(self._look, choices), Question):
                selector = self.selectors.get(found.name)
                if selector is None:
                    selector = self.selectors[found.name] = self._selector(found)
                if selector.value is None:
                    self._say(found.text)
                    break
                choices = found.answered(choices, selector.value.value)
            else:
                self._decision = found
                self._say("\n".join(found.said))
        except (ValueError, TypeError) as error:
            self._say(str(error))
        self._asked.children = list(self.selectors.values())
        self.button.disabled = self._decision is None

    def _selector(self, question: Question) -> Any:
        options = [("choose ...", None), *((o.words, o) for o in question.options)]
        proposed = next((o for o in question.options if o.value == question.proposal), None)
        selector = widgets.Dropdown(
            options=options,
            value=proposed,
            description=_LABELS[question.name],
            style={"description_width": "initial"},
            layout={"width": "max-content", "max_width": "100%"},
        )
        selector.observe(lambda _, name=question.name: self._follow(name), "value")
        return selector

    def _built(self, _: Any) -> None:
        if self._decision is None or self.session is not None:
            return
        self.button.disabled = True
        for selector in self.selectors.values():
            selector.disabled = True
        try:
            self.session, said = self._build(self._decision)
        except Exception as error:  # noqa: BLE001 - a person may choose otherwise
            self._say(f"{type(error).__name__}: {error}")
            self.button.disabled = False
            for selector in self.selectors.values():
                selector.disabled = False
            return
        self._say("\n".join([*self._decision.said, *said]))
        self.children = [self._found, self._asked, self._said, self.session.dashboard()]

    def _say(self, text: str) -> None:
        self._said.value = _block(text)


def _block(text: str) -> str:
    """Text as it is: nothing in it is a tag."""
    return f'<pre style="white-space: pre-wrap; margin: 0">{html.escape(text)}</pre>'
