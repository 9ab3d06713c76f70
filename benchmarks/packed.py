"""LSTM forward and backward on sequences of unequal lengths, half of all steps padding: packed against padded with a mask."""
import numpy as np
from alternate import Cases, compare

SIZES = [(32, 60, 16, 50), (64, 100, 64, 128), (64, 100, 256, 256)]         # batch, time, in, units


def data(B, T, D, H):
    """Lengths from 1 to T, their mean half of T."""
    rng = np.random.default_rng(0)
    lengths = rng.permutation(np.linspace(1, T, B).round().astype(int))
    return rng.normal(size=(B, T, D)).astype("f4"), rng.normal(size=(B, T, H)).astype("f4"), lengths


def run_of(size, prepare):
    from nblayers.layers import LSTM
    x, dy, options = prepare(*data(*size))
    layer = LSTM(size[-1], return_sequences=True)

    def run():
        layer.forward(x, training=True, **options)
        layer.zero_grad()
        layer.backward(dy)
    return run


def packed() -> Cases:
    from nblayers.utils import pack_padded_sequence

    def prepare(x, dy, lengths):
        return *(pack_padded_sequence(array, lengths, batch_first=True, enforce_sorted=False) for array in (x, dy)), {}
    return {str(size): run_of(size, prepare) for size in SIZES}


def padded() -> Cases:
    def prepare(x, dy, lengths):
        return x, dy, {"mask": np.arange(x.shape[1]) < lengths[:, None]}
    return {str(size): run_of(size, prepare) for size in SIZES}


if __name__ == "__main__":
    compare("LSTM on sequences of unequal lengths", {"packed": packed, "padded": padded}, target=1 / 0.6, rounds=3,
            counted=False)
