"""fit of the documents' programs, once everything is compiled: nblayers against Keras on its three backends."""
import numpy as np
from alternate import Cases, compare
from others import KERAS


def recurrent(layer, activation):
    """Document 003's programs with 32 units on (100, 10, 1)."""
    def program(models, layers):
        return binary(models, layers, (10, 1), [getattr(layers, layer)(32, activation=activation)])
    return program


def binary(models, layers, shape, stack, samples=100, epochs=10):
    """The layers of `stack` and Dense(1, "sigmoid"), trained on random sequences."""
    model = models.Sequential([layers.Input(shape), *stack, layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.random((samples, *shape)), rng.integers(2, size=(samples, 1))
    return lambda: model.fit(x, y, epochs=epochs, batch_size=32, verbose=0)


def time_distributed(models, layers):
    """Document 003's TimeDistributed(Dense(16)) and LSTM(32) on (100, 10, 8)."""
    return binary(models, layers, (10, 8), [layers.TimeDistributed(layers.Dense(16, activation="relu")), layers.LSTM(32)])


def forecasting(models, layers):
    """Document 004's forecast: two LSTM(50) on 60 steps."""
    model = models.Sequential([
        layers.Input((60, 1)),
        layers.LSTM(50, return_sequences=True),
        layers.Dropout(0.2),
        layers.LSTM(50, return_sequences=False),
        layers.Dropout(0.2),
        layers.Dense(1),
    ])
    model.compile(optimizer="adam", loss="mse")
    rng = np.random.default_rng(0)
    x, y = rng.random((320, 60, 1)), rng.random(320)
    return lambda: model.fit(x, y, epochs=1, batch_size=32, verbose=0)


def classification(models, layers):
    """Document 004's create_lstm_model: LSTM(128) and LSTM(64) on (320, 30, 16)."""
    stack = [layers.LSTM(128, return_sequences=True), layers.Dropout(0.2), layers.LSTM(64), layers.Dropout(0.2)]
    return binary(models, layers, (30, 16), stack, samples=320, epochs=1)


def text(models, layers):
    """Document 004's text generation: two LSTM(128) on (512, 40, 60)."""
    model = models.Sequential([
        layers.Input((40, 60)),
        layers.LSTM(128, return_sequences=True),
        layers.Dropout(0.2),
        layers.LSTM(128),
        layers.Dropout(0.2),
        layers.Dense(60, activation="softmax"),
    ])
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy")
    rng = np.random.default_rng(0)
    x, y = np.eye(60, dtype="f4")[rng.integers(60, size=(512, 40))], np.eye(60, dtype="f4")[rng.integers(60, size=512)]
    return lambda: model.fit(x, y, epochs=1, batch_size=128, verbose=0)


def bidirectional(models, layers):
    """Document 004's two Bidirectional layers on (320, 30, 16)."""
    stack = [layers.Bidirectional(layers.LSTM(64, return_sequences=True)), layers.Bidirectional(layers.LSTM(32))]
    return binary(models, layers, (30, 16), stack, samples=320, epochs=1)


def embedding(models, layers):
    """Embedding(10000, 64) and LSTM(50) on 320 sequences of 100 tokens."""
    model = models.Sequential([
        layers.Input((100,), dtype="int32"),
        layers.Embedding(10000, 64),
        layers.LSTM(50),
        layers.Dense(1, activation="sigmoid"),
    ])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.integers(10000, size=(320, 100)), rng.integers(2, size=(320, 1))
    return lambda: model.fit(x, y, epochs=1, batch_size=32, verbose=0)


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


def dense(models, layers):
    """Three Dense layers on 2,048 rows of 64 features."""
    model = models.Sequential([
        layers.Input((64,)),
        layers.Dense(128, activation="relu"),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.random((2048, 64), "f4"), rng.integers(10, size=2048)
    return lambda: model.fit(x, y, epochs=2, batch_size=32, verbose=0)


def transformer(models, layers):
    """One block of a Transformer's encoder on 512 sequences of 64 tokens, 4 heads of 16."""
    tokens = layers.Input((64,), dtype="int32")
    x = layers.Embedding(1000, 64)(tokens)
    attended = layers.MultiHeadAttention(num_heads=4, key_dim=16)(x, x)
    x = layers.LayerNormalization()(layers.Add()([x, attended]))
    wide = layers.Dense(128, activation="relu")(x)
    x = layers.LayerNormalization()(layers.Add()([x, layers.Dense(64)(wide)]))
    y = layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(x))
    model = models.Model(tokens, y)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.integers(1000, size=(512, 64)), rng.integers(2, size=(512, 1))
    return lambda: model.fit(x, y, epochs=1, batch_size=32, verbose=0)


PROGRAMS = {
    "three Dense, 2 epochs": dense, "Transformer encoder": transformer,
    "SimpleRNN(32), 10 epochs": recurrent("SimpleRNN", "relu"), "LSTM(32), 10 epochs": recurrent("LSTM", "tanh"),
    "GRU(32), 10 epochs": recurrent("GRU", "tanh"), "TimeDistributed and LSTM(32), 10 epochs": time_distributed,
    "two LSTM(50), 60 steps": forecasting, "LSTM(128), LSTM(64)": classification, "two LSTM(128), text": text,
    "two Bidirectional": bidirectional, "Embedding and LSTM(50)": embedding,
    "image classifier": classifier, "segmentation": segmentation,
}


def cases(models, layers) -> Cases:
    return {name: program(models, layers) for name, program in PROGRAMS.items()}


def ours() -> Cases:
    from nblayers import layers, models
    return cases(models, layers)


def keras() -> Cases:
    from keras import layers, models
    return cases(models, layers)


if __name__ == "__main__":
    compare("fit of the documents' programs", {"nblayers": ours, **{name: keras for name in KERAS}}, target=1.5,
            rounds=3, variables=KERAS)
