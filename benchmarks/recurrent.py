"""LSTM forward and backward together, float32: nblayers against torch.nn.LSTM."""
import numpy as np
from alternate import Cases, compare

SIZES = [(32, 10, 1, 32), (32, 60, 1, 50), (64, 100, 64, 128), (64, 100, 256, 256)]     # batch, time, in, units


def data(B, T, D, H):
    rng = np.random.default_rng(0)
    return rng.normal(size=(B, T, D)).astype("f4"), rng.normal(size=(B, T, H)).astype("f4")


def ours() -> Cases:
    from nblayers.layers import LSTM

    def case(size):
        x, dy = data(*size)
        layer = LSTM(size[-1], return_sequences=True)

        def run():
            layer.forward(x, training=True)
            layer.zero_grad()
            layer.backward(dy)
        return run
    return {str(size): case(size) for size in SIZES}


def torchs() -> Cases:
    import torch
    torch.set_num_threads(2)

    def case(size):
        x, dy = map(torch.from_numpy, data(*size))
        x.requires_grad_()
        layer = torch.nn.LSTM(size[2], size[3], batch_first=True)

        def run():
            layer.zero_grad()
            x.grad = None
            layer(x)[0].backward(dy)
        return run
    return {str(size): case(size) for size in SIZES}


if __name__ == "__main__":
    compare("LSTM forward + backward (batch, time, in, units)", {"nblayers": ours, "torch": torchs}, target=1.0)
