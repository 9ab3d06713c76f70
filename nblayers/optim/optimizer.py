"""What PyTorch's optimizers have in common: groups of parameters, and a state for each parameter."""
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from nblayers.arguments import as_float, flag, integer, number
from nblayers.arrays import as_numbers
from nblayers.devices import to_numpy
from nblayers.naming import NamesItself
from nblayers.optimizers.base import _like, _penalised
from nblayers.optimizers.rooms import room_of
from nblayers.parameter import Parameter


class Optimizer(NamesItself):
    r"""The class that PyTorch's optimizers are made from.

    Before its own rule every optimizer does (g is the gradient, \theta the value, \lambda `weight_decay`)

        g = \partial L / \partial \theta + \partial R(\theta) / \partial \theta         (1)  the data's, a regularizer's
        g = -g                                                                          (2)  with `maximize`
        g = g + \lambda \theta                                                          (3)  AdamW: see there

    and after it \theta becomes constraint(\theta), where the parameter has one.

    A parameter's gradient is never None here. One that no backward has reached has the gradient 0, and its momentum and weight
    decay go on; PyTorch passes it over where its gradient is None. What is not trainable is passed over.

    Arguments:
        params: parameters; or pairs (name, parameter); or dictionaries, each a group: {"params": [...], "lr": 0.01}.
        defaults: the options of groups that do not name their own.

    Attributes:
        param_groups: a dictionary for each group, with its "params" and its options; may be changed between steps.
        state: by parameter a dictionary of what is kept for it, under PyTorch's names; the arrays are live.
        defaults: the options given.

    An optimizer of your own lists `state_names` and writes `update`.

    Raises:
        TypeError: params that are no parameters, groups or pairs.
        ValueError: no parameters, one in two groups, a group without "params", an option out of range.
    """

    state_names: ClassVar[tuple[str, ...]] = ()                 # of the arrays kept for each parameter
    counts_steps: ClassVar[bool] = False                        # whether "step" stands beside them

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Parameter, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._has_stepped = False                               # a scheduler that steps first warns
        self.check(defaults)
        if isinstance(params, (Parameter, Mapping, str)):
            raise TypeError(f"{self.described}: expected params as a list of parameters or of groups, got {params!r}")
        given = list(params)
        if not given:
            raise ValueError(f"{self.described}: expected at least one parameter, got none (a layer that makes its weights in "
                             "its first call has them after that, or after build(input_shape))")
        groups = given if isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    @property
    def described(self) -> str:
        """The class, as every error message opens."""
        return type(self).__name__

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters, with options of their own: {"params": [...], "lr": 0.01}.

        Raises:
            TypeError, ValueError: as for the class; nothing is added then.
        """
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(f"{self.described}: expected a group as a dictionary with 'params', got {param_group!r}")
        given = param_group["params"]
        if isinstance(given, (set, str)):
            raise TypeError(f"{self.described}: expected parameters in an order, got {type(given).__name__}")
        listed = [given] if isinstance(given, Parameter) else list(given)
        group = {**self.defaults, **param_group, "params": listed}
        if listed and isinstance(listed[0], tuple):
            group["param_names"], group["params"] = [list(column) for column in zip(*listed, strict=True)]
        self._check_parameters(group["params"])
        self.check(group)
        self.param_groups.append(group)

    def _check_parameters(self, parameters: list[Any]) -> None:
        known = {id(parameter) for parameter in self._parameters()}
        for parameter in parameters:
            if not isinstance(parameter, Parameter):
                raise TypeError(f"{self.described}: expected params to be weights of a layer, got {parameter!r}")
            if parameter.dtype not in ("float32", "float64"):
                raise ValueError(f"{self.described}: expected floating parameters, got {parameter!r}")
            if id(parameter) in known:
                raise ValueError(f"{self.described}: parameter {parameter.path!r} was given twice")
            known.add(id(parameter))

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise a ValueError that names the option which is out of range; an optimizer of your own adds its options'."""
        number(self.described, "lr", options["lr"], 0)
        number(self.described, "weight_decay", options.get("weight_decay", 0), 0)
        flag(self.described, "maximize", options.get("maximize", False))
        if options.get("differentiable"):
            raise ValueError(f"{self.described}: differentiable=True is not supported: nothing here differentiates a step")

    def _parameters(self) -> list[Parameter]:
        """All parameters, in the order in which `state_dict` numbers them."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set all gradients to zero; `set_to_none` is accepted as in PyTorch, and a gradient is zero in either case."""
        flag(self.described, "set_to_none", set_to_none)
        for parameter in self._parameters():
            parameter.zero_grad()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the values of all trainable parameters by their `grad`, which is left as it is.

        Arguments:
            closure: called first, if given: it computes the loss and the gradients again.

        Returns:
            what `closure` gave, or None.
        """
        loss = None if closure is None else closure()
        for group in self.param_groups:
            self.check(group)
            trainable = [parameter for parameter in group["params"] if parameter.trainable]
            room = room_of(trainable, None)
            for parameter in trainable:
                self._step_of(parameter, group, room)
        self._has_stepped = True
        return loss

    def _step_of(self, parameter: Parameter, group: dict[str, Any], room: ModuleType) -> None:
        value, gradient = parameter.value, _penalised(parameter)                            # (1)
        if not (value.flags.c_contiguous and gradient.flags.c_contiguous):
            raise ValueError(f"parameter {parameter.path!r}: expected a C-contiguous value, got strides {value.strides}")
        state = self.state[parameter]
        is_first = not state
        if self.counts_steps:
            state["step"] = state.get("step", 0) + 1
        arrays = [self._array(state, name, group, value) for name in self.state_names]
        scale = -1.0 if group.get("maximize") else 1.0                                      # (2)
        t = 1 if is_first else state.get("step", 2)
        self.update(room, group, t, gradient.reshape(-1), scale, value.reshape(-1), *arrays)
        if parameter.constraint is not None:
            parameter.assign(parameter.constraint(parameter.value))

    def _array(self, state: dict[str, Any], name: str, group: dict[str, Any], value: Any) -> Any:
        """The flat array of this name, made if it is not there; an empty one where the options need none."""
        if not self.uses(name, group):
            return value.reshape(-1)[:0]
        if name not in state:
            state[name] = np.full_like(value, self.initial(group))
        elif state[name].dtype != value.dtype or type(state[name]) is not type(value):      # after Parameter.to or astype
            state[name] = _like(state[name], value)
        return state[name].reshape(-1)

    def uses(self, name: str, group: Mapping[str, Any]) -> bool:
        """Whether the options chosen need the array of this name."""
        return True

    def initial(self, group: Mapping[str, Any]) -> float:
        """What the arrays are filled with before the first step."""
        return 0.0

    def update(self, room: ModuleType, group: dict[str, Any], t: int, gradient: Any, scale: float, value: Any,
               *state: Any) -> None:
        """Change the flat `value` and the flat arrays of `state_names` in place.

        The gradient is still to be multiplied by `scale`, which is (2), and (3) still to be done. t = 1, 2, … is the step;
        where none are counted it is 1 in the first and 2 in all others.
        """
        raise NotImplementedError(f"{self.described}: update is not written")

    @staticmethod
    def numbers(group: Mapping[str, Any], *names: str) -> list[float]:
        """These options as floats, whatever numbers they are: a kernel is compiled for one kind."""
        return [as_float(group[name]) for name in names]

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later `load_state_dict` needs to go on, as PyTorch arranges it; arrays are copies.

        {"state": {0: {"step": …, "exp_avg": …}, …}, "param_groups": [{"lr": …, "params": [0, …]}, …]}: the parameters are
        numbered in their order.
        """
        numbered = {id(parameter): n for n, parameter in enumerate(self._parameters())}
        groups = [{**group, "params": [numbered[id(parameter)] for parameter in group["params"]]}
                  for group in self.param_groups]
        state = {numbered[id(parameter)]: {name: _saved(name, kept) for name, kept in state.items()}
                 for parameter, state in self.state.items() if state}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take on what `state_dict` gave, ours or PyTorch's (arrays or tensors): the state, and the options of the groups.

        The parameters stay those of this optimizer; what the saved groups' options leave out keeps its default.

        Raises:
            ValueError: other groups, other numbers of parameters, arrays of other names or shapes, an option out of range;
                the optimizer stays as it was.
        """
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(f"{self.described}: expected a dictionary with 'state' and 'param_groups', "
                             f"got {repr(state_dict)[:200]}")
        saved = state_dict["param_groups"]
        sizes, own = [len(group["params"]) for group in saved], [len(group["params"]) for group in self.param_groups]
        if sizes != own:
            raise ValueError(f"{self.described}: expected groups of {own} parameters, got {sizes}")
        groups = [{**self.defaults, **loaded, "params": group["params"]}
                  for loaded, group in zip(saved, self.param_groups, strict=True)]
        for group in groups:
            self.check(group)
        keys = [key for group in saved for key in group["params"]]
        parameters = dict(zip(keys, self._parameters(), strict=True))
        if unknown := [key for key in state_dict["state"] if key not in parameters]:
            raise ValueError(f"{self.described}: expected a state for parameters among {keys}, got {unknown}")
        states = {parameters[key]: self._loaded(key, state, parameters[key]) for key, state in state_dict["state"].items()}
        self.param_groups[:] = groups
        self.state = defaultdict(dict, states)

    def _loaded(self, key: Any, state: Mapping[str, Any], parameter: Parameter) -> dict[str, Any]:
        """The state of one parameter, checked; arrays are copies in the dtype and memory of its value."""
        who = f"{self.described}: the state of parameter {key!r}"
        loaded: dict[str, Any] = {}
        for name, value in state.items():
            if value is None:                                   # PyTorch's momentum_buffer before the first step
                continue
            if name == "step" and self.counts_steps:
                loaded[name] = integer(who, name, int(as_numbers(value, who, name)), 0)
                continue
            if name not in self.state_names:
                raise ValueError(f"{who}: expected {', '.join(self.state_names) or 'nothing'}, got {name!r}")
            array = as_numbers(value, who, name)
            if array.shape != parameter.shape:
                raise ValueError(f"{who}: expected {name} of shape {parameter.shape}, got {array.shape}")
            loaded[name] = _like(array.copy(), parameter.value)
        return loaded

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for n, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {n}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def _saved(name: str, kept: Any) -> Any:
    return np.array(kept, np.float32) if name == "step" else to_numpy(kept).copy()
