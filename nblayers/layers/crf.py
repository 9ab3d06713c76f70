"""The conditional random field: a layer that knows how well a tag follows another."""
from typing import TYPE_CHECKING, Any

import numpy as np

from nblayers import constraints, initializers, regularizers
from nblayers.arguments import flag, found
from nblayers.layers.base import InputSpec, Layer, Parameter, Record, positive
from nblayers.layers.fixed import fixed
from nblayers.layers.ids import ids_below
from nblayers.real_steps import RealSteps, step_mask

if TYPE_CHECKING:
    from nblayers.losses.crf_loss import CRFLoss


class CRF(Layer):
    r"""A linear-chain conditional random field: the last layer of a tagger, which judges whole sequences of tags.

    The layer before it says for each step how well each of U tags fits, the CRF how well a tag follows another. A sequence y of
    tags has the score s and from it a probability:

        s(x, y) = b_{y_1} + \sum_t x_{t y_t} + \sum_{t>1} A_{y_{t-1} y_t} + e_{y_T}             (1)
        p(y) = e^{s(x, y)} / Z,    Z = \sum_{y'} e^{s(x, y')}                                   (2)

    The sum over all U^T sequences, and the search for the best one (Viterbi), go step by step: `kernels/reference/crf.py`.

        inputs = layers.Input((None, 40))
        emissions = layers.Dense(5)(layers.Bidirectional(layers.LSTM(32, return_sequences=True))(inputs))
        crf = layers.CRF(5)
        model = models.Model(inputs, crf(emissions))
        model.compile("adam", loss=crf.loss)
        model.fit(x, tags)
        crf.decode(model.predict(x))                # (samples, steps), the best sequences

    Input x (N, T, units), output the same numbers: the emissions, on which `loss`, `decode` and `marginals` work. `loss` alone
    trains the weights. A mask (N, T) tells which steps are real: the others are as if they were not there.

    Weights: transitions A (U, U), from row to column; start b and end e (U,).

    Arguments:
        units: U, the number of tags.
        use_boundary: whether b and e are there.
        transitions_initializer, boundary_initializer: what A, and b and e, start from.
        transitions_regularizer, boundary_regularizer: penalties on A, and on b and e.
        transitions_constraint, boundary_constraint: applied to them after each optimizer step.

    Raises:
        ValueError: units is not a positive integer; an input that is not (N, T, units); a mask or tags that do not fit;
            `backward` is given another gradient than the loss gave, not even a multiple of it.

    Source: Lafferty, McCallum, Pereira, "Conditional Random Fields", 2001; Lample et al., "Neural Architectures for Named
    Entity Recognition", 2016.
    """

    supports_masking = True
    masks_steps = True
    units: int = fixed()
    use_boundary: bool = fixed()
    transitions: Parameter = fixed()
    start: Parameter | None = fixed()
    end: Parameter | None = fixed()

    class Cache(Record):
        x: np.ndarray           # (N, T, U)
        mask: np.ndarray | None         # (N, T)
        left: Any = None        # what `CRFLoss` found for x and the weights, a `_Gradients`

    def __init__(self, units: int, use_boundary: bool = True, transitions_initializer: Any = "zeros",
                 boundary_initializer: Any = "zeros", transitions_regularizer: Any = None, boundary_regularizer: Any = None,
                 transitions_constraint: Any = None, boundary_constraint: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = positive(self, "units", units)
        self.use_boundary = flag(self.described, "use_boundary", use_boundary)
        who = self.described
        self.transitions_initializer = found(who, "transitions_initializer", initializers.get, transitions_initializer)
        self.boundary_initializer = found(who, "boundary_initializer", initializers.get, boundary_initializer)
        self.transitions_regularizer = found(who, "transitions_regularizer", regularizers.get, transitions_regularizer)
        self.boundary_regularizer = found(who, "boundary_regularizer", regularizers.get, boundary_regularizer)
        self.transitions_constraint = found(who, "transitions_constraint", constraints.get, transitions_constraint)
        self.boundary_constraint = found(who, "boundary_constraint", constraints.get, boundary_constraint)
        self.input_spec = InputSpec(ndim=3, axes={-1: self.units})

    def build(self, input_shape: Any) -> None:
        self._one_shape(input_shape)
        U = self.units
        self.transitions = self.add_weight((U, U), self.transitions_initializer, regularizer=self.transitions_regularizer,
                                           constraint=self.transitions_constraint, name="transitions")
        self.start, self.end = (self.add_weight((U,), self.boundary_initializer, regularizer=self.boundary_regularizer,
                                                constraint=self.boundary_constraint, name=name)
                                if self.use_boundary else None for name in ("start", "end"))

    def forward(self, inputs: np.ndarray, mask: Any = None) -> np.ndarray:
        self.cache = self.Cache(inputs, None if mask is None else step_mask(self, mask, inputs))
        return inputs

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy itself; the weights' gradients are those that `loss.gradient` left, times what dy is of the gradient it gave."""
        left = self.cache.left
        if left is not None:
            factor = left.multiple(dy, self.described)
            for weight, gradient in zip(self.weights, left.weights, strict=True):
                weight.grad += gradient * factor
        return dy

    @property
    def loss(self) -> "CRFLoss":
        """The loss to compile a model with: `losses.CRFLoss(self)`, which is minus `log_likelihood`, averaged over samples."""
        from nblayers.losses import CRFLoss
        return CRFLoss(self)

    def log_likelihood(self, emissions: Any, tags: Any, mask: Any = None) -> Any:
        """The logarithm of (2) for these tags (N, T), an array (N,); 0 for a sample without real steps."""
        return self.likelihood(emissions, tags, mask).values

    def decode(self, emissions: Any, mask: Any = None) -> Any:
        """The most likely tags (N, T), -1 where a step is masked; of several that are best the first one is taken."""
        x, steps = self._prepared(emissions, mask)
        sources, tags = self.xp.empty(x.shape, np.int64), self.xp.empty(x.shape[:2], np.int64)
        self.kernels.crf.crf_decode(x, *self._values(), steps.lengths, sources, tags, self.xp.empty(len(x), x.dtype))
        return steps.back(tags)

    def marginals(self, emissions: Any, mask: Any = None) -> Any:
        """The probability of each tag at each step, (N, T, U); 0 where a step is masked."""
        x, steps = self._prepared(emissions, mask)
        walk = _Walk(self, x, steps)
        return steps.back(walk.backward(self.xp.ones(len(x), x.dtype))[0])

    def viterbi_accuracy(self, y_true: Any, y_pred: Any) -> Any:
        """A metric, `compile(metrics=[crf.viterbi_accuracy])`: 1 where the decoded tag is the right one, (N, T).

        The mask of the layer's last forward is taken where y_pred is what that gave. A file does not keep a metric that is a
        layer's own: compile a loaded model anew.
        """
        record = self._thread.cache
        mask = record.mask if record is not None and record.x is y_pred else None
        tags = self.decode(y_pred, mask)
        return (tags == self.xp.asarray(y_true).reshape(tags.shape)).astype(self.dtype)

    def likelihood(self, emissions: Any, tags: Any, mask: Any = None) -> "Likelihood":
        """`log_likelihood`, and what its gradient needs."""
        x, steps = self._prepared(emissions, mask)
        tags = self.xp.asarray(tags)
        if tags.shape != x.shape[:2]:
            raise ValueError(f"{self.described}: expected tags of shape {x.shape[:2]}, one for each step, got {tags.shape}")
        is_real = self.xp.arange(x.shape[1]) < steps.lengths[:, None]
        tags = ids_below(f"{self.described}, tags", self.xp.where(is_real, steps.to_front(tags), 0), self.units)
        return Likelihood(_Walk(self, x, steps), self.xp.ascontiguousarray(tags))

    def _prepared(self, emissions: Any, mask: Any) -> tuple[Any, RealSteps]:
        """The emissions with each sample's real steps in front."""
        x = self._to_array(emissions)
        self._check_inputs(x)
        self._ensure_built(x.shape)
        if not x.shape[1]:
            raise ValueError(f"{self.described}: expected at least one step, got emissions of shape {x.shape}")
        steps = RealSteps(self, mask, x)
        return self.xp.ascontiguousarray(steps.to_front(x)), steps

    def _values(self) -> tuple[Any, Any, Any]:
        """A, b and e."""
        none = self.xp.zeros(self.units, self.dtype)
        return (self.transitions.value, none if self.start is None else self.start.value,
                none if self.end is None else self.end.value)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._one_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "units": self.units, "use_boundary": self.use_boundary,
            "transitions_initializer": initializers.serialize(self.transitions_initializer),
            "boundary_initializer": initializers.serialize(self.boundary_initializer),
            "transitions_regularizer": regularizers.serialize(self.transitions_regularizer),
            "boundary_regularizer": regularizers.serialize(self.boundary_regularizer),
            "transitions_constraint": constraints.serialize(self.transitions_constraint),
            "boundary_constraint": constraints.serialize(self.boundary_constraint)}


class _Walk:
    """The way forward through a batch with real steps in front, and back."""

    def __init__(self, crf: CRF, x: Any, steps: RealSteps) -> None:
        self.crf, self.x, self.steps = crf, x, steps
        self.A, self.b, self.e = crf._values()
        self.alpha, self.scale, self.log_z = (crf.xp.empty(shape, x.dtype) for shape in (x.shape, x.shape[:2], len(x)))
        crf.kernels.crf.crf_forward(x, self.A, self.b, self.e, steps.lengths, self.alpha, self.scale, self.log_z)

    def backward(self, dlog_z: Any) -> tuple[Any, Any, Any, Any]:
        """Given dL/dlog Z (N,), dL/dx (N, T, U) and dL/dA, dL/db, dL/de."""
        dx, (dA, db, de) = self.crf.xp.empty_like(self.x), map(self.crf.xp.zeros_like, (self.A, self.b, self.e))
        self.crf.kernels.crf.crf_backward(self.x, self.A, self.e, self.steps.lengths, self.alpha, self.scale, dlog_z,
                                          dx, dA, db, de)
        return dx, dA, db, de


class Likelihood:
    """The log-likelihood of tags, and its gradient.

    Attributes:
        values: (N,).
    """

    def __init__(self, walk: _Walk, tags: Any) -> None:
        self._walk, self._tags = walk, tags
        score = walk.crf.xp.empty_like(walk.log_z)
        walk.crf.kernels.crf.crf_score(walk.x, walk.A, walk.b, walk.e, tags, walk.steps.lengths, score)
        self.values = score - walk.log_z                                                # the logarithm of (2)

    def gradient(self, dvalues: Any) -> tuple[Any, list[Any]]:
        """Given dL/dvalues (N,), dL/dx (N, T, U) and dL by the layer's weights."""
        walk, crf = self._walk, self._walk.crf
        dvalues = crf.xp.ascontiguousarray(crf.xp.asarray(dvalues, walk.x.dtype))
        dx, dA, db, de = walk.backward(-dvalues)                                        # from (2)
        crf.kernels.crf.crf_score_backward(self._tags, walk.steps.lengths, dvalues, dx, dA, db, de)     # from (1)
        return walk.steps.back(dx), [dA, db, de] if crf.use_boundary else [dA]

    def leave(self, dvalues: Any) -> Any:
        """dL/dx; the weights' gradients are left with the layer's last forward, for its `backward` to add."""
        dx, weights = self.gradient(dvalues)
        record = self._walk.crf._thread.cache
        if record is not None:
            record.left = _Gradients(dx, weights)
        return dx


class _Gradients:
    """What a loss found for the emissions and for the weights."""

    def __init__(self, dx: Any, weights: list[Any]) -> None:
        self.dx, self.weights = dx, weights

    def multiple(self, dy: Any, who: str) -> float:
        """What dy is of dx: 1, or the factor that a loss has among several.

        Raises:
            ValueError: dy is no multiple of dx.
        """
        if dy is self.dx:
            return 1.0
        dx = self.dx.reshape(-1)
        if dx.size != dy.size:
            raise ValueError(f"{who}: backward expected the gradient that its loss gave, of shape {self.dx.shape}, "
                             f"got {dy.shape}")
        place = int(abs(dx).argmax())
        largest = float(dx[place])
        factor = float(dy.reshape(-1)[place]) / largest if largest else 1.0
        if abs(dy.reshape(-1) - factor * dx).max() > 1e-4 * abs(factor * largest):
            raise ValueError(f"{who}: backward expected the gradient that its loss gave, or a multiple of it: with another "
                             "loss or penalty on them nobody can tell the weights' share; put that before the layer")
        return factor
