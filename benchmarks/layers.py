"""Layers whose time is mostly memory's, Dense and attention, forward and backward together, float32.

nblayers against PyTorch in its faster memory format, as it is and compiled, and Keras on JAX, compiled. The last column is what
each case computes (or moves, at least) in a second, and which part that is of what the machine can do; arrays that stay in its
caches move faster than it copies memory.
"""
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from alternate import Cases, compare
from others import ON_JAX, in_faster_format, jax_step, later, torch_compiled, torch_step


class Case(NamedTuple):
    """A layer: how it is made (of nblayers' or Keras' layers; PyTorch's), what it is given, what it has to do at least."""

    name: str
    shape: tuple[int, ...]
    make: Callable[[Any], Any]
    torchs: Callable[[], Any]
    work: tuple[float, str]
    channels_last: bool = False                         # PyTorch's layer wants (batch, channels, places…)
    ids: int = 0                                        # the input holds numbers below this one
    times: int = 1                                      # how often it is given its input: queries and values


def gigabytes(passes: float, *shape: int) -> tuple[float, str]:
    """What must be read and written: arrays of this shape, so many times."""
    return 4 * passes * math.prod(shape), "GB"


def dense(batch: int, inputs: int, units: int) -> Case:
    def torchs():
        import torch
        return torch.nn.Linear(inputs, units)
    return Case(f"Dense {inputs}->{units}, batch {batch}", (batch, inputs), lambda layers: layers.Dense(units), torchs,
                (6 * batch * inputs * units, "Gflop"))


def embedding(shape: tuple[int, ...], rows: int, length: int) -> Case:
    def torchs():
        import torch
        return torch.nn.Embedding(rows, length)
    n = math.prod(shape)                                # y and its row; dy, its row's gradient read and written; the zeros
    return Case(f"Embedding {rows}x{length} {shape}", shape, lambda layers: layers.Embedding(rows, length), torchs,
                gigabytes(1, 5 * n + rows, length), ids=rows)


def elementwise(name: str, shape: tuple[int, ...], make: Callable[[Any], Any], torchs_name: str, passes: float = 5,
                **arguments: Any) -> Case:
    def torchs():
        import torch
        return getattr(torch.nn, torchs_name)(**arguments)
    return Case(f"{name} {shape}", shape, make, torchs, gigabytes(passes, *shape))


def batch_normalization(*shape: int) -> Case:
    def torchs():
        import torch
        return torch.nn.BatchNorm2d(shape[-1])          # x twice and y; dy and x twice and dx
    return Case(f"BatchNormalization {shape}", shape, lambda layers: layers.BatchNormalization(), torchs, gigabytes(8, *shape),
                channels_last=True)


def layer_normalization(*shape: int) -> Case:
    def torchs():
        import torch
        return torch.nn.LayerNorm(shape[-1])
    return Case(f"LayerNormalization {shape}", shape, lambda layers: layers.LayerNormalization(), torchs, gigabytes(5, *shape))


def group_normalization(groups: int, *shape: int) -> Case:
    def torchs():
        import torch
        return torch.nn.GroupNorm(groups, shape[-1])
    return Case(f"GroupNormalization {groups} {shape}", shape, lambda layers: layers.GroupNormalization(groups), torchs,
                gigabytes(5, *shape), channels_last=True)


def attention(heads: int, length: int, *shape: int) -> Case:
    def torchs():
        import torch
        layer = torch.nn.MultiheadAttention(heads * length, heads, batch_first=True)
        return lambda x: layer(x, x, x, need_weights=False)[0], layer
    batch, steps, size = shape                          # four products with weights, and two that make and use the scores
    return Case(f"MultiHeadAttention {heads}x{length} {shape}", shape, lambda layers: layers.MultiHeadAttention(heads, length),
                torchs, (6 * batch * steps * size * (4 * size + 2 * steps), "Gflop"), times=2)


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


def data(case: Case) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(case.ids, size=case.shape) if case.ids else rng.normal(size=case.shape).astype("f4")


def gradient(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype("f4")


def step(case: Case) -> Callable[[], object]:
    from nblayers import layers
    layer, inputs = case.make(layers), [data(case)] * case.times
    dy = gradient(layer(*inputs, training=True).shape)

    def run():
        layer(*inputs, training=True)
        layer.zero_grad()
        layer.backward(dy)
    return run


def ours() -> Cases:
    return {case.name: later(lambda case=case: step(case)) for case in CASES}


def on_jax(case: Case) -> Callable[[], object]:
    from keras import layers
    layer, x = case.make(layers), data(case)
    dy = gradient(layer(*[x] * case.times).shape)
    return jax_step(layer, x, dy, case.times, whole_numbers=bool(case.ids))


def jaxs() -> Cases:
    return {case.name: later(lambda case=case: on_jax(case)) for case in CASES}


def parts(made: Any) -> tuple[Any, Any]:
    """How PyTorch's layer is called, and the layer."""
    return made if isinstance(made, tuple) else (made, made)


def torchs(compiled: bool = False) -> Cases:
    import torch
    torch.set_num_threads(2)

    def in_format(case: Case, memory_format: Any, compiled: bool) -> Callable[[], object]:
        call, layer = parts(case.torchs())
        x = torch.from_numpy(data(case))
        if case.channels_last:
            x = x.movedim(-1, 1).contiguous(memory_format=memory_format)
        if not case.ids:
            x = x.requires_grad_()
        return torch_step(torch_compiled(call) if compiled else call, layer, x, torch.randn_like(call(x)))

    def faster(case: Case) -> Callable[[], object]:
        formats = [torch.contiguous_format, torch.channels_last] if case.channels_last else [torch.contiguous_format]
        return in_faster_format(lambda *how: in_format(case, *how), formats)[compiled]
    return {case.name: later(lambda case=case: faster(case)) for case in CASES}


CONTENDERS = {"nblayers": ours, "torch": torchs, "torch.compile": lambda: torchs(compiled=True), "JAX": jaxs}

if __name__ == "__main__":
    compare("layers, forward + backward", CONTENDERS, target=1.0, variables={"JAX": ON_JAX},
            work={case.name: case.work for case in CASES})
