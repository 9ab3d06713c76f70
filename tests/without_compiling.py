"""Run with NUMBA_DISABLE_JIT=1 by test_compiling.py: every layer in the cpu room against the reference room, on tiny inputs."""
import numpy as np

import nblayers
from nblayers import Sequential, activations, layers, nn, optimizers
from nblayers.utils import set_random_seed


def random(*shape):
    return np.random.default_rng(0).normal(size=shape)


def sequences():
    x, images = random(2, 4, 3), random(1, 2, 5, 4, 2)
    for kind in (layers.SimpleRNN, layers.LSTM, layers.GRU):
        yield kind, (3,), {"return_sequences": True, "go_backwards": True}, x
        yield layers.Bidirectional, (kind(2),), {}, x
    yield layers.GRU, (3,), {"reset_after": False}, x
    yield layers.SimpleRNN, (3,), {"activation": "relu"}, x
    yield layers.RNN, ([layers.LSTMCell(2), layers.GRUCell(3)],), {}, x
    yield layers.ConvLSTM1D, (2, 3), {"padding": "same"}, images[:, :, :, 0]
    yield layers.ConvLSTM2D, (2, 3), {"padding": "same"}, images
    yield layers.ConvLSTM2D, (16, 3), {"padding": "same"}, random(1, 2, 12, 12, 8)          # Winograd
    yield layers.TimeDistributed, (layers.Dense(2),), {}, x


def images():
    for d, size in ((1, (9,)), (2, (6, 5)), (3, (3, 4, 5))):
        x = random(2, *size, 3)
        for padding in ("valid", "same"):
            yield getattr(layers, f"Conv{d}D"), (5, 3), {"padding": padding, "activation": "tanh"}, x
            yield getattr(layers, f"Conv{d}DTranspose"), (5, 3), {"padding": padding, "strides": 2}, x
            yield getattr(layers, f"MaxPooling{d}D"), (2, 1, padding), {}, x
            yield getattr(layers, f"AveragePooling{d}D"), (3, 2, padding), {}, x
        yield getattr(layers, f"GlobalMaxPooling{d}D"), (), {}, x
        yield getattr(layers, f"GlobalAveragePooling{d}D"), (), {}, x
        if d < 3:
            yield getattr(layers, f"DepthwiseConv{d}D"), (3,), {"padding": "same"}, x
            yield getattr(layers, f"SeparableConv{d}D"), (4, 3), {"depth_multiplier": 2}, x
    yield nn.AdaptiveAvgPool2d, ((2, 3),), {}, random(2, 3, 5, 4)
    yield layers.Conv2D, (6, 3), {"dilation_rate": 2, "groups": 3}, random(1, 7, 7, 6)
    yield layers.Conv2D, (2, 3), {}, random(1, 6, 6, 16)                                    # sums along the channels
    yield layers.Conv2D, (20, 3), {"padding": "same"}, random(2, 12, 12, 28)                # Winograd
    yield layers.AveragePooling2D, (7,), {}, random(1, 7, 7, 3)                             # a long sum


def rest():
    for name in dir(activations):
        if hasattr(getattr(activations, name), "kernel_name"):
            yield layers.Activation, (name,), {}, 3 * random(3, 4)
    yield layers.Dense, (3,), {}, random(4, 5)
    yield layers.Dense, (150,), {}, random(40, 300)                                         # packed
    yield layers.Embedding, (7, 3), {}, np.array([[1, 2], [6, 0]])
    yield layers.Masking, (0.5,), {}, np.where(random(2, 3, 4) > 0, 0.5, random(2, 3, 4))
    yield layers.Dropout, (0.5,), {"seed": 1}, random(4, 5)


def results(device, dtype, kind, arguments, settings, x):
    set_random_seed(3)
    with nblayers.device(device):
        layer = kind.from_config(kind(*arguments, **settings).get_config()).to(device).astype(dtype)
    x = x if x.dtype.kind == "i" else x.astype(dtype)
    y = layer(x, **({"training": True} if kind is layers.Dropout else {}))
    dx = layer.backward(random(*y.shape).astype(dtype))
    return [y, *([] if dx is None else [dx]), *(weight.grad for weight in layer.weights)]


def losses(device, optimizer):
    set_random_seed(3)
    with nblayers.device(device):
        model = Sequential([layers.Input((6, 6, 1)), layers.Conv2D(3, 3, activation="relu"), layers.MaxPooling2D(),
                            layers.Dropout(0.3), layers.Flatten(), layers.Dense(3, activation="softmax")])
        model.compile(optimizer, "sparse_categorical_crossentropy")
        return model.fit(random(8, 6, 6, 1), np.arange(8) % 3, epochs=2, batch_size=4, verbose=0).history["loss"]


for dtype, tolerance in (("float32", 2e-4), ("float64", 1e-9)):
    for case in PART():                                                                     # noqa: F821  which part is put in
        for a, b in zip(*(results(device, dtype, *case) for device in ("cpu", "reference")), strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, abs(b).max()), err_msg=str(case[:3]))
for optimizer in (optimizers.SGD, optimizers.Adam, optimizers.RMSprop):
    np.testing.assert_allclose(*(losses(device, optimizer(clipnorm=1.0)) for device in ("cpu", "reference")), rtol=1e-4)
print("agree")
