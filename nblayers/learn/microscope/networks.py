"""The pictures of a network: which picture a layer has, and what of it an operation lights."""
from dataclasses import dataclass, field

from nblayers.learn import graph
from nblayers.learn.graph import Graph
from nblayers.learn.trace import Entry

RECURRENT = {"simple_rnn", "lstm", "gru", "gru_reset_before"}
KINDS = {"simple_rnn_step": "simple_rnn", "lstm_step": "lstm", "gru_step_reset_before": "gru_reset_before", "gru_step": "gru",
         "attention_block": "attention", "batch_norm": "batch_norm", "convolve": "convolution", "max_pool": "max_pooling"}
GATES = {"i": "input gate", "f": "forget gate", "o": "output gate", "z": "update gate", "r": "reset gate"}
OF_STATES = {"y[0]": "output", "y[1]": "last state", "dy[0]": "gradient that arrives from above",
             "dx[0]": "gradient that goes to the layer below", "dx[1]": "gradient of the initial state"}
STATES = {"x[1]": "h_prev", "y[1]": "h_next"}
WORDS = {
    "simple_rnn": {"z": "input times W, and the bias", "a": "sum before the activation", "h": "hidden state", **OF_STATES},
    "lstm": {**{name: GATES[name] for name in "ifo"}, "c_tilde": "candidate for the cell", "c": "cell state",
             "h": "hidden state", "c_prev": "cell state of the step before", "h_prev": "hidden state of the step before",
             **{f"a_{name}": f"sum before the {GATES[name]}" for name in "ifo"}, "a_c": "sum before the candidate",
             **OF_STATES, "y[1]": "last hidden state", "y[2]": "last cell state",
             "dx[1]": "gradient of the initial hidden state",
             "dx[2]": "gradient of the initial cell state"},
    "gru": {**{name: GATES[name] for name in "zr"}, "u": "what the reset gate meets", "h_tilde": "candidate for the state",
            "h": "hidden state", "h_prev": "hidden state of the step before", "a_h": "sum before the candidate",
            "inner": "product with the state in the candidate",
            **{f"a_{name}": f"sum before the {GATES[name]}" for name in "zr"}, **OF_STATES},
    "attention": {"s": "scores", "p": "attention weights", "y": "output", "q": "queries", "k": "keys", "v": "values",
                  "scale": "factor of the scores",
                  "x[0]": "input for the queries", "x[1]": "input for the values", "x[2]": "input for the keys",
                  "L": "logarithm of each query's sum", "D": "what the scores of a query share of their gradient"},
    "batch_norm": {"mean": "mean of the batch", "variance": "variance of the batch", "rstd": "one over the standard deviation",
                   "normal": "normalised input", "y": "output", "gamma": "scale", "beta": "shift"},
    "convolution": {"h": "output of the depthwise convolution"},
    "": {"x": "input", "z": "sum before the activation", "y": "output", "dx": "gradient that goes to the layer below",
         "dy": "gradient that arrives from above",
         "dW": "gradient of the weights W", "dU": "gradient of the weights U", "db": "gradient of the bias",
         "h_prev": "hidden state of the step before", "y_f": "output of the forward layer",
         "y_b": "output of the backward layer", "dx_f": "gradient by the forward layer",
         "dx_b": "gradient by the backward layer",
         "moving_mean": "mean that is kept for later", "moving_variance": "variance that is kept for later"},
}
WORDS["gru_reset_before"] = WORDS["gru"] | {"u": "state that the reset gate lets through"}
NAMES = {                               # what an entry is called in the picture, where it is called otherwise
    "simple_rnn": STATES,
    "lstm": {**STATES, "x[2]": "C_prev", "y[2]": "C_next", "c": "C",
             "c_tilde": "C_tilde", "c_prev": "C_prev", "c_next": "C_next", "a_i": "a", "a_f": "a", "a_c": "a",
             "a_o": "a"},
    "gru": {**STATES, "a_z": "z", "a_r": "r", "a_h": "h_tilde"},
    "gru_reset_before": {**STATES, "a_z": "z", "a_r": "r", "a_h": "h_tilde"},
    "attention": {"y": "o", "x[0]": "q", "x[1]": "v", "x[2]": "k"},
    "batch_norm": {"variance": "var", "normal": "x_hat"},
}
AXES = {"attention": ({"s", "p", "dp", "ds"}, ["query", "key"]),
        "batch_norm": ({"x", "normal", "y", "dx", "dy"}, ["sample", "feature"])}
PLACES = {"b": "sample", "h": "head", "i": "query"}     # of attention's loops
SUBSCRIPTS = {"h_prev": "hₜ₋₁", "C_prev": "Cₜ₋₁", "h_next": "hₜ₊₁", "C_next": "Cₜ₊₁", "x": "xₜ", "y": "yₜ"}


@dataclass
class Light:
    """What of a picture is lit: the operation's node, and the edges by which it gets something and by which it gives."""

    node: str = ""
    gets: list[int] = field(default_factory=list)
    gives: list[int] = field(default_factory=list)


def kind_of(entry: Entry) -> str:
    """What computed an entry: a key of WORDS, or "" where it is nothing that has a picture."""
    return next((kind for start, kind in KINDS.items() if entry.function.startswith(start)), "")


def words(kind: str, name: str) -> str:
    """What an entry is, in words; "" where they would only repeat its name."""
    known = WORDS.get(kind, {})
    for table in (known, WORDS[""]):
        if name in table:
            return table[name]
        if name.startswith("d") and name[1:] in table:
            return f"gradient of the {table[name[1:]]}"
    return ""


def place(entry: Entry) -> str:
    """Of which sample, head and queries a block of attention is, in words; "" of all else."""
    if not entry.path.endswith("attention.py"):
        return ""
    found = [f"{PLACES[name]} {at}" for name, at in entry.where.items() if name in PLACES]
    if "rows" in entry.where:
        start, stop, _ = entry.where["rows"]
        found.append(f"queries {start} to {stop - 1}")
    return ", ".join(found)


def axes(kind: str, name: str, by_sample: bool = True) -> list[str] | None:
    """What the rows and the columns of a value are; None where they have no other name than their places.

    Arguments:
        by_sample: whether a batch has as many samples as the value rows; else they are places of the samples.
    """
    names, found = AXES.get(kind, (set(), []))
    if name not in names:
        return None
    return ["row", *found[1:]] if found[0] == "sample" and not by_sample else found


def picture(kind: str) -> Graph | None:
    """One step of a recurrent layer, or what another computes."""
    if kind in graph.CELLS:
        return graph.cell(kind)
    return graph.computation(kind) if kind in graph.COMPUTATIONS else None


def plain(found: Graph, kind: str) -> dict:
    """A picture as plain values."""
    labels = SUBSCRIPTS if kind in RECURRENT else {}
    return {
        "title": found.title, "width": found.width, "height": found.height,
        "nodes": [{"name": node.name, "at": list(node.at), "label": labels.get(node.name, node.label), "kind": node.kind}
                  for node in found.nodes],
        "edges": [{"start": edge.start, "end": edge.end, "path": [list(point) for point in edge.path]} for edge in found.edges],
        "signs": [[x, y, sign] for (x, y), sign in found.signs]}


def light(found: Graph, kind: str, entry: Entry, recorded: set[str]) -> Light:
    """What an entry lights.

    Forward it gets what its node's edges bring, and gives along those that leave; backward the other way round, and of the
    edges by which a gradient may come those whose gradient its line has read.

    Arguments:
        recorded: names of the nodes that have entries of their own; an edge from another brings what comes to that one.
    """
    node = node_of(kind, entry.name)
    if all(node != one.name for one in found.nodes):
        return Light()
    edges = list(enumerate(found.edges))
    arrive, leave = [i for i, edge in edges if edge.end == node], [i for i, edge in edges if edge.start == node]
    if entry.phase == "forward":
        beyond = [found.edges[i].start for i in arrive if found.edges[i].start not in recorded]
        return Light(node, arrive + [i for i, edge in edges if edge.end in beyond], leave)
    read = {node_of(kind, name) for name in entry.operands if name.startswith("d")}
    return Light(node, [i for i in leave if found.edges[i].end in read] or leave, arrive)


def node_of(kind: str, name: str) -> str:
    """What an entry or an operand is called in the picture: `dc_next` is C_next, `da[at]` is a, `dy_t` is y."""
    known = NAMES.get(kind, {})
    whole = name[1:] if name.startswith("d") and len(name) > 1 else name
    bare = whole.partition("[")[0]
    return known.get(whole) or known.get(bare, bare.removesuffix("_t"))
