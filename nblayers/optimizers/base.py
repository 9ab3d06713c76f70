"""What all optimizers do before and after their own rule: clipping, weight decay, accumulation, averages, constraints."""
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

import kernels
from nblayers import config, serialization
from nblayers.arguments import as_float, flag, integer, number, optional, text
from nblayers.devices import to_numpy
from nblayers.naming import NamesItself
from nblayers.optimizers.clipping import global_factor, norm_factor
from nblayers.optimizers.rooms import device_of, squared_norm
from nblayers.optimizers.schedules import LearningRateSchedule
from nblayers.parameter import Parameter


class Optimizer(NamesItself):
    r"""The class that all optimizers are made from.

    Before its own rule every optimizer does, in this order (g is the gradient, \theta the value, \eta the learning rate):

        g = \partial L / \partial \theta + \partial R(\theta) / \partial \theta         (1)  the data's, the regularizer's
        g = g \min(1, c / \lVert g \rVert)                                              (2)  clipnorm: for each parameter
                                                                                             global_clipnorm: all together
        g = \max(-c, \min(g, c))                                                        (3)  clipvalue
        \theta = \theta - \eta \lambda \theta                                           (4)  weight_decay \lambda

    and after it

        A = \mu A + (1 - \mu) \theta                                                    (5)  use_ema; A = \theta at first
        \theta = A                                                                      (6)  ema_overwrite_frequency

    and \theta becomes constraint(\theta). Only one of the three ways to clip may be chosen.

    Arguments:
        learning_rate: a number, or a schedule: called with the number of steps done so far, gives a number.
        weight_decay: \lambda above, apart from the gradient (Loshchilov and Hutter 2019).
        clipnorm, clipvalue, global_clipnorm: the bound c above.
        use_ema: keep a moving average A of the values; `finalize_variable_values`, which `fit` calls at its end, makes it the
            values.
        ema_momentum: \mu in (5).
        ema_overwrite_frequency: (6) after every so many steps; None for never.
        loss_scale_factor: what `scale_loss` multiplies by, and `apply` divides the gradients by. `fit` and `step` leave it
            out: their gradients are of the loss as it is, and single precision has no need of a larger one.
        gradient_accumulation_steps: k; only each k-th step changes the values, by the mean of its gradient and of the k - 1
            before it. A schedule counts all steps, bias corrections and `ema_overwrite_frequency` each k-th, and (5) is done
            in all of them, as in Keras.
        name: by default the class's in snake_case, numbered.

    An optimizer of your own declares `state_names` and writes `update`.

    Raises:
        ValueError: an option out of range, or two ways to clip.
        TypeError: an argument that the optimizer does not know.
    """

    # the arrays kept for each parameter, in the order in which `update` gets them; grouped as Keras lists its variables
    state_names: ClassVar[tuple[tuple[str, ...], ...]] = ()

    _learning_rate: Any                 # a number or a schedule

    def __init__(self, learning_rate: Any = 0.001, weight_decay: float | None = None, clipnorm: float | None = None,
                 clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
                 ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
                 loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
                 name: str | None = None, **legacy: Any) -> None:
        if name is None:
            from nblayers.layers.base import auto_name
            name = auto_name(type(self).__name__)
        self.name = text(type(self).__name__, "name", name)
        chosen = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        chosen = {argument: value for argument, value in chosen.items() if value is not None}
        if len(chosen) > 1:
            raise ValueError(f"{self.described}: expected only one of clipnorm, clipvalue and global_clipnorm, got {chosen}")
        self._set_learning_rate(legacy.pop("lr", learning_rate))
        if legacy.pop("decay", None) is not None:
            warnings.warn(f"{self.described}: decay is ignored, as in Keras 3: pass a schedule as learning_rate", stacklevel=3)
        if legacy:
            raise TypeError(f"{self.described}: unknown argument {', '.join(map(repr, legacy))}")
        self.weight_decay = optional(number, self.described, "weight_decay", weight_decay, 0)
        self.clipnorm = optional(number, self.described, "clipnorm", clipnorm, 0, finite=False)
        self.clipvalue = optional(number, self.described, "clipvalue", clipvalue, 0, finite=False)
        self.global_clipnorm = optional(number, self.described, "global_clipnorm", global_clipnorm, 0, finite=False)
        self.use_ema = flag(self.described, "use_ema", use_ema)
        self.ema_momentum = number(self.described, "ema_momentum", ema_momentum, 0, 1)
        self.ema_overwrite_frequency = optional(integer, self.described, "ema_overwrite_frequency", ema_overwrite_frequency, 1)
        self.loss_scale_factor = optional(number, self.described, "loss_scale_factor", loss_scale_factor, 0, open="(")
        self.gradient_accumulation_steps = optional(integer, self.described, "gradient_accumulation_steps",
                                                    gradient_accumulation_steps, 2)
        self._iterations = 0            # steps with a gradient, those that only accumulate it included
        self._slots: dict[Parameter, _Slot] = {}
        self._undecayed: tuple[list[Parameter], str] = ([], "")
        self._is_swapped = False        # the averages are in the values' place, and these in theirs

    @property
    def described(self) -> str:
        """Class and name, as every error message opens."""
        return f"{type(self).__name__} {self.name!r}"

    @property
    def iterations(self) -> int:
        """How often the values were changed."""
        return self._iterations // (self.gradient_accumulation_steps or 1)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step; may be set: to a schedule, or to a number if it is no `LearningRateSchedule`."""
        rate = self._learning_rate
        if not callable(rate):
            return rate
        value = rate(self._iterations) if self._takes_step else rate()
        return number(self.described, "what the schedule gives as learning_rate", value)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._set_learning_rate(value)

    def _set_learning_rate(self, value: Any) -> None:
        if callable(value) and not inspect.isclass(value):
            self._takes_step = bool(inspect.signature(value).parameters)
        elif not math.isfinite(as_float(value)):
            raise ValueError(f"{self.described}: expected learning_rate to be a number or a schedule, got {value!r}")
        elif isinstance(getattr(self, "_learning_rate", None), LearningRateSchedule):
            raise TypeError(f"{self.described}: its learning_rate is a schedule, {type(self._learning_rate).__name__}, and "
                            f"cannot be set to {value!r}: make the optimizer with a number, or set another schedule")
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

        With `loss_scale_factor` they are the gradients of the scaled loss.

        Arguments:
            grads: an array or None for each parameter.
            trainable_variables: the parameters; by default those of `build`.

        Raises:
            ValueError: another number of gradients than of parameters, a gradient of another shape, or none at all.
        """
        parameters = self._known if trainable_variables is None else trainable_variables
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
        self._apply([gradient for gradient, _ in pairs], [parameter for _, parameter in pairs], device,
                    1 / self._loss_scale)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Parameter]], device: str | None = None) -> int:
        """The same from pairs (gradient, parameter); returns `iterations`."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [parameter for _, parameter in pairs], device)
        return self.iterations

    def scale_loss(self, loss: Any) -> Any:
        """The loss, or its gradient, times `loss_scale_factor`, before a backward whose gradients `apply` gets."""
        return loss if self._loss_scale == 1 else loss * self._loss_scale

    @property
    def _loss_scale(self) -> float:
        """How much larger the gradients that `apply` gets are than those of the loss."""
        return self.loss_scale_factor or 1

    def finalize_variable_values(self, var_list: Iterable[Parameter]) -> None:
        """With `use_ema` make the averages the values (of those parameters that a step has seen); without it nothing.

        Raises:
            ValueError: no step has seen any of them.
        """
        if not self.use_ema:
            return
        if self._is_swapped:
            self.swap_averages()
        parameters = list(var_list)
        known = [parameter for parameter in parameters if parameter in self._slots]
        if parameters and not known:
            paths = ", ".join(parameter.path for parameter in parameters)
            raise ValueError(f"{self.described}: expected parameters that its steps have changed, got {paths}")
        for parameter in known:
            parameter.assign(self._slot(parameter).shaped("average"))

    def stepping(self) -> list["Optimizer"]:
        """The optimizers that do the steps: itself, or those inside of it."""
        return [self]

    def averaging(self) -> list["Optimizer"]:
        """Those of them that keep averages of the values."""
        return [each for each in self.stepping() if each.use_ema]

    def swap_averages(self) -> None:
        """With `use_ema` put the averages in the place of the values and the values in theirs; the next call puts both back.

        Between the two no step may be done. `finalize_variable_values` puts them back by itself.
        """
        for parameter in self._slots:
            average = self._slot(parameter).shaped("average")
            value = parameter.value.copy()
            parameter.assign(average)
            average[...] = value
        self._is_swapped = not self._is_swapped

    @property
    def is_swapped(self) -> bool:
        """Whether `swap_averages` has put averages in the place of the values."""
        return self._is_swapped

    @is_swapped.setter
    def is_swapped(self, value: bool) -> None:
        self._is_swapped = value

    def _apply(self, gradients: list[Any], parameters: list[Parameter], device: str | None, scale: float = 1.0) -> None:
        if not parameters:
            return
        if self._is_swapped:
            raise RuntimeError(f"{self.described}: a step was asked for while the averages are in the values' place: put them "
                               "back before (SwapEMAWeights does so at the end of an evaluation, and at the begin of an epoch)")
        room = kernels.get(device_of(parameters, device))
        slots = [self._slot(parameter) for parameter in parameters]
        flats = [slot.flatten(gradient) for slot, gradient in zip(slots, gradients, strict=True)]
        steps = self.gradient_accumulation_steps or 1
        is_due = (self._iterations + 1) % steps == 0
        learning_rate = self.learning_rate if is_due else 0.0           # what may raise comes before anything is changed
        size = self.step_size(learning_rate, self.iterations + 1) if is_due else None
        if steps > 1:
            for slot, flat in zip(slots, flats, strict=True):
                room.optimizers.accumulate(flat, scale, slot.accumulated)
            flats, scale = [slot.accumulated for slot in slots], 1 / steps
        if is_due:
            self._change(room, parameters, slots, flats, scale, learning_rate, size)
            for flat in flats if steps > 1 else ():
                flat.fill(0)
        if self.use_ema:
            self._average(room)
        for parameter in parameters:
            if parameter.constraint is not None:
                parameter.assign(parameter.constraint(parameter.value))
        self._iterations += 1

    def _change(self, room: ModuleType, parameters: list[Parameter], slots: list["_Slot"], flats: list[Any],
                scale: float, learning_rate: float, size: Any) -> None:
        """Change the values by `scale` times the flat gradients, clipped."""
        scales = self._scales(room.optimizers, flats, scale)
        for parameter, slot, flat, scale in zip(parameters, slots, flats, scales, strict=True):
            if self.clipvalue:
                flat, scale = (scale * flat).clip(-self.clipvalue, self.clipvalue), 1.0             # (3)
            decay = self._decay_of(parameter)
            shrink = decay * learning_rate if decay and self._decays(parameter) else 0.0            # (4)
            self._change_one(room, parameter, slot, flat, scale, shrink, size)

    def _scales(self, room: ModuleType, flats: list[Any], scale: float) -> list[float]:
        """The factor of each gradient: `scale`, and that of its norm or the norm of all."""
        if self.global_clipnorm:
            total = scale ** 2 * sum(squared_norm(room, flat) for flat in flats)
            return [scale * global_factor(total, self.global_clipnorm)] * len(flats)                # (2)
        if self.clipnorm:
            return [scale * norm_factor(scale * math.sqrt(squared_norm(room, flat)), self.clipnorm) for flat in flats]
        return [scale] * len(flats)

    def _decay_of(self, parameter: Parameter) -> float | None:
        """The weight decay of this parameter, if it is not left out."""
        return self.weight_decay

    def _change_one(self, room: ModuleType, parameter: Parameter, slot: "_Slot", gradient: Any, scale: float, decay: float,
                    step_size: Any) -> None:
        """One parameter's `update`; an optimizer that has to know its shape or name overrides this instead."""
        self.update(room.optimizers, gradient, scale, decay, step_size, slot.flat_value, *slot.state)

    def _average(self, room: ModuleType) -> None:
        """(5) and (6) for all parameters that a step has seen."""
        momentum = self.ema_momentum if self.iterations else 0.0
        every = self.ema_overwrite_frequency
        overwrite = every is not None and (self.iterations + 1) % every == 0
        for parameter in self._slots:
            slot = self._slot(parameter)
            room.optimizers.moving_average(momentum, overwrite, slot.average, slot.flat_value)

    def step_size(self, learning_rate: float, t: int) -> Any:
        """What `update` gets as `step_size` in step t = 1, 2, …: the factor of the update, or several numbers."""
        return learning_rate

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: Any, value: Any,
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

    def initial_state(self, state_name: str, parameter: Parameter) -> tuple[tuple[int, ...], Any] | None:
        """Shape and first contents (a number, or an array) of this array; None for a parameter that needs none."""
        return (parameter.shape, 0.0) if self.uses(state_name) else None

    def build(self, parameters: Iterable[Parameter]) -> None:
        """Make the state of these parameters now, not in the first step."""
        for parameter in parameters:
            self._slot(parameter)

    @property
    def built(self) -> bool:
        """Whether it has a state: after the first step, or `build`."""
        return bool(self._known)

    @property
    def _known(self) -> Iterable[Parameter]:
        """The parameters that it has a state for, in the order in which it met them."""
        return self._slots

    def assign(self, variable: Any, value: Any) -> None:
        """Set a parameter, or one of the live arrays of `variables`, to these numbers."""
        if isinstance(variable, Parameter):
            variable.assign(value)
        else:
            variable[...] = value

    @property
    def variables(self) -> list[Any]:
        """Step count, learning rate (unless it is a schedule) and the state arrays in Keras' order; the state is live."""
        return self._variables_of(self._slots)

    @property
    def variable_names(self) -> list[str]:
        """What `variables` are, as Keras names them: "iteration", "learning_rate", "dense_kernel_momentum" …"""
        head = ["iteration", "learning_rate"][:len(self._head())]
        of_parameters = [f"{parameter.path.replace('/', '_')}_{name}" for parameter, name in self._order(self._slots)]
        return head + of_parameters + [name for name, _ in self._shared_state()]

    def _variables_of(self, parameters: Iterable[Parameter]) -> list[Any]:
        arrays = [self._slot(parameter).shaped(name) for parameter, name in self._order(parameters)]
        return self._head() + arrays + [array for _, array in self._shared_state()]

    def _order(self, parameters: Iterable[Parameter]) -> list[tuple[Parameter, str]]:
        """The pairs (parameter, name of an array of its) in the order in which Keras makes its variables."""
        parameters = list(parameters)
        before = [(name,) for name, used in _BEFORE.items() if used(self)]
        return [(parameter, name) for group in (*before, *self.state_names) for parameter in parameters for name in group
                if name in _BEFORE or self.initial_state(name, parameter) is not None]

    def _head(self) -> list[np.ndarray]:
        """The step count and, unless it is a schedule, the learning rate."""
        rate = self._learning_rate
        return [np.array(self._iterations)] + ([] if callable(rate) else [np.array(rate, config.floatx())])

    def _shared_state(self) -> list[tuple[str, Any]]:
        """Names and live arrays of what is no parameter's own."""
        return []

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
        self._iterations = int(to_numpy(arrays[0]))
        if not callable(self._learning_rate):
            rate = np.asarray(to_numpy(arrays[1]))
            if np.array(self._learning_rate, rate.dtype) != rate:               # else it keeps all its digits
                self.learning_rate = float(rate)
        first = len(self._head())
        for variable, array in zip(own[first:], arrays[first:], strict=False):
            variable[...] = array

    def state_for(self, parameters: Sequence[Parameter]) -> list[np.ndarray]:
        """What a file keeps: `variables` for these parameters in this order; before the first step without any of theirs."""
        known = any(parameter in self._slots for parameter in parameters)
        steps, *others = self._variables_of(parameters) if known else self._head()
        return [np.array(steps, np.int32), *(np.array(to_numpy(array)) for array in others)]       # int32 as in Keras

    def inner_places(self, parameters: Sequence[Parameter]) -> list[tuple[str, "Optimizer", list[Parameter]]]:
        """The optimizers inside of this one: where their states lie in a file, themselves, and those of the parameters that
        are theirs."""
        return []

    def expected_state(self, parameters: Sequence[Parameter]) -> tuple[list[Any], list[Any]]:
        """(shape, kind of numbers) of the arrays of `state_for`: before the first step, and after it."""
        head = [(array.shape, array.dtype.kind) for array in self._head()]
        own = [self._first_contents(name, parameter) for parameter, name in self._order(parameters)]
        shared = [(array.shape, array.dtype.kind) for _, array in self._shared_state()]
        return head, head + [(shape, "i" if isinstance(contents, int) else "f") for shape, contents in own] + shared

    def check_state(self, parameters: Sequence[Parameter], arrays: Sequence[np.ndarray]) -> None:
        """See that the step count and the learning rate among these arrays of `expected_state` can be.

        Raises:
            ValueError: a negative or infinite one, or NaN.
        """
        head = arrays[:len(self._head())]
        if head[0] < 0 or not all(np.isfinite(array) for array in head):
            raise ValueError(f"expected the optimizer's step count and learning rate as finite numbers, got {head}")

    def load_state(self, parameters: Sequence[Parameter], arrays: Sequence[np.ndarray]) -> None:
        """Set what `state_for` gave for these parameters; only arrays of `expected_state` may come."""
        self._slots.clear()
        self._is_swapped = False
        whole = len(arrays) > len(self._head())
        self._set_variables(self._variables_of(parameters) if whole else self._head(), arrays)

    def _slot(self, parameter: Parameter) -> "_Slot":
        """What is kept for the parameter, its views fresh: Parameter.to and astype replace the arrays."""
        slot = self._slots.get(parameter)
        if slot is None:
            names = [name for group in self.state_names for name in group]
            before = [name for name, used in _BEFORE.items() if used(self)]
            first = {name: self._first_contents(name, parameter) for name in before + names}
            slot = self._slots[parameter] = _Slot(first, names, parameter.value)
        if slot.value is not parameter.value or slot.gradient is not parameter.grad:
            slot.bind(parameter)
        return slot

    def _first_contents(self, name: str, parameter: Parameter) -> Any:
        if name in _BEFORE:
            return parameter.shape, parameter.value if name == "average" else 0.0
        return self.initial_state(name, parameter)

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes this optimizer again, keyed as in Keras."""
        rate = self._learning_rate
        return {"name": self.name, "learning_rate": serialization.serialize(rate),
                "weight_decay": self.weight_decay, "clipnorm": self.clipnorm, "global_clipnorm": self.global_clipnorm,
                "clipvalue": self.clipvalue, "use_ema": self.use_ema, "ema_momentum": self.ema_momentum,
                "ema_overwrite_frequency": self.ema_overwrite_frequency, "loss_scale_factor": self.loss_scale_factor,
                "gradient_accumulation_steps": self.gradient_accumulation_steps}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "Optimizer":
        """Make an optimizer from what `get_config` gave, ours or Keras'.

        Arguments:
            custom_objects: your own schedules by name, beside the registered ones.

        Raises:
            ValueError: the learning rate is a schedule that is neither ours nor registered.
        """
        rate = serialization.deserialize_keras_object(config.get("learning_rate"), custom_objects)
        return cls(**config if rate is None else {**config, "learning_rate": rate})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, learning_rate={self._learning_rate}>"


# kept before the rule's own arrays, and when
_BEFORE: dict[str, Callable[[Optimizer], Any]] = {
    "average": lambda optimizer: optimizer.use_ema,
    "gradient_accumulator": lambda optimizer: optimizer.gradient_accumulation_steps}


class _Slot:
    """What an optimizer keeps for one parameter: its state, and flat views of its value and gradient.

    Attributes:
        arrays: flat, by name, those that the options do without empty.
        state: of these the rule's own, in its order.
    """

    def __init__(self, first: dict[str, Any], names: list[str], value: Any) -> None:
        self.names = names
        self.shapes: dict[str, tuple[int, ...]] = {name: (0,) if of is None else of[0] for name, of in first.items()}
        self.arrays = {name: _filled(of or ((0,), 0.0), value) for name, of in first.items()}
        self.value: Any = None
        self.gradient: Any = None
        self.flat_value: Any = None
        self.flat_gradient: Any = None
        self.state: list[Any] = []

    @property
    def average(self) -> Any:
        """The moving average of the values."""
        return self.arrays["average"]

    @property
    def accumulated(self) -> Any:
        """The sum of the gradients that were not used yet."""
        return self.arrays["gradient_accumulator"]

    def shaped(self, name: str) -> Any:
        """A view of one array in its shape."""
        return self.arrays[name].reshape(self.shapes[name])

    def bind(self, parameter: Parameter) -> None:
        """Take views of the parameter's present arrays; the state follows to their device and dtype."""
        value, gradient = parameter.value, parameter.grad
        if not (value.flags.c_contiguous and gradient.flags.c_contiguous):
            raise ValueError(f"parameter {parameter.path!r}: expected a C-contiguous value, got strides {value.strides}")
        self.value, self.flat_value = value, value.reshape(-1)
        self.gradient, self.flat_gradient = gradient, gradient.reshape(-1)
        self.arrays = {name: array if array.dtype.kind == "i" else _like(array, value) for name, array in self.arrays.items()}
        self.state = [self.arrays[name] for name in self.names]

    def flatten(self, gradient: Any) -> Any:
        """The parameter's gradient, or another one, as a flat array like the value."""
        return self.flat_gradient if gradient is self.gradient else _like(gradient, self.value).ravel()

    def __getstate__(self) -> dict[str, Any]:
        kept = {"names": self.names, "shapes": self.shapes, "arrays": self.arrays}
        return {**dict.fromkeys(vars(self)), **kept}            # a copy's views would not be views of its value


def _filled(first: tuple[tuple[int, ...], Any], value: Any) -> Any:
    """A flat array of these first contents in the memory and dtype of `value`; of integers where they are one."""
    shape, contents = first
    array = np.zeros_like(value, shape=shape, dtype=np.int32 if isinstance(contents, int) else None)
    array[...] = contents
    return array.reshape(-1)


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
