"""A module of PyTorch as a layer."""
import base64
import binascii
import io
from typing import Any

import numpy as np

from nblayers import config as settings
from nblayers.devices import array_module
from nblayers.layers.base import Record
from nblayers.layers.interop.boundary import FrameworkLayer, in_call_order, needed, refuse_in_safe_mode
from nblayers.locks import Lock
from nblayers.parameter import Parameter
from nblayers.structures import are_shapes, flatten, map_shapes, map_structure


class TensorParameter(Parameter):
    """A weight that is a tensor of a PyTorch module: `value` and the tensor are the same memory.

    Attributes:
        tensor: PyTorch's.
        trainable: its `requires_grad`.
    """

    def __init__(self, tensor: Any, name: str) -> None:
        self.tensor = _contiguous(tensor)
        super().__init__(tensor.detach().numpy(), name, tensor.requires_grad)

    @property
    def trainable(self) -> bool:
        return self.tensor.requires_grad

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if value and not self.is_parameter:
            raise ValueError(f"parameter {self.path!r}: a buffer of a PyTorch module cannot be trained")
        self.tensor.requires_grad_(bool(value))

    @property
    def is_parameter(self) -> bool:
        """Whether it could be trained: no buffer, no whole numbers."""
        import torch
        return isinstance(self.tensor, torch.nn.Parameter) and self.tensor.is_floating_point()

    def follow(self, tensor: Any) -> None:
        """Share the memory of what the module holds now under this name.

        A new tensor, or new data of the same dtype, were set by somebody for the module: they count. Of another dtype they came
        from a conversion of the module: what is here counts.
        """
        replaced = tensor is not self.tensor
        self.tensor = tensor
        if tensor.numel() == 0 or tensor.data_ptr() == self._value.__array_interface__["data"][0]:
            return
        import torch
        dtype = torch.from_numpy(self._value).dtype
        if tensor.dtype != dtype and not replaced:
            tensor.data = torch.from_numpy(self._value)
            return
        tensor.data = tensor.data.to("cpu", dtype)
        self._value = _contiguous(tensor).detach().numpy()
        if self._grad.shape != self._value.shape:
            self._grad = np.zeros_like(self._value)

    def to(self, device: str) -> None:
        """Stay on the CPU.

        Raises:
            ValueError: a device whose arrays lie elsewhere.
        """
        if array_module(device).__name__ == "cupy":
            raise ValueError(f"parameter {self.path!r}: expected a device on the CPU, where the PyTorch module computes, "
                             f"got {device!r}")

    def astype(self, dtype: str) -> None:
        import torch
        if self._value.dtype.kind == "f" and self._value.dtype != dtype:
            super().astype(dtype)
            self.tensor.data = torch.from_numpy(self._value)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_value"}      # a copy's memory is its tensor's

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._value = self.tensor.detach().numpy()


class TorchModuleWrapper(FrameworkLayer):
    """Any module of PyTorch as a layer, trained with the layers around it.

        model = Sequential([TorchModuleWrapper(torch.nn.Linear(10, 5)), Dense(3, activation="softmax")])

    The weights are the module's parameters, and its buffers as weights that are not trained, in the module's order and under
    its names. Both sides see the same memory: a step of our optimizer is there in the module, and `load_state_dict` is here.
    The module's floating tensors are converted to the layer's dtype; it is moved to the CPU and stays there. `forward` sets it
    into training or evaluation mode with all that is in it, as Keras does. Dropout draws from `torch.manual_seed`'s generator.
    Arguments are those of the module's own forward, by position and by name. One thread at a time runs the module.

    Arguments:
        module: a `torch.nn.Module`. Lazy modules must have been called once.
        name: the layer's name.
        output_shape: the shape of the output with the batch axis (a list of shapes for several outputs), where running the
            module on zeros does not tell it.
        dtype: by default that of the module's parameters.

    Raises:
        ImportError: PyTorch is not installed.
        TypeError: `module` is no torch.nn.Module.
        ValueError: an uninitialised lazy module, complex parameters, an output_shape that is no shape; inputs that the module
            refuses; in `get_config`, a module that cannot be pickled.

    Source: 001.17.TorchModuleWrapper.
    """

    class Cache(Record):
        inputs: list[Any]                       # the arguments that hold arrays, as tensors
        outputs: Any                            # tensors that know the graph behind them
        weights: list[tuple[Parameter, Any]]    # those to be trained, with their tensors of this call

    def __init__(self, module: Any, name: str | None = None, output_shape: Any = None, **kwargs: Any) -> None:
        torch = needed(type(self).__name__, "torch")
        if not isinstance(module, torch.nn.Module):
            raise TypeError(f"{type(self).__name__}: expected a torch.nn.Module as module, got "
                            f"{type(module).__name__} {module!r}")
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = _dtype_of(module)
        super().__init__(name=name, **kwargs)
        self._check_module(module)
        self.module = module.to("cpu", getattr(torch, self.dtype))
        self.output_shape = self._checked_shape(output_shape)
        self._one_at_a_time = Lock()
        for name, tensor in self._tensors().items():
            self._hold(TensorParameter(tensor, name))
        self.built = True

    def _check_module(self, module: Any) -> None:
        for name, parameter in module.named_parameters():
            if type(parameter).__name__ == "UninitializedParameter":
                raise ValueError(f"{self.described}: expected a lazy module that was called once, got {name!r} without a shape")
            if parameter.is_complex():
                raise ValueError(f"{self.described}: expected real parameters, got {name!r} of {parameter.dtype}")

    def _checked_shape(self, shape: Any) -> Any:
        if shape is None:
            return None
        if not are_shapes(shape):
            raise ValueError(f"{self.described}: expected a shape such as (None, 8) as output_shape, got {shape!r}")
        return map_shapes(tuple, shape)

    def _tensors(self) -> dict[str, Any]:
        """Parameters and persistent buffers by the names of the state dictionary, each once."""
        import torch
        named = {id(tensor): (name, tensor) for name, tensor in reversed(self.module.state_dict(keep_vars=True).items())
                 if isinstance(tensor, torch.Tensor)}
        return dict(reversed(named.values()))

    def _settle(self) -> None:
        """See that module and weights are the same memory, and all of the module in the layer's dtype."""
        import torch
        tensors = self._tensors()
        if set(tensors) != {parameter.name for parameter in self._parameters}:
            raise ValueError(f"{self.described}: expected the module to keep its parameters and buffers, "
                             f"{[parameter.name for parameter in self._parameters]}, got {list(tensors)}")
        for parameter in self._parameters:
            parameter.follow(tensors[parameter.name])               # type: ignore[attr-defined]
        dtype = getattr(torch, self.dtype)
        if any(buffer.is_floating_point() and buffer.dtype != dtype for buffer in self.module.buffers()):
            self.module.to(dtype)

    def forward(self, *args: Any, training: bool = False, **kwargs: Any) -> Any:
        import torch
        with self._one_at_a_time, torch.inference_mode(False), torch.enable_grad():
            self._settle()
            self.module.train(bool(training))
            tensors, keywords = map_structure(self._tensor, args), map_structure(self._tensor, kwargs)
            with self._crossing(f"the module {type(self.module).__name__}", [*args, *kwargs.values()]):
                given, named = self._handed_over((tensors, keywords))
                outputs = map_structure(self._output, self.module(*given, **named))
            if training:
                self._settle()                                      # a module may put new tensors in its buffers' place
            weights = [(p, p.tensor) for p in self._parameters if p.trainable]      # type: ignore[attr-defined]
        self.cache = self.Cache(in_call_order(tensors, keywords), outputs, weights)
        return map_structure(self._array, outputs)

    def backward(self, dy: Any) -> Any:
        """dL/dx, and the module's gradients added to those of the weights.

        The derivative of the module is PyTorch's: `torch.autograd.grad` sends dy back through the graph that it recorded in
        `forward`. No formula of ours stands here.
        """
        import torch
        cache = self.cache
        reached = [(y, torch.from_numpy(d)) for y, d in zip(flatten(cache.outputs), flatten(dy), strict=True) if _in_graph(y)]
        leaves = [x for x in flatten(cache.inputs) if _in_graph(x)] if self.input_gradient else []
        tensors = [*leaves, *(tensor for _, tensor in cache.weights)]
        gradients: Any = [None] * len(tensors)
        if reached and tensors:
            outputs, upstream = zip(*reached, strict=True)
            gradients = torch.autograd.grad(outputs, tensors, upstream, retain_graph=True, allow_unused=True)
        for (parameter, _), gradient in zip(cache.weights, gradients[len(leaves):], strict=True):
            if gradient is not None:
                parameter.grad += gradient.numpy()
        found = {id(x): gradient for x, gradient in zip(leaves, gradients, strict=False)}
        dxs = map_structure(lambda x: self._input_gradient(x, found.get(id(x))), cache.inputs)
        return dxs[0] if len(dxs) == 1 else dxs

    def _input_gradient(self, x: Any, gradient: Any) -> Any:
        if not (self.input_gradient and _in_graph(x)):
            return None
        return self.xp.zeros(tuple(x.shape), self.dtype) if gradient is None else self._array(gradient)

    def _tensor(self, leaf: Any) -> Any:
        """An input as a tensor on the array's own memory."""
        import torch
        if not isinstance(leaf, np.ndarray):
            return leaf
        tensor = torch.from_numpy(leaf if leaf.flags.writeable else leaf.copy())
        return tensor.requires_grad_(tensor.is_floating_point())

    def _handed_over(self, tensors: Any) -> Any:
        """What the module is given for its inputs: copies where a part of it works in place."""
        if not any(getattr(part, "inplace", False) for part in self.module.modules()):
            return tensors
        return map_structure(lambda leaf: leaf.clone() if hasattr(leaf, "clone") else leaf, tensors)

    def _output(self, leaf: Any) -> Any:
        """An output of the module, floating ones in the layer's dtype."""
        import torch
        if leaf is None or isinstance(leaf, (bool, int, float)):
            return leaf
        if not isinstance(leaf, torch.Tensor) or leaf.is_complex():
            raise TypeError(f"expected the module to return real tensors, got {getattr(leaf, 'dtype', type(leaf).__name__)}")
        return leaf.to(getattr(torch, self.dtype)) if leaf.is_floating_point() else leaf

    def _array(self, leaf: Any) -> Any:
        """A tensor as an array on its memory."""
        return self.xp.asarray(leaf.detach().numpy()) if hasattr(leaf, "detach") else leaf

    @property
    def shape_by_running(self) -> bool:                             # type: ignore[override]
        return self.output_shape is None

    def compute_output_shape(self, input_shape: Any) -> Any:
        return super().compute_output_shape(input_shape) if self.output_shape is None else self.output_shape

    def get_config(self) -> dict[str, Any]:
        """As in Keras: the whole module, pickled by `torch.save`, as text. Only `from_config(…, safe_mode=False)` reads it."""
        import torch
        buffer = io.BytesIO()
        try:
            torch.save(self.module, buffer)
        except Exception as error:
            raise ValueError(f"{self.described}: get_config expected a module that torch.save can write, got "
                             f"{type(self.module).__name__}: {error}") from error
        module = base64.b64encode(buffer.getvalue()).decode("ascii")
        return super().get_config() | {"module": module, "output_shape": self.output_shape}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None,
                    safe_mode: bool = True) -> "TorchModuleWrapper":
        """Make the layer from `get_config()`, ours or Keras', the module's weights with it.

        Arguments:
            safe_mode: False to unpickle the module, which may run any code that the configuration brings. Only for one that
                you trust.

        Raises:
            ValueError: a pickled module without safe_mode=False, or one that cannot be read.
        """
        made = dict(config)
        if isinstance(made.get("module"), str):
            refuse_in_safe_mode(cls.__name__, "a pickled torch.nn.Module", safe_mode)
            torch = needed(cls.__name__, "torch")
            try:
                made["module"] = torch.load(io.BytesIO(base64.b64decode(made["module"])), weights_only=False)
            except (binascii.Error, RuntimeError, OSError, EOFError, AttributeError, ImportError) as error:
                raise ValueError(f"{cls.__name__}: cannot read the module of the configuration: {error}") from error
        return cls(**made)


def _in_graph(tensor: Any) -> bool:
    """Whether gradients flow through this tensor."""
    return getattr(tensor, "requires_grad", False)


def _contiguous(tensor: Any) -> Any:
    """The same tensor, its memory in the order of its axes: optimizers see it as one flat array."""
    if not tensor.is_contiguous():
        tensor.data = tensor.data.contiguous()
    return tensor


def _dtype_of(module: Any) -> str | None:
    """The dtype of a module's first floating parameter if layers compute in it, else the default."""
    dtype = next((str(p.dtype).removeprefix("torch.") for p in module.parameters() if p.is_floating_point()), None)
    return dtype if dtype in settings._FLOATS else None
