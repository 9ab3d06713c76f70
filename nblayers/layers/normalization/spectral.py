"""Spectral normalization of another layer's weight."""
from typing import Any

import numpy as np

from nblayers import initializers, serialization
from nblayers.arguments import integer
from nblayers.layers.base import Layer, Parameter, Record
from nblayers.layers.calls import backward_of, build_inside, record_of
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec


class SpectralNormalization(Layer):
    r"""Divides a layer's kernel by its largest singular value in training, so that the layer stretches nothing: for GANs.

        v \leftarrow u W^T / |u W^T|                                (1)    W: the kernel as a matrix, the last axis its columns
        u \leftarrow v W / |v W|                                    (2)    both so many times as power_iterations says
        \sigma = v W u^T                                            (3)
        \hat W = W / \sigma                                         (4)
        y = layer(x),\ \text{with}\ \hat W                          (5)

    u and v, both rows, are constants for the gradient, and with D = \partial L / \partial \hat W

        \partial L / \partial W = \frac{1}{\sigma} \left(D - \langle D, \hat W \rangle\, v^T u\right)          (6)

    As in Keras a call in training sets the kernel to W-hat and the weight vector_u to u, and at other times the layer is as it
    is; a kernel of zeros stays. (When Keras runs `fit` on JAX, what its call sets is lost, and the kernel is not normalized
    afterwards.) The gradient is that for the kernel before the call. Keras casts the output to the input's dtype, which makes
    zeros of an Embedding of integers; here it stays. The document's argument axis does not exist.

    Input and output are the layer's. Weights: kernel, vector_u (1, columns), then the layer's others.

    Arguments:
        layer: the layer: one with a `kernel` (Dense, convolutions) or `embeddings`.
        power_iterations: how often (1) and (2) are done in a call.

    Raises:
        ValueError: not a layer, or one without such a weight; power_iterations is no positive integer.

    Source: 001.10.SpectralNormalization; Miyato et al. 2018, "Spectral normalization for generative adversarial networks".
    """

    input_spec = InputSpec()
    power_iterations: int = fixed()
    kernel: Parameter = fixed()
    vector_u: Parameter = fixed()

    class Cache(Record):
        call: tuple[Any, Any]           # what the layer's call left for its backward
        w: np.ndarray | None            # W-hat (rows, columns); None where nothing was divided
        u: np.ndarray | None            # (1, columns)
        v: np.ndarray | None            # (1, rows)
        sigma: Any                      # a number

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ValueError(f"{self.described}: expected a layer, got {layer!r}")
        self.layer = layer
        self.power_iterations = integer(self.described, "power_iterations", power_iterations, 1)

    def build(self, input_shape: Any) -> None:
        build_inside(self, self.layer, input_shape)
        kernel = getattr(self.layer, "kernel", None) or getattr(self.layer, "embeddings", None)
        if not isinstance(kernel, Parameter):
            raise ValueError(f"{self.described}: expected a layer with a weight kernel or embeddings, "
                             f"got {self.layer.described}")
        self.kernel = kernel
        self._parameters.insert(0, kernel)                      # it comes first, as in Keras
        self._trained_count = 1
        self.vector_u = self.add_weight((1, kernel.shape[-1]), initializers.TruncatedNormal(stddev=0.02), trainable=False,
                                        name="vector_u")

    def forward(self, inputs: Any, training: bool = False) -> Any:
        w = u = v = sigma = None
        if training and self.kernel.value.any():
            w, u, v, sigma = self._divided()
            self.kernel.value = w.reshape(self.kernel.shape)
            self.vector_u.value = u
        y = self.layer.forward(inputs, training=training)                           # (5)
        self.cache = self.Cache(record_of(self.layer), w, u, v, sigma)
        return y

    def backward(self, dy: Any) -> Any:
        cache, grad = self.cache, self.kernel.grad
        if cache.w is None:
            return backward_of(self.layer, cache.call, dy, self.input_gradient)     # from (5)
        before = grad.copy()
        grad.fill(0)
        dx = backward_of(self.layer, cache.call, dy, self.input_gradient)           # from (5)
        d = grad.reshape(cache.w.shape)
        dw = (d - (d * cache.w).sum() * cache.v.T * cache.u) / cache.sigma          # (6), from (4) and (3)
        grad[...] = before + dw.reshape(grad.shape)
        return dx

    def _divided(self) -> tuple[Any, Any, Any, Any]:
        """W-hat, u, v and sigma."""
        w, u = self.kernel.value.reshape(-1, self.kernel.shape[-1]), self.vector_u.value
        for _ in range(self.power_iterations):
            v = self._unit(self._matmul(u, w, transpose_b=True))                    # (1)
            u = self._unit(self._matmul(v, w))                                      # (2)
        sigma = (self._matmul(v, w) * u).sum()                                      # (3)
        return w / sigma, u, v, sigma                                               # (4)

    def _unit(self, vector: Any) -> Any:
        """A row of length 1; of length below 1 if it was shorter than 1e-7, as in Keras."""
        unit, scale = self.xp.empty_like(vector), self.xp.empty((1, 1), self.dtype)
        self.kernels.normalization.unit_norm(vector.reshape(1, -1, 1), 1e7, unit.reshape(1, -1, 1), scale)
        return unit

    def _to_array(self, value: Any) -> Any:
        return self.layer._to_array(value)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"layer": serialization.serialize_keras_object(self.layer),
                                       "power_iterations": self.power_iterations}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "SpectralNormalization":
        """Make a layer from what `get_config` gave, ours or Keras'; `custom_objects` holds classes of your own by name."""
        return cls(**{**config, "layer": serialization.deserialize_keras_object(config["layer"], custom_objects)})


__all__ = ["SpectralNormalization"]
