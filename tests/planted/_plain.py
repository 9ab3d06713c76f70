"""What a layer does, found without the gradient checker: plain differences of forward, and a story of calls."""
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nblayers.layers import Layer
from nblayers.layers.base import built_from

STEP = 1e-5


class Call:
    """A layer's class with the inputs, the weights and the dy of one call."""

    def __init__(self, layer: type[Layer], inputs: Sequence[Any], options: dict[str, Any], seed: int = 1) -> None:
        self.layer, self.inputs, self.options = layer, inputs, options
        rng = np.random.default_rng(seed)
        self.weights = [p.numpy() if not p.trainable else rng.uniform(-0.8, 0.8, p.shape) for p in self.built().weights]
        outputs = flat(self.fresh().forward(*copied(inputs), **copied(options)))
        self.dy = [rng.normal(size=np.shape(y)) for y in outputs]

    def built(self) -> Layer:
        layer = self.layer().astype("float64")
        names = list(inspect.signature(layer.forward).parameters)
        if not layer.built:
            layer.build(*built_from(self.layer, dict(zip(names, self.inputs, strict=False)), self.inputs[0]))
        return layer

    def fresh(self) -> Layer:
        """A layer that was never called."""
        layer = self.built()
        for parameter, value in zip(layer.weights, self.weights, strict=True):
            parameter.assign(value)
        return layer

    @property
    def arrays(self) -> list[np.ndarray]:
        """What has a gradient: the floating inputs, then the weights."""
        trainable = [p.trainable for p in self.fresh().weights]
        return [*(leaf for leaf in flat(self.inputs) if leaf.dtype.kind == "f"),
                *(value for value, is_trained in zip(self.weights, trainable, strict=True) if is_trained)]

    def loss(self) -> float:
        layer = self.fresh()
        outputs = flat(layer.forward(*copied(self.inputs), **copied(self.options)))
        return float(sum(np.sum(dy * y) for dy, y in zip(self.dy, outputs, strict=True))) + float(sum(layer.losses))

    def analytic(self) -> list[Any]:
        """The gradients of `arrays` as backward gives them; None for one that it does not return."""
        layer = self.fresh()
        outputs = layer.forward(*copied(self.inputs), **copied(self.options))
        returned = flat(layer.backward(in_structure(outputs, iter(copied(self.dy)))))
        leaves = flat(self.inputs)
        if len(returned) == 1 and returned[0] is None:
            returned = [None] * len(leaves)
        returned = [*returned, *[None] * (len(leaves) - len(returned))]
        dx = [d for leaf, d in zip(leaves, returned, strict=False) if leaf.dtype.kind == "f"]
        return [*dx, *(p.grad for p in layer.weights if p.trainable)]

    def slopes(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The slopes of the loss to the left and to the right along each element of one of `arrays`."""
        left, right, middle = np.empty(array.shape), np.empty(array.shape), self.loss()
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + STEP
            right[index] = (self.loss() - middle) / STEP
            array[index] = kept - STEP
            left[index] = (middle - self.loss()) / STEP
            array[index] = kept
        return left, right

    def slope_of_all(self) -> float:
        """The slope of the loss along all floating inputs together."""
        leaves, values = [leaf for leaf in flat(self.inputs) if leaf.dtype.kind == "f"], []
        for step in (STEP, -STEP):
            for leaf in leaves:
                leaf += step
            values.append(self.loss())
            for leaf in leaves:
                leaf -= step
        return (values[0] - values[1]) / (2 * STEP)

    def wrong(self) -> list[int]:
        """Which of `arrays` have a gradient that is none: it lies outside of the slopes to the left and to the right."""
        return [k for k, (array, gradient) in enumerate(zip(self.arrays, self.analytic(), strict=True))
                if not self.fits(array, gradient)]

    def fits(self, array: np.ndarray, gradient: Any) -> bool:
        left, right = self.slopes(array)
        gradient = np.zeros(array.shape) if gradient is None else np.asarray(gradient)
        if gradient.shape != array.shape or not np.isfinite(gradient).all():
            return False
        kink = np.abs(left - right) > 1e-2
        near = 2e-6 * np.maximum(1, np.abs(left))
        smooth = np.abs(gradient - (left + right) / 2) <= near
        between = (gradient >= np.minimum(left, right) - 1e-4) & (gradient <= np.maximum(left, right) + 1e-4)
        return bool(np.where(kink, between, smooth).all())

    def fits_all_together(self) -> bool:
        """Whether the inputs' gradients add up to what all inputs together do, which keeps equal elements equal."""
        dx = [d for d, _ in zip(self.analytic(), [leaf for leaf in flat(self.inputs) if leaf.dtype.kind == "f"], strict=False)]
        return abs(sum(float(np.sum(d)) for d in dx) - self.slope_of_all()) < 1e-5

    def story(self, other: Sequence[Any]) -> Iterator[list[Any]]:
        """What comes of some calls in a row on one layer, each with all arrays that it may have changed."""
        layer = self.fresh()
        try:
            yield from self.told(layer, self.inputs, 2)
            for parameter in layer.weights:
                parameter.assign(1.3 * parameter.numpy())
            yield from self.told(layer, other, 1)
            yield from self.told(layer, self.inputs, 1)
        except Exception as error:
            yield [type(error).__name__]

    def told(self, layer: Layer, inputs: Sequence[Any], backwards: int) -> Iterator[list[Any]]:
        given = copied(inputs)
        outputs = layer.forward(*given, **copied(self.options))
        yield copied([*flat(outputs), *flat(given), *layer.losses])
        for _ in range(backwards):
            dy = copied(self.dy)
            dx = flat(layer.backward(in_structure(outputs, iter(dy))))
            changed = [*dy, *flat(given), *flat(outputs), *(p.value for p in layer.weights)]
            yield copied([*dx, *(p.grad for p in layer.weights), *changed])


def flat(values: Any) -> list[Any]:
    return [leaf for value in values for leaf in flat(value)] if isinstance(values, (list, tuple)) else [values]


def copied(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: copied(value) for name, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [copied(value) for value in values]
    return np.array(values) if isinstance(values, np.ndarray) else values


def in_structure(outputs: Any, leaves: Iterator[Any]) -> Any:
    return [in_structure(y, leaves) for y in outputs] if isinstance(outputs, (list, tuple)) else next(leaves)


def same(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    """Equal but for the order of sums."""
    return len(ours) == len(theirs) and all(_same(a, b) for a, b in zip(ours, theirs, strict=True))


def _same(a: Any, b: Any) -> bool:
    if a is None or b is None or isinstance(a, str) or isinstance(b, str):
        return a is b or (isinstance(a, str) and a == b)
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-11, atol=1e-13, equal_nan=True)
