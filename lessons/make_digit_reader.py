"""Makes the files that lesson 27 opens, with Keras: `python lessons/make_digit_reader.py` (pip install 'nblayers[oracle]').

digit_reader.keras is the model as Keras 3.15.1 saved it after eight epochs, on JAX. digit_reader.npz holds what Keras predicted
with it for the 597 new digits of `lessons.data.digits_to_read`, and after one more epoch in the order of the samples.
"""
import os
from pathlib import Path

import numpy as np

from lessons.data import digits_to_read

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Train, save, predict, go on for an epoch, predict again."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras
    images, labels, new_images, _ = digits_to_read()
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((8, 8), name="image"),
        keras.layers.Rescaling(1 / 16, name="scale"),
        keras.layers.LSTM(16, name="reader"),
        keras.layers.Dense(10, activation="softmax", name="answer"),
    ], name="digit_reader")
    model.compile(keras.optimizers.Adam(0.005), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, batch_size=40, epochs=8, verbose=0)
    model.save(HERE / "digit_reader.keras")
    before = model.predict(new_images, verbose=0)
    model.fit(images, labels, batch_size=40, epochs=1, shuffle=False, verbose=0)
    np.savez_compressed(HERE / "digit_reader.npz", before=before, after=model.predict(new_images, verbose=0))


if __name__ == "__main__":
    main()
