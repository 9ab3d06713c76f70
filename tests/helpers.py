"""What several tests need: gradients of a Keras layer, the three rooms side by side, plain finite differences, the
end of a lesson."""
import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax_in_numpy
import numpy as np

import kernels
from nblayers.devices import array_module, to_numpy
from nblayers.learn import catalogue

TOLERANCE = {"float32": 2e-5, "float64": 1e-10}


class KerasResult(NamedTuple):
    outputs: Any                # in the structure of the layer's output
    inputs: Any                 # gradients as our backward returns them: one array, or a list in call order, None for integers
    weights: list[np.ndarray]   # gradients of layer.trainable_variables


def keras_vjp(layer: Any, inputs: Any, dy: Any, **kwargs: Any) -> KerasResult:
    """Run a Keras layer and send dy (in the structure of its outputs, None for zeros) back through it.

    `inputs` is the layer's argument, or a tuple of several positional ones; arrays among `kwargs` (initial_state) are
    differentiated too, masks are not. A layer of dtype float64 is computed in double precision.
    """
    import jax
    import jax.numpy as jnp
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    with double_precision(layer.dtype == "float64"):
        if not layer.built:
            build(layer, args, kwargs)
        leaves, structure = jax.tree.flatten((args, kwargs))
        paths = [path for path, _ in jax.tree_util.tree_flatten_with_path((args, kwargs))[0]]
        is_data = [hasattr(leaf, "dtype") and not _is_mask(path) for leaf, path in zip(leaves, paths, strict=True)]
        is_float = [data and np.dtype(leaf.dtype).kind == "f" for data, leaf in zip(is_data, leaves, strict=True)]
        frozen = [jnp.asarray(v) for v in layer.non_trainable_variables]

        def run(weights: Any, floats: Any) -> Any:
            waiting = iter(floats)
            merged = [next(waiting) if f else leaf for f, leaf in zip(is_float, leaves, strict=True)]
            call_args, call_kwargs = jax.tree.unflatten(structure, merged)
            return layer.stateless_call(weights, frozen, *call_args, **call_kwargs)[0]

        floats = [jnp.asarray(leaf, layer.dtype) for leaf, f in zip(leaves, is_float, strict=True) if f]
        weights = [jnp.asarray(np.asarray(v), v.dtype) for v in layer.trainable_variables]
        def there_and_back(weights: Any, floats: Any) -> Any:
            outputs, vjp = jax.vjp(run, weights, floats)
            return outputs, *vjp(_upstream(dy, outputs))

        in_numpy = os.environ.get("NBLAYERS_TEST_XLA") != "1"
        outputs, dweights, dfloats = (functools.partial(jax_in_numpy.run, there_and_back) if in_numpy
                                      else jax.jit(there_and_back))(weights, floats)
        waiting = iter(dfloats)
        dinputs = [np.asarray(next(waiting)) if f else None for f, data in zip(is_float, is_data, strict=True) if data]
        return KerasResult(jax.tree.map(np.asarray, outputs), dinputs[0] if len(dinputs) == 1 else dinputs,
                           [np.asarray(dw) for dw in dweights])


def agrees_with_keras(ours: Any, theirs: Any, *inputs: Any, rtol: float | None = None, atol: float | None = None,
                      seed: int = 0, **kwargs: Any) -> None:
    """Our outputs and all gradients are those of the Keras layer, which is given our weights; dy is random.

    For double precision make `theirs` with dtype="float64" in a test that uses the fixture `x64`.
    """
    outputs = ours(*inputs, **kwargs)
    with double_precision(theirs.dtype == "float64"):
        if not theirs.built:
            build(theirs, inputs, kwargs)
        copy_weights(ours, theirs)
    dy = random_like(outputs, np.random.default_rng(seed))
    ours.zero_grad()
    dinputs = ours.backward(dy)
    expected = keras_vjp(theirs, inputs, dy, **kwargs)
    tolerance = dict(rtol=TOLERANCE[ours.dtype] if rtol is None else rtol, atol=TOLERANCE[ours.dtype] if atol is None else atol)
    assert_same(outputs, expected.outputs, "output", **tolerance)
    assert_same(dinputs, expected.inputs, "input gradient", **tolerance)
    assert_same([p.grad for p in ours.trainable_weights], expected.weights, "weight gradient", **tolerance)


def build(layer: Any, args: Any, kwargs: Any) -> None:
    """Make the weights of a Keras layer for this call, on symbols: nothing is computed, nothing compiled."""
    import jax
    import keras
    symbols = jax.tree.map(lambda a: keras.KerasTensor(a.shape, a.dtype.name) if hasattr(a, "dtype") else a, (args, kwargs))
    layer(*symbols[0], **symbols[1])


def random_like(values: Any, rng: np.random.Generator) -> Any:
    """Random numbers in the structure, shapes and dtypes of these arrays."""
    if isinstance(values, (list, tuple)):
        return [random_like(value, rng) for value in values]
    return rng.normal(size=values.shape).astype(values.dtype)


def exact_tanh(layer: Any) -> Any:
    """The Keras layer with a tanh that keeps float64: Keras' own casts it to float32 on JAX."""
    import jax.numpy as jnp
    import keras
    for part in layer._flatten_layers():
        if getattr(part, "activation", None) is keras.activations.tanh and not hasattr(part, "cell"):
            part.activation = jnp.tanh
    return layer


def copy_weights(source: Any, target: Any) -> None:
    """Give `target` the weights of `source`; either may be ours or Keras' (both keep them in the same order)."""
    target.set_weights([np.asarray(value) for value in source.get_weights()])


@contextlib.contextmanager
def double_precision(wanted: bool) -> Iterator[None]:
    """JAX computes in float64 inside, if wanted."""
    import jax
    with jax.enable_x64(True) if wanted else contextlib.nullcontext():
        yield


def _upstream(dy: Any, outputs: Any) -> Any:
    if isinstance(outputs, (list, tuple)):
        return type(outputs)(_upstream(d, y) for d, y in zip(dy, outputs, strict=True))
    import jax.numpy as jnp
    return jnp.zeros_like(outputs) if dy is None else jnp.asarray(dy, outputs.dtype)


def _is_mask(path: Any) -> bool:
    return any(str(getattr(key, "key", "")).endswith("mask") for key in path)


def flat(values: Any) -> list[Any]:
    """The arrays in a structure of lists, in order."""
    return [leaf for value in values for leaf in flat(value)] if isinstance(values, (list, tuple)) else [values]


def assert_same(ours: Any, expected: Any, what: str = "value", rtol: float = 1e-7, atol: float = 0) -> None:
    """Two structures of arrays hold the same shapes and, within the tolerance, the same values."""
    ours, expected = flat(ours), flat(expected)
    assert len(ours) == len(expected), f"{what}: {len(ours)} arrays, expected {len(expected)}"
    for index, (a, b) in enumerate(zip(ours, expected, strict=True)):
        if a is None or b is None:
            assert a is b, f"{what} {index}: {a} where {b} was expected"
            continue
        a, b = to_numpy(a), np.asarray(b)
        assert a.shape == b.shape, f"{what} {index}: shape {a.shape}, expected {b.shape}"
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"{what} {index}")


def filled_with_nan(shape: Any, dtype: Any = "float64") -> np.ndarray:
    """An output array in which an element that a kernel forgets to write is seen."""
    return np.full(shape, np.nan, dtype)


def run_kernel(room: str, topic: str, function: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> list[np.ndarray]:
    """Run one kernel on copies; returns the outputs as NumPy arrays and asserts that no input was changed."""
    xp = array_module(room)
    given = [xp.array(value) if isinstance(value, np.ndarray) else value for value in inputs]
    results = [xp.array(value) for value in outputs]
    getattr(getattr(kernels.get(room), topic), function)(*given, *results)
    for position, (before, after) in enumerate(zip(inputs, given, strict=True)):
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(to_numpy(after), before, err_msg=f"{room}: {function} changed its input {position}")
    return [to_numpy(result) for result in results]


def rooms_agree(topic: str, function: str, inputs: Sequence[Any], outputs: Sequence[Any], *, rtol: float | None = None,
                atol: float | None = None, rooms: Sequence[str] = kernels.ROOMS) -> list[np.ndarray]:
    """Run a kernel in every room: equal results, every element written, inputs left alone. Returns the first room's results.

    Arguments:
        inputs: what stands before the outputs in the call: arrays, numbers, flags.
        outputs: for each output its shape (it is filled with NaN, in the dtype of the first float input), or an array
            with its first contents where the kernel adds to it.
        rtol, atol: 2e-5 in float32 and 1e-10 in float64 by default.
    """
    dtype = next((a.dtype for a in inputs if isinstance(a, np.ndarray) and a.dtype.kind == "f"), np.dtype("float32"))
    outputs = [value if isinstance(value, np.ndarray) else filled_with_nan(value, dtype) for value in outputs]
    rtol, atol = (TOLERANCE[dtype.name] if value is None else value for value in (rtol, atol))
    results = {room: run_kernel(room, topic, function, inputs, outputs) for room in rooms}
    first = results[rooms[0]]
    for room in rooms[1:]:
        for position, (a, b) in enumerate(zip(results[room], first, strict=True)):
            where = f"{function}: output {position}, {room} against {rooms[0]}"
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=where)
    for position, result in enumerate(first):
        assert not np.isnan(result).any(), f"{function}: output {position} has elements that were not written"
    return first


def run_program(program: str, changes: Sequence[tuple[str, str]] = (), **given: Any) -> dict[str, Any]:
    """Execute a program on the variables `given`; `changes` are (text, instead) and must apply. Returns its variables."""
    for text, instead in changes:
        assert text in program, text
        program = program.replace(text, instead)
    exec(program, given)
    return given


def numeric_gradient(f: Callable[[], Any], x: np.ndarray, dy: Any = 1.0, step: float = 1e-6) -> np.ndarray:
    """d sum(dy f())/dx by central differences; `f` reads the float64 array x, which is changed and put back."""
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        kept, values = x[index], []
        for sign in (1, -1):
            x[index] = kept + sign * step
            values.append(np.array(f()))
        x[index] = kept
        gradient[index] = np.sum(dy * (values[0] - values[1])) / (2 * step)
    return gradient


def came_to_its_end(path: Path, folder: Path, printed: str) -> None:
    """A lesson that was begun in this folder has checked its gradients, and drawn."""
    assert "agrees with the numerical derivative" in printed or path.stem == "01_finite_differences"
    pictures = list((folder / "lessons" / "out").glob(f"{catalogue.number_of(path)}_*.png"))
    assert pictures and all(f"picture: lessons/out/{picture.name}" in printed for picture in pictures)
    assert [found.name for found in folder.iterdir()] == ["lessons"]
