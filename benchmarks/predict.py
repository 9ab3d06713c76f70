"""One sample through a model of LSTM(64), `predict` and `model(x)`: nblayers against Keras on JAX and TensorFlow.

Keras' `model(x)` is compiled by its backend, as who calls it often does; without that it takes hundreds of times as long.
"""
import numpy as np
from alternate import Cases, compare
from others import ON_JAX, ON_TENSORFLOW


def model_of(models, layers):
    return models.Sequential([layers.Input((30, 16)), layers.LSTM(64), layers.Dense(4, activation="softmax")])


def cases(model, call) -> Cases:
    x = np.random.default_rng(0).normal(size=(1, 30, 16)).astype("f4")
    return {"predict": lambda: model.predict(x, verbose=0), "model(x)": lambda: np.asarray(call(x))}


def nblayers() -> Cases:
    from nblayers import layers, models
    model = model_of(models, layers)
    return cases(model, model)


def on_jax() -> Cases:
    import jax
    from keras import layers, models
    called = model_of(models, layers)                   # not the one that predicts: that deletes its weights' arrays
    weights, rest = ([variable.value for variable in v] for v in (called.trainable_variables, called.non_trainable_variables))
    compiled = jax.jit(lambda weights, x: called.stateless_call(weights, rest, x)[0])
    return cases(model_of(models, layers), lambda x: compiled(weights, x))


def on_tensorflow() -> Cases:
    import tensorflow as tf
    from keras import layers, models
    model = model_of(models, layers)
    return cases(model, tf.function(model))


if __name__ == "__main__":
    compare("one sample", {"nblayers": nblayers, "keras-jax": on_jax, "keras-tensorflow": on_tensorflow}, 1.0,
            variables={"keras-jax": ON_JAX, "keras-tensorflow": ON_TENSORFLOW})
