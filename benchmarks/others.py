"""The other libraries' steps: forward and backward of a layer in PyTorch, in PyTorch compiled, and in Keras on JAX compiled."""
import inspect
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

Run = Callable[[], object]
ON_JAX, ON_TENSORFLOW, ON_TORCH = ({"KERAS_BACKEND": name} for name in ("jax", "tensorflow", "torch"))
KERAS = {"keras-jax": ON_JAX, "keras-tensorflow": ON_TENSORFLOW, "keras-torch": ON_TORCH}


def later(make: Callable[[], Run]) -> Run:
    """A run that is made when it is first called."""
    made = cache(make)
    return lambda: made()()


def quick(run: Run) -> float:
    """The shortest of ten runs."""
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def torch_compiled(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Compiled for the shapes of one case; PyTorch compiles no more than eight versions of the code that calls a module."""
    import torch
    torch.compiler.reset()
    return torch.compile(call, dynamic=False)


def torch_step(call: Callable[[Any], Any], layer: Any, x: Any, dy: Any) -> Run:
    def run():
        layer.zero_grad()
        x.grad = None
        call(x).backward(dy)
    return run


def in_faster_format(step: Callable[[Any, bool], Run], formats: Iterable[Any]) -> tuple[Run, Run]:
    """A step, as it is and compiled, in the memory format in which it is faster as it is.

    Arguments:
        step: makes the step of a memory format, compiled or not.
        formats: memory formats of PyTorch.
    """
    runs = {memory_format: step(memory_format, False) for memory_format in formats}
    fastest = min(runs, key=lambda memory_format: quick(runs[memory_format]))
    return runs[fastest], later(lambda: step(fastest, True))


def jax_step(layer: Any, x: Any, dy: Any, times: int = 1, whole_numbers: bool = False) -> Run:
    """Of a Keras layer, compiled as one function.

    Arguments:
        layer: made with the JAX backend.
        x: what it is given.
        dy: the gradient of its output.
        times: how often it is given x (queries and values).
        whole_numbers: x has no gradient.
    """
    import jax
    layer(*[x] * times)
    weights, rest = ([variable.value for variable in v] for v in (layer.trainable_variables, layer.non_trainable_variables))

    options = {"training": True} if "training" in inspect.signature(layer.call).parameters else {}

    def forward(weights, x):
        return layer.stateless_call(weights, rest, *[x] * times, **options)[0]

    @jax.jit
    def step(weights, x, dy):
        if whole_numbers:
            y, backward = jax.vjp(lambda weights: forward(weights, x), weights)
        else:
            y, backward = jax.vjp(forward, weights, x)
        return y, backward(dy)
    x, dy = jax.numpy.asarray(x), jax.numpy.asarray(dy)
    return lambda: jax.block_until_ready(step(weights, x, dy))
