"""Convolution and pooling layers, forward and backward together, float32.

nblayers against PyTorch in its faster memory format, as it is and compiled, and Keras on JAX, compiled.
"""
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from alternate import Cases, compare
from others import ON_JAX, in_faster_format, jax_step, later, torch_compiled, torch_step


class Case(NamedTuple):
    """One layer and the input (batch, places…, channels) that it is given."""

    layer: str
    shape: tuple[int, ...]
    filters: int = 0
    kernel: int = 3
    stride: int = 1

    @property
    def rank(self) -> int:
        return len(self.shape) - 2

    @property
    def name(self) -> str:
        return f"{self.layer} {self.shape}" + (f"->{self.filters} k{self.kernel}" if self.filters else "")


CASES = [
    Case("Conv2D", (32, 28, 28, 1), 32), Case("Conv2D", (64, 64, 64, 3), 32), Case("Conv2D", (32, 32, 32, 32), 64),
    Case("Conv2D", (16, 56, 56, 64), 64), Case("Conv2D", (8, 14, 14, 256), 256), Case("Conv2D", (32, 28, 28, 64), 128, 1),
    Case("Conv1D", (32, 100, 64), 64), Case("Conv3D", (4, 16, 32, 32, 16), 16), Case("DepthwiseConv2D", (32, 32, 32, 64)),
    Case("Conv2DTranspose", (16, 16, 16, 64), 32, 3, 2), Case("MaxPooling2D", (32, 64, 64, 32)),
    Case("AveragePooling2D", (32, 64, 64, 32)), Case("GlobalAveragePooling2D", (32, 32, 32, 64)),
]


def work(case: Case) -> tuple[float, str]:
    """Three products of a convolution; for what memory decides, the numbers read and written."""
    x, taps = math.prod(case.shape), case.kernel ** case.rank
    if case.filters:
        return 6 * x * case.filters * taps, "Gflop"             # a transposed layer has as many paths from an input
    passes = {"DepthwiseConv2D": 6, "GlobalAveragePooling2D": 2}.get(case.layer, 2.5)       # pooling: x, dx, y, dy
    return 4 * passes * x, "GB"


def made(layers: Any, case: Case) -> Any:
    """The layer, of nblayers' or Keras' layers."""
    make = getattr(layers, case.layer)
    if "Pooling" in case.layer:
        return make() if "Global" in case.layer else make(2)
    arguments = dict(kernel_size=case.kernel, strides=case.stride, padding="same")
    return make(case.filters, **arguments) if case.filters else make(**arguments)


def data(case: Case, layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """An input and a gradient of the output."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=case.shape).astype("f4")
    return x, rng.normal(size=layer.compute_output_shape(case.shape)).astype("f4")


def step(case: Case) -> Callable[[], object]:
    from nblayers import layers
    layer = made(layers, case)
    x, dy = data(case, layer)

    def run():
        layer.forward(x, training=True)
        layer.zero_grad()
        layer.backward(dy)
    return run


def ours() -> Cases:
    return {case.name: later(lambda case=case: step(case)) for case in CASES}


def on_jax(case: Case) -> Callable[[], object]:
    from keras import layers
    layer = made(layers, case)
    return jax_step(layer, *data(case, layer))


def jaxs() -> Cases:
    return {case.name: later(lambda case=case: on_jax(case)) for case in CASES}


def torch_layer(case: Case) -> Any:
    import torch
    C, F, k = case.shape[-1], case.filters, case.kernel
    if case.layer == "DepthwiseConv2D":
        return torch.nn.Conv2d(C, C, k, padding=k // 2, groups=C)
    if case.layer == "Conv2DTranspose":
        return torch.nn.ConvTranspose2d(C, F, k, stride=case.stride, padding=1, output_padding=1)
    if case.layer == "GlobalAveragePooling2D":
        return torch.nn.AdaptiveAvgPool2d(1)
    if case.layer in ("MaxPooling2D", "AveragePooling2D"):
        return torch.nn.MaxPool2d(2) if case.layer == "MaxPooling2D" else torch.nn.AvgPool2d(2)
    return getattr(torch.nn, f"Conv{case.rank}d")(C, F, k, padding=k // 2)


def torchs(compiled: bool = False) -> Cases:
    import torch
    torch.set_num_threads(2)

    def in_format(case: Case, memory_format: Any, compiled: bool) -> Callable[[], object]:
        rng = np.random.default_rng(0)
        layer = torch_layer(case).to(memory_format=memory_format)
        x = torch.from_numpy(np.moveaxis(rng.normal(size=case.shape).astype("f4"), -1, 1))
        x = x.contiguous(memory_format=memory_format).requires_grad_()
        dy = torch.randn(layer(x).shape).contiguous(memory_format=memory_format)
        return torch_step(torch_compiled(layer) if compiled else layer, layer, x, dy)

    def faster(case: Case) -> Callable[[], object]:
        last = {1: [], 2: [torch.channels_last], 3: [torch.channels_last_3d]}[case.rank]
        return in_faster_format(lambda *how: in_format(case, *how), [torch.contiguous_format, *last])[compiled]
    return {case.name: later(lambda case=case: faster(case)) for case in CASES}


CONTENDERS = {"nblayers": ours, "torch": torchs, "torch.compile": lambda: torchs(compiled=True), "JAX": jaxs}

if __name__ == "__main__":
    compare("convolution and pooling, forward + backward", CONTENDERS, target=1.0, rounds=3, variables={"JAX": ON_JAX},
            work={case.name: work(case) for case in CASES})
