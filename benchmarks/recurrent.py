"""Recurrent layers, forward and backward together, float32: nblayers against PyTorch, and Keras on JAX, compiled.

PyTorch does not compile its recurrent layers: `torch.compile` calls them as they are.
"""
import numpy as np
from alternate import Cases, compare
from others import ON_JAX, jax_step, later, torch_step

SIZES = [(32, 10, 1, 32), (32, 60, 1, 50), (64, 100, 64, 128), (64, 100, 256, 256)]     # batch, time, in, units
CASES = [(layer, size) for layer in ("SimpleRNN", "LSTM", "GRU") for size in SIZES] + [("Bidirectional", (32, 30, 16, 64))]


def data(layer, size):
    B, T, D, H = size
    rng = np.random.default_rng(0)
    columns = 2 * H if layer == "Bidirectional" else H
    return rng.normal(size=(B, T, D)).astype("f4"), rng.normal(size=(B, T, columns)).astype("f4")


def made(layers, name, units):
    """The layer, of nblayers' or Keras' layers."""
    if name == "Bidirectional":
        return layers.Bidirectional(layers.LSTM(units, return_sequences=True))
    return getattr(layers, name)(units, return_sequences=True)


def work(name, size):
    """Three products with the weights of each gate."""
    B, T, D, H = size
    gates = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3, "Bidirectional": 8}[name]
    return 6 * B * T * gates * H * (D + H), "Gflop"


def each(step) -> Cases:
    return {f"{name} {size}": later(lambda name=name, size=size: step(name, size)) for name, size in CASES}


def ours() -> Cases:
    from nblayers import layers

    def step(name, size):
        x, dy = data(name, size)
        layer = made(layers, name, size[-1])

        def run():
            layer.forward(x, training=True)
            layer.zero_grad()
            layer.backward(dy)
        return run
    return each(step)


def jaxs() -> Cases:
    from keras import layers
    return each(lambda name, size: jax_step(made(layers, name, size[-1]), *data(name, size)))


def torch_layer(name, inputs, units):
    import torch
    if name == "Bidirectional":
        return torch.nn.LSTM(inputs, units, batch_first=True, bidirectional=True)
    return getattr(torch.nn, {"SimpleRNN": "RNN"}.get(name, name))(inputs, units, batch_first=True)


def torchs() -> Cases:
    import torch
    torch.set_num_threads(2)

    def step(name, size):
        x, dy = map(torch.from_numpy, data(name, size))
        layer = torch_layer(name, *size[2:])
        return torch_step(lambda x: layer(x)[0], layer, x.requires_grad_(), dy)
    return each(step)


if __name__ == "__main__":
    compare("recurrent layers, forward + backward (batch, time, in, units)", {"nblayers": ours, "torch": torchs, "JAX": jaxs},
            target=1.0, variables={"JAX": ON_JAX}, work={f"{name} {size}": work(name, size) for name, size in CASES})
