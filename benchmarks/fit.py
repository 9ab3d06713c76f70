"""fit of the documents' programs, once everything is compiled: nblayers against Keras on its three backends."""
import numpy as np
from alternate import Cases, compare


def lstm(models, layers):
    """Document 003's LSTM(32) on (100, 10, 1)."""
    model = models.Sequential([
        layers.Input((10, 1)),
        layers.LSTM(32, activation="tanh"),
        layers.Dense(1, activation="sigmoid"),
    ])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.random((100, 10, 1)), rng.integers(2, size=(100, 1))
    return lambda: model.fit(x, y, epochs=10, batch_size=32, verbose=0)


def classifier(models, layers):
    """Document 001's image classifier (section 8) on 128 images (64, 64, 3)."""
    model = models.Sequential([
        layers.Input(shape=(64, 64, 3)),
        layers.Conv2D(filters=32, kernel_size=(3, 3), activation="relu", padding="same"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Conv2D(filters=64, kernel_size=(3, 3), activation="relu", padding="same"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    ])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.random((128, 64, 64, 3), "f4"), rng.integers(10, size=128)
    return lambda: model.fit(x, y, epochs=1, batch_size=32, verbose=0)


def segmentation(models, layers):
    """Document 001's segmentation model (section 7) on 16 images (128, 128, 3); its masks are (32, 32, 1)."""
    model = models.Sequential([
        layers.Input(shape=(128, 128, 3)),
        layers.Conv2D(filters=64, kernel_size=(3, 3), activation="relu", padding="same"),
        layers.Conv2D(filters=64, kernel_size=(3, 3), activation="relu", padding="same"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Conv2D(filters=128, kernel_size=(3, 3), activation="relu", padding="same"),
        layers.Conv2D(filters=128, kernel_size=(3, 3), activation="relu", padding="same"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Conv2DTranspose(filters=64, kernel_size=(3, 3), activation="relu", padding="same"),
        layers.Conv2DTranspose(filters=32, kernel_size=(3, 3), activation="relu", padding="same"),
        layers.Conv2D(filters=1, kernel_size=(1, 1), activation="sigmoid", padding="same"),
    ])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.random((16, 128, 128, 3), "f4"), rng.integers(2, size=(16, 32, 32, 1)).astype("f4")
    return lambda: model.fit(x, y, epochs=1, batch_size=16, verbose=0)


PROGRAMS = {"LSTM(32), 10 epochs": lstm, "image classifier, 1 epoch": classifier, "segmentation, 1 epoch": segmentation}


def cases(models, layers) -> Cases:
    return {name: program(models, layers) for name, program in PROGRAMS.items()}


def ours() -> Cases:
    from nblayers import layers, models
    return cases(models, layers)


def keras() -> Cases:
    from keras import layers, models
    return cases(models, layers)


BACKENDS = {f"keras-{name}": {"KERAS_BACKEND": name} for name in ("jax", "tensorflow", "torch")}

if __name__ == "__main__":
    compare("fit of the documents' programs", {"nblayers": ours, **{name: keras for name in BACKENDS}}, target=1.0,
            rounds=3, variables=BACKENDS)
