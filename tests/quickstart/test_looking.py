"""What data hold, and what is not certain of them: found by rule, and asked rather than guessed."""

import json

import numpy as np
import pandas as pd
import pytest

import coflect_widget as coflect
from benchmarks.quickstart.messy import FILES
from coflect_widget.projects.quickstart.columns import column_of, numbers, times
from coflect_widget.projects.quickstart.deciding import Choices, Decision, Question, decide
from coflect_widget.projects.quickstart.looking import look


def objects(cells):
    found = np.empty(len(cells), object)
    found[:] = cells
    return found


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "3e4", "-7", "1", "2"], "number"),
        (["1,5", "2,25", "1.000,5", "7", "1", "2"], "number"),
        (["12%", "$4", "1,234,567", "8", "9", "3"], "number"),
        (["red", "blue", "red", "blue"], "category"),
        (["True", "False", "True", "True"], "category"),
        ([f"2024-01-{k:02d}" for k in range(1, 20)], "time"),
        ([f"2024-01-05 {k:02d}:30:00" for k in range(1, 20)], "time"),
        ([f"cats/{k}.JPG" for k in range(9)], "file"),
        ([f"a sentence about thing {k} here" for k in range(9)], "text"),
        ([f"Name{k}" for k in range(200)], "identity"),
        ([str(k) for k in range(1, 40)], "identity"),
        ([f"{k}.3.2024" for k in range(1, 20)], "time"),
        (["x"] * 9, "constant"),
        ([None] * 9, "empty"),
        (["3"] * 9, "constant"),
    ],
)
def test_what_a_column_holds(cells, kind):
    assert column_of("thing", objects(cells)).kind == kind


def test_short_sentences_are_told_from_names_by_what_they_are_called():
    cells = objects([f"red thing{k}" for k in range(200)])
    assert column_of("customer", cells).kind == "identity"
    assert column_of("review", cells).kind == "text"


def test_numbers_and_dates_that_mean_nothing_certain_are_said():
    found = column_of("paid", np.array([1.0, np.inf, 1e40, np.nan, 2.0]))
    assert (found.kind, found.missing) == ("number", 3)
    assert "2 cells of 'paid' are infinite" in found.doubt
    assert np.isnan(numbers(objects(["1e308"]))).all()
    found = column_of("when", objects([f"3/{k}/2024" for k in range(1, 20)]))
    assert "month is not certain: write them as 2024-03-31" in found.doubt
    assert str(times(["31.3.2024 10:30"])[0]) == "2024-03-31T10:30:00"
    clocks = ["", " 10:30", " 10:30:01.5", " 1:30 PM"]
    found = column_of("when", objects([f"3/{k}/2024{clocks[k % 4]}" for k in range(1, 20)]))
    assert "month is not certain" in found.doubt
    # sentences that begin with a date
    found = column_of("said", objects([f"3/4/2024 it was fine on day {k}" for k in range(60)]))
    assert (found.kind, found.doubt) == ("text", "")


def test_words_among_numbers_are_missing_and_said():
    found = column_of("age", objects([*map(str, range(0, 80, 2)), "old", None]))
    assert (found.kind, found.missing) == ("number", 2)
    assert "'old'" in found.doubt
    # half words: no numbers
    assert column_of("x", objects(["1", "a", "2", "b", "1", "a"])).kind == "category"


def test_numbers_and_times_as_people_write_them():
    assert numbers(objects(["1.234,5", "1,234.5", "7 %", "inf", "nan", "1_000", "x", None]))[
        :3
    ].tolist() == [1234.5, 1234.5, 7]
    assert np.isnan(numbers(objects(["inf", "nan", "1_000", "x", None]))).all()
    found = times(objects(["2024/3/1", "2024-03-01T12:30:00+02:00", "2024-13-01", "soon", None]))
    assert found[:2].astype(str).tolist() == ["2024-03-01T00:00:00", "2024-03-01T10:30:00"]
    assert np.isnat(found[2:]).all()
    fractions = ["2024-03-31 10:11:12.5", "31.3.2024 10:11:12.5", "2024.3.31T10:11:12.123456789"]
    assert (times(objects(fractions)) == np.datetime64("2024-03-31T10:11:12")).all()


def file(tmp_path, name, text):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path / name


ROWS = [f"{k % 7},{k * k % 11},{'ab'[k % 2]}" for k in range(40)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_separators_and_encodings(tmp_path, separator, encoding):
    text = "\r\n".join(["höhe,breite,sort", *ROWS]).replace(",", separator)
    found = look(file(tmp_path, "a.csv", text.encode(encoding)))
    assert [c.name for c in found.columns] == ["höhe", "breite", "sort"]
    assert [c.kind for c in found.columns] == ["number", "number", "category"]
    assert ("Windows-1252" in str(found)) == (encoding == "cp1252")


def test_lines_that_do_not_fit_and_files_without_names(tmp_path):
    found = look(file(tmp_path, "a.csv", "\n".join(["a,b,c", *ROWS, "1,2", "", "1,2,3,4"])))
    assert len(found.sheet) == len(ROWS)
    assert "2 lines have not 3 cells" in str(found)
    found = look(file(tmp_path, "b.csv", "\n".join(ROWS)))
    assert [c.name for c in found.columns] == ["column 1", "column 2", "column 3"]
    assert len(found.sheet) == len(ROWS)
    words = [f"{'xy'[k % 2]},{'pq'[k % 3 == 0]}" for k in range(40)]  # no number tells
    assert len(look(file(tmp_path, "c.csv", "\n".join(words))).sheet) == 40
    assert len(look(file(tmp_path, "d.csv", "\n".join(["v,w", *words]))).sheet) == 40


def test_json_and_lines_of_it(tmp_path):
    rows = [{"a": k % 5, "b": None if k == 3 else "xy"[k % 2]} for k in range(30)]
    lines = "\n".join(map(json.dumps, rows)) + "\nbroken\n"
    for found in (
        look(file(tmp_path, "a.json", json.dumps(rows))),
        look(file(tmp_path, "b.json", json.dumps({"data": rows}))),
        look(file(tmp_path, "c.jsonl", lines)),
        look(rows),
        look(pd.DataFrame(rows)),
    ):
        assert [(c.name, c.kind, c.missing) for c in found.columns] == [
            ("a", "number", 0), ("b", "category", 1),
        ]  # fmt: skip
    assert "1 line is no JSON" in str(look(tmp_path / "c.jsonl"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"\x00\x01\x02", "zero bytes"),
        ("a.csv", b"", "no line"),
        ("a.parquet", b"PAR1", "read are .csv"),
        ("a.csv", b"a,a\nx,y\nz,y\n", "two columns are called 'a'"),
        ("a.json", b"{", "Expecting"),
        ("a.json", b"[1, 2]", "no objects"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.ts", b"1,2,3:1\n", "@data"),
        ("a.csv", b"a,b\n1,\n1,\n", "says anything"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, name, content, says):
    with pytest.raises(ValueError, match=says):
        look(file(tmp_path, name, content))


def test_what_is_not_there_or_of_no_form(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        look(tmp_path / "none.csv")
    with pytest.raises(TypeError, match="expected a path"):
        look(3)
    with pytest.raises(ValueError, match="holds nothing that is read"):
        look(tmp_path)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n2,3\n")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n2,3\n")
    with pytest.raises(ValueError, match=r"a\.csv, b\.csv; give the path"):
        look(tmp_path)


def test_inputs_without_targets_are_read_to_be_told():
    x = np.random.default_rng(0).normal(size=(9, 3))
    assert [c.name for c in look(x).columns] == ["0", "1", "2"]
    assert look(["a film of some length", "another one of these"]).columns[0].name == "text"
    with pytest.raises(ValueError, match="no column that could be predicted"):
        decide(look(np.zeros((9, 3, 8, 8)) + np.arange(9)[:, None, None, None]), Choices())


# --- kinds, targets, tasks ------------------------------------------------------------------------


def decided(data, **choices):
    return decide(look(data), Choices(**choices))


def columns(n=60, **more):
    rng = np.random.default_rng(0)
    found = {"size": rng.normal(size=n), "weight": rng.normal(size=n)}
    found.update({name: objects([make(k) for k in range(n)]) for name, make in more.items()})
    return found


def word(k):
    return "ab"[k % 2]


def sentence(k):
    return f"a sentence of some words {k}"


@pytest.mark.parametrize(
    ("data", "kind", "task"),
    [
        (columns(label=word), "table", "classification"),
        (columns(label=lambda k: str(k / 7)), "table", "regression"),
        ({"text": columns(t=sentence)["t"], "label": columns(t=word)["t"]}, "text",
         "classification"),
        ((np.random.default_rng(0).random((40, 3, 16, 16)), np.arange(40) % 2), "image",
         "classification"),
        ((np.random.default_rng(0).random((40, 16, 16, 3)), np.arange(40) % 2), "image",
         "classification"),
        ((np.random.default_rng(0).random((40, 2, 64)), np.arange(40) % 2), "series",
         "classification"),
        ((np.random.default_rng(0).random((40, 5)), np.arange(40) / 3), "table", "regression"),
        (coflect.data.patients(60), "table", "classification"),
        (coflect.data.signals(40), "series", "classification"),
        (coflect.data.synthetic(n=40), "image", "classification"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_one_reading_is_taken_and_said(data, kind, task):
    found = decided(data, leave_out=())
    assert isinstance(found, Decision), str(found)
    assert (found.kind, found.task) == (kind, task)
    assert any(sentence.startswith("Taken for") for sentence in found.said)


@pytest.mark.parametrize(
    ("data", "name", "options"),
    [
        # which column
        (columns(label=word, klass=word) | {"class": columns(c=word)["c"]}, "target",
         ["size", "weight", "label", "klass", "class"]),
        # sentences beside numbers
        (columns(label=word, said=sentence), "kind", ["table", "text"]),
        # numbered columns: features, or steps
        ({**{f"t{k}": np.random.default_rng(k).normal(size=40) for k in range(24)},
          "label": columns(40, l=word)["l"]}, "kind", ["table", "series"]),
        ((np.random.default_rng(0).random((40, 30)), np.arange(40) % 2), "kind",
         ["table", "series"]),
        # small squares of fractions: pictures, or channels
        ((np.random.default_rng(0).random((40, 10, 10)), np.arange(40) % 2), "kind",
         ["image", "series"]),
        # few whole numbers: classes, or a measure
        (columns(label=lambda k: str(k % 5)), "task", ["classification", "regression"]),
        # half stars
        (columns(label=lambda k: str(k % 7 / 2)), "task", ["classification", "regression"]),
    ],
    ids=["target", "sentences", "steps", "wide array", "squares", "whole", "halves"],
)  # fmt: skip
def test_more_than_one_reading_is_asked(data, name, options):
    found = decided(data)
    assert isinstance(found, Question)
    assert found.name == name
    assert [option.value for option in found.options] == options
    assert found.proposal is None  # never guessed
    for value in options:  # each answer leads on
        after = decide(look(data), found.answered(Choices(), value))
        assert isinstance(after, Decision) or after.name != name


@pytest.mark.parametrize(
    ("data", "choices", "says"),
    [
        (columns(label=word), {"target": "lable"}, "did you mean 'label'"),
        (columns(label=word), {"target": "label", "kind": "image"}, "no column is of it"),
        (columns(label=word), {"target": "label", "kind": "tables"}, "did you mean 'table'"),
        (columns(label=word), {"target": "label", "task": "regression"}, "holds no numbers"),
        (columns(label=word), {"target": "size", "task": "classification"}, "too many"),
        (columns(label=word), {"leave_out": ("x",)}, "leave_out: there is no 'x'"),
        (columns(label=word), {"leave_out": ("size", "weight")}, "nothing but 'label'"),
        (columns(label=lambda _: "x"), {"target": "label"}, "one value everywhere"),
        ({"text": columns(t=sentence)["t"]}, {}, "no column that could be predicted"),
    ],
)
def test_a_choice_that_does_not_fit_says_what_does(data, choices, says):
    with pytest.raises(ValueError, match=says):
        decided(data, **choices)


# --- five files as people have them ---------------------------------------------------------------


def test_messy_files_are_read_rightly_or_asked_about(tmp_path):
    files = {name: make(tmp_path) for name, make in FILES.items()}
    found = look(files["mixed"])
    said = str(found)
    assert {c.name: c.kind for c in found.columns} == {
        "customer id": "identity", "age": "number", "paid": "number", "plan": "category",
        "joined": "time", "country": "constant", "left": "category",
    }  # fmt: skip
    assert "semicolons" in said
    assert "1 line has not 7 cells" in said
    assert "'unknown'" in said
    question = decide(found, Choices())
    assert question.name == "target"
    assert {"customer id", "country", "joined"}.isdisjoint(o.value for o in question.options)
    known = decide(found, Choices("left"))
    assert (known.kind, known.task) == ("table", "classification")

    found = look(files["doubled"])
    assert found.doubles == 333
    assert isinstance(decide(found, Choices()), Decision)  # its target is called label

    question = decide(look(files["leaking"]), Choices("diagnosis"))
    assert (question.name, question.proposal) == ("leave_out", ("bill",))
    assert decide(look(files["leaking"]), Choices("diagnosis", leave_out=())).kind == "table"

    found = look(files["encoded"])
    assert "Windows-1252" in str(found)
    assert any("wunderschön" in text for text in found.sheet.cells["review"])
    assert not any("\ufffd" in text or "Ã" in text for text in found.sheet.cells["review"])
    known = decide(found, Choices())
    assert (known.kind, known.task, known.target) == ("text", "classification", "opinion")

    with pytest.raises(ValueError, match=r"'result' holds one value.*a target may be a, b"):
        decide(look(files["one_class"]), Choices("result"))
    assert decide(look(files["one_class"]), Choices()).name == "target"
