"""Numbers into bins."""
from typing import Any

import numpy as np

from nblayers.arguments import integer, number, optional
from nblayers.arrays import as_numbers
from nblayers.layers.fixed import fixed
from nblayers.layers.ids import first_of
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.preprocessing.batches import batches_of
from nblayers.layers.preprocessing.encoding import Encoder
from nblayers.layers.preprocessing.quantiles import EMPTY, boundaries_of, merged, summarized

TOGETHER = 1 << 26                      # numbers of an array that are sorted together


class Discretization(Encoder):
    r"""Numbers into the bins that they fall into: so a Dense layer learns something else for each range of ages or prices.

        i_n = \#\{k : b_k \le x_n\}                            (1)    b: the boundaries, in increasing order
        b_k \approx \text{quantile } k / K \text{ of the data}     (2)    `adapt`, for K = num_bins

    (2) is within epsilon: `adapt` keeps 1 / epsilon numbers of all that it reads, each standing for those around it. Data with
    few different numbers may give fewer bins than K.

    Input of any shape. Output like it, int32; in the other modes as in `CategoryEncoding`, with V = K the number of bins.
    There is no gradient, as (1) is flat: `backward` returns None.

    Arguments:
        bin_boundaries: b; the first bin has everything below b_0, the last everything from the last boundary on.
        num_bins: K, in place of the boundaries, which `adapt` then finds.
        epsilon: how exact they are to be, as a fraction of the data.
        output_mode: "int", "one_hot", "multi_hot" or "count".
        sparse: True is refused.
        dtype: what is compared in, and of the output in the other modes.

    Raises:
        ValueError: neither or both of bin_boundaries and num_bins; boundaries that are no numbers or decrease; num_bins is not
            a positive integer; epsilon outside (0, 1]; a NaN in the input (Keras puts it into the last bin) or in the data for
            `adapt`; a call before `adapt`.

    Source: 001.10.Discretization.
    """

    input_spec = InputSpec()
    num_bins: int | None = fixed()

    def __init__(self, bin_boundaries: Any = None, num_bins: int | None = None, epsilon: float = 0.01, output_mode: str = "int",
                 sparse: bool = False, dtype: Any = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(output_mode, sparse, dtype=dtype, name=name, **kwargs)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError(f"{self.described}: expected either bin_boundaries or num_bins, got "
                             f"{'neither' if num_bins is None else 'both'}")
        self.num_bins = optional(integer, self.described, "num_bins", num_bins, 1)
        self.epsilon = number(self.described, "epsilon", epsilon, 0, 1, open="(")
        self.bin_boundaries = optional(_checked_boundaries, self.described, "bin_boundaries", bin_boundaries)
        self.summary = EMPTY
        self.built = True

    @property
    def output_dtype(self) -> str:
        return "int32" if self.output_mode == "int" else self.dtype

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find the boundaries of `num_bins` bins that hold equally many of the data; those of an earlier `adapt` are forgotten.

        Arguments:
            data: an array, or what yields batches, as for `Normalization.adapt`.
            steps: the most batches to read; None for all.

        Raises:
            ValueError: no data, or a NaN in them; the layer was given bin_boundaries.
        """
        if self.num_bins is None:
            raise ValueError(f"{self.described}: adapt expected a layer with num_bins, got one with bin_boundaries")
        most = optional(integer, self.described, "steps", steps, 1)
        self.reset_state()
        for step, batch in enumerate(batches_of(data, self.described, TOGETHER)):
            self.update_state(batch)
            if step + 1 == most:
                break
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Take in one more batch."""
        batch = np.asarray(as_numbers(data, self.described, "data for adapt"))
        if batch.dtype.kind == "f" and np.isnan(batch).any():
            raise ValueError(f"{self.described}: adapt expected numbers, got {first_of(batch, np.isnan(batch))}: fill in or "
                             "leave out what is missing")
        if batch.size:
            self.summary = merged(summarized(batch, self.epsilon), self.summary, self.epsilon)

    def finalize_state(self) -> None:
        """Set the boundaries by what `update_state` has taken in."""
        if self.num_bins is None:
            return
        if not self.summary.size:
            raise ValueError(f"{self.described}: adapt expected at least one number, got none")
        self.bin_boundaries = boundaries_of(self.summary, self.num_bins)

    def reset_state(self) -> None:
        """Forget what `update_state` has taken in."""
        self.summary = EMPTY

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        if self.bin_boundaries is None:
            raise ValueError(f"{self.described}: expected boundaries before the first call: adapt the layer to data, or give "
                             "bin_boundaries")
        b = self.xp.asarray(self.bin_boundaries, self.dtype)
        i = self.xp.empty(inputs.shape, np.int32)
        self.kernels.encoding.bins(inputs.reshape(-1), b, i.reshape(-1))            # (1)
        if i.size and int(i.min()) < 0:
            raise ValueError(f"{self.described}: expected numbers, got {first_of(inputs, i < 0)}: fill in what is missing")
        return self._encoded(i, b.size + 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        bins = self.num_bins if self.bin_boundaries is None else len(self.bin_boundaries) + 1
        assert bins is not None
        return self._encoded_shape(input_shape, bins)

    def get_config(self) -> dict[str, Any]:
        return {"bin_boundaries": self.bin_boundaries, "num_bins": self.num_bins, "epsilon": self.epsilon,
                "output_mode": self.output_mode, "sparse": False, "name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Discretization":
        """Make a layer, with its boundaries where it had been adapted."""
        adapted = config.get("bin_boundaries") if config.get("num_bins") is not None else None
        layer = super().from_config(config if adapted is None else config | {"bin_boundaries": None})
        assert isinstance(layer, Discretization)
        if adapted is not None:
            layer.bin_boundaries = _checked_boundaries(layer.described, "bin_boundaries", adapted)
        return layer


def _checked_boundaries(who: str, name: str, value: Any) -> list[float]:
    given = np.asarray(as_numbers(value, who, name))
    boundaries = given.astype(np.float64)
    if boundaries.ndim != 1 or np.isnan(boundaries).any() or (np.diff(boundaries) < 0).any():
        raise ValueError(f"{who}: expected {name} as numbers in increasing order, got {value!r:.80}")
    return given.tolist()


__all__ = ["Discretization"]
