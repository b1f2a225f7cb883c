"""What Keras users do wrong, the words of each remedy, and what they do who follow them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

N, CLASSES = 24, 3
RNG = np.random.default_rng(0)
X = RNG.random((N, 10, 12, 3), dtype=np.float32)
Y = np.arange(N) % CLASSES
NAMES = ["ant", "bee", "cat"]
SMOOTH = {"config": {"attribution": {"method": "smoothgrad"}}}
FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def body(last=None, outputs=CLASSES, shape=(10, 12, 3), first=()):
    return [
        keras.Input(shape), *first, layers.Conv2D(4, 3, activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(outputs, activation=last),
    ]  # fmt: skip


def net(loss=FROM_LOGITS, last=None, outputs=CLASSES, shape=(10, 12, 3), first=(), **more):
    model = keras.Sequential(body(last, outputs, shape, first))
    model.compile("sgd", loss, **more)
    return model


def compiled(model, loss=FROM_LOGITS):
    model.compile("sgd", loss)
    return model


def of_layers(*given, loss=FROM_LOGITS):
    return compiled(keras.Sequential(list(given)), loss)


def slices(x=X, y=Y):
    return tf.data.Dataset.from_tensor_slices((x, y))


class Items:
    """A map-style data set of what `make(index)` gives."""

    def __init__(self, make):
        self.make = make

    def __len__(self):
        return N

    def __getitem__(self, index):
        return self.make(index)


class Batches(keras.utils.PyDataset):
    """Batches of 8 of what `make(slice)` gives."""

    def __init__(self, make, length=3):
        super().__init__()
        self.make = make
        self.length = length

    def __len__(self):
        if self.length is None:
            raise TypeError("how many?")
        return self.length

    def __getitem__(self, index):
        return self.make(slice(8 * index, 8 * index + 8))


DRAWN = tf.random.Generator.from_non_deterministic_state()  # a global seed does not hold it


def random_light(x, y):
    return x + DRAWN.uniform((), 0, 0.5), y


SOFT = np.eye(CLASSES, dtype=np.float32)[Y] * 0.8 + 0.2 / CLASSES
SIGNS = np.where(Y % 2, 1, -1)
UNKNOWN = np.where(Y == 1, -1, Y)
STRINGS = np.array([NAMES[i] for i in Y])
BYTES = (X * 255).astype(np.uint8)
LOOKUP = keras.layers.StringLookup(vocabulary=NAMES, num_oov_indices=0)
INPUTS = keras.Input((10, 12, 3), name="picture")
FEATURES = layers.GlobalAveragePooling2D(name="features")(layers.Conv2D(5, 3)(INPUTS))
LOGITS = layers.Dense(CLASSES, name="logits")(FEATURES)


def two_outputs(outputs):
    model = keras.Model(INPUTS, outputs)
    model.compile("sgd", {"logits": FROM_LOGITS} if isinstance(outputs, dict) else FROM_LOGITS)
    return model


def choose(model, output):
    chosen = keras.Model(model.inputs[0], output)
    chosen.compile("sgd", FROM_LOGITS)
    return chosen


def hinge():
    return net("hinge", outputs=1)


LABELS = [
    ("names", (net, (X, list(STRINGS))), "numpy.array([names.index(label) for label in labels])",
     (net, (X, np.array([sorted(set(STRINGS)).index(label) for label in STRINGS])),
      {"classes": NAMES})),
    ("names in items", (net, Items(lambda i: (X[i], STRINGS[i]))), "names.index(label) in each",
     (net, Items(lambda i: (X[i], NAMES.index(STRINGS[i]))))),
    ("names in a pipeline", (net, slices(y=STRINGS)), "data.map(lambda x, y: (x, lookup(y)))",
     (net, slices(y=STRINGS).map(lambda x, y: (x, LOOKUP(y))))),
    ("soft", (net, (X, SOFT)), "labels.argmax(1)", (net, (X, SOFT.argmax(1)))),
    ("soft, smoothed", (net, (X, SOFT)),
     "keras.losses.CategoricalCrossentropy(label_smoothing=0.1)",
     (lambda: net(keras.losses.CategoricalCrossentropy(label_smoothing=0.1), "softmax"),
      (X, np.eye(CLASSES)[Y]))),
    ("soft in items", (net, Items(lambda i: (X[i], SOFT[i]))), "label.argmax(-1) in each item",
     (net, Items(lambda i: (X[i], SOFT[i].argmax(-1))))),
    ("soft in a pipeline", (net, slices(y=SOFT)), "data.map(lambda x, y: (x, tf.argmax(y, -1)))",
     (net, slices(y=SOFT).map(lambda x, y: (x, tf.argmax(y, -1))))),
    ("from 1", (net, (X, Y + 1)), "pass labels - 1", (net, (X, (Y + 1) - 1))),
    ("from 1 in items", (net, Items(lambda i: (X[i], Y[i] + 1))), "label - 1 in each item",
     (net, Items(lambda i: (X[i], (Y[i] + 1) - 1)))),
    ("from 1 in a pipeline", (net, slices(y=Y + 1).batch(4)), "data.map(lambda x, y: (x, y - 1))",
     (net, slices(y=Y + 1).batch(4).map(lambda x, y: (x, y - 1)))),
    ("signs", (hinge, (X, SIGNS)), "pass (labels + 1) // 2", (hinge, (X, (SIGNS + 1) // 2))),
    ("signs in a pipeline", (hinge, slices(y=SIGNS)), "data.map(lambda x, y: (x, (y + 1) // 2))",
     (hinge, slices(y=SIGNS).map(lambda x, y: (x, (y + 1) // 2)))),
    ("unknown", (net, (X, UNKNOWN)), "keep = labels >= 0, and pass (inputs[keep], labels[keep])",
     (net, (X[UNKNOWN >= 0], UNKNOWN[UNKNOWN >= 0]))),
    ("unknown in a pipeline", (net, slices(y=UNKNOWN).batch(4)),
     "data.unbatch().filter(lambda x, y: y >= 0)",
     (net, slices(y=UNKNOWN).batch(4).unbatch().filter(lambda x, y: y >= 0)
      .apply(tf.data.experimental.assert_cardinality(int((UNKNOWN >= 0).sum()))))),
    ("nan", (net, (X, np.where(Y == 2, np.nan, Y))), "leave the sample out",
     (net, (X[Y != 2], Y[Y != 2].astype(float)))),
    ("too high", (net, (X, Y + 4)), "add classes and outputs",
     (lambda: net(outputs=7), (X, Y + 4))),
]  # fmt: skip

BIG = (X[..., 0] * 4095).astype(np.uint16)
PICTURES = [
    ("bytes", (net, (BYTES, Y)), "images.astype('float32') / 255",
     (net, (BYTES.astype("float32") / 255, Y))),
    ("bytes, in items", (net, Items(lambda i: (BYTES[i], Y[i]))), "x.astype('float32') / 255",
     (net, Items(lambda i: (BYTES[i].astype("float32") / 255, Y[i])))),
    ("bytes, in a pipeline", (net, slices(BYTES)),
     "data.map(lambda x, y: (tf.cast(x, tf.float32) / 255, y))",
     (net, slices(BYTES).map(lambda x, y: (tf.cast(x, tf.float32) / 255, y)))),
    ("bytes, in batches", (net, Batches(lambda s: (BYTES[s], Y[s]))), "x.astype('float32') / 255",
     (net, Batches(lambda s: (BYTES[s].astype("float32") / 255, Y[s])))),
    ("12 bit", (lambda: net(shape=(10, 12, 1)), (BIG, Y)), "images.astype('float32') / 4095",
     (lambda: net(shape=(10, 12, 1)), (BIG.astype("float32") / 4095, Y))),
    ("masks", (net, (X > 0.5, Y)), "images.astype('float32')",
     (net, ((X > 0.5).astype("float32"), Y))),
    ("flat", (lambda: of_layers(keras.Input((360,)), layers.Dense(CLASSES)), (X.reshape(N, -1), Y)),
     "passed as (N, H, W, C) and the model begins with keras.layers.Flatten()",
     (lambda: of_layers(keras.Input((10, 12, 3)), layers.Flatten(), layers.Dense(CLASSES)), (X, Y),
      SMOOTH)),
    ("rows", (lambda: of_layers(keras.Input((10, 12)), layers.LSTM(4), layers.Dense(CLASSES)),
              (X[..., 0], Y)),
     "(N, 10, 12, 1) and the model begins with keras.layers.Reshape((10, 12))",
     (lambda: of_layers(keras.Input((10, 12, 1)), layers.Reshape((10, 12)), layers.LSTM(4),
                        layers.Dense(CLASSES)), (X[..., :1], Y), SMOOTH)),
    ("another size", (lambda: net(shape=(16, 16, 3)), (X, Y)), "resize the pictures",
     (lambda: net(shape=(16, 16, 3)), (np.asarray(tf.image.resize(X, (16, 16))), Y))),
    ("another size, model", (lambda: net(shape=(16, 16, 3)), (X, Y)), "keras.Input((10, 12, 3))",
     (net, (X, Y))),
    ("grey", (net, (X[..., 0], Y)), "numpy.repeat(images[..., None], 3, -1)",
     (net, (np.repeat(X[..., 0][..., None], 3, -1), Y))),
    ("a list of images", (net, (list(X), Y)), "numpy.stack makes one", (net, (np.stack(X), Y))),
    ("two arrays", (net, ([X, Y], Y)), "pass its array alone", (net, (X, Y))),
    ("another name", (net, ({"photo": X}, Y)), "pass the model's array alone", (net, (X, Y))),
    ("several shapes", (net, (np.array([X[0], X[0, :4]], object), Y[:2])), "resize them to one",
     (net, (np.stack([X[0], np.asarray(tf.image.resize(X[0, :4], (10, 12)))]), Y[:2]))),
    ("several shapes, items", (net, Items(lambda i: (X[i, : 10 - i // 23], Y[i]))),
     "resize or crop them", (lambda: net(shape=(9, 12, 3)), Items(lambda i: (X[i, :9], Y[i])))),
    ("more labels", (net, (X, Y[:9])), "one label for each input", (net, (X[:9], Y[:9]))),
    ("weights", (net, (X, Y, np.ones(N))), "pass (inputs, labels), and class_weight=",
     (net, (X, Y), {"class_weight": {0: 2.0}})),
    ("two kinds of labels", (net, (X, {"a": Y, "b": Y})), "pass its array alone", (net, (X, Y))),
    ("items of a mapping", (net, Items(lambda i: {"image": X[i], "label": Y[i]})),
     "(item['image'], item['label'])", (net, Items(lambda i: (X[i], Y[i])))),
    ("two kinds of labels, items", (net, Items(lambda i: (X[i], {"a": Y[i], "b": 0}))),
     "give its label alone", (net, Items(lambda i: (X[i], Y[i])))),
    ("no label", (net, Items(lambda i: (X[i], Y[i] if i else None))), "give each sample a label",
     (net, Items(lambda i: (X[i], Y[i])))),
    ("empty", (net, (X[:0], Y[:0])), "at least one sample", (net, (X[:1], Y[:1]))),
    ("nothing like data", (net, 3), "a keras.utils.PyDataset",
     (net, Batches(lambda s: (X[s], Y[s])))),
]  # fmt: skip

FIRST = slices().map(lambda x, y: {"image": x, "label": y})
NO_RANK = tf.data.Dataset.from_generator(
    lambda: zip(X, Y, strict=True), output_types=(tf.float32, tf.int64)
).apply(tf.data.experimental.assert_cardinality(N))
UNEVEN = tf.data.Dataset.from_generator(
    lambda: ((x[: 10 - i % 2], y) for i, (x, y) in enumerate(zip(X, Y, strict=True))),
    output_signature=(tf.TensorSpec((None, 12, 3)), tf.TensorSpec((), tf.int64)),
).apply(tf.data.experimental.assert_cardinality(N))
PIPELINES = [
    ("dicts", (net, FIRST), "data.map(lambda item: (item['image'], item['label']))",
     (net, FIRST.map(lambda item: (item["image"], item["label"])))),
    ("endless", (net, slices().repeat()), "leave repeat() out", (net, slices())),
    ("unknown length", (net, slices().batch(4).filter(lambda x, y: True)),
     "how many batches it has: data.apply(tf.data.experimental.assert_cardinality(n))",
     (net, slices().batch(4).filter(lambda x, y: True)
      .apply(tf.data.experimental.assert_cardinality(6)))),
    ("weights", (net, tf.data.Dataset.from_tensor_slices((X, Y, np.ones(N)))),
     "leave the weights out", (net, slices())),
    ("no labels", (net, tf.data.Dataset.from_tensor_slices(X)),
     "tf.data.Dataset.zip((inputs, labels))",
     (net, tf.data.Dataset.zip((tf.data.Dataset.from_tensor_slices(X),
                                tf.data.Dataset.from_tensor_slices(Y))))),
    ("no rank", (net, NO_RANK), "tf.ensure_shape(x, (H, W, C)) and tf.ensure_shape(y, ())",
     (net, NO_RANK.map(lambda x, y: (tf.ensure_shape(x, (10, 12, 3)), tf.ensure_shape(y, ()))))),
    ("several shapes", (lambda: net(shape=(None, 12, 3)), UNEVEN), "tf.image.resize(x, (H, W))",
     (net, UNEVEN.map(lambda x, y: (tf.image.resize(x, (10, 12)), y)))),
    ("two kinds of labels", (net, slices().map(lambda x, y: (x, {"a": y, "b": y}))),
     "data.map(lambda x, y: (x, y[...]))",
     (net, slices().map(lambda x, y: (x, {"a": y, "b": y})).map(lambda x, y: (x, y["a"])))),
    ("batches without a number", (net, Batches(lambda s: (X[s], Y[s]), None)), "give it a __len__",
     (net, Batches(lambda s: (X[s], Y[s])))),
    ("batches with weights", (net, Batches(lambda s: (X[s], Y[s], np.ones(8)))),
     "leave the weights out", (net, Batches(lambda s: (X[s], Y[s])))),
    ("batches of two kinds", (net, Batches(lambda s: (X[s], {"a": Y[s]}))), "with the labels alone",
     (net, Batches(lambda s: (X[s], Y[s])))),
    ("batches of fewer labels", (net, Batches(lambda s: (X[s], Y[:3]))), "one label for each input",
     (net, Batches(lambda s: (X[s], Y[s])))),
    ("several labels as places", (net, (X, [[0, 2], *([i] for i in Y[1:])])),
     "one array (N,) of class numbers", (net, (X, list(Y)))),
    ("batches of one kind", (net, Batches(lambda s: X[s])), "a batch (inputs, labels)",
     (net, Batches(lambda s: (X[s], Y[s])))),
]  # fmt: skip


class Pair(keras.Model):
    def __init__(self, alone):
        super().__init__()
        self.conv = layers.Conv2D(4, 3)
        self.pool = layers.GlobalAveragePooling2D()
        self.head = layers.Dense(CLASSES)
        self.alone = alone

    def call(self, x):
        features = self.pool(self.conv(x))
        return self.head(features) if self.alone else (features, self.head(features))

    def get_config(self):
        return {"alone": self.alone}


class OwnStep(keras.Model):
    def train_step(self, data):
        return {}


def own_step():
    model = OwnStep(INPUTS, LOGITS)
    model.compile("sgd", FROM_LOGITS)
    return model


def two_inputs():
    other = keras.Input((10, 12, 1))
    joined = layers.Conv2D(2, 3)(layers.Concatenate()([INPUTS, other]))
    model = keras.Model(
        [INPUTS, other], layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(joined))
    )
    model.compile("sgd", FROM_LOGITS)
    return model


def frozen(thawed=()):
    model = net()
    model.trainable = False
    if thawed:
        model.trainable = True
        for layer in model.layers:
            layer.trainable = True
    return model


def not_compiled():
    return keras.Sequential(body())


CONV = layers.Conv2D(CLASSES, 3)
DICT = {"features": FEATURES, "logits": LOGITS}
ONE = (10, 12, 3)
COSINE = keras.optimizers.schedules.CosineDecay(0.1, 10)


def cosine(rate):
    model = not_compiled()
    model.compile(keras.optimizers.SGD(rate), FROM_LOGITS)
    return model


MODELS = [
    ("outputs in a dict", (lambda: two_outputs(DICT), (X, Y)),
     "keras.Model(model.inputs[0], model.output['NAME'])",
     (lambda: choose(two_outputs(DICT), two_outputs(DICT).output["logits"]), (X, Y))),
    ("outputs in a list", (lambda: two_outputs([FEATURES, LOGITS]), (X, Y)),
     "keras.Model(model.inputs[0], model.outputs[PLACE])",
     (lambda: choose(two_outputs([FEATURES, LOGITS]), two_outputs([FEATURES, LOGITS]).outputs[1]),
      (X, Y))),
    ("a call that gives a pair", (lambda: compiled(Pair(False)), (X, Y)),
     "let its call() return the logits", (lambda: compiled(Pair(True)), (X, Y))),
    ("maps", (lambda: of_layers(keras.Input(ONE), CONV), (X, Y)),
     "keras.layers.GlobalAveragePooling2D()",
     (lambda: of_layers(keras.Input(ONE), CONV, layers.GlobalAveragePooling2D()), (X, Y))),
    ("one pixel", (lambda: of_layers(keras.Input(ONE), layers.Conv2D(CLASSES, (10, 12))), (X, Y)),
     "keras.layers.Flatten()",
     (lambda: of_layers(keras.Input(ONE), layers.Conv2D(4, 3), layers.Conv2D(CLASSES, (8, 10)),
                        layers.Flatten()), (X, Y))),
    ("one number", (lambda: of_layers(*body(outputs=1), layers.Reshape(()), loss="hinge"),
                    (X, Y % 2)),
     "keras.layers.Reshape((1,))",
     (lambda: of_layers(*body(outputs=1), layers.Reshape(()), layers.Reshape((1,)), loss="hinge"),
      (X, Y % 2))),
    ("frozen", (frozen, (X, Y)), "set layer.trainable = True", (lambda: frozen(("all",)), (X, Y))),
    ("no weights", (lambda: of_layers(keras.Input(ONE), layers.GlobalAveragePooling2D()), (X, Y)),
     "add one that has, such as keras.layers.Dense",
     (lambda: of_layers(keras.Input(ONE), layers.GlobalAveragePooling2D(), layers.Dense(3)), (X, Y),
      SMOOTH)),
    ("validation of another size", (net, (X, Y), {"val_data": (X[:, :9], Y)}),
     "give them the same shape", (net, (X, Y), {"val_data": (X, Y)})),
    ("not compiled", (not_compiled, (X, Y)),
     "loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)) first", (net, (X, Y))),
    ("not compiled, arguments", (not_compiled, (X, Y)), "or pass loss= and optimizer= to Session",
     (not_compiled, (X, Y), {"loss": FROM_LOGITS, "optimizer": "adam"})),
    ("compiled twice", (net, (X, Y), {"loss": FROM_LOGITS, "optimizer": "adam"}),
     "leave out loss= and optimizer=", (net, (X, Y))),
    ("two inputs", (two_inputs, (X, Y)), "in a tuple in their order",
     (two_inputs, ((X, X[..., :1]), Y))),
    ("a step of its own", (own_step, (X, Y)), "keras.Model(inputs, outputs)",
     (lambda: choose(own_step(), own_step().output), (X, Y))),
    ("too few classes", (net, (X, Y), {"classes": ["a", "b"]}), "name 3 classes",
     (net, (X, Y), {"classes": NAMES})),
    ("too few outputs", (lambda: net(outputs=2), (X, Y), {"classes": NAMES}),
     "give the last layer 3 outputs", (net, (X, Y), {"classes": NAMES})),
    ("a schedule as scheduler", (net, (X, Y), {"scheduler": COSINE}),
     "keras.optimizers.Adam(learning_rate=schedule)", (lambda: cosine(COSINE), (X, Y))),
    ("two schedules", (lambda: cosine(COSINE), (X, Y), {"scheduler": lambda e, r: r}),
     "give the optimizer a number", (lambda: cosine(0.1), (X, Y), {"scheduler": lambda e, r: r})),
    ("another device", (net, (X, Y), {"config": {"device": "gpu:7"}}), "leave it out",
     (net, (X, Y))),
    ("class weights in a list", (net, (X, Y), {"class_weight": [1, 2, 3]}),
     "dict(enumerate(weights))", (net, (X, Y), {"class_weight": dict(enumerate([1, 2, 3]))})),
    ("class weights of four", (net, (X, Y), {"class_weight": dict.fromkeys(range(4), 1)}),
     "classes are 0..2", (net, (X, Y), {"class_weight": dict.fromkeys(range(3), 1)})),
    ("a layer that is not there", (net, (X, Y), {"config": {"attribution": {"layer": "conv"}}}),
     "Candidates are: 'conv2d", (net, (X, Y))),
    ("no map", (lambda: of_layers(keras.Input(ONE), layers.Flatten(), layers.Dense(3)), (X, Y)),
     'config["attribution"]["method"] = "smoothgrad"',
     (lambda: of_layers(keras.Input(ONE), layers.Flatten(), layers.Dense(3)), (X, Y), SMOOTH)),
]  # fmt: skip


def shares(z):
    z = keras.ops.exp(z)
    return z / keras.ops.sum(z, 1, True)


def soft_lambda(logits):
    model = keras.Sequential([*body(), layers.Lambda(shares)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=logits))
    return model


BINARY = keras.losses.BinaryCrossentropy
LOSSES = [
    ("a regression", (lambda: net("mse", outputs=1), (X, Y % 2)),
     "keras.losses.BinaryCrossentropy(from_logits=True)",
     (lambda: net(BINARY(from_logits=True), outputs=1), (X, Y % 2))),
    ("a regression of several", (lambda: net("mae"), (X, np.eye(3)[Y])),
     "keras.losses.SparseCategoricalCrossentropy(from_logits=True)", (net, (X, np.eye(3)[Y]))),
    ("several labels", (lambda: net("binary_crossentropy", "sigmoid"), (X, np.eye(3)[Y])),
     "activation='softmax' and compile with 'sparse_categorical_crossentropy'",
     (lambda: net("sparse_categorical_crossentropy", "softmax"), (X, np.eye(3)[Y]))),
    ("several labels, logits", (lambda: net(BINARY(from_logits=True)), (X, Y)),
     "keras.losses.SparseCategoricalCrossentropy(from_logits=True)", (net, (X, Y))),
    ("several hinges", (lambda: net("hinge"), (X, Y)),
     "keras.losses.SparseCategoricalCrossentropy(from_logits=True)", (net, (X, Y))),
    ("no probabilities", (lambda: net("sparse_categorical_crossentropy"), (X, Y)),
     "activation='softmax'", (lambda: net("sparse_categorical_crossentropy", "softmax"), (X, Y))),
    ("no probabilities, logits", (lambda: net("categorical_crossentropy"), (X, Y)),
     "keras.losses.CategoricalCrossentropy(from_logits=True)",
     (lambda: net(keras.losses.CategoricalCrossentropy(from_logits=True)), (X, Y))),
    ("no probability", (lambda: net("binary_crossentropy", "tanh", 1), (X - 0.5, Y % 2)),
     "activation='sigmoid'", (lambda: net("binary_crossentropy", "sigmoid", 1), (X, Y % 2))),
    ("twice a softmax", (lambda: soft_lambda(True), (X, Y)), "from_logits=False",
     (lambda: soft_lambda(False), (X, Y))),
    ("a softmax of one", (lambda: net("binary_crossentropy", "softmax", 1), (X, Y % 2)),
     "activation='sigmoid'", (lambda: net("binary_crossentropy", "sigmoid", 1), (X, Y % 2))),
    ("one output for two classes",
     (lambda: net("sparse_categorical_crossentropy", "sigmoid", 1), (X, Y % 2)),
     "give the last layer 2 outputs",
     (lambda: net("sparse_categorical_crossentropy", "softmax", 2), (X, Y % 2))),
    ("one output, binary",
     (lambda: net("sparse_categorical_crossentropy", "sigmoid", 1), (X, Y % 2)),
     "keras.losses.BinaryCrossentropy(from_logits=False)",
     (lambda: net(BINARY(from_logits=False), "sigmoid", 1), (X, Y % 2))),
    ("no reduction",
     (lambda: net(keras.losses.SparseCategoricalCrossentropy(True, reduction=None)), (X, Y)),
     "reduction='sum_over_batch_size'",
     (lambda: net(keras.losses.SparseCategoricalCrossentropy(
         True, reduction="sum_over_batch_size")), (X, Y))),
    ("loss weights of two", (lambda: net(loss_weights=[1, 2]), (X, Y)), "loss_weights",
     (lambda: net(loss_weights=[1]), (X, Y))),
    ("a metric of one-hot labels", (lambda: net(metrics=[keras.metrics.F1Score()]), (X, Y)),
     "metrics for such", (lambda: net(metrics=["accuracy"]), (X, Y))),
    ("focal weights of two", (lambda: net(keras.losses.CategoricalFocalCrossentropy(
        alpha=[0.1, 0.2], from_logits=True)), (X, Y)), "compile it with a loss",
     (lambda: net(keras.losses.CategoricalFocalCrossentropy(
         alpha=[0.1, 0.2, 0.3], from_logits=True)), (X, Y))),
]  # fmt: skip

CASES = [
    pytest.param(*case, id=f"{kind}: {name}")
    for kind, cases in [
        ("labels", LABELS), ("pictures", PICTURES), ("pipelines", PIPELINES), ("models", MODELS),
        ("losses", LOSSES),
    ]
    for name, *case in cases
]  # fmt: skip
