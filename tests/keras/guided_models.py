"""Small Keras classifiers of the kinds that people train, for pictures of (32, 32, 3).

Of one block each: what a test of them takes is TensorFlow's tracing, which grows with their layers.
"""

import keras
import tensorflow as tf
from keras import layers

from tests.keras.keras_models import compiled

CLASSES = 3


def plain():
    return keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(12, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(CLASSES),
    ])  # fmt: skip


def residual():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def mobilenet():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(layers.Rescaling(2.0, offset=-1)(inputs))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.ReLU(6)(layers.BatchNormalization()(y))
    x = layers.Add()([x, layers.Conv2D(8, 1)(y)])
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))


class ClassToken(layers.Layer):
    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")
        self.place = self.add_weight(shape=(1, shape[1] + 1, shape[-1]), name="place")

    def call(self, x):
        token = tf.repeat(tf.convert_to_tensor(self.token), tf.shape(x)[0], 0)
        return tf.concat([token, x], 1) + self.place

    def compute_output_shape(self, shape):
        return (shape[0], shape[1] + 1, shape[2])


def vit():
    inputs = keras.Input((32, 32, 3))
    x = layers.Reshape((64, 16))(layers.Conv2D(16, 4, strides=4)(inputs))
    x = ClassToken()(x)
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 8, dropout=0.1)(y, y)])
    y = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))
    x = layers.Add()([x, y])
    x = layers.LayerNormalization()(x)[:, 0]
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


class Window(layers.Layer):
    """Attention within windows of 4 x 4."""

    def __init__(self, shift, **more):
        super().__init__(**more)
        self.shift = shift
        self.norm = layers.LayerNormalization()
        self.attention = layers.MultiHeadAttention(2, 8)

    def call(self, x):
        _, h, w, c = x.shape
        y = tf.roll(self.norm(x), (-self.shift, -self.shift), (1, 2))
        y = tf.reshape(y, (-1, h // 4, 4, w // 4, 4, c))
        y = tf.reshape(tf.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, 16, c))
        y = tf.reshape(self.attention(y, y), (-1, h // 4, w // 4, 4, 4, c))
        y = tf.reshape(tf.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, h, w, c))
        return x + tf.roll(y, (self.shift, self.shift), (1, 2))

    def compute_output_shape(self, shape):
        return shape


def swin():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 4, strides=4)(inputs)
    x = Window(2)(x)
    x = layers.Add()([x, layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))])
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def convnext():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(12, 4, strides=4)(inputs)
    y = layers.LayerNormalization()(layers.DepthwiseConv2D(7, padding="same")(x))
    x = layers.Add()([x, layers.Dense(12)(layers.Dense(24, activation="gelu")(y))])
    x = layers.LayerNormalization()(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def norm_of_features():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    x = layers.Dense(12)(layers.GlobalAveragePooling2D()(x))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


MODELS = {
    "plain": plain,
    "residual": residual,
    "mobilenet": mobilenet,
    "vit": vit,
    "swin": swin,
    "convnext": convnext,
    "norm of features": norm_of_features,
}


def make(name, *, eagerly=False):
    """A compiled model of `MODELS`, the same at each call."""
    keras.utils.set_random_seed(4)
    model = MODELS[name]() if isinstance(name, str) else name()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=name != "mobilenet")
    compiled(model, loss, keras.optimizers.AdamW(1e-3))
    model.run_eagerly = eagerly
    return model
