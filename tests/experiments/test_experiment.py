"""An experiment's file: read, overridden, trained, on record; what is misspelt is answered."""

from pathlib import Path

import numpy as np
import pytest
import torch

import coflect_widget as coflect
from coflect_widget import registry
from coflect_widget.experiments import sources
from coflect_widget.experiments.experiment import experiment_of, read_settings
from coflect_widget.experiments.space import read_space
from coflect_widget.registry import BUILT_IN, find, names


def test_a_file_is_trained_and_the_run_has_every_setting(file):
    experiment = coflect.Experiment.from_config(file, training={"epochs": 5})
    experiment.training.epochs = 2
    seen = []
    run = experiment.run(on_validation=lambda epoch, metrics: seen.append((epoch, metrics)))
    assert run.state == "finished"
    assert [epoch for epoch, _ in seen] == [1, 2]
    assert seen[0][1].keys() >= {"val_loss", "val_accuracy"}
    kept = run.config["experiment"]
    assert kept["training"] == {
        "epochs": 2, "batch_size": 16, "optimizer": {"name": "sgd", "momentum": 0.5}, "lr": 0.01,
        "loss": None, "loop": {"name": "standard"}, "patience": None, "monitor": "val_loss",
    }  # fmt: skip
    assert experiment_of(run).expanded() == experiment.expanded()
    assert run.labels.tags == {"experiment": "rows", "goal": "baseline"}
    row = coflect.runs(file.parent / "runs").to_records()[0]
    assert (row["config.model.width"], row["config.seed"]) == (12, 4)

    # the seed decides the weights; a file that was saved is the same experiment
    saved = coflect.Experiment.from_config(experiment.save(file.parent / "saved.yaml"))
    assert saved.expanded() == experiment.expanded()
    first, again = (one.make().model[0].weight for one in (experiment, saved))
    other = experiment.changed({"config.seed": 5}).make().model[0].weight
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert experiment.config.seed == 4


def test_a_loop_of_ones_own_and_patience(file, monkeypatch):
    monkeypatch.setenv("COFLECT_ROOT", str(file.parent / "ours"))
    experiment = coflect.Experiment.from_config(file).changed(
        {"training.loop": {"name": "plain", "factor": 0.0}, "training.epochs": 400,
         "training.patience": 2, "run_dir": None}
    )  # fmt: skip
    run = experiment.run()
    assert run.state == "stopped"
    assert run.path.parent == file.parent / "ours"
    validated = [event.epoch for event in run.events("metrics") if event.split == "val"]
    assert 3 <= max(validated) < 400  # nothing is learned at a rate of 0
    texts = [event.data["text"] for event in run.events("notice")]
    assert any("has not become better for 2 epochs (the best: " in text for text in texts)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"training.epohcs": 3}, r"training.epohcs is not a setting; did you mean 'epochs'\?"),
        ({"datta": "x"}, r"datta is not a setting; did you mean 'data'\?"),
        ({"config.forecast.tpo": 3}, r"\['tpo'\] is not a setting; did you mean 'top'"),
        ({"training.lr": -1}, r"training.lr = -1: input should be greater than 0"),
        ({"model": {"width": 3}}, r"model = .*give a name"),
        ({"model.name": "thim"}, r"architecture 'thim' is not known: did you mean 'thin'\?"),
        ({"model.widht": 3}, r"model.widht is no argument of it; did you mean 'width'\?"),
        ({"data": "reveiws"}, r"data 'reveiws' is not known: did you mean 'reviews'\?"),
        ({"data": "parts_of_mine:rowz"}, r"data 'parts_of_mine:rowz' cannot be imported"),
        ({"data": "nowhere_at_all:rows"}, r"cannot be imported.*beside the experiment's file"),
        ({"data": "reviews", "model": "mlp:x"}, r"architecture 'mlp:x' cannot be imported"),
        ({"training.optimizer": "sdg"}, r"training.optimizer = 'sdg': did you mean 'sgd'\?"),
        ({"training.loss": "msee"}, r"training.loss = 'msee': did you mean 'mse'\?"),
        ({"modules": ["nowhere_at_all"]}, r"modules: 'nowhere_at_all' cannot be imported"),
    ],
)
def test_what_is_misspelt_is_answered_with_the_nearest(file, change, words):
    with pytest.raises(ValueError, match=words):
        coflect.Experiment.from_config(file).changed(change).make()


def test_where_nothing_is_registered_that_is_said(monkeypatch):
    monkeypatch.setitem(registry._registered, "evaluator", {})
    with pytest.raises(ValueError, match=r"'auc' is not known: none is registered\. A function"):
        find("evaluator", "auc")


def test_patience_with_no_such_metric_is_refused_before_it_trains(file):
    experiment = coflect.Experiment.from_config(file)
    experiment.training.patience, experiment.training.monitor = 2, "val_acuracy"
    with pytest.raises(ValueError, match="did you mean 'val_accuracy'"):
        experiment.run()


def test_a_wrong_attribute_is_refused_where_it_is_set(file):
    experiment = coflect.Experiment.from_config(file)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        experiment.training.epochs = 0
    with pytest.raises(ValueError, match=r"model = 3"):
        experiment.model = 3
    assert coflect.Experiment(data="reviews", model="text_cnn").training.epochs == 10


@pytest.mark.parametrize(
    ("text", "words"),
    [("data: [", "is no YAML"), ("- a", "no settings by name"), ("model: mlp", "data is missing"),
     ("a: !!python/object/apply:os.getcwd []", "is no YAML")],
)  # fmt: skip
def test_a_file_that_is_none_is_named(tmp_path, text, words):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"x\.yaml.*{words}"):
        coflect.Experiment.from_config(tmp_path / "x.yaml")
    with pytest.raises(FileNotFoundError, match=r"y\.yaml"):
        coflect.Experiment.from_config(tmp_path / "y.yaml")


@pytest.mark.parametrize(
    ("data", "model"),
    [("reviews", "text_cnn"), ("patients", "mlp"), ("signals", "series_cnn"),
     ("synthetic", "small_resnet"), ("decoy_digits", "small_resnet")],
)  # fmt: skip
def test_each_made_set_with_the_network_for_it(data, model):
    small = {} if data == "decoy_digits" else {"n": 40}
    made = coflect.Experiment(data={"name": data, **small}, model=model).make()
    x = torch.as_tensor(np.stack([made.train_data[k][0] for k in range(3)]))
    assert made.model(x).shape == (3, len(made.arguments["classes"]))
    assert len(made.val_data) > 0


def test_arrays_in_a_file(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 3)).astype(np.float32), rng.integers(0, 4, 50)
    np.savez(tmp_path / "all.npz", x=x, y=y)
    (tmp_path / "x.yaml").write_text("data: {name: all.npz, val_share: 0.3}\nmodel: mlp\n")
    made = coflect.Experiment.from_config(tmp_path / "x.yaml").make()
    assert (len(made.train_data[0]), len(made.val_data[0])) == (35, 15)
    rows = np.concatenate([made.train_data[0], made.val_data[0]])
    assert sorted(map(tuple, rows)) == sorted(map(tuple, x))
    assert made.model(torch.as_tensor(x)).shape == (50, 4)
    # where it is not beside the file
    (tmp_path / "away").mkdir()
    away = (tmp_path / "x.yaml").rename(tmp_path / "away" / "x.yaml")
    monkeypatch.setenv("COFLECT_DATA_ROOT", str(tmp_path))
    assert len(coflect.Experiment.from_config(away).make().train_data[0]) == 35
    np.savez(tmp_path / "bad.npz", y=y, z=x)
    with pytest.raises(ValueError, match=r"no array 'x'; it holds \['y', 'z'\]"):
        sources.npz(str(tmp_path / "bad.npz"))
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object), y=y[:1])
    with pytest.raises(ValueError, match="allow_pickle"):
        sources.npz(str(tmp_path / "objects.npz"))


def test_a_table_in_a_file(tmp_path):
    lines = ["age,city,ill"]
    lines += [
        f"{20 + k},{'Bonn' if k % 3 else 'Ulm'},{'yes' if k % 2 else 'no'}" for k in range(30)
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    made = sources.table(str(tmp_path / "t.csv"), "ill", val_share=0.2)
    train = made["train_data"]
    assert made["classes"] == ["no", "yes"]
    assert train.modality.names == ("age", "city")
    assert (train.rows.shape, len(made["val_data"])) == ((24, 3), 6)
    assert abs(train.rows[:, 0].mean()) < 1e-6
    for text, words in (
        ("a,b\n1,2\n3\n", "row 3: 1 values for 2 columns"),
        ("a,b\n1,2\n3,\n", "row 3: 'b' is empty"), ("a,b\n", "at least two rows"),
        ("a,c\n1,2\n3,4\n", r"no column 'b'; its columns are \['a', 'c'\]"),
    ):  # fmt: skip
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(ValueError, match=words):
            sources.table(str(tmp_path / "bad.csv"), "b")


def test_names(file):
    coflect.Experiment.from_config(file).check()
    assert names("architecture")["thin"] == "parts_of_mine:Thin"
    for kind, known in BUILT_IN.items():
        assert known.keys() <= names(kind).keys()
        assert all(callable(find(kind, name)) for name in known)
    with pytest.raises(ValueError, match="is a built-in loop"):
        coflect.register("loop", "standard")
    with pytest.raises(ValueError, match="did you mean 'loop'"):
        coflect.register("loops", "mine")


def test_an_installed_package_names_an_architecture(file, tmp_path, monkeypatch):
    folder = tmp_path / "thin-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: thin\nVersion: 1.0\n")
    lines = "[coflect.architectures]\nthin_of_theirs = parts_of_mine:Thin\n"
    (folder / "entry_points.txt").write_text(lines)
    monkeypatch.syspath_prepend(tmp_path)
    assert names("architecture")["thin_of_theirs"] == "parts_of_mine:Thin"
    experiment = coflect.Experiment.from_config(file, model="thin_of_theirs")
    assert type(experiment.make().model).__name__ == "Thin"
    assert "thin_of_theirs" in experiment.calls_others()


@pytest.mark.slow
def test_a_model_that_is_compiled_keeps_its_own_optimizer():
    import keras

    from coflect_widget.backends.keras.by_name import optimizer
    from coflect_widget.experiments.making import _trained_by
    from coflect_widget.experiments.settings import Training

    assert optimizer(keras.optimizers.SGD, {"lr": 0.5, "momentum": 0.1}).learning_rate == 0.5
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    chosen = _trained_by(model, Training(lr=0.25, loss="cross_entropy"))
    assert float(chosen["optimizer"].learning_rate) == 0.25
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    assert _trained_by(model, Training()) == {}
    with pytest.raises(ValueError, match=r"training\.lr: the model is compiled"):
        _trained_by(model, Training(lr=0.25))


def test_the_files_in_the_documents_are_read():
    page = Path(coflect.__file__).parents[1] / "docs" / "experiments.md"
    blocks = page.read_text(encoding="utf-8").split("```yaml\n")[1:]
    spaces = []
    for block in blocks:
        experiment = coflect.Experiment(**read_settings(block.split("```")[0], "it"))
        experiment.check()
        if experiment.tune.space:
            spaces.append(read_space(experiment.tune.space, experiment))
    assert len(blocks) == 2
    assert len(spaces) == 1
