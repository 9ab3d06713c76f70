"""Layers whose time is mostly memory's, Dense and attention, forward and backward together, float32: nblayers against PyTorch.

The last column is what each case moves at least (or computes) in a second; the first line says what the machine can do at most.
"""
import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from alternate import Cases, compare


class Case(NamedTuple):
    """A layer: how it is made here and in PyTorch, what it is given, and what it has to do at least."""

    name: str
    shape: tuple[int, ...]
    ours: Callable[[], Any]
    torchs: Callable[[], Any]
    work: tuple[float, str]
    channels_last: bool = False                         # PyTorch's layer wants (batch, channels, places…)
    ids: int = 0                                        # the input holds numbers below this one


def gigabytes(passes: float, *shape: int) -> tuple[float, str]:
    """What must be read and written: arrays of this shape, so many times."""
    return 4 * passes * math.prod(shape), "GB"


def dense(batch: int, inputs: int, units: int) -> Case:
    def ours():
        from nblayers import layers
        return layers.Dense(units)

    def torchs():
        import torch
        return torch.nn.Linear(inputs, units)
    return Case(f"Dense {inputs}->{units}, batch {batch}", (batch, inputs), ours, torchs, (6 * batch * inputs * units, "Gflop"))


def embedding(shape: tuple[int, ...], rows: int, length: int) -> Case:
    def ours():
        from nblayers import layers
        return layers.Embedding(rows, length)

    def torchs():
        import torch
        return torch.nn.Embedding(rows, length)
    n = math.prod(shape)                                # y and its row; dy, its row's gradient read and written; the zeros
    return Case(f"Embedding {rows}x{length} {shape}", shape, ours, torchs, gigabytes(1, 5 * n + rows, length), ids=rows)


def elementwise(name: str, shape: tuple[int, ...], make: Callable[[Any], Any], torchs_name: str, passes: float = 5,
                **arguments: Any) -> Case:
    def ours():
        from nblayers import layers
        return make(layers)

    def torchs():
        import torch
        return getattr(torch.nn, torchs_name)(**arguments)
    return Case(f"{name} {shape}", shape, ours, torchs, gigabytes(passes, *shape))


def batch_normalization(*shape: int) -> Case:
    def ours():
        from nblayers import layers
        return layers.BatchNormalization()

    def torchs():
        import torch
        return torch.nn.BatchNorm2d(shape[-1])          # x twice and y; dy and x twice and dx
    return Case(f"BatchNormalization {shape}", shape, ours, torchs, gigabytes(8, *shape), channels_last=True)


def layer_normalization(*shape: int) -> Case:
    def ours():
        from nblayers import layers
        return layers.LayerNormalization()

    def torchs():
        import torch
        return torch.nn.LayerNorm(shape[-1])
    return Case(f"LayerNormalization {shape}", shape, ours, torchs, gigabytes(5, *shape))


def group_normalization(groups: int, *shape: int) -> Case:
    def ours():
        from nblayers import layers
        return layers.GroupNormalization(groups)

    def torchs():
        import torch
        return torch.nn.GroupNorm(groups, shape[-1])
    return Case(f"GroupNormalization {groups} {shape}", shape, ours, torchs, gigabytes(5, *shape), channels_last=True)


def attention(heads: int, length: int, *shape: int) -> Case:
    def ours():
        from nblayers import layers
        layer = layers.MultiHeadAttention(heads, length)
        return lambda x, training: layer(x, x, training=training), layer

    def torchs():
        import torch
        layer = torch.nn.MultiheadAttention(heads * length, heads, batch_first=True)
        return lambda x: layer(x, x, x, need_weights=False)[0], layer
    batch, steps, size = shape                          # four products with weights, and two that make and use the scores
    return Case(f"MultiHeadAttention {heads}x{length} {shape}", shape, ours, torchs,
                (6 * batch * steps * size * (4 * size + 2 * steps), "Gflop"))


WIDE, IMAGE = (64, 65536), (32, 32, 32, 64)
CASES = [
    dense(128, 784, 256), dense(64, 1024, 1024), embedding((64, 200), 10000, 128),
    elementwise("relu", WIDE, lambda layers: layers.Activation("relu"), "ReLU"),
    elementwise("gelu", WIDE, lambda layers: layers.Activation("gelu"), "GELU"),
    elementwise("Softmax", (512, 1000), lambda layers: layers.Softmax(), "Softmax", dim=-1),
    elementwise("Dropout", WIDE, lambda layers: layers.Dropout(0.5), "Dropout", 4.5, p=0.5),
    batch_normalization(*IMAGE), layer_normalization(64, 128, 512), group_normalization(8, *IMAGE),
    attention(8, 32, 16, 128, 256),
]


def parts(made: Any) -> tuple[Any, Any]:
    """How a layer is called, and the layer."""
    return made if isinstance(made, tuple) else (made, made)


def data(case: Case) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(case.ids, size=case.shape) if case.ids else rng.normal(size=case.shape).astype("f4")


def ours() -> Cases:
    def run_of(case: Case):
        call, layer = parts(case.ours())
        x = data(case)
        dy = np.random.default_rng(1).normal(size=call(x, training=True).shape).astype("f4")

        def run():
            call(x, training=True)
            layer.zero_grad()
            layer.backward(dy)
        return run
    return {case.name: run_of(case) for case in CASES}


def torchs() -> Cases:
    import torch
    torch.set_num_threads(2)

    def in_format(case: Case, memory_format):
        call, layer = parts(case.torchs())
        x = torch.from_numpy(data(case))
        if case.channels_last:
            x = x.movedim(-1, 1).contiguous(memory_format=memory_format)
        if not case.ids:
            x = x.requires_grad_()
        dy = torch.randn_like(call(x))

        def run():
            layer.zero_grad()
            x.grad = None
            call(x).backward(dy)
        return run

    def faster(case: Case):
        from convolution import quick
        formats = [torch.contiguous_format, torch.channels_last] if case.channels_last else [torch.contiguous_format]
        return min((in_format(case, memory_format) for memory_format in formats), key=quick)
    return {case.name: faster(case) for case in CASES}


if __name__ == "__main__":
    if len(sys.argv) == 1:
        import limits
        print(f"copy speed of the machine: {limits.bandwidth() / 1e9:.1f} GB/s")
    compare("layers, forward + backward", {"nblayers": ours, "torch": torchs}, target=1.3,
            work={case.name: case.work for case in CASES})
