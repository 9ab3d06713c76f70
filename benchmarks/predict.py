"""One sample through a model of LSTM(64), `predict` and `model(x)`: nblayers against Keras on JAX and TensorFlow."""
import numpy as np
from alternate import Cases, compare


def cases(models, layers) -> Cases:
    model = models.Sequential([layers.Input((30, 16)), layers.LSTM(64), layers.Dense(4, activation="softmax")])
    x = np.random.default_rng(0).normal(size=(1, 30, 16)).astype("f4")
    return {"predict": lambda: model.predict(x, verbose=0), "model(x)": lambda: np.asarray(model(x))}


def nblayers() -> Cases:
    from nblayers import layers, models
    return cases(models, layers)


def keras() -> Cases:
    from keras import layers, models
    return cases(models, layers)


if __name__ == "__main__":
    compare("one sample", {"nblayers": nblayers, "Keras on JAX": keras, "on TensorFlow": keras}, 1.0,
            variables={"Keras on JAX": {"KERAS_BACKEND": "jax"}, "on TensorFlow": {"KERAS_BACKEND": "tensorflow"}})
