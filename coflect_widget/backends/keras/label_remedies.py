"""What to write for a change of labels, in each place that data for a Keras model come from."""

from __future__ import annotations

from typing import Literal

from coflect_widget.backends.label_forms import Changes

#: Where labels come from; a remedy is written for that place.
Place = Literal["arrays", "items", "pipeline"]

_SMOOTHED = "keras.losses.CategoricalCrossentropy(label_smoothing=0.1)"
_HINGE = " (keras.losses.Hinge takes 0 and 1 as well)"
CHANGES: dict[Place, Changes] = {
    "arrays": {
        "likeliest": "labels.argmax(1)",
        "smoothed": _SMOOTHED,
        "minus one": "pass labels - 1",
        "signs": "pass (labels + 1) // 2" + _HINGE,
        "known": "keep = labels >= 0, and pass (inputs[keep], labels[keep])",
        "names": "names = sorted(set(labels)), and pass numpy.array([names.index(label) for label "
        "in labels])",
    },
    "items": {
        "likeliest": "label.argmax(-1) in each item",
        "smoothed": _SMOOTHED,
        "minus one": "give label - 1 in each item",
        "signs": "give (label + 1) // 2 in each item" + _HINGE,
        "known": "leave those items out of the data set",
        "names": "give names.index(label) in each item, where names is the list of classes",
    },
    "pipeline": {
        "likeliest": "data.map(lambda x, y: (x, tf.argmax(y, -1)))",
        "smoothed": _SMOOTHED,
        "minus one": "pass data.map(lambda x, y: (x, y - 1))",
        "signs": "pass data.map(lambda x, y: (x, (y + 1) // 2))" + _HINGE,
        "known": "pass data.unbatch().filter(lambda x, y: y >= 0) with its length: "
        ".apply(tf.data.experimental.assert_cardinality(n))",
        "names": "lookup = keras.layers.StringLookup(vocabulary=names, num_oov_indices=0), and "
        "pass data.map(lambda x, y: (x, lookup(y)))",
    },
}
