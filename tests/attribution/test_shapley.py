"""Shapley values by sampling, against sums over all orders, for a function and for real models."""

from itertools import permutations

import numpy as np
import pytest
from torch import nn

import coflect_widget as coflect
from coflect_widget.attribution.shapley import shapley
from coflect_widget.backends.trees import methods
from coflect_widget.backends.trees.forest import Forest
from coflect_widget.backends.trees.growing import GROWERS
from coflect_widget.modalities.table import Table


def exact(outputs, x, features):
    """By all orders of `features`, each a list of columns; what is not known is 0."""
    total = np.zeros(len(features))
    orders = list(permutations(range(len(features))))
    for order in orders:
        row = np.zeros_like(x)
        before = outputs(row[None])[0, 0]
        for k in order:
            row[features[k]] = x[features[k]]
            after = outputs(row[None])[0, 0]
            total[k] += after - before
            before = after
    return np.abs(total) / len(orders)


def told(rows):
    a, b, c, d, e = rows.T
    return np.stack([a * b * e + 3 * c - d * a, -a], 1)


def test_sampled_orders_are_as_all_orders():
    table = Table(["a", "b", "c", "d", "e"], groups={"g": ["c", "d"]})
    x = np.array([1.5, 2, 1, 0.5, -1], np.float32)
    found = shapley(told, x[None], 0, table, 400, 0)
    a, b, g, e = exact(told, x, [[0], [1], [2, 3], [4]])
    assert found == pytest.approx([a, b, g / 2, g / 2, e], rel=0.1)
    assert shapley(told, x[None], 1, table, 2, 0) == pytest.approx([1.5, 0, 0, 0, 0])
    assert np.array_equal(found, shapley(told, x[None], 0, table, 400, 0))  # equal seeds
    # many columns take few orders, in parts
    wide = np.ones((1, 1000), np.float32)
    assert shapley(lambda rows: rows.sum(1, keepdims=True), wide, 0, Table(), 32, 0) == (
        pytest.approx(np.ones(1000), rel=1e-4)
    )


@pytest.mark.parametrize("name", GROWERS)
def test_trees_in_a_worker_say_what_they_said(name):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    grower, forest = GROWERS[name](x, (x[:, 0] > x[:, 1]).astype(int), 2, 0), Forest(name, 4, 2)
    specs = methods.specs_of(forest)
    room = [np.full(spec.shape, -7, spec.dtype) for spec in specs]
    for _ in range(5):
        forest.grow(grower.round())
    forest.start = grower.start
    methods.copy_to(forest, specs, room)
    model = methods.load(methods.structure(forest))
    model.load_weights(dict(zip((spec.name for spec in specs), room, strict=True)))
    wanted = forest(x)
    assert np.allclose(model.outputs(x), wanted - wanted.mean(1, keepdims=True))
    of = sum(shapley(model.outputs, row[None], 1, Table(list("abcd")), 8, 0) for row in x[:20])
    assert set(np.argsort(of)[2:]) == {0, 1}
    model.randomise(1)
    assert not np.allclose(model.outputs(x), wanted - wanted.mean(1, keepdims=True))
    room[0][:] = 10**6, 1, 1
    with pytest.raises(ValueError, match="train for fewer rounds"):
        model.load_weights(dict(zip((spec.name for spec in specs), room, strict=True)))


def test_a_person_chooses_it_for_a_network(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, 5)).astype(np.float32)
    y = (x[:, 2] > 0).astype(np.int64)
    model = nn.Linear(5, 2)
    nn.init.zeros_(model.weight)  # what it looks at is what it learned
    with coflect.Session(
        model, (x, y), batch_size=32, run_dir=tmp_path, inputs=Table(list("abcde")),
        config={"attribution": {"method": "shapley"}},
    ) as session:  # fmt: skip
        session.train(8)
        assert session.wait(240)
        found = session.explain(int(np.argmax(np.abs(x[:, 2]))), timeout=240)
    assert found.method == "shapley"
    assert found.map.argmax() == 2
    assert found.quality is not None
