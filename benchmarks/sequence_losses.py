"""Losses of whole sequences, value and gradient: CTC against PyTorch, a CRF against a loop over the steps in NumPy.

Of `ctc_loss` PyTorch is given logits, as `losses.CTC` is, and so computes log softmax, too. It runs with native kernels.
"""
import numpy as np
from alternate import Cases, compare

CTC_SIZES = [(32, 150, 28, 20), (8, 400, 60, 50)]           # samples, steps, classes, labels
CRF_SIZES = [(32, 60, 20), (16, 200, 50)]                   # samples, steps, tags


def ctc_data(N, T, C, L):
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, T, C)).astype("f4"), rng.integers(1, C, (N, L))


def crf_data(N, T, U):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(N, T, U)).astype("f4"), rng.integers(0, U, (N, T)),
            *(rng.normal(size=shape).astype("f4") for shape in ((U, U), U, U)))


def nblayers() -> Cases:
    return ({f"CTC {size}": our_ctc(*ctc_data(*size)) for size in CTC_SIZES}
            | {f"CRF {size}": our_crf(*crf_data(*size)) for size in CRF_SIZES})


def our_ctc(x, labels):
    from nblayers.losses import CTC
    loss = CTC()
    return lambda: loss.value_and_gradient(labels, x)


def our_crf(x, tags, *weights):
    from nblayers.layers import CRF
    layer = CRF(x.shape[2])
    layer(x)
    layer.set_weights(weights)
    return lambda: layer.loss.value_and_gradient(tags, x)


def torchs() -> Cases:
    return {f"CTC {size}": torch_ctc(*ctc_data(*size)) for size in CTC_SIZES}


def numpys() -> Cases:
    return {f"CRF {size}": numpy_crf(*crf_data(*size)) for size in CRF_SIZES}


def torch_ctc(x, labels):
    import torch
    torch.set_num_threads(2)
    x, labels = torch.tensor(x, requires_grad=True), torch.tensor(labels)
    (N, T, _), L = x.shape, labels.shape[1]
    lengths = torch.full((N,), T), torch.full((N,), L)

    def run():
        x.grad = None
        log_p = x.log_softmax(-1).transpose(0, 1)
        torch.nn.functional.ctc_loss(log_p, labels, *lengths).backward()
    return run


def numpy_crf(x, tags, A, b, e):
    N, T, _ = x.shape

    def run():
        rows, alpha, dx, dA = np.arange(N), np.empty_like(x), np.empty_like(x), np.zeros_like(A)
        alpha[:, 0] = b + x[:, 0]
        for t in range(1, T):
            alpha[:, t] = log_of_sum(alpha[:, t - 1, :, None] + A, 1) + x[:, t]
        log_z = log_of_sum(alpha[:, -1] + e, 1)
        between = A[tags[:, :-1], tags[:, 1:]].sum(1)
        score = b[tags[:, 0]] + x[rows[:, None], np.arange(T), tags].sum(1) + between + e[tags[:, -1]]
        mu = np.exp(alpha[:, -1] + e - log_z[:, None])
        de = mu.sum(0)
        for t in range(T - 1, 0, -1):
            dx[:, t] = mu
            pairs = mu[:, None] * np.exp(alpha[:, t - 1, :, None] + A - (alpha[:, t] - x[:, t])[:, None])
            dA += pairs.sum(0)
            mu = pairs.sum(2)
        dx[:, 0] = mu
        db = mu.sum(0)
        dx[rows[:, None], np.arange(T), tags] -= 1
        np.subtract.at(dA, (tags[:, :-1], tags[:, 1:]), 1)
        np.subtract.at(db, tags[:, 0], 1)
        np.subtract.at(de, tags[:, -1], 1)
        return np.mean(log_z - score), dx / N, dA / N, db / N, de / N
    return run


def log_of_sum(a, axis):
    largest = a.max(axis)
    return largest + np.log(np.exp(a - np.expand_dims(largest, axis)).sum(axis))


if __name__ == "__main__":
    compare("Losses of whole sequences", {"nblayers": nblayers, "torch": torchs, "numpy": numpys}, target=1.0)
