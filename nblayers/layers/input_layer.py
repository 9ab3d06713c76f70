"""Where a model's data come in."""
from typing import Any

import numpy as np

from nblayers import config
from nblayers.arguments import integer, sizes
from nblayers.layers.base import Layer
from nblayers.layers.symbolic import Node, SymbolicTensor


class InputLayer(Layer):
    """The entry of a model: no weights, its output is the input.

    Arguments:
        shape: of one sample; None for an axis of any size.
        batch_size: fixed batch size, or None.
        dtype: of the data; "float32" by default. Strings and integers are passed on as they are.
        batch_shape: the shape with the batch axis, in place of `shape` and `batch_size`.
        sparse, ragged: accepted for Keras' sake; such arrays do not exist here.
        optional: whether None may be given for this input.

    Raises:
        ValueError: neither or both of `shape` and `batch_shape`, or `sparse` or `ragged` set.

    Source: document 001.06.Input.
    """

    def __init__(self, shape: Any = None, batch_size: int | None = None, dtype: Any = None, sparse: bool | None = None,
                 ragged: bool | None = None, batch_shape: Any = None, optional: bool = False,
                 name: str | None = None) -> None:
        super().__init__(name=name)
        if (shape is None) == (batch_shape is None):
            given = "neither" if shape is None else "both"
            raise ValueError(f"{self.described}: expected either shape or batch_shape, got {given}")
        if batch_size is not None:
            integer(self.described, "batch_size", batch_size, 1)
        if batch_size is not None and batch_shape is not None:
            raise ValueError(f"{self.described}: batch_shape already holds the batch size; leave batch_size out")
        if sparse or ragged:
            raise ValueError(f"{self.described}: sparse and ragged inputs are not supported")
        if batch_shape is None:
            batch_shape = (batch_size, *sizes(self.described, "shape", shape))
        if not isinstance(batch_shape, (list, tuple)):
            raise ValueError(f"{self.described}: expected batch_shape as a tuple of sizes and None, got {batch_shape!r}")
        self.batch_shape = sizes(self.described, "batch_shape", batch_shape)
        self.input_dtype: str = self._named(dtype)
        self.optional = optional
        self.built = True
        Node(self, (), {}, self.batch_shape, self.input_dtype)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        Node(self, (), {}, self.batch_shape, self.input_dtype)

    @property
    def output(self) -> SymbolicTensor:
        """The symbolic tensor to call layers on."""
        return vars(self)["_inbound_nodes"][0].outputs[0]

    def _named(self, dtype: Any) -> str:
        """The dtype by its name."""
        if dtype is None:
            return config.floatx()
        try:
            return "string" if dtype is str or dtype == "string" else np.dtype(dtype).name
        except TypeError:
            raise ValueError(f"{self.described}: expected a dtype, or 'string', as dtype, got {dtype!r}") from None

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, dy: Any) -> Any:
        return dy

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {"batch_shape": self.batch_shape, "dtype": self.input_dtype, "sparse": False, "ragged": False,
                "name": self.name, "optional": self.optional}


def Input(shape: Any = None, batch_size: int | None = None, dtype: Any = None, sparse: bool | None = None,
          ragged: bool | None = None, batch_shape: Any = None, name: str | None = None,
          tensor: SymbolicTensor | None = None, optional: bool = False) -> SymbolicTensor:
    """A symbolic tensor to build a model from: `x = Input((28, 28)); y = Flatten()(x); model = Model(x, y)`.

    The layers are built for these sizes, but a later call may bring others wherever they can do with them: a longer sequence
    for an LSTM, a larger image for convolutions that end in a global pooling. So it is in `model(x)`, `predict` and `fit`, of
    `Model` and `Sequential` alike (Keras' functional model refuses them in the call and in `fit`, but not in `predict`). The
    number of axes is held to, and a layer that needs a size, as Dense its features, raises a ValueError.

    The arguments are those of `InputLayer`; `tensor` is returned as it is.
    """
    if tensor is not None:
        return tensor
    return InputLayer(shape=shape, batch_size=batch_size, dtype=dtype, sparse=sparse, ragged=ragged,
                      batch_shape=batch_shape, optional=optional, name=name).output
