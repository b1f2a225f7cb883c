"""The scripts that measure findings: a training whose row is in the file is not run again."""

import argparse

import pytest

from benchmarks.findings.cases import each_once


@pytest.fixture
def script(monkeypatch):
    """Runs a script with these words; gives what it ran."""

    def run(*words):
        ran = []
        parser = argparse.ArgumentParser()
        parser.add_argument("--runs", type=int, default=2)

        def job(case, job, root):
            ran.append((case, job["seed"], str(root)))
            return [{"case": case, **job, "pull": 0.5}, {"case": case, **job, "arm": "refit"}]

        monkeypatch.setattr("sys.argv", ["script", *map(str, words)])
        each_once(
            parser,
            lambda given: [{"seed": given.first + k} for k in range(given.runs)],
            job,
            lambda rows: f"{len(rows)} rows",
        )
        return ran

    return run


def test_a_script_goes_on_where_it_was_ended(script, tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    words = ("digits", "words", "--first", 7, "--data-root", "data", "--out", out)
    wanted = [(case, seed, "data") for case in ("digits", "words") for seed in (7, 8)]
    assert script(*words, "--runs", 1) == wanted[::2]
    assert script(*words) == wanted[1::2]
    assert script(*words) == []
    assert capsys.readouterr().out.splitlines()[-1] == "8 rows"
    assert script("--table", out) == []
    assert capsys.readouterr().out == "8 rows\n"


def test_it_says_which_cases_there_are(script, capsys):
    with pytest.raises(SystemExit):
        script("digit")
    assert "no case is called digit; they are digits, fashion" in capsys.readouterr().err
