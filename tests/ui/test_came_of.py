"""A proof whose process ended without a word is not under way for ever."""

import json

import pytest

from coflect_widget.events import read_event
from coflect_widget.records.pictures import Gallery
from coflect_widget.ui.folded import Folded
from tests.records.test_runs_table import event

PROOF = {
    "intervention": "i1", "verdict": "helped", "text": "helped", "from_step": 2, "steps": 5,
    "seeds": 2, "branches": [], "beyond": [], "cost": 30, "seconds": 1.0,
}  # fmt: skip
BEGUN = [
    event(0, "intervention", 2, id="i1", understood="ignore a region"),
    event(1, "proving", 9, intervention="i1", done=0, total=30, text="Proof of i1"),
]
PROVED = [
    event(2, "proving", 9, intervention="i1", done=30, total=30, over=True),
    event(3, "proof", 9, **PROOF),
]
AGAIN = [event(4, "proving", 9, intervention="i1", done=3, total=30, text="anew")]


def as_read(line):
    return read_event(json.dumps(line).encode())


@pytest.mark.parametrize("resumed", [True, False])
@pytest.mark.parametrize(
    ("told", "verdict"),
    [(BEGUN, None), (BEGUN + PROVED, "helped"), (BEGUN + PROVED + AGAIN, "helped")],
)
def test_a_proof_that_was_interrupted_is_over(tmp_path, told, verdict, resumed):
    folded = Folded(Gallery(tmp_path, None), "live", "run")
    for one in told:
        folded.apply(as_read(one))
    if told[-1]["type"] == "proving":
        assert folded.ledger["i1"]["proof"]["verdict"] == ""
    folded.dirty.clear()
    if resumed:
        folded.apply(as_read(event(9, "resumed", 9)))
    else:
        folded.end_of_record()
    proof = folded.ledger["i1"]["proof"]
    assert (proof and proof["verdict"]) == verdict
    assert ("ledger" in folded.dirty) == (told[-1]["type"] == "proving")
