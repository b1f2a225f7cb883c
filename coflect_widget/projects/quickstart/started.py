"""A session whose data went through a pipeline; its test part is used once."""

from __future__ import annotations

import json
from typing import Any

from coflect_widget.projects.quickstart.pipeline import FOLDER, Pipeline, best_weights
from coflect_widget.projects.quickstart.plain import guessed, plain_figures
from coflect_widget.projects.quickstart.sheet import Sheet
from coflect_widget.projects.quickstart.splitting import Split
from coflect_widget.records.durable import replacing
from coflect_widget.records.inside import is_there, read_text
from coflect_widget.session import Session

TEST = "test.json"


class DataSession(Session):
    """What `quickstart` gives: a `Session` that knows where its data come from.

    Attributes
    ----------
    pipeline : Pipeline
        Its network is the one that trains.
    sheet : Sheet
        The rows that have a target.
    split : Split
        Which of them are in which part.
    epochs : int
        How many `train` does where it is told nothing.
    """

    _labelling: Any = None

    def __init__(
        self,
        pipeline: Pipeline,
        sheet: Sheet,
        split: Split,
        epochs: int,
        train_data: Any,
        val_data: Any,
        **arguments: Any,
    ) -> None:
        self.pipeline, self.sheet, self.split, self.epochs = pipeline, sheet, split, epochs
        self._settled_at: float | int | None = None  # the step whose best weights it was for
        super().__init__(pipeline.model, train_data, val_data, **arguments)
        try:
            pipeline.save(self.run.path)
        except BaseException:
            self.close()
            raise

    def train(self, epochs: int | None = None, *, steps: int | None = None) -> None:
        """Train as `Session.train`; the first time for `epochs` where nothing is said."""
        if epochs is None and steps is None and self.state == "idle" and not self._resumed:
            epochs = self.epochs
        super().train(epochs, steps=steps)

    def to_label(self, run: Any = None) -> None:
        """Have the dashboard ask for the classes of requests that a service keeps.

        They are those of ``coflect serve RUN --keep N``, the least sure first. What a person says
        is on disk at once, as by `Kept.label`, and the sample is trained on from the next epoch on.

        Parameters
        ----------
        run : path or run, optional
            What is served; this session's own run if left out.

        Raises
        ------
        ValueError
            If the run has no pipeline of quickstart, tells no classes, or others than this session.
        """
        from coflect_widget.projects.endpoint.kept import kept
        from coflect_widget.projects.endpoint.labelling import Labelling

        asked = Labelling(self, kept(self.run if run is None else run))
        if self._labelling is not None:
            self._labelling.close()
        self._labelling = asked

    def close(self) -> None:
        """See `Session.close`."""
        if self._labelling is not None and not self._elsewhere:
            self._labelling.close()
        super().close()

    def _of_validation(self) -> Any:
        return self.pipeline.inputs.transform(self.sheet.rows(self.split.validation))

    def test(self) -> dict[str, Any]:
        """How good the best weights are on the test part; what is found is kept, and told again.

        A figure on rows by which something was chosen is no figure of rows to come. So the test
        part is used once, whatever is trained later. What the validation part settles, as from
        where on a window is unusual, is settled anew where the training went on.

        Returns
        -------
        dict
            ``figures`` of the network, the first of which is to compare by; the same of
            ``plain`` estimators of scikit-learn and of a ``guess`` that is always the same;
            ``rows`` of the test part; ``step`` of the training.

        Raises
        ------
        RuntimeError
            If the training has not ended.
        ValueError
            If nothing was trained.
        """
        run = self.run.path
        name = f"{FOLDER}/{TEST}"
        going_on = self.state in ("training", "paused")
        if is_there(run, name):
            changed = self.metrics["step"] != self._settled_at
            if changed and not going_on and not self._made().closed:
                self._settle_goal()
            told: dict[str, Any] = json.loads(read_text(run, name))
            return told
        if going_on:
            raise RuntimeError("the training has not ended; wait() for it, or stop() it, first")
        mine, judged = self.pipeline, self._settle_goal()
        train, test = self.sheet.rows(self.split.train), self.sheet.rows(self.split.test)
        found = {
            "step": self.metrics["step"],
            "rows": len(test),
            "figures": judged.evaluate(test),
            "plain": plain_figures(mine.inputs, mine.goal, mine.target, train, test),
            "guess": guessed(mine.inputs, mine.goal, test, mine.target),
        }
        with replacing(run / name) as part:
            part.write_text(json.dumps(found), encoding="utf-8")
        return found

    def _settle_goal(self) -> Pipeline:
        """Have the goal settle for the best weights, and keep it; the pipeline of these weights."""
        step = self.metrics["step"]
        self._open().checkpoints.drain()  # the best one may wait for its turn
        judged = self.pipeline.having(best_weights(self.run.path))
        self.pipeline.goal.settle(judged.outputs(self._of_validation()))
        self.pipeline.save(self.run.path)
        self._settled_at = step
        return judged


def said_of_test(found: dict[str, Any]) -> str:
    """What `DataSession.test` found, in lines."""
    figures = found["figures"]
    first = next(iter(figures))
    lines = [f"On {found['rows']:,} rows that were used once, after step {found['step']:,}:"]
    lines += [f"  {name.replace('_', ' '):24}{value:.3f}" for name, value in figures.items()]
    lines += [
        f"  {name:24}{value:.3f}  ({first.replace('_', ' ')}, scikit-learn)"
        for name, value in found["plain"].items()
    ]
    lines.append(f"  {'always the same':24}{found['guess']:.3f}  ({first.replace('_', ' ')})")
    return "\n".join(lines)
