"""ConvLSTM layers, forward and backward together, float32: nblayers against Keras on its three backends, compiled."""
from typing import NamedTuple

import numpy as np
from alternate import Cases, compare, median_seconds
from others import KERAS, jax_step, later, torch_step


class Case(NamedTuple):
    """One layer and the input (batch, time, places…, channels) that it is given."""

    shape: tuple[int, ...]
    filters: int
    padding: str = "same"

    @property
    def layer(self) -> str:
        return f"ConvLSTM{len(self.shape) - 3}D"

    @property
    def name(self) -> str:
        return f"{self.layer} {self.shape}->{self.filters} {self.padding}"


CASES = [
    Case((4, 10, 32, 32, 8), 16), Case((4, 10, 32, 32, 8), 16, "valid"), Case((1, 8, 64, 64, 1), 32),
    Case((2, 5, 8, 8, 3), 4), Case((16, 20, 64, 8), 16), Case((2, 4, 8, 16, 16, 4), 8),
]


def made(layers, case: Case):
    """The layer, its input and a dy, both random."""
    layer = getattr(layers, case.layer)(case.filters, 3, padding=case.padding, return_sequences=True)
    rng = np.random.default_rng(0)
    x = rng.normal(size=case.shape).astype("f4")
    return layer, x, rng.normal(size=layer.compute_output_shape(case.shape)).astype("f4")


def ours() -> Cases:
    from nblayers import layers

    def case(one: Case):
        layer, x, dy = made(layers, one)

        def run():
            layer.forward(x, training=True)
            layer.zero_grad()
            layer.backward(dy)
        return run
    return {one.name: case(one) for one in CASES}


def keras() -> Cases:
    import keras
    ways = {"jax": [jax_step], "torch": [on_torch], "tensorflow": [on_tensorflow(False), on_tensorflow(True)]}

    def case(one: Case):
        runs = [way(*made(keras.layers, one)) for way in ways[keras.backend.backend()]]
        return min(runs, key=lambda run: median_seconds(run, 0.2)) if len(runs) > 1 else runs[0]
    return {one.name: later(lambda one=one: case(one)) for one in CASES}


def on_torch(layer, x, dy):
    import torch
    torch.set_num_threads(2)
    layer.build(x.shape)
    return torch_step(lambda x: layer(x, training=True), layer, torch.from_numpy(x).requires_grad_(), torch.from_numpy(dy))


def on_tensorflow(jit_compile):
    def case(layer, x, dy):
        import tensorflow as tf
        x, dy = tf.constant(x), tf.constant(dy)
        layer.build(tuple(x.shape))

        @tf.function(jit_compile=jit_compile)
        def step(x, dy):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
            return y, tape.gradient(y, [*(v.value for v in layer.trainable_variables), x], output_gradients=dy)
        return lambda: step(x, dy)[0].numpy()
    return case


if __name__ == "__main__":
    compare("ConvLSTM, forward + backward", {"nblayers": ours, **{name: keras for name in KERAS}}, target=1.0, rounds=3,
            variables=KERAS)
