"""The base of every layer (document 001, section 1): weights, building, checking, configuration.

A layer of your own needs no more than this:

    class Scale(Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

        def forward(self, x):
            self.cache = x
            return x * self.scale.value

        def backward(self, dy):
            self.scale.grad += (dy * self.cache).sum(axis=0)
            return dy * self.scale.value
"""
import functools
import inspect
import math
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from types import ModuleType
from typing import Any, dataclass_transform

import numpy as np

import kernels
from nblayers import config
from nblayers.arguments import flag, found, integer, optional, sizes, text
from nblayers.arrays import as_array, as_numbers, as_rows
from nblayers.devices import array_module, get_device, to_numpy
from nblayers.layers import limits
from nblayers.layers.captured import keeps_arguments, not_taken, plain_arguments
from nblayers.layers.input_spec import InputSpec
from nblayers.locks import Lock
from nblayers.naming import NamesItself, snake_case
from nblayers.parameter import Parameter
from nblayers.structures import Shape, are_shapes, is_shape


@dataclass_transform(eq_default=False)
class Record:
    """The base of a layer's `cache`: a named record of what `backward` needs, its fields the symbols of the formula.

    A subclass lists its fields as a dataclass does; `forward` makes a new one at each call, `backward` only reads it.
    """

    _outputs: Any = None                # shapes of forward's outputs, against which backward checks dy
    _penalised: Any = None              # forward's output, where an activity regularizer needs it again

    def __init_subclass__(cls) -> None:
        dataclass(eq=False)(cls)


class ThreadState:
    """What belongs to one thread's calls of a layer: other threads that call the layer have their own.

    Attributes:
        running, building: whether the layer's forward or backward, or its build, is under way.
        cache: what the last forward left for backward, or None.
        last_call: for a cache that is no `Record`: the cache, the shapes of the outputs, and the outputs where penalised.
        losses: what `add_loss` and the activity regularizer gave in the last call.
        input_gradient: see `Layer.input_gradient`.
        fitting: shape, dtype and `input_spec` of the last array that fitted as it was: the next like it needs no look.
        turned: a recurrent layer leaves its outputs in the reverse of the order walked.
        masks: the dropout masks that a cell has drawn for the sequence it is in, or None.
        tell: of a model's graph: is told the number of each call whose backward is done, or None.
    """

    running = building = False
    cache: Any = None
    last_call: tuple[Any, Any, Any] | None = None
    input_gradient = True
    fitting: tuple[Any, ...] | None = None
    turned = False
    masks: Any = None
    tell: Callable[[int], None] | None = None

    def __init__(self) -> None:
        self.losses: list[float] = []

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Forwards inside leave no trace."""
        kept = self.cache, self.last_call, list(self.losses)
        try:
            yield
        finally:
            self.cache, self.last_call, self.losses[:] = kept


class _NotMade:
    """Stands in the class `Layer` for what its `__init__` gives to each layer."""

    def __get__(self, layer: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__}: its __init__ must call super().__init__() first")


class _ThreadStates(threading.local):
    """A `ThreadState` for each thread that asks, as `state`; a copy of a layer begins afresh."""

    def __init__(self) -> None:
        self.state = ThreadState()

    def __reduce__(self) -> tuple[Any, ...]:
        return _ThreadStates, ()


class _Calls(threading.local):
    """What holds for all calls inside the one that this thread is in."""

    training: bool | None = None        # what was said of `training`; None where nothing was
    watch: Any = None                   # the `nblayers.trace` that records this thread's calls, or None


calls = _Calls()
_DTYPES = {"float32": np.dtype("float32"), "float64": np.dtype("float64")}
_building = Lock()                      # of several threads that call a new layer, one builds it


def by_looks(method: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a `_to_array` or `_check_inputs` to which one array of the layer's dtype is like any other of its shape."""
    vars(method)["by_looks"] = True
    return method


class Layer(NamesItself):
    """The class that all layers are made from.

    Several threads may call `forward` of one layer, and `predict` of one model, at the same time: each has a `cache`, `losses`
    and `input_gradient` of its own. Weights and their gradients are everybody's.

    Arguments:
        activity_regularizer: penalty on the output, divided by the batch size; added to `losses`.
        trainable: whether an optimizer may change the weights.
        dtype: "float32" (default) or "float64": what weights and results are computed in.
        autocast: whether floating inputs are cast to `dtype`.
        name: the layer's name; by default the class's in snake_case, numbered.
        input_shape, batch_input_shape, input_dim, input_length, batch_size: Keras 2's ways to declare the input.

    Raises:
        TypeError: an argument that the layer does not know.

    Source: document 001, section 1.
    """

    supports_masking = False            # a mask that comes in goes on to the next layer
    masks_steps = False                 # its mask is (batch, time): tells which steps of a sample are real
    integer_inputs = False              # integers stay integers (token ids); else they are cast to `dtype`
    zero_at_kinks = False               # its gradient is 0 at x = 0, as Keras', though the slopes on both sides are not
    input_spec: InputSpec | list[InputSpec] | None = None
    follows_training = False            # told nothing of `training`, it has a mode of its own: see `nn.Module`
    single_values = False               # an input without axes is one value, and has no samples to count
    shape_by_running = False            # a symbolic call asks `_shapes_for` for the outputs' shapes, not compute_output_shape
    input_dtype: str | None = None      # of the Input that a Sequential makes for it; None for the default
    assets: Any = None                  # what a model's file keeps of it beside weights, as JSON: a vocabulary
    settings_beside_init = frozenset({"name", "trainable", "dtype", "activity_regularizer"})    # for `from_config` to set
    _goes_by_looks = True               # an array that looks like one that was fine is fine: see `by_looks`
    _threads: Any = _NotMade()

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """The new layer; one of somebody's own class without `get_config` keeps its arguments, for the usual one."""
        layer = super().__new__(cls)
        if keeps_arguments(cls):
            vars(layer)["_arguments"], vars(layer)["_arguments_left_out"] = plain_arguments(cls, args, kwargs)
        return layer

    def __init__(self, *, activity_regularizer: Any = None, trainable: bool = True, dtype: Any = None,
                 autocast: bool = True, name: str | None = None, **legacy: Any) -> None:
        self.name = auto_name(type(self).__name__) if name is None else text(type(self).__name__, "name", name)
        self.dtype = config.float_dtype(dtype, self.described)
        self.autocast = flag(self.described, "autocast", autocast)
        self.built = False
        self.device = get_device()
        self._trainable = flag(self.described, "trainable", trainable)
        self._parameters: list[Parameter] = []         # in Keras' order: those made to be trained, then the others
        self._trained_count = 0
        self._threads = _ThreadStates()
        self.declared_input_shape = _declared_shape(legacy, self.described)
        if legacy:
            raise TypeError(f"{self.described}: unknown argument {', '.join(map(repr, legacy))}")
        self.activity_regularizer = None
        if activity_regularizer is not None:
            from nblayers import regularizers
            self.activity_regularizer = found(self.described, "activity_regularizer", regularizers.get, activity_regularizer)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._goes_by_looks = hasattr(cls._to_array, "by_looks") and hasattr(cls._check_inputs, "by_looks")
        if "call" in vars(cls) and "forward" not in vars(cls):
            cls.forward = vars(cls)["call"]  # type: ignore[method-assign]      # Keras' name for it
        for method, guard in (("forward", _guard_forward), ("backward", _guard_backward), ("build", _guard_build)):
            if method in vars(cls):
                setattr(cls, method, guard(vars(cls)[method]))

    @property
    def output_dtype(self) -> str:
        """The name of the dtype of what forward gives: `dtype`, save where these are integers or strings."""
        return self.dtype

    @property
    def described(self) -> str:
        """Class and name, as every error message opens."""
        return f"{type(self).__name__} {self.name!r}"

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of `input_shape` (batch axis included, None where unknown).

        A layer of several inputs may take a shape for each, named after forward's argument: build(query_shape, value_shape).

        Raises:
            ValueError: no shape, nor a list or dictionary of shapes.
        """
        self._check_build(input_shape)

    def _check_build(self, *shapes: Any) -> None:
        """See that `build` is given shapes, or nothing where the layer asks for nothing."""
        for shape in shapes:
            if shape is not None and not are_shapes(shape):
                raise ValueError(f"{self.described}: build expected an input shape such as (None, 8), got {shape!r}")

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that the layer was built for, from which `build_from_config` builds it again; None if it is not built."""
        shapes = vars(self).get("_build_shapes")
        if not shapes:
            return None
        return {"input_shape": next(iter(shapes.values()))} if len(shapes) == 1 else {"shapes_dict": dict(shapes)}

    def build_from_config(self, config: Any) -> None:
        """Make the weights as in the layer that gave this `get_build_config`; without a `build`, by a forward on zeros.

        Raises:
            ValueError: no such configuration, or the layer cannot be built for these shapes.
        """
        from nblayers.layers.shapes import read_build_config, zeros_of
        named = read_build_config(self.described, config)
        if type(self).build is not Layer.build:
            self.build(*named.values()) if len(named) == 1 else self.build(**named)
            return
        with self._thread.set_aside():
            try:
                zeros = {name.removesuffix("_shape"): zeros_of(shape, self.dtype) for name, shape in named.items()}
                self.forward(*zeros.values()) if len(zeros) == 1 else self.forward(**zeros)
            except Exception as error:
                raise ValueError(f"{self.described}: cannot be built by a forward on zeros of shape {named}: {error}. Write "
                                 "get_build_config() and build_from_config(config)") from error
        self.built = True

    def _ensure_built(self, *shapes: Any) -> None:
        """Build the layer if nobody has yet; of several threads one does, and the others wait."""
        if not self.built:
            with _building:
                if not self.built:
                    self.build(*shapes)
                    self.built = True

    def _ensure_built_for(self, arguments: dict[str, Any], first: Any) -> None:
        """Build the layer for a call with these arguments, by name, `first` being the first of them."""
        self._ensure_built(*built_from(type(self), arguments, first))
        if type(self).build is Layer.build:
            shapes = {f"{name}_shape": _shapes(value) for name, value in arguments.items() if _has_shape(value)}
            vars(self).setdefault("_build_shapes", shapes)

    def add_weight(self, shape: Sequence[int] | int | None = None, initializer: Any = None, dtype: Any = None,
                   trainable: bool = True, autocast: bool = True, regularizer: Any = None, constraint: Any = None,
                   aggregation: str = "none", overwrite_with_gradient: bool = False,
                   name: str | None = None) -> Parameter:
        """Make a weight, keep it in `weights` and return it.

        Arguments:
            shape: its shape; () by default.
            initializer: name, configuration or callable; "glorot_uniform" by default, "zeros" for integers.
            dtype: of the weight; the layer's by default.
            trainable: False for statistics that no optimizer may change.
            regularizer: its penalty, added to `losses`.
            constraint: applied after each optimizer step.
            name: "kernel", "bias", …

        `autocast`, `aggregation` and `overwrite_with_gradient` are accepted as in Keras; they concern mixed precision and
        several devices, which we do not have.
        """
        from nblayers import constraints, initializers, regularizers
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = self.dtype if dtype is None else np.dtype(dtype).name
        if initializer is None:
            initializer = "glorot_uniform" if np.dtype(dtype).kind == "f" else "zeros"
        make: Any = initializers.get(initializer)
        limits.count(self.described, name or "weight", shape)
        value = np.array(make(shape, dtype=dtype), dtype=dtype, order="C")
        if value.shape != shape:
            raise ValueError(f"{self.described}: expected the initializer to give shape {shape}, got {value.shape}")
        parameter = self._new_parameter(value, name or "weight", trainable, regularizers.get(regularizer),
                                        constraints.get(constraint))
        return self._hold(parameter)

    def _hold(self, parameter: Parameter) -> Parameter:
        """Take a new weight among the layer's own."""
        parameter.path = f"{self.name}/{parameter.name}"
        parameter.to(self.device)
        self._parameters.insert(self._trained_count if parameter.trainable else len(self._parameters), parameter)
        self._trained_count += bool(parameter.trainable)
        return parameter

    def _new_parameter(self, value: Any, name: str, trainable: bool, regularizer: Any, constraint: Any) -> Parameter:
        return Parameter(value, name, trainable, regularizer, constraint)

    @property
    def sublayers(self) -> list["Layer"]:
        """The layers held in this layer's attributes, in the order in which they were set."""
        held = list(vars(self).items())                 # at once: another thread may set an attribute meanwhile
        return _once(layer for name, value in held if type(value) not in _HOLD_NONE and name != "_parameters"
                     and isinstance(value, (Layer, list, tuple, dict)) for layer in _layers_in(value))

    @property
    def weights(self) -> list[Parameter]:
        """All weights in Keras' order: own ones as they were made (those to be trained, then the others), then the sublayers'.

        Freezing a weight later changes nothing in it.
        """
        return _once([*self._parameters, *(p for layer in self.sublayers for p in layer.weights)])

    @property
    def trainable_weights(self) -> list[Parameter]:
        """The weights that an optimizer may change; none if `trainable` is False."""
        if not self.trainable:
            return []
        own = [p for p in self._parameters if p.trainable]
        return _once([*own, *(p for layer in self.sublayers for p in layer.trainable_weights)])

    @property
    def non_trainable_weights(self) -> list[Parameter]:
        """The weights that no optimizer changes: statistics, and all of them if `trainable` is False."""
        trainable = set(map(id, self.trainable_weights))
        return [p for p in self.weights if id(p) not in trainable]

    variables = property(lambda self: self.weights)
    trainable_variables = property(lambda self: self.trainable_weights)
    non_trainable_variables = property(lambda self: self.non_trainable_weights)

    @property
    def trainable(self) -> bool:
        """Whether an optimizer may change the weights; setting it sets the sublayers' too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = flag(self.described, "trainable", value)
        for layer in self.sublayers:
            layer.trainable = value

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights as NumPy arrays, in the order of `weights`."""
        return [parameter.numpy() for parameter in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all weights from arrays in the order and shapes of `get_weights()`.

        Raises:
            ValueError: another number of arrays, or an array of another shape.
        """
        own = self.weights
        if len(weights) != len(own):
            raise ValueError(f"{self.described}: expected {len(own)} weight arrays, got {len(weights)}"
                             + ("" if self.built else " (the layer is not built yet: call it or build(input_shape) first)"))
        for parameter, value in zip(own, weights, strict=True):
            if np.shape(value) != parameter.shape:
                raise ValueError(f"{self.described}: expected weight {parameter.path!r} of shape {parameter.shape}, "
                                 f"got {np.shape(value)}")
        for parameter, value in zip(own, weights, strict=True):
            parameter.assign(value)

    def count_params(self) -> int:
        """How many numbers the weights hold.

        Raises:
            ValueError: the layer has no weights yet.
        """
        if not self.built:
            raise ValueError(f"{self.described}: count_params needs a built layer; call it or build(input_shape) first")
        return sum(math.prod(parameter.shape) for parameter in self.weights)

    def zero_grad(self) -> None:
        """Set the gradients of all weights to zero."""
        for parameter in self.weights:
            parameter.zero_grad()

    def add_loss(self, loss: Any) -> None:
        """Add a number (or a list of numbers) to `losses`; it stands until the next call of the layer."""
        self._thread.losses.extend(loss if isinstance(loss, (list, tuple)) else [loss])

    @property
    def losses(self) -> list[float]:
        """What `add_loss` and the activity regularizers gave in the last call, then the weights' penalties."""
        collected = [loss for layer in _flatten(self) for loss in layer._thread.losses]
        return collected + [p.regularizer(p.value) for p in self.trainable_weights if p.regularizer is not None]

    @property
    def kernels(self) -> ModuleType:
        """The room of kernels that this layer computes in."""
        return kernels.get(self.device)

    @property
    def xp(self) -> ModuleType:
        """`numpy`, or `cupy` on device "cuda"."""
        return array_module(self.device)

    def to(self, device: str) -> "Layer":
        """Compute in the kernels of "reference", "cpu" or "cuda" from now on; moves the weights. Returns the layer.

        Raises:
            ValueError: no such device.
            ImportError: "cuda" without CuPy and without the simulator.
        """
        kernels.get(device)
        for layer in _flatten(self):
            layer.device, layer._threads = device, _ThreadStates()
            for parameter in layer._parameters:
                parameter.to(device)
        return self

    def _forget_calls(self) -> None:
        """Be as before the first call, but for the weights."""
        for layer in _flatten(self):
            layer._threads = _ThreadStates()

    def astype(self, dtype: str) -> "Layer":
        """Compute in "float32" or "float64" from now on; converts the weights. Returns the layer.

        Raises:
            ValueError: another dtype.
        """
        for layer in _flatten(self):
            layer.dtype, layer._threads = config.float_dtype(dtype, self.described), _ThreadStates()
            for parameter in layer._parameters:
                parameter.astype(layer.dtype)
        return self

    def matmul(self, a: Any, b: Any, out: Any = None, *, transpose_a: bool = False, transpose_b: bool = False,
               add: bool = False) -> Any:
        """a b of two matrices in the layer's room, either one transposed; into `out`, or added to it with `add`.

        Arguments:
            a, b: (M, K) and (K, N), each stored transposed where its flag says so, in the layer's dtype. One that does not lie
                in memory row after row is copied first.
            out: (M, N), in the layer's dtype, row after row, in memory of its own; a new array by default.

        Raises:
            TypeError: an operand or `out` is no array of the layer's dtype.
            ValueError: one has not two axes, or the sizes do not fit together; `out` cannot be written as it lies, or shares
                memory with an operand; `add` without `out`.
        """
        a, b = self._matrix("a", a), self._matrix("b", b)
        (M, inner_a), (inner_b, N) = a.shape[::-1] if transpose_a else a.shape, b.shape[::-1] if transpose_b else b.shape
        if inner_a != inner_b:
            raise ValueError(f"{self.described}: matmul expected a (M, K) and b (K, N), got shapes {a.shape} and {b.shape} "
                             f"with transpose_a={transpose_a} and transpose_b={transpose_b}: K is {inner_a} and {inner_b}")
        if out is not None:
            self._check_out(out, (M, N), a, b)
        elif add:
            raise ValueError(f"{self.described}: matmul expected an `out` to add to, got add=True without one")
        return self._matmul(a, b, out, transpose_a=bool(transpose_a), transpose_b=bool(transpose_b), add=bool(add))

    def _matmul(self, a: Any, b: Any, out: Any = None, *, transpose_a: bool = False, transpose_b: bool = False,
                add: bool = False) -> Any:
        """`matmul` for arrays that are known to be good: contiguous matrices of the layer's dtype that fit together."""
        if out is None:
            out = self.xp.empty((a.shape[1] if transpose_a else a.shape[0], b.shape[0] if transpose_b else b.shape[1]), a.dtype)
        self.kernels.matmul.matmul(a, b, transpose_a, transpose_b, add, out)
        return out

    def _affine(self, x: Any, weight: Any, bias: Any, transpose_b: bool = False) -> Any:
        """x W + b (…, U), the bias an array, a weight or None, for an x (…, D) that is known to be good."""
        rows = as_rows(x)
        z = self.xp.empty((rows.shape[0], weight.shape[0 if transpose_b else 1]), self.dtype)
        if bias is None:
            self.kernels.matmul.matmul(rows, weight, False, transpose_b, False, z)
        else:
            self.kernels.matmul.affine(rows, weight, transpose_b, bias.value if isinstance(bias, Parameter) else bias, z)
        return z if x.ndim == 2 else z.reshape(*x.shape[:-1], z.shape[1])

    def _affine_backward(self, dz: Any, x: Any, W: Any, dW: Any, db: Any, transpose_b: bool = False,
                         needed: bool = True) -> Any:
        """Given dz of z = x W + b, or of x W^T + b, add to dW and db; return dx, or None where it is not needed.

        db is an array, a weight or None, as b is for `_affine`.
        """
        dx_shape, x, dz = x.shape, as_rows(x), as_rows(dz)
        if db is not None:
            self.kernels.core.bias_backward(dz, db.grad if isinstance(db, Parameter) else db)       # b is in every row
        if transpose_b:
            self._matmul(dz, x, dW, transpose_a=True, add=True)                                     # dW += dz^T x
        else:
            self._matmul(x, dz, dW, transpose_a=True, add=True)                                     # dW += x^T dz
        if not needed:
            return None
        return self._matmul(dz, W, transpose_b=not transpose_b).reshape(dx_shape)                   # dx = dz W^T, or dz W

    def _matrix(self, name: str, array: Any) -> Any:
        """An array that `matmul` was given, contiguous."""
        if not isinstance(array, self.xp.ndarray) or array.dtype != self.dtype:
            raise TypeError(f"{self.described}: matmul expected {name} to be an array of dtype {self.dtype}, "
                            f"got {getattr(array, 'dtype', None) or type(array).__name__}")
        if array.ndim != 2:
            raise ValueError(f"{self.described}: matmul expected {name} to have two axes, got shape {array.shape}")
        return self.xp.ascontiguousarray(array)

    def _check_out(self, out: Any, shape: tuple[int, int], a: Any, b: Any) -> None:
        self._matrix("out", out)
        if out.shape != shape:
            raise ValueError(f"{self.described}: matmul expected `out` of shape {shape}, got {out.shape}")
        if not out.flags.c_contiguous or not getattr(out.flags, "writeable", True):
            got = "one that is read-only" if out.flags.c_contiguous else f"strides {out.strides} for shape {out.shape}"
            raise ValueError(f"{self.described}: matmul expected an `out` that is C-contiguous and writable, got {got}")
        if self.xp.may_share_memory(out, a) or self.xp.may_share_memory(out, b):
            raise ValueError(f"{self.described}: matmul expected an `out` with memory of its own, got one that overlaps a or b")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward` for arrays; for symbolic inputs (from `Input`) a node of a functional Model."""
        if _any_symbolic(args) or (kwargs and _any_symbolic(kwargs.values())):
            from nblayers.layers.symbolic import add_node
            return add_node(self, args, kwargs)
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output and keep in `cache` what `backward` needs.

        The cache refers to the arrays given, it does not copy them: leave their contents as they are until `backward` is done.
        """
        raise NotImplementedError(f"{self.described}: forward is not written")

    def backward(self, dy: Any) -> Any:
        """Given dL/dy add to every `parameter.grad` and return dL/dx.

        Raises:
            RuntimeError: called before `forward`.
            ValueError: dy has another shape than forward's output.
        """
        raise NotImplementedError(f"{self.described}: no gradient: backward is not written")

    @property
    def cache(self) -> Any:
        """The record that the last `forward` in this thread left for `backward`.

        Raises:
            RuntimeError: there was no `forward` yet.
        """
        cache = self._threads.state.cache
        if cache is None:
            raise RuntimeError(f"{self.described}: backward needs a forward first (in this thread; the cache is empty)")
        return cache

    @cache.setter
    def cache(self, record: Any) -> None:
        self._threads.state.cache = record

    def _set_input_gradient(self, needed: bool) -> None:
        self._threads.state.input_gradient = needed

    # getters written in C, as these are read at each call
    _thread = property(attrgetter("_threads.state"), doc="The calling thread's `ThreadState`.")
    input_gradient = property(attrgetter("_threads.state.input_gradient"), _set_input_gradient, doc="""\
        False: nobody needs dL/dx (as of a model's first layer in `fit`), so `backward` may return None.""")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output for inputs of `input_shape`; found by a forward on zeros if a layer does not say."""
        from nblayers.layers.shapes import infer_output_shape
        return infer_output_shape(self, input_shape)

    def _shapes_for(self, args: Any, kwargs: dict[str, Any]) -> Any:
        """The shapes of what forward gives for these arrays, in its structure; leaves no trace."""
        with self._thread.set_aside():
            return _shapes(self.forward(*args, **kwargs))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask that goes on with the output: the one that came in, or None where masks are not supported."""
        if previous_mask is not None and not self.supports_masking:
            warnings.warn(f"{self.described} was given a mask but does not support masking: the layers after it will not "
                          "see the mask", stacklevel=2)
            return None
        return previous_mask

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes this layer again (without its weights), keyed as in Keras."""
        policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": self.dtype}, "registered_name": None}
        settings = {**vars(self).get("_arguments", {}), "name": self.name, "trainable": self.trainable, "dtype": policy}
        if self.activity_regularizer is not None:
            from nblayers.serialization import serialize
            settings["activity_regularizer"] = serialize(self.activity_regularizer)
        return settings

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Layer":
        """Make a layer from what `get_config` gave, ours or Keras'.

        Raises:
            TypeError: `__init__` does not take what the configuration holds.
        """
        known = {key: value for key, value in config.items() if key != "quantization_config"}
        later = {key: known.pop(key) for key in not_taken(cls, known)}
        try:
            layer = cls(**known)
        except TypeError as error:
            raise TypeError(f"{cls.__name__} cannot be made from the configuration {known}: {error}. A layer of your own "
                            "needs a get_config() that adds the arguments of its __init__, and **kwargs in __init__") from error
        layer._set_beside_init(**later)
        return layer

    def _set_beside_init(self, name: Any = None, trainable: Any = True, dtype: Any = None,
                         activity_regularizer: Any = None) -> None:
        """Set what `__init__` does not take."""
        if name is not None:
            self.name = text(type(self).__name__, "name", name)
        if dtype is not None:
            self.astype(config.float_dtype(dtype, self.described))
        if activity_regularizer is not None:
            from nblayers import regularizers
            self.activity_regularizer = found(self.described, "activity_regularizer", regularizers.get, activity_regularizer)
        if not flag(self.described, "trainable", trainable):
            self.trainable = False

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has, too: not the calls in which the layer stands, which its model makes again."""
        return {name: value for name, value in dict(vars(self)).items() if name != "_inbound_nodes"}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    def _is_ready(self, value: Any) -> bool:
        """Whether this is what `_to_array` makes of an array."""
        return (type(value) is np.ndarray and value.dtype is _DTYPES[self.dtype] and value.flags.c_contiguous
                and self.device != "cuda")

    @by_looks
    def _to_array(self, value: Any) -> Any:
        """One input as a contiguous array of the layer's dtype on its device; lists of arrays element by element."""
        if self._is_ready(value):
            return value
        if value is None:
            return None
        if isinstance(value, (list, tuple)) and holds_arrays(value):
            return [self._to_array(v) for v in value]
        xp = self.xp
        array = xp.asarray(as_array(value, self.described, "an input"))
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{self.described}: expected an array of numbers, got dtype {array.dtype}")
        if (array.dtype.kind == "f" and self.autocast) or (array.dtype.kind != "f" and not self.integer_inputs):
            array = array.astype(self.dtype, copy=False)
        return xp.ascontiguousarray(array) if array.ndim else array

    def _to_mask(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and any(hasattr(v, "shape") or v is None for v in value):
            return [self._to_mask(v) for v in value]
        if value is None:
            return None
        return self.xp.ascontiguousarray(self.xp.asarray(as_numbers(value, self, "a mask")), dtype=bool)

    def _explain_dtype(self, inputs: Any, error: Exception) -> None:
        """Say whose fault it is that a kernel was given numbers of another dtype."""
        for array in inputs if isinstance(inputs, list) else [inputs]:
            dtype = getattr(array, "dtype", None)
            if not self.autocast and dtype is not None and dtype.kind == "f" and dtype != self.dtype:
                raise TypeError(f"{self.described}: expected inputs of its dtype {self.dtype}, as autocast=False leaves them "
                                f"as they are, got {dtype}") from error

    @by_looks
    def _check_inputs(self, inputs: Any) -> None:
        arrays = inputs if isinstance(inputs, list) else [inputs]
        if isinstance(inputs, list) and isinstance(self.input_spec, InputSpec):
            raise ValueError(f"{self.described}: expected one array, got a list of {len(inputs)}")
        for array in arrays:
            shape = array.shape if array is not None else (None,)
            if (shape[0] == 0) if shape else not self.single_values:
                raise ValueError(f"{self.described}: expected at least one sample on axis 0, got an input of shape {shape}")
        if (specs := self.input_spec) is None:
            return
        specs = specs if isinstance(specs, list) else [specs]
        if len(specs) != len(arrays):
            raise ValueError(f"{self.described}: expected {len(specs)} inputs, got {len(arrays)}")
        for spec, array in zip(specs, arrays, strict=True):
            if array is not None and (problem := spec.mismatch(array.shape, array.dtype)):
                raise ValueError(f"{self.described}: {problem}")

    def _one_shape(self, shape: Any) -> tuple[Any, ...]:
        """The shape of one input, checked against the one `input_spec`."""
        assert isinstance(self.input_spec, InputSpec)
        if not is_shape(shape):
            raise ValueError(f"{self.described}: expected the shape of one input, got {shape!r}")
        if problem := self.input_spec.mismatch(tuple(shape), self.input_spec.dtype):
            raise ValueError(f"{self.described}: {problem}")
        return tuple(shape)

    def _to_gradient(self, dy: Any, shapes: Any) -> Any:
        """dy as contiguous arrays in the structure and shapes of forward's output; None stands for zeros."""
        if isinstance(shapes, list):
            dy = [None] * len(shapes) if dy is None else dy
            if not isinstance(dy, (list, tuple)) or len(dy) != len(shapes):
                got = f"{len(dy)}" if isinstance(dy, (list, tuple)) else "one array"
                raise ValueError(f"{self.described}: backward expected a list of {len(shapes)} gradients, as forward gave "
                                 f"{len(shapes)} outputs, got {got}")
            return [None if d is None and shape is None else self._to_gradient(d, shape)      # an output that was not asked for
                    for d, shape in zip(dy, shapes, strict=True)]
        if shapes is None and isinstance(dy, (list, tuple)) and any(hasattr(d, "shape") for d in dy):
            return [self._to_gradient(d, None) for d in dy]
        if dy is None and shapes is not None:
            return self.xp.zeros(shapes, self.dtype)
        if not self._is_ready(dy):
            dy = as_numbers(dy, self.described, "dy")
            dy = self.xp.asarray(dy, self._dtype_of_gradient(dy))
            dy = self.xp.ascontiguousarray(dy) if dy.ndim else dy
        if shapes is not None and dy.shape != shapes:
            raise ValueError(f"{self.described}: backward expected dy of shape {shapes}, the shape of forward's output, "
                             f"got {dy.shape}")
        return dy

    def _dtype_of_gradient(self, dy: Any) -> Any:
        """What backward computes in, given this dy."""
        return self.dtype


def _guard_build(build: Callable[..., None]) -> Callable[..., None]:
    """Around a layer's build: once only, and `built` afterwards; its shapes are remembered."""
    names = list(inspect.signature(build).parameters)[1:]

    @functools.wraps(build)
    def guarded(self: Layer, *args: Any, **kwargs: Any) -> None:
        state = self._threads.state
        if state.building:                                  # a subclass' build calling its parent's
            return build(self, *args, **kwargs)
        with _building:
            if self.built and self._parameters:
                raise ValueError(f"{self.described}: is built already; build made its weights once and for all")
            self._check_build(*args, *kwargs.values())
            state.building = True
            try:
                build(self, *args, **kwargs)
            finally:
                state.building = False
            shapes = {**dict(zip(names, args, strict=False)), **kwargs}
            vars(self)["_build_shapes"] = {name: shape for name, shape in shapes.items() if shape is not None}
            self.built = True
    return guarded


_SETTING = (bool, np.bool_, str, int, float)       # what is none of an array's forms


def _guard_forward(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Around a layer's forward: arrays of the right kind in, weights built, losses afresh, output shapes remembered.

    An argument whose default is a bool is a setting, whatever its name; another is a mask if its name says so.
    """
    parameters = inspect.signature(forward).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    first = list(parameters)[1] if len(parameters) > 1 else ""
    optional = [name for name in ("training", "mask") if name not in parameters and not takes_any]
    names = list(parameters)[1:]
    training_place = place_of_training(parameters)
    required = first in parameters and parameters[first].default is inspect.Parameter.empty
    settings = {name for name in names if isinstance(parameters[name].default, bool)}
    by_place = [name for name in names if parameters[name].kind is not inspect.Parameter.KEYWORD_ONLY]
    setting_places = {place for place, name in enumerate(by_place) if name in settings}
    mask_places = {place for place, name in enumerate(names) if name.endswith("mask")} - setting_places
    begins_with_array = not {0} & (setting_places | mask_places)

    @functools.wraps(forward)
    def guarded(self: Layer, *args: Any, **kwargs: Any) -> Any:
        state = self._threads.state
        if state.running:                                   # a subclass' forward calling its parent's
            return forward(self, *args, **kwargs)
        x: Any = args[0] if len(args) == 1 and begins_with_array else None
        looks = (x.shape, x.dtype, self.input_spec) if type(x) is np.ndarray else None
        as_before = looks is not None and looks == state.fitting and x.flags.c_contiguous
        arrays: Sequence[Any] = args
        if not as_before:
            arrays = [value if place in setting_places or isinstance(value, bool)
                      else self._to_mask(value) if place in mask_places else self._to_array(value)
                      for place, value in enumerate(args)]
        if kwargs:
            for name in optional:                           # every layer may be told; not every one needs to know
                kwargs.pop(name, None)
            for name, value in kwargs.items():
                if value is None or name in settings or (name not in parameters and isinstance(value, _SETTING)):
                    continue
                if name.endswith("mask"):
                    kwargs[name] = self._to_mask(value)
                elif not isinstance(value, _SETTING):
                    kwargs[name] = self._to_array(value)
        inputs = arrays[0] if arrays else kwargs.get(first)
        if inputs is not None:
            if not as_before:
                self._check_inputs(inputs)
                state.fitting = looks if self._goes_by_looks and inputs is x and self._is_ready(x) else None
            if not self.built:
                self._ensure_built_for(dict(zip(names, arrays, strict=False)) | kwargs, inputs)
        elif required and (arrays or first in kwargs):
            raise ValueError(f"{self.described}: expected an array as {first}, got None")
        state.losses.clear()
        state.running, outside = True, calls.training
        if training_place is not None and not self.follows_training:
            calls.training = bool(args[training_place] if len(args) > training_place else kwargs.get("training"))
        try:
            outputs = (forward(self, *arrays, **kwargs) if calls.watch is None
                       else calls.watch.forward(self, forward, arrays, kwargs))
        except (TypeError, NotImplementedError) as error:
            self._explain_dtype(inputs, error)
            raise
        finally:
            state.running, calls.training = False, outside
        regularizer = self.activity_regularizer
        if regularizer is not None:
            for y in outputs if isinstance(outputs, (list, tuple)) else [outputs]:
                state.losses.append(regularizer(y) / len(y))
        shapes, penalised = _shapes(outputs), outputs if regularizer is not None else None
        if isinstance(state.cache, Record):
            state.cache._outputs, state.cache._penalised = shapes, penalised
        else:
            state.cache = () if state.cache is None else state.cache
            state.last_call = (state.cache, shapes, penalised)
        return outputs
    return guarded


def place_of_training(parameters: Mapping[str, inspect.Parameter]) -> int | None:
    """Where `training` stands among the arguments behind self: beyond all where it goes by name only, None without it."""
    if "training" not in parameters:
        return None
    by_name = parameters["training"].kind is inspect.Parameter.KEYWORD_ONLY
    return sys.maxsize if by_name else list(parameters).index("training") - 1


def _guard_backward(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Around a layer's backward: dy checked against forward's output, the activity regularizer's share added."""
    @functools.wraps(backward)
    def guarded(self: Layer, dy: Any) -> Any:
        state = self._threads.state
        if state.running:
            return backward(self, dy)
        record = state.cache if state.cache is not None else self.cache         # which raises
        shapes = penalised = None
        if isinstance(record, Record):
            shapes, penalised = record._outputs, record._penalised
        elif state.last_call is not None and state.last_call[0] is record:
            _, shapes, penalised = state.last_call
        dy = self._to_gradient(dy, shapes)
        if penalised is not None and self.activity_regularizer is not None:
            dy = _add_penalty(dy, penalised, self.activity_regularizer)
        state.running = True
        try:
            return backward(self, dy) if calls.watch is None else calls.watch.backward(self, backward, dy)
        finally:
            state.running = False
    return guarded


def _add_penalty(dy: Any, y: Any, regularizer: Any) -> Any:
    if isinstance(dy, list):
        return [_add_penalty(d, output, regularizer) for d, output in zip(dy, y, strict=True)]
    return dy + regularizer.gradient(y) / len(y)


def built_from(cls: type[Layer], arguments: dict[str, Any], first: Any) -> list[Any]:
    """The shapes that a layer's build takes: of the first argument, or of those that its build names."""
    names = _named_in_build(cls.build)
    return [_shapes(arguments.get(name)) for name in names] if len(names) > 1 else [_shapes(first)]


@functools.cache
def _named_in_build(build: Callable[..., None]) -> list[str]:
    return [name.removesuffix("_shape") for name in inspect.signature(build).parameters if name.endswith("_shape")]


def _shapes(values: Any) -> Any:
    if hasattr(values, "shape"):
        return values.shape
    if isinstance(values, (list, tuple)):
        return [_shapes(value) for value in values]
    if isinstance(values, dict):
        return {key: _shapes(value) for key, value in values.items()}
    return None if values is None else np.shape(values)


def _has_shape(value: Any) -> bool:
    return hasattr(value, "shape") or (isinstance(value, (list, tuple)) and bool(value) and all(map(_has_shape, value)))


def holds_arrays(values: Any) -> bool:
    """Whether arrays (or None in their places) stand in a list or in the lists inside it; numbers, NumPy's also, do not."""
    return any(value is None or (hasattr(value, "shape") and not isinstance(value, np.generic))
               or (isinstance(value, (list, tuple)) and holds_arrays(value[:1])) for value in values)


_HOLD_NONE = {bool, int, float, str, type(None), Parameter}        # told apart sooner than by what they are instances of


def _layers_in(value: Any) -> Iterator[Layer]:
    if isinstance(value, Layer):
        yield value
    elif isinstance(value, dict):
        for item in list(value.values()):
            yield from _layers_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _layers_in(item)


def _flatten(layer: Layer) -> list[Layer]:
    """The layer and all layers inside it, each once."""
    found: dict[int, Layer] = {}
    waiting = [layer]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in found:
            found[id(layer)] = layer
            waiting.extend(reversed(layer.sublayers))
    return list(found.values())


def _once(things: Iterable[Any]) -> list[Any]:
    """The things, each where it stood first."""
    return list({id(thing): thing for thing in things}.values())


def _any_symbolic(values: Any) -> bool:
    for value in values:
        if type(value) is np.ndarray:
            continue
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        if getattr(value, "is_symbolic", False) or _any_symbolic(inside):
            return True
    return False


def _declared_shape(legacy: dict[str, Any], who: str) -> Shape | None:
    """Take Keras 2's declarations of the input out of `legacy`.

    Raises:
        ValueError: sizes that are no integers.
    """
    batch, size, length = (optional(integer, who, name, legacy.pop(name, None), 0)
                           for name in ("batch_size", "input_dim", "input_length"))
    whole, shape = (optional(sizes, who, name, legacy.pop(name, None)) for name in ("batch_input_shape", "input_shape"))
    if whole is not None:
        return whole
    if shape is not None:
        return (batch, *shape)
    if size is not None:
        return (batch, size) if length is None else (batch, length, size)
    return (batch, length) if length is not None else None


def positive(layer: Layer, name: str, value: Any) -> int:
    """An argument that is one positive integer.

    Raises:
        ValueError: it is none.
    """
    return integer(layer.described, name, value, 1)


def refuse(layer: Layer, **options: Any) -> None:
    """Raise a ValueError if one of the options, of low-rank adaptation or quantization, is given."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ValueError(f"{layer.described}: {', '.join(given)}: low-rank adaptation and quantization are not supported")


_used_names: dict[str, int] = {}
_naming = Lock()


def auto_name(class_name: str) -> str:
    """A name for an object that was given none: its class's in snake_case, numbered from the second on."""
    base = snake_case(class_name)
    with _naming:
        count = _used_names.get(base, 0)
        _used_names[base] = count + 1
    return base if count == 0 else f"{base}_{count}"


def clear_names() -> None:
    """Start numbering names afresh (`nblayers.utils.clear_session`)."""
    _used_names.clear()


__all__ = ["InputSpec", "Layer", "Parameter", "Record", "to_numpy"]
