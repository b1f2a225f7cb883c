"""Runs side by side, in a cell and in one file."""

import pytest

import coflect_widget as coflect
from coflect_widget.records.curves import COLOURS
from tests.records.test_runs_table import event, metrics, write_run

TRAP = "<script>alert(1)</script>"


@pytest.fixture
def two(tmp_path):
    for name, seed, loss in (("run_a", 1, 0.5), ("run_b", 2, 0.25)):
        folder = write_run(
            tmp_path / name,
            metrics(0, 10, loss=1.0),
            event(1, "intervention", 12, id="i1", author=TRAP, understood="ignore the corner"),
            metrics(2, 20, loss=loss),
            event(3, "state", 20, state="finished"),
        )
        (folder / "config.yaml").write_text(f"config: {{seed: {seed}, log_every: 5}}\n")
    return coflect.runs(tmp_path)


def test_only_what_differs_is_shown(two):
    compared = coflect.compare(two)
    assert compared.ids == ["run_a", "run_b"]
    assert compared.differs == {
        "config.seed": [1, 2], "last.val loss": [0.5, 0.25], "best.loss": [0.5, 0.25],
    }  # fmt: skip
    steps, values = compared.curves()["val loss"]["run_b"]
    assert (steps.tolist(), values.tolist()) == ([10, 20], [1.0, 0.25])
    shown = compared._repr_html_()
    assert shown.count("<polyline") == 2
    assert "log_every" not in shown


def test_runs_with_one_id_are_told_apart(tmp_path):
    paths = [
        write_run(tmp_path / place / "folds" / name, metrics(0, 10, loss=loss))
        for place, name, loss in (
            ("first", "run_a", 0.5), ("second", "run_a", 0.25), ("second", "run_b", 0.75)
        )
    ]  # fmt: skip
    compared = coflect.compare(paths)
    labels = ["first/folds/run_a", "second/folds/run_a", "run_b"]
    assert compared.labels == labels, "as much as tells them apart, which a narrow column shows"
    shown = compared._repr_html_()
    page = compared.save(tmp_path / "both.html").read_text()
    for label in labels:
        assert f"<th>{label}</th>" in shown
        assert f"<h2>{label}</h2>" in page
        assert label in repr(compared)
    twice = coflect.compare([paths[0], paths[1], paths[0]])
    assert twice.labels == ["first/folds/run_a (1)", "second/folds/run_a", "first/folds/run_a (2)"]
    assert coflect.compare([paths[2], paths[2]]).labels == ["run_b (1)", "run_b (2)"]


def test_lines_are_seen_on_light_and_dark_pages():
    # the contrast to white and to black, as WCAG counts it for what is no text: 3 is enough
    for colour in COLOURS:
        shares = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert (light + 0.05) / 0.05 > 3, colour
        assert 1.05 / (light + 0.05) > 1.9, colour


def test_one_file_holds_it_all_and_is_never_replaced(two, tmp_path):
    file = coflect.compare([row["path"] for row in two.rows]).save(tmp_path / "both.html")
    page = file.read_text()
    assert "ignore the corner" in page
    assert TRAP not in page
    assert "default-src 'none'" in page
    for outside in ("http://", "https://", "src="):
        assert outside not in page.replace("http://www.w3.org/2000/svg", "")
    with pytest.raises(FileExistsError, match="give another name"):
        two[0].report(file)
    assert "log_every" in two[0].report(tmp_path / "one.html").read_text()


def test_nothing_to_compare_says_what_to_do():
    with pytest.raises(ValueError, match=r"coflect\.runs"):
        coflect.compare([])
