r"""What summing a gradient over many processes costs: a model of the time, for numbers of processes that one does not have."""
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nblayers.arguments import integer, number

WAYS = ("ring", "tree")


@dataclass(frozen=True)
class Row:
    """What one number of processes costs in one way.

    Attributes:
        ranks: processes.
        way: "ring" or "tree".
        sent: bytes that a process sends in a step; in the tree the busiest one.
        seconds: of the sum by itself.
        waited: seconds of a step in which the sum is waited for, part of it being hidden by the backward.
        efficiency: the share of a step in which a process computes.
    """

    ranks: int
    way: str
    sent: float
    seconds: float
    waited: float
    efficiency: float


@dataclass(frozen=True)
class Simulation:
    """The rows of `simulate`: `print` shows them as a table, `plot` as a picture."""

    rows: tuple[Row, ...]

    def __str__(self) -> str:
        lines = [f"{'ranks':>6} {'way':<5} {'MB sent':>9} {'sum ms':>10} {'waited ms':>10} {'computes':>9}"]
        lines += [f"{row.ranks:>6} {row.way:<5} {row.sent / 1e6:>9.3f} {row.seconds * 1e3:>10.3f} {row.waited * 1e3:>10.3f} "
                  f"{row.efficiency:>9.1%}" for row in self.rows]
        return "\n".join(lines)

    def of(self, way: str) -> list[Row]:
        """The rows of one way, by their number of processes."""
        return [row for row in self.rows if row.way == way]

    def plot(self, path: Any = None) -> Any:
        """Draw the time of the sum, and what is waited for, over the number of processes.

        Arguments:
            path: save the picture there; without it, `plt.show()` shows it, and so does a notebook.

        Returns:
            The figure (matplotlib's).
        """
        from nblayers.utils.pictures.figures import BLUE, VERMILION, finished, grid
        figure, panels = grid(2, 2, (6, 4))
        for way, colour, line in (("ring", BLUE, "-"), ("tree", VERMILION, "--")):
            rows = [row for row in self.of(way) if row.ranks > 1]
            ranks = [row.ranks for row in rows]
            seconds, shares = [row.seconds * 1e3 for row in rows], [row.efficiency * 100 for row in rows]
            for axes, values in zip(panels, (seconds, shares), strict=True):
                axes.plot(ranks, values, line, color=colour, marker="o", markersize=4, label=way)
        panels[0].set(title="The sum by itself", xlabel="Processes", ylabel="ms a step", xscale="log", yscale="log")
        panels[1].set(title="Computing, not waiting", xlabel="Processes", ylabel="% of a step", xscale="log", ylim=(0, 105))
        for axes in panels:
            axes.legend()
            axes.grid(alpha=0.3)
        return finished("Simulation.plot", figure, path)


def simulate(bytes: float, ranks: int | Sequence[int], latency: float, bandwidth: float, forward: float = 0.0,
             backward: float = 0.0, bucket_bytes: float = 2**20) -> Simulation:
    r"""What summing a gradient of n bytes over p processes costs a step, as a ring and as a tree.

        t_{ring} = 2 (p - 1) \left(\alpha + \frac{n}{p\,\beta}\right)               (1)
        t_{tree} = 2 \lceil \log_2 p \rceil \left(\alpha + \frac{n}{\beta}\right)   (2)
        s_b = \max(r_b, e_{b-1}), \qquad e_b = s_b + t_b                            (3)
        w = e_B - t_{backward}                                                      (4)

    \alpha is the latency of a message and \beta the bandwidth. In the ring the gradient is cut into p pieces: in p - 1 rounds
    each process passes a piece on and adds its own, in p - 1 more the sums go round. In the tree the halves add up to one
    process and the sum goes back the same way; the busiest process sends n in each of half the rounds. The ring sends little
    more than 2 n however many there are, but in 2 (p - 1) messages: it wins for large gradients, the tree for small ones.

    The B buckets get ready one after the other while the backward runs, r_b = b t_{backward} / B, and are summed in that order
    (3); only what is left when the backward is done is waited for (4).

        print(simulate(bytes=25e6 * 4, ranks=1024, latency=5e-6, bandwidth=10e9, forward=0.03, backward=0.06))

    Arguments:
        bytes: n, of all gradients together.
        ranks: numbers of processes p; one number stands for 1, 2, 4 … up to it.
        latency: \alpha, seconds of an empty message.
        bandwidth: \beta, bytes in a second from one process to another.
        forward, backward: seconds that a process computes in a step; it has the same number of samples however many there are.
        bucket_bytes: gradients are summed in messages of about so many bytes.

    It knows one kind of connection, no traffic of others, no time for adding, and processes that are all equally fast.

    Raises:
        ValueError: a negative number, no bandwidth, less than one process.

    Source: Thakur, Rabenseifner, Gropp 2005, "Optimization of Collective Communication Operations in MPICH", section 4.
    """
    who = "simulate"
    n, alpha = number(who, "bytes", bytes, 0), number(who, "latency", latency, 0)
    beta = number(who, "bandwidth", bandwidth, 0, open="(")
    before, back = number(who, "forward", forward, 0), number(who, "backward", backward, 0)
    buckets = max(1, math.ceil(n / number(who, "bucket_bytes", bucket_bytes, 0, open="(")))
    rows = []
    for p in _counts(who, ranks):
        for way in WAYS:
            each = seconds_of(way, n / buckets, p, alpha, beta)
            end = 0.0
            for b in range(1, buckets + 1):
                end = max(b * back / buckets, end) + each                                   # (3)
            waited = end - back                                                             # (4)
            computing = before + back
            efficiency = computing / (computing + waited) if computing + waited else 1.0
            rows.append(Row(p, way, _sent(way, n, p), seconds_of(way, n, p, alpha, beta), waited, efficiency))
    return Simulation(tuple(rows))


def seconds_of(way: str, n: float, p: int, alpha: float, beta: float) -> float:
    """(1) or (2)."""
    if way == "ring":
        return 2 * (p - 1) * (alpha + n / (p * beta))
    return 2 * math.ceil(math.log2(p)) * (alpha + n / beta)


def _sent(way: str, n: float, p: int) -> float:
    return 2 * (p - 1) / p * n if way == "ring" else math.ceil(math.log2(p)) * n


def _counts(who: str, ranks: int | Iterable[int]) -> list[int]:
    if isinstance(ranks, Iterable):
        return [integer(who, "ranks", p, 1) for p in ranks]
    most = integer(who, "ranks", ranks, 1)
    powers = [2**k for k in range(most.bit_length())]
    return powers if powers[-1] == most else [*powers, most]
