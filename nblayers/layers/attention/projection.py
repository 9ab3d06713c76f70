"""The dense layers inside multi-head attention."""
import math
from typing import Any

from nblayers import activations
from nblayers.layers.base import Layer, Parameter, Record
from nblayers.layers.fixed import fixed


class Projection(Layer):
    r"""A dense layer whose inputs and outputs may lie on several axes: from features to heads, or from heads to features.

        z = x W + b             (1)    the product over all axes of the inputs
        y = f(z)                (2)

    Input (…, *inputs), output (…, *outputs). Weights: kernel W (*inputs, *outputs), bias b (*outputs), as of EinsumDense.

    Arguments:
        inputs, outputs: the sizes of these axes.
        activation: f, none by default.
        use_bias, kernel_initializer … bias_constraint: as of Dense.
    """

    kernel: Parameter = fixed()
    bias: Parameter | None = fixed()

    class Cache(Record):
        x: Any              # (rows, D)
        z: Any              # (rows, U)
        y: Any              # (rows, U)
        shape: Any          # the input's

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...], activation: Any = None, use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
                 bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
                 bias_constraint: Any = None, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.inputs, self.outputs = inputs, outputs
        self.activation = activations.get(activation)
        self.kernel = self.add_weight((*inputs, *outputs), kernel_initializer, regularizer=kernel_regularizer,
                                      constraint=kernel_constraint, name="kernel")
        self.bias = self.add_weight(outputs, bias_initializer, regularizer=bias_regularizer, constraint=bias_constraint,
                                    name="bias") if use_bias else None
        self.built = True

    def forward(self, inputs: Any) -> Any:
        D, U = math.prod(self.inputs), math.prod(self.outputs)
        x = inputs.reshape(-1, D)
        bias = None if self.bias is None else self.bias.value.reshape(U)
        z = self._affine(x, self.kernel.value.reshape(D, U), bias)                          # (1)
        y = activations.evaluate(self.activation, z, self.device)                           # (2)
        self.cache = self.Cache(x, z, y, inputs.shape)
        return y.reshape(*inputs.shape[:inputs.ndim - len(self.inputs)], *self.outputs)

    def backward(self, dy: Any) -> Any:
        x, z, y = self.cache.x, self.cache.z, self.cache.y
        D, U = x.shape[1], y.shape[1]
        dz = activations.differentiate(self.activation, z, y, dy.reshape(-1, U), self.device)       # from (2)
        if self.bias is not None:
            self.kernels.core.bias_backward(dz, self.bias.grad.reshape(U))                          # from (1)
        self._matmul(x, dz, self.kernel.grad.reshape(D, U), transpose_a=True, add=True)             # from (1): dW += x^T dz
        if not self.input_gradient:
            return None
        return self._matmul(dz, self.kernel.value.reshape(D, U), transpose_b=True).reshape(self.cache.shape)    # from (1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:len(input_shape) - len(self.inputs)], *self.outputs)


__all__ = ["Projection"]
