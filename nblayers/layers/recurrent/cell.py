"""What the library's own cells share: their weights, the two products of a step, and dropout."""
from typing import Any

from nblayers import sharing
from nblayers.layers.base import InputSpec, Layer, Parameter, _shapes, positive
from nblayers.layers.fixed import fixed
from nblayers.layers.recurrent.options import CellOptions


class DenseCell(CellOptions, Layer):
    r"""A step made of dense products: z = x W + h_{t-1} U + b, with one block of `units` columns for each gate.

    Arguments: those of `SimpleRNNCell`, and `owner`, what errors call the cell where a layer made it. A subclass sets `gates`
    and `states`, how many it has of each, and writes `forward` and `backward`.

    Weights: kernel W (D, gates · units), recurrent_kernel U (units, gates · units), bias b (gates · units,).

    Dropout: the masks are drawn at the first step and stay the same until `reset_dropout_mask`, which `RNN` calls before each
    sequence. With `recurrent_dropout` each gate has masks of its own, for x and for h; with `dropout` alone there is one.
    """

    gates = 1
    states = 1
    units: int = fixed()
    kernel: Parameter = fixed()
    recurrent_kernel: Parameter = fixed()
    bias: Parameter | None = fixed()

    def __init__(self, units: int, activation: Any, use_bias: bool, kernel_initializer: Any, recurrent_initializer: Any,
                 bias_initializer: Any, kernel_regularizer: Any, recurrent_regularizer: Any, bias_regularizer: Any,
                 kernel_constraint: Any, recurrent_constraint: Any, bias_constraint: Any, dropout: float,
                 recurrent_dropout: float, seed: int | None, owner: str | None = None, **kwargs: Any) -> None:
        self.owner = owner
        super().__init__(**kwargs)
        self.units = positive(self, "units", units)
        self._set_options(activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
                          recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint,
                          dropout, recurrent_dropout, seed)

    @property
    def output_size(self) -> int:
        """The size of the output."""
        return self.units

    @property
    def state_size(self) -> int | list[int]:
        """The size of the state, or a list with the size of each."""
        return self.units if self.states == 1 else [self.units] * self.states

    def build(self, input_shape: Any) -> None:
        features = input_shape[-1]
        if not features:
            raise ValueError(f"{self.described}: expected a known number of features above 0, got inputs of shape "
                             f"{tuple(input_shape)}")
        columns = self.gates * self.units
        self.kernel = self.add_weight((features, columns), self.kernel_initializer, name="kernel",
                                      regularizer=self.kernel_regularizer, constraint=self.kernel_constraint)
        self.recurrent_kernel = self.add_weight((self.units, columns), self.recurrent_initializer, name="recurrent_kernel",
                                                regularizer=self.recurrent_regularizer, constraint=self.recurrent_constraint)
        self.bias = self.add_weight(self._bias_shape, self._initial_bias, name="bias", regularizer=self.bias_regularizer,
                                    constraint=self.bias_constraint) if self.use_bias else None
        self.input_spec = InputSpec(ndim=2, axes={1: features})

    @property
    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def _initial_bias(self, shape: Any, dtype: Any = None) -> Any:
        return self.bias_initializer(shape, dtype=dtype)

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """Zeros (B, units) for each state."""
        return [self.xp.zeros((batch_size, self.units), self.dtype) for _ in range(self.states)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, **self._options_config()}

    def reset_dropout_mask(self) -> None:
        """Forget the dropout masks: the next step in training draws new ones."""
        self._thread.masks = None

    def dropout_masks(self, x: Any, h: Any, training: bool) -> tuple[Any, Any]:
        """This sequence's masks for x (blocks, B, D) and h (blocks, B, units), 0 or 1/(1 - rate); None: nothing is dropped."""
        if not training:
            return None, None
        state, shapes = self._thread, (x.shape, h.shape)
        if state.masks is None or state.masks[0] != shapes:
            state.masks = shapes, (self._draw(self.dropout, x.shape), self._draw(self.recurrent_dropout, h.shape))
        return state.masks[1]

    def _draw(self, rate: float, shape: tuple[int, ...]) -> Any:
        if rate == 0:
            return None
        blocks = self.gates if self.recurrent_dropout else 1
        kept = sharing.drawn(self.seed_generator.generator.random, (blocks, *shape), axis=1) >= rate
        return self.xp.asarray(kept / max(1 - rate, 1e-7), self.dtype)

    def _checked(self, states: Any, inputs: Any) -> list[Any]:
        expected = [(len(inputs), self.units)] * self.states
        got = _shapes(states)
        if got != expected:
            raise ValueError(f"{self.described}: expected states of shapes {expected}, got {got}")
        return states

    def _product(self, x: Any, weight: Parameter, masks: Any) -> Any:
        """x W; with dropout each block of W's columns sees x through a mask of its own."""
        if masks is None:
            return self._matmul(x, weight.value)
        blocks = self._blocks(weight.value, len(masks))
        return self.xp.concatenate([self._matmul(mask * x, W) for mask, W in zip(masks, blocks, strict=True)], axis=1)

    def _product_backward(self, dz: Any, x: Any, weight: Parameter, masks: Any) -> Any:
        """Add dL/dW to the weight's gradient and return dL/dx."""
        if masks is None:
            return self._affine_backward(dz, x, weight.value, weight.grad, None)
        dx = self.xp.zeros_like(x)
        count = len(masks)
        blocks = self._blocks(weight.value, count), self.xp.split(weight.grad, count, axis=1), self._blocks(dz, count)
        for mask, W, dW, dz_block in zip(masks, *blocks, strict=True):
            dW += self._matmul(mask * x, dz_block, transpose_a=True)
            dx += mask * self._matmul(dz_block, W, transpose_b=True)
        return dx

    def _blocks(self, array: Any, count: int) -> list[Any]:
        return [self.xp.ascontiguousarray(block) for block in self.xp.split(array, count, axis=1)]
