"""Optimizers as in Keras 3: SGD, RMSprop, Adam; one kernel call updates one parameter.

    optimizer = Adam(learning_rate=1e-3, clipnorm=1.0)
    ...                                             # forward and backward have filled every parameter.grad
    optimizer.step(model.trainable_weights)
"""
import inspect
import math
import re
import warnings
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

import kernels
from nblayers import config, serialization
from nblayers.arguments import as_float, flag, integer, number, optional, text
from nblayers.devices import get_device, to_numpy
from nblayers.naming import NamesItself
from nblayers.parameter import Parameter
from nblayers.serialization import lookup, names


class Optimizer(NamesItself):
    r"""The class that all optimizers are made from.

    Before its own rule every optimizer does, in this order (g is the gradient, \theta the value, \eta the learning rate):

        g = \partial L / \partial \theta + \partial R(\theta) / \partial \theta         (1)  the data's, the regularizer's
        g = g \min(1, c / \lVert g \rVert)                                              (2)  clipnorm: for each parameter
                                                                                             global_clipnorm: all together
        g = \max(-c, \min(g, c))                                                        (3)  clipvalue
        \theta = \theta - \eta \lambda \theta                                           (4)  weight_decay \lambda

    and after it \theta becomes constraint(\theta). Only one of the three ways to clip may be chosen.

    Arguments:
        learning_rate: a number, or a schedule: called with the number of steps done so far, gives a number.
        weight_decay: \lambda above, apart from the gradient (Loshchilov and Hutter 2019).
        clipnorm, clipvalue, global_clipnorm: the bound c above.
        name: by default the class's in snake_case, numbered.
        use_ema, loss_scale_factor, gradient_accumulation_steps: as in Keras, not supported here; leave them unset.
        ema_momentum, ema_overwrite_frequency: of use when `use_ema` is; kept for `get_config`.

    An optimizer of your own declares `state_names` and writes `update`.

    Raises:
        ValueError: an option that is not supported or out of range, or two ways to clip.
        TypeError: an argument that the optimizer does not know.
    """

    # the arrays kept for each parameter, in the order in which `update` gets them; grouped as Keras lists its variables
    state_names: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __init__(self, learning_rate: Any = 0.001, weight_decay: float | None = None, clipnorm: float | None = None,
                 clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
                 ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
                 loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
                 name: str | None = None, **legacy: Any) -> None:
        if name is None:
            from nblayers.layers.base import auto_name
            name = auto_name(type(self).__name__)
        self.name = text(type(self).__name__, "name", name)
        unsupported = {"use_ema": use_ema, "loss_scale_factor": loss_scale_factor,
                       "gradient_accumulation_steps": gradient_accumulation_steps}
        for argument, value in unsupported.items():
            if not (value is None or value is False or as_float(value) == 0):
                raise ValueError(f"{self.described}: {argument}={value!r} is not supported; leave it unset")
        chosen = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        chosen = {argument: value for argument, value in chosen.items() if value is not None}
        if len(chosen) > 1:
            raise ValueError(f"{self.described}: expected only one of clipnorm, clipvalue and global_clipnorm, got {chosen}")
        self.learning_rate = legacy.pop("lr", learning_rate)
        if legacy.pop("decay", None) is not None:
            warnings.warn(f"{self.described}: decay is ignored, as in Keras 3: pass a schedule as learning_rate", stacklevel=3)
        if legacy:
            raise TypeError(f"{self.described}: unknown argument {', '.join(map(repr, legacy))}")
        self.weight_decay = optional(number, self.described, "weight_decay", weight_decay, 0)
        self.clipnorm = optional(number, self.described, "clipnorm", clipnorm, 0, finite=False)
        self.clipvalue = optional(number, self.described, "clipvalue", clipvalue, 0, finite=False)
        self.global_clipnorm = optional(number, self.described, "global_clipnorm", global_clipnorm, 0, finite=False)
        self.ema_momentum = number(self.described, "ema_momentum", ema_momentum, 0, 1)
        self.ema_overwrite_frequency = optional(integer, self.described, "ema_overwrite_frequency", ema_overwrite_frequency, 1)
        self.iterations = 0
        self._slots: dict[Parameter, _Slot] = {}
        self._undecayed: tuple[list[Parameter], str] = ([], "")

    @property
    def described(self) -> str:
        """Class and name, as every error message opens."""
        return f"{type(self).__name__} {self.name!r}"

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step; may be set to a number or a schedule at any time."""
        rate = self._learning_rate
        if not callable(rate):
            return rate
        value = rate(self.iterations) if self._takes_step else rate()
        return number(self.described, "what the schedule gives as learning_rate", value)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value) and not inspect.isclass(value):
            self._takes_step = bool(inspect.signature(value).parameters)
        elif not math.isfinite(as_float(value)):
            raise ValueError(f"{self.described}: expected learning_rate to be a number or a schedule, got {value!r}")
        self._learning_rate = value if callable(value) else as_float(value)

    lr = learning_rate

    def step(self, parameters: Iterable[Parameter], device: str | None = None) -> None:
        """Change the values of the trainable ones among `parameters` by their `grad` and their regularizers'.

        Arguments:
            parameters: a layer's or model's `trainable_weights`; `grad` is read and left as it is.
            device: the room of kernels to compute in; by default that of `nblayers.get_device()`.
        """
        try:
            trainable = [parameter for parameter in parameters if parameter.trainable]
        except (TypeError, AttributeError) as error:
            raise TypeError(f"{self.described}: expected parameters to be weights of a layer, got {parameters!r}") from error
        self._apply([_penalised(parameter) for parameter in trainable], trainable, device)

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Parameter] | None = None,
              device: str | None = None) -> None:
        """Change the values by the gradients given, regularizers not added; None leaves its parameter alone.

        Arguments:
            grads: an array or None for each parameter.
            trainable_variables: the parameters; by default those of `build`.

        Raises:
            ValueError: another number of gradients than of parameters, a gradient of another shape, or none at all.
        """
        parameters = self._slots if trainable_variables is None else trainable_variables
        for name, given in (("grads", grads), ("trainable_variables", parameters)):
            if not isinstance(given, (list, tuple, dict)):
                raise TypeError(f"{self.described}: expected {name} as a list, got {given!r}")
        parameters = list(parameters)
        if len(grads) != len(parameters):
            raise ValueError(f"{self.described}: expected {len(parameters)} gradients, as many as parameters, got {len(grads)}")
        pairs = [(gradient, parameter) for gradient, parameter in zip(grads, parameters, strict=True) if gradient is not None]
        if grads and not pairs:
            raise ValueError(f"{self.described}: expected a gradient for at least one parameter, got None for each")
        for gradient, parameter in pairs:
            if np.shape(gradient) != parameter.shape:
                raise ValueError(f"{self.described}: expected a gradient of shape {parameter.shape} for {parameter.path!r}, "
                                 f"got {np.shape(gradient)}")
        self._apply([gradient for gradient, _ in pairs], [parameter for _, parameter in pairs], device)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Parameter]], device: str | None = None) -> int:
        """The same from pairs (gradient, parameter); returns the number of steps done."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [parameter for _, parameter in pairs], device)
        return self.iterations

    def _apply(self, gradients: list[Any], parameters: list[Parameter], device: str | None) -> None:
        if not parameters:
            return
        room = _room(parameters, device)
        learning_rate = self.learning_rate
        decay = self.weight_decay * learning_rate if self.weight_decay else 0.0
        size = self.step_size(learning_rate, self.iterations + 1)
        slots = [self._slot(parameter) for parameter in parameters]
        flats = [slot.flatten(gradient) for slot, gradient in zip(slots, gradients, strict=True)]
        scale = 1.0
        if self.global_clipnorm:
            scale = _global_factor(sum(_squared_norm(room, flat) for flat in flats), self.global_clipnorm)
        for parameter, slot, flat in zip(parameters, slots, flats, strict=True):
            if self.clipnorm:
                scale = _factor(math.sqrt(_squared_norm(room, flat)), self.clipnorm)
            elif self.clipvalue:
                flat = flat.clip(-self.clipvalue, self.clipvalue)
            shrink = decay if decay and self._decays(parameter) else 0.0
            self.update(room, flat, scale, shrink, size, slot.flat_value, *slot.state)
            if parameter.constraint is not None:
                parameter.assign(parameter.constraint(parameter.value))
        self.iterations += 1

    def step_size(self, learning_rate: float, t: int) -> float:
        """The factor of the update in step t = 1, 2, …"""
        return learning_rate

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        """Change the flat `value` and the flat arrays of `state` in place; the gradient is still to be scaled by `scale`,
        the value to be shrunk by `decay` times itself."""
        raise NotImplementedError(f"{self.described}: update is not written")

    def exclude_from_weight_decay(self, var_list: Iterable[Parameter] | None = None,
                                  var_names: Iterable[str] | None = None) -> None:
        """Keep weight decay from these parameters, and from those whose name contains one of `var_names` ("bias")."""
        self._undecayed = (list(var_list or []), "|".join(var_names or []))

    def _decays(self, parameter: Parameter) -> bool:
        parameters, names = self._undecayed
        return not (any(parameter is other for other in parameters) or (names and re.search(names, parameter.name)))

    def uses(self, state_name: str) -> bool:
        """Whether the options chosen need this array."""
        return True

    def build(self, parameters: Iterable[Parameter]) -> None:
        """Make the state of these parameters now, not in the first step."""
        for parameter in parameters:
            self._slot(parameter)

    @property
    def variables(self) -> list[Any]:
        """Step count, learning rate (unless it is a schedule) and the state arrays in Keras' order; the state is live."""
        return self._variables_of(self._slots)

    def _variables_of(self, parameters: Iterable[Parameter]) -> list[Any]:
        slots = [(self._slot(parameter), parameter.shape) for parameter in parameters]
        index = {name: i for i, name in enumerate(name for group in self.state_names for name in group)}
        return self._head() + [slot.state[index[name]].reshape(shape) for group in self.state_names
                               for slot, shape in slots for name in group if self.uses(name)]

    def _head(self) -> list[np.ndarray]:
        """The step count and, unless it is a schedule, the learning rate."""
        rate = self._learning_rate
        return [np.array(self.iterations)] + ([] if callable(rate) else [np.array(rate, config.floatx())])

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set what `variables` lists.

        Raises:
            ValueError: another number of arrays or an array of another shape; parameters are known from the first step or
                from `build` on.
        """
        own = self.variables
        shapes, got = [v.shape for v in own], [np.shape(w) for w in weights]
        if shapes != got:
            raise ValueError(f"{self.described}: expected arrays of shapes {shapes}, got {got} (build(parameters) comes first)")
        self._set_variables(own, weights)

    def _set_variables(self, own: Sequence[Any], arrays: Sequence[Any]) -> None:
        """Set the step count, the learning rate, and as many of the live arrays as there are."""
        self.iterations = int(to_numpy(arrays[0]))
        if not callable(self._learning_rate):
            rate = np.asarray(to_numpy(arrays[1]))
            if np.array(self._learning_rate, rate.dtype) != rate:               # else it keeps all its digits
                self.learning_rate = float(rate)
        first = len(self._head())
        for variable, array in zip(own[first:], arrays[first:], strict=False):
            variable[...] = array

    def state_for(self, parameters: Sequence[Parameter]) -> list[np.ndarray]:
        """What a file keeps: `variables` for these parameters in this order; before the first step without any of theirs."""
        if not any(parameter in self._slots for parameter in parameters):
            parameters = []
        steps, *others = (np.array(to_numpy(variable)) for variable in self._variables_of(parameters))
        return [steps.astype("int32"), *others]         # as Keras has it

    def expected_state(self, parameters: Sequence[Parameter]) -> tuple[list[Any], list[Any]]:
        """(shape, kind of numbers) of the arrays of `state_for`: before the first step, and after it."""
        head = [(array.shape, array.dtype.kind) for array in self._head()]
        count = [sum(self.uses(name) for name in group) for group in self.state_names]
        return head, head + [(parameter.shape, "f") for n in count for parameter in parameters for _ in range(n)]

    def load_state(self, parameters: Sequence[Parameter], arrays: Sequence[np.ndarray]) -> None:
        """Set what `state_for` gave for these parameters; only arrays of `expected_state` may come."""
        self._slots.clear()
        whole = len(arrays) > len(self._head())
        self._set_variables(self._variables_of(parameters if whole else []), arrays)

    def _slot(self, parameter: Parameter) -> "_Slot":
        """What is kept for the parameter, its views fresh: Parameter.to and astype replace the arrays."""
        slot = self._slots.get(parameter)
        if slot is None:
            flat = np.zeros_like(parameter.value).ravel()
            slot = _Slot([flat.copy() if self.uses(name) else flat[:0] for group in self.state_names for name in group])
            self._slots[parameter] = slot
        if slot.value is not parameter.value or slot.gradient is not parameter.grad:
            slot.bind(parameter)
        return slot

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes this optimizer again, keyed as in Keras."""
        rate = self._learning_rate
        return {"name": self.name, "learning_rate": serialization.serialize(rate),
                "weight_decay": self.weight_decay, "clipnorm": self.clipnorm, "global_clipnorm": self.global_clipnorm,
                "clipvalue": self.clipvalue, "use_ema": False, "ema_momentum": self.ema_momentum,
                "ema_overwrite_frequency": self.ema_overwrite_frequency, "loss_scale_factor": None,
                "gradient_accumulation_steps": None}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Optimizer":
        """Make an optimizer from what `get_config` gave, ours or Keras'.

        Raises:
            ValueError: the learning rate is a schedule that is neither ours nor registered.
        """
        rate = serialization.deserialize_keras_object(config.get("learning_rate"))
        return cls(**config if rate is None else {**config, "learning_rate": rate})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, learning_rate={self._learning_rate}>"


class _Slot:
    """What an optimizer keeps for one parameter: its state, and flat views of its value and gradient."""

    def __init__(self, state: list[Any]) -> None:
        self.state = state
        self.value: Any = None
        self.gradient: Any = None
        self.flat_value: Any = None
        self.flat_gradient: Any = None

    def bind(self, parameter: Parameter) -> None:
        """Take views of the parameter's present arrays; the state follows to their device and dtype."""
        value, gradient = parameter.value, parameter.grad
        if not (value.flags.c_contiguous and gradient.flags.c_contiguous):
            raise ValueError(f"parameter {parameter.path!r}: expected a C-contiguous value, got strides {value.strides}")
        self.value, self.flat_value = value, value.reshape(-1)
        self.gradient, self.flat_gradient = gradient, gradient.reshape(-1)
        self.state = [_like(array, value) for array in self.state]

    def flatten(self, gradient: Any) -> Any:
        """The parameter's gradient, or another one, as a flat array like the value."""
        return self.flat_gradient if gradient is self.gradient else _like(gradient, self.value).ravel()

    def __getstate__(self) -> dict[str, Any]:
        return {**dict.fromkeys(vars(self)), "state": self.state}     # a copy's views would not be views of its value


def _like(array: Any, value: Any) -> Any:
    """The array in the dtype and memory of `value`."""
    if isinstance(value, np.ndarray):
        return to_numpy(array).astype(value.dtype, copy=False)
    import cupy
    return cupy.asarray(array, value.dtype)


def _penalised(parameter: Parameter) -> Any:
    if parameter.regularizer is None:
        return parameter.grad
    return parameter.grad + parameter.regularizer.gradient(parameter.value)


def clip_by_value(parameters: Iterable[Parameter], bound: float) -> None:
    """Bring every element of the gradients into [-bound, bound], in place.

    Raises:
        ValueError: a bound that is no number, or negative; so in the other two.
    """
    bound = number("clip_by_value", "bound", bound, 0, finite=False)
    for parameter in parameters:
        parameter.grad.clip(-bound, bound, out=parameter.grad)


def clip_by_norm(parameters: Iterable[Parameter], bound: float, device: str | None = None) -> None:
    """Shrink each gradient whose norm is over `bound` to that norm, in place."""
    bound = number("clip_by_norm", "bound", bound, 0, finite=False)
    for parameter in parameters:
        room = _room([parameter], device)
        parameter.grad *= _factor(math.sqrt(_squared_norm(room, parameter.grad.ravel())), bound)


def clip_by_global_norm(parameters: Iterable[Parameter], bound: float, device: str | None = None) -> float:
    """Shrink all gradients by one factor if the norm of all together is over `bound`, in place; returns that norm.

    A norm that is infinite or NaN makes every gradient NaN, as in Keras.
    """
    bound = number("clip_by_global_norm", "bound", bound, 0, finite=False)
    parameters = list(parameters)
    room = _room(parameters, device)
    total = sum(_squared_norm(room, parameter.grad.ravel()) for parameter in parameters)
    for parameter in parameters:
        parameter.grad *= _global_factor(total, bound)
    return math.sqrt(total)


def _room(parameters: list[Parameter], device: str | None) -> ModuleType:
    if device is None:
        on_host = not parameters or isinstance(parameters[0].value, np.ndarray)
        device = get_device() if on_host else "cuda"
    return kernels.get(device).optimizers


def _squared_norm(room: ModuleType, flat: Any) -> float:
    total = flat[:1].copy()
    room.squared_norm(flat, total)
    return float(total[0])


def _factor(norm: float, bound: float) -> float:
    return 1.0 if norm <= bound else bound / norm       # NaN stays NaN


def _global_factor(squared_norm: float, bound: float) -> float:
    norm = math.sqrt(squared_norm)
    return _factor(norm, bound) + (norm - norm)         # inf too makes NaN


class SGD(Optimizer):
    r"""Gradient descent, plain or with momentum.

        \theta = \theta - \eta g                    (1)
        u = \mu u - \eta g                          (2)   with momentum \mu, in place of (1)
        \theta = \theta + u                         (3)
        \theta = \theta + \mu u - \eta g            (4)   with nesterov, in place of (3)

    Arguments:
        learning_rate: \eta, 0.01 by default.
        momentum: \mu in [0, 1]; 0 is (1).
        nesterov: look ahead along u.
        Others as for `Optimizer`.

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", (1) to (4); there \theta
    is where we look from, here (as in Keras) where we look at.
    """

    state_names = (("momentum",),)

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.momentum = number(self.described, "momentum", momentum, 0, 1)
        self.nesterov = flag(self.described, "nesterov", nesterov)

    def uses(self, state_name: str) -> bool:
        return self.momentum != 0

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        if self.momentum == 0:
            room.sgd(gradient, scale, 0.0, decay, step_size, value)
        else:
            room.sgd_momentum(gradient, scale, decay, step_size, self.momentum, self.nesterov, *state, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class RMSprop(Optimizer):
    r"""Gradient descent with each step divided by the root of the gradient's mean square so far.

        v = \rho v + (1 - \rho) g^2                             (1)
        a = \rho a + (1 - \rho) g                               (2)   centered: v - a^2 is the variance; else a = 0
        u = \mu u + \eta g / \sqrt{v - a^2 + \epsilon}          (3)   \epsilon under the root, as in Keras
        \theta = \theta - u                                     (4)

    There is no correction for v starting at 0, so the first steps are about \sqrt{1 / (1 - \rho)} times too long.

    Arguments:
        learning_rate: \eta, 0.001 by default.
        rho: how much of the past the mean square keeps.
        momentum: \mu; 0 keeps no u.
        epsilon: keeps the division finite.
        centered: divide by the deviation, not the root mean square. Where rounding makes v - a^2 negative, it counts as 0
            (Keras gets NaN once it is below -\epsilon).
        Others as for `Optimizer`.

    Source: Tieleman and Hinton 2012, "Lecture 6.5: rmsprop"; (2) and the momentum: Graves 2013, "Generating sequences with
    recurrent neural networks", section 4.2.
    """

    state_names = (("velocity",), ("momentum",), ("average_gradient",))

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7,
                 centered: bool = False, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.rho = number(self.described, "rho", rho, 0, 1)
        self.momentum = number(self.described, "momentum", momentum, 0, 1)
        self.epsilon = number(self.described, "epsilon", epsilon, 0)
        self.centered = flag(self.described, "centered", centered)

    def uses(self, state_name: str) -> bool:
        return {"momentum": self.momentum > 0, "average_gradient": self.centered}.get(state_name, True)

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        room.rmsprop(gradient, scale, decay, step_size, self.rho, self.epsilon, self.momentum, self.centered, *state, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon,
                "centered": self.centered}


class Adam(Optimizer):
    r"""Steps by the gradient's mean over the root of its mean square, both corrected for starting at 0.

        m = m + (1 - \beta_1) (g - m)                                               (1)
        v = v + (1 - \beta_2) (g^2 - v)                                             (2)
        \alpha_t = \eta \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)                      (3)   in step t = 1, 2, …
        \theta = \theta - \alpha_t m / (\sqrt{v} + \epsilon)                        (4)

    With `amsgrad` (4) has the largest v so far in place of v. \epsilon stands outside the root, and the correction is in
    \alpha_t: the paper's "epsilon hat", end of its section 2.

    Arguments:
        learning_rate: \eta, 0.001 by default.
        beta_1, beta_2: how much of the past m and v keep, in [0, 1).
        epsilon: keeps the division finite.
        amsgrad: never let the step grow again.
        Others as for `Optimizer`.

    Source: Kingma and Ba 2015, "Adam: a method for stochastic optimization"; Reddi, Kale and Kumar 2018, "On the convergence of
    Adam and beyond".
    """

    state_names = (("momentum", "velocity"), ("velocity_hat",))

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
                 amsgrad: bool = False, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = number(self.described, "beta_1", beta_1, 0, 1, ")")
        self.beta_2 = number(self.described, "beta_2", beta_2, 0, 1, ")")
        self.epsilon = number(self.described, "epsilon", epsilon, 0)
        self.amsgrad = flag(self.described, "amsgrad", amsgrad)

    def uses(self, state_name: str) -> bool:
        return self.amsgrad or state_name != "velocity_hat"

    def step_size(self, learning_rate: float, t: int) -> float:
        return learning_rate * math.sqrt(1 - self.beta_2 ** t) / (1 - self.beta_1 ** t)     # (3)

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        room.adam(gradient, scale, 0.0, decay, step_size, self.beta_1, self.beta_2, self.epsilon, self.amsgrad, *state,
                  value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon,
                "amsgrad": self.amsgrad}


_OBJECTS = names(SGD, RMSprop, Adam)


def get(identifier: Any) -> Optimizer | None:
    """An optimizer from its name in any case ("adam"), its configuration, its class, or itself; None from None.

    Raises:
        ValueError: no such optimizer.
        TypeError: something else.
    """
    return _checked(lookup(identifier, _OBJECTS, "optimizer"))


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer as Keras' dictionary, from which `deserialize` makes it again (without its state)."""
    return serialization.serialize(optimizer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer | None:
    """Make an optimizer from {"class_name": …, "config": …}.

    Raises:
        ValueError: no such class.
    """
    return _checked(lookup(config, _OBJECTS, "optimizer", custom_objects))


def _checked(found: Any) -> Optimizer | None:
    if found is None or isinstance(found, Optimizer):
        return found
    raise TypeError(f"expected an optimizer (a name, a configuration or an object), got {found!r}")


__all__ = ["SGD", "Adam", "Optimizer", "RMSprop", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "deserialize", "get",
           "serialize"]
