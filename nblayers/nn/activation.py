"""Activation functions as PyTorch writes them: its names, arguments and defaults.

`inplace` is accepted and changes nothing: no layer here changes its input, and the result is the same.
"""
from typing import Any

import numpy as np

from nblayers import activations, initializers, layers
from nblayers.arguments import choice, flag, integer, number
from nblayers.layers.activation import Elementwise, LearnedSlope
from nblayers.layers.base import Layer, Parameter, Record, positive
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.nn.module import LibraryModule


class _Inplace(LibraryModule):
    """With PyTorch's `inplace`, which comes last."""

    shown: tuple[str, ...] = ()         # the settings that `repr` shows

    def _keep_inplace(self, inplace: bool) -> None:
        self.inplace = flag(self.described, "inplace", inplace)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"inplace": self.inplace}

    def extra_repr(self) -> str:
        names = [*self.shown, *(["inplace"] if self.inplace else [])]
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class _Named(layers.Activation, LibraryModule):
    """An activation function without settings, by its name in `nblayers.activations`."""

    function = ""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(self.function, **kwargs)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        return Layer.get_config(self)           # not Activation's: its key is Keras'


class _NamedInplace(_Inplace, _Named):
    """The same with `inplace`."""

    def __init__(self, inplace: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep_inplace(inplace)


class ReLU(_NamedInplace):
    """`layers.Activation("relu")`. Source: torch.nn.ReLU."""

    function = "relu"


class ReLU6(_NamedInplace):
    """`layers.Activation("relu6")`. Source: torch.nn.ReLU6."""

    function = "relu6"


class SELU(_NamedInplace):
    """`layers.Activation("selu")`. Source: torch.nn.SELU."""

    function = "selu"


class SiLU(_NamedInplace):
    """`layers.Activation("silu")`. Source: torch.nn.SiLU."""

    function = "silu"


class Mish(_NamedInplace):
    """`layers.Activation("mish")`. Source: torch.nn.Mish."""

    function = "mish"


class Hardsigmoid(_NamedInplace):
    """`layers.Activation("hard_sigmoid")`. Source: torch.nn.Hardsigmoid."""

    function = "hard_sigmoid"


class Hardswish(_NamedInplace):
    """`layers.Activation("hard_silu")`. Source: torch.nn.Hardswish."""

    function = "hard_silu"


class Sigmoid(_Named):
    """`layers.Activation("sigmoid")`. Source: torch.nn.Sigmoid."""

    function = "sigmoid"


class Tanh(_Named):
    """`layers.Activation("tanh")`. Source: torch.nn.Tanh."""

    function = "tanh"


class Softsign(_Named):
    """`layers.Activation("softsign")`. Source: torch.nn.Softsign."""

    function = "softsign"


class LeakyReLU(_Inplace, layers.LeakyReLU):
    """`layers.LeakyReLU`; the slope is 0.01, Keras' layer has 0.3.

    Arguments:
        negative_slope: the slope below 0.
        inplace: accepted; the input is left as it is.

    Raises:
        ValueError: negative_slope is no number, or negative.

    Source: torch.nn.LeakyReLU.
    """

    shown = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False, **kwargs: Any) -> None:
        super().__init__(negative_slope, **kwargs)
        self._keep_inplace(inplace)


class ELU(_Inplace, layers.ELU):
    """`layers.ELU`.

    Arguments:
        alpha: minus the limit far below zero.
        inplace: accepted; the input is left as it is.

    Raises:
        ValueError: alpha is no number, or negative.

    Source: torch.nn.ELU.
    """

    shown = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False, **kwargs: Any) -> None:
        super().__init__(alpha, **kwargs)
        self._keep_inplace(inplace)


class Softmax(layers.Softmax, LibraryModule):
    """`layers.Softmax` along dim.

    Arguments:
        dim: the axis, which must be said: PyTorch warns where it has to guess.

    Raises:
        ValueError: dim is not an integer.

    Source: torch.nn.Softmax.
    """

    def __init__(self, dim: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = integer(self.described, "dim", dim)

    @property
    def dim(self) -> int:
        return self.axis

    def get_config(self) -> dict[str, Any]:
        return Layer.get_config(self) | {"dim": self.dim}       # not Softmax's: its key is Keras'

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(LibraryModule):
    r"""The logarithm of softmax, exact where softmax itself would be 0.

        y_i = x_i - \log \sum_j e^{x_j}    (1)    along dim

    Arguments:
        dim: the axis, which must be said: PyTorch warns where it has to guess.

    Raises:
        ValueError: dim is not an integer, or the input has no such axis.

    Source: torch.nn.LogSoftmax.
    """

    supports_masking = True
    input_spec = InputSpec()

    class Cache(Record):
        x: np.ndarray           # any shape
        y: np.ndarray           # the same

    def __init__(self, dim: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = integer(self.described, "dim", dim)
        self.built = True

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        rows, back = self._layout(inputs)
        y = back(activations.evaluate(activations.log_softmax, rows(inputs), self.device))                          # (1)
        self.cache = self.Cache(inputs, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x, y = self.cache.x, self.cache.y
        rows, back = self._layout(x)
        return back(activations.differentiate(activations.log_softmax, rows(x), rows(y), rows(dy), self.device))    # from (1)

    def _layout(self, x: Any) -> Any:
        rows, back = activations.row_layout(x, self.dim, self.described)
        return rows, lambda array: self.xp.ascontiguousarray(back(array))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"dim": self.dim}

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class GELU(Elementwise, LibraryModule):
    r"""x times the share of normal numbers that lie below x.

        y = x \Phi(x)                                                   (1)    \Phi the normal distribution function
        y = x (1 + \tanh(\sqrt{2/\pi} (x + 0.044715 x^3))) / 2          (2)    with approximate="tanh"

    Arguments:
        approximate: "none" or "tanh".

    Raises:
        ValueError: another word.

    Source: torch.nn.GELU; Hendrycks and Gimpel, 2016.
    """

    kernel_name = "gelu"

    def __init__(self, approximate: str = "none", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approximate = choice(self.described, "approximate", approximate, ["none", "tanh"])

    @property
    def kernel_arguments(self) -> tuple[Any, ...]:
        return (self.approximate == "tanh",)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"approximate": self.approximate}

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Hardtanh(_Inplace, Elementwise):
    r"""Three straight lines near tanh.

        y = \min(\max(x, \text{min\_val}), \text{max\_val})     (1)    at both kinks dx = 0

    Arguments:
        min_val, max_val: the smallest and the largest output.
        inplace: accepted; the input is left as it is.

    Raises:
        ValueError: one is no number, or min_val is not below max_val.

    Source: torch.nn.Hardtanh.
    """

    kernel_name = "clip"
    shown = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep_inplace(inplace)
        self.min_val = number(self.described, "min_val", min_val)
        self.max_val = number(self.described, "max_val", max_val, self.min_val, open="(")

    @property
    def kernel_arguments(self) -> tuple[Any, ...]:
        return self.min_val, self.max_val

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"min_val": self.min_val, "max_val": self.max_val}


class Threshold(_Inplace, Elementwise):
    r"""Replaces what is not above a threshold.

        y = x       where x > threshold        (1)
        y = value   where x \le threshold      (2)

    Arguments:
        threshold: what x must be above.
        value: what takes its place.
        inplace: accepted; the input is left as it is.

    Raises:
        ValueError: one is no number.

    Source: torch.nn.Threshold.
    """

    kernel_name = "threshold"
    shown = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep_inplace(inplace)
        self.threshold = number(self.described, "threshold", threshold)
        self.value = number(self.described, "value", value)

    @property
    def kernel_arguments(self) -> tuple[Any, ...]:
        return self.threshold, self.value

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"threshold": self.threshold, "value": self.value}


class _Scaled(LibraryModule):
    r"""The base of activation functions that are another one on another scale.

        y = s f(x / s)      (1)

    A subclass names f and s.
    """

    supports_masking = True
    input_spec = InputSpec()
    function: Any
    scale: float

    class Cache(Record):
        z: np.ndarray           # x / s
        f: np.ndarray           # f(z)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        s = inputs.dtype.type(self.scale)
        z = inputs / s
        f = activations.evaluate(self.function, z, self.device)
        self.cache = self.Cache(z, f)
        return s * f                                                                    # (1)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        z, f = self.cache.z, self.cache.f
        return activations.differentiate(self.function, z, f, dy, self.device)          # from (1): s and 1/s cancel

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class CELU(_Inplace, _Scaled):
    r"""An ELU whose slope is 1 at zero for every alpha.

        y = x                               where x > 0        (1)
        y = \alpha (e^{x/\alpha} - 1)       where x \le 0      (2)

    Arguments:
        alpha: minus the limit far below zero; not 0.
        inplace: accepted; the input is left as it is.

    Raises:
        ValueError: alpha is no positive number.

    Source: torch.nn.CELU.
    """

    function = staticmethod(activations.elu)
    shown = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep_inplace(inplace)
        self.alpha = self.scale = number(self.described, "alpha", alpha, 0, open="(")

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"alpha": self.alpha}


class Softplus(_Scaled):
    r"""A smooth ReLU, the sharper the larger beta is.

        y = \log(1 + e^{\beta x}) / \beta    where \beta x \le threshold     (1)
        y = x                               above it                          (2)

    Arguments:
        beta: how sharp.
        threshold: from where on y is x, to which (1) comes so near that at 20 no float32 number tells the difference.

    Raises:
        ValueError: beta is no positive number, threshold is none.

    Source: torch.nn.Softplus.
    """

    function = staticmethod(activations.softplus)

    def __init__(self, beta: float = 1.0, threshold: float = 20.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.beta = number(self.described, "beta", beta, 0, open="(")
        self.threshold = number(self.described, "threshold", threshold)
        self.scale = 1 / self.beta

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        y = super().forward(inputs)                                                     # (1)
        return self.xp.where(self.cache.z > self.threshold, inputs, y)                  # (2)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx = super().backward(dy)                                                       # from (1)
        return self.xp.where(self.cache.z > self.threshold, dy, dx)                     # from (2)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"beta": self.beta, "threshold": self.threshold}

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(_Scaled):
    r"""The logarithm of the sigmoid.

        y = -\log(1 + e^{-x})      (1)    softplus on the scale -1

    Source: torch.nn.LogSigmoid.
    """

    function = staticmethod(activations.softplus)
    scale = -1.0


class PReLU(LearnedSlope, LibraryModule):
    r"""A LeakyReLU whose slope is learned: `layers.PReLU` with a slope for each channel, or one for all.

        y = x           where x > 0        (1)
        y = a_c x       where x \le 0      (2)    c is the channel, on axis 1

    Input and output (batch, channels, …), or any shape with one slope. Weight: weight a (num_parameters,), so that
    `set_weights` takes PyTorch's. At x = 0 dx is dy a, as in PyTorch (Keras, and `layers.PReLU`: 0).

    Arguments:
        num_parameters: 1, or the number of channels.
        init: what a starts from.

    Raises:
        ValueError: num_parameters is not a positive integer, init no number; an input of another number of channels.

    Source: torch.nn.PReLU.
    """

    slope_at_zero = True
    zero_at_kinks = False
    num_parameters: int = fixed()
    weight: Parameter = fixed()

    def __init__(self, num_parameters: int = 1, init: float = 0.25, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_parameters = positive(self, "num_parameters", num_parameters)
        self.init = number(self.described, "init", init)
        self.weight = self.add_weight((self.num_parameters,), initializers.Constant(self.init), name="weight")
        if self.num_parameters > 1:
            self.input_spec = InputSpec(min_ndim=2, axes={1: self.num_parameters})
        self.built = True

    def _slopes(self, x: Any) -> tuple[Parameter, tuple[int, ...]]:
        return self.weight, (self.num_parameters, *(1,) * (x.ndim - 2))[:x.ndim - 1]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_parameters": self.num_parameters, "init": self.init}

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
