"""Which sample the dashboard shows, where answers come later than clicks."""

from coflect_widget import events
from coflect_widget.events import Event
from coflect_widget.records.pictures import Gallery
from coflect_widget.ui.view import View

NONE = {"target": 0, "predicted": 0, "top_classes": [0], "top_probs": [1.0], "agreement": None,
        "focus_bbox": None, "model_step": 4, "method": "consensus"}  # fmt: skip


def test_an_answer_that_comes_late_does_not_take_the_eye_off_the_next_sample(tmp_path):
    view = View(Gallery(tmp_path), "live", "r")
    seq = iter(range(1, 9))

    def answered(index):
        data = events.Overlay(index=index, purpose="person", **NONE)
        event = {"seq": next(seq), "ts": "2026-01-01T00:00:00+00:00", "run_id": "r", "step": 4}
        view.apply(Event(**event, type="overlay", epoch=0, split=None, data=data))
        return view.update(full=True)[0]["explanation"]["index"]

    view.select(3)
    view.select(5)
    assert answered(3) == 5
    assert answered(5) == 5
    assert answered(7) == 7  # session.explain(7), in a cell
