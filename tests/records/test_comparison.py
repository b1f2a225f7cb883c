"""Runs side by side, in a cell and in one file."""

import pytest

import coflect_widget as coflect
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
