"""fit of document 003's LSTM(32) program, once everything is compiled: nblayers against Keras on its three backends."""
import numpy as np
from alternate import Cases, compare


def program(models, layers):
    model = models.Sequential([
        layers.Input((10, 1)),
        layers.LSTM(32, activation="tanh"),
        layers.Dense(1, activation="sigmoid"),
    ])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    return model, rng.random((100, 10, 1)), rng.integers(2, size=(100, 1))


def cases(models, layers) -> Cases:
    model, x, y = program(models, layers)
    return {"10 epochs": lambda: model.fit(x, y, epochs=10, batch_size=32, verbose=0)}


def ours() -> Cases:
    from nblayers import layers, models
    return cases(models, layers)


def keras() -> Cases:
    from keras import layers, models
    return cases(models, layers)


BACKENDS = {f"keras-{name}": {"KERAS_BACKEND": name} for name in ("jax", "tensorflow", "torch")}

if __name__ == "__main__":
    compare("fit, LSTM(32) on (100, 10, 1), batch 32", {"nblayers": ours, **{name: keras for name in BACKENDS}}, target=1.0,
            variables=BACKENDS)
