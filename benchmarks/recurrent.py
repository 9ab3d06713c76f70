"""Recurrent layers, forward and backward together, float32: nblayers against PyTorch."""
import numpy as np
from alternate import Cases, compare

SIZES = [(32, 10, 1, 32), (32, 60, 1, 50), (64, 100, 64, 128), (64, 100, 256, 256)]     # batch, time, in, units
CASES = [(layer, size) for layer in ("SimpleRNN", "LSTM", "GRU") for size in SIZES] + [("Bidirectional", (32, 30, 16, 64))]


def data(layer, size):
    B, T, D, H = size
    rng = np.random.default_rng(0)
    columns = 2 * H if layer == "Bidirectional" else H
    return rng.normal(size=(B, T, D)).astype("f4"), rng.normal(size=(B, T, columns)).astype("f4")


def our_layer(name, units):
    from nblayers import layers
    if name == "Bidirectional":
        return layers.Bidirectional(layers.LSTM(units, return_sequences=True))
    return getattr(layers, name)(units, return_sequences=True)


def ours() -> Cases:
    def case(name, size):
        x, dy = data(name, size)
        layer = our_layer(name, size[-1])

        def run():
            layer.forward(x, training=True)
            layer.zero_grad()
            layer.backward(dy)
        return run
    return {f"{name} {size}": case(name, size) for name, size in CASES}


def torch_layer(name, inputs, units):
    import torch
    if name == "Bidirectional":
        return torch.nn.LSTM(inputs, units, batch_first=True, bidirectional=True)
    return getattr(torch.nn, {"SimpleRNN": "RNN"}.get(name, name))(inputs, units, batch_first=True)


def torchs() -> Cases:
    import torch
    torch.set_num_threads(2)

    def case(name, size):
        x, dy = map(torch.from_numpy, data(name, size))
        x.requires_grad_()
        layer = torch_layer(name, *size[2:])

        def run():
            layer.zero_grad()
            x.grad = None
            layer(x)[0].backward(dy)
        return run
    return {f"{name} {size}": case(name, size) for name, size in CASES}


if __name__ == "__main__":
    compare("recurrent layers, forward + backward (batch, time, in, units)", {"nblayers": ours, "torch": torchs}, target=1.0)
