"""Python expressions as LaTeX, in the notation of the lessons: `dc_prev = dc * f` is dc_{t-1} = dc \\odot f."""
import ast

GREEK = {"alpha", "beta", "gamma", "delta", "epsilon", "eta", "theta", "lambda", "mu", "nu", "pi", "rho", "sigma", "tau", "phi"}
WHOLE = {"kernel": "W", "recurrent_kernel": "U", "bias": "b", "embeddings": "E", "mean": r"\mu", "variance": "v", "rstd": "r",
         "normal": r"\hat{x}", "inputs": "x", "depthwise_kernel": "W^{D}", "pointwise_kernel": "W^{P}"}
PARTS = {"prev": "t-1", "next": "t+1", "t": "t"}
FUNCTIONS = {"tanh": r"\tanh", "exp": r"\exp", "log": r"\log", "maximum": r"\max", "minimum": r"\min", "max": r"\max",
             "min": r"\min", "_sigmoid": r"\sigma", "_activate": "f", "_slope": "f'", "sum": r"\textstyle\sum",
             "mean": r"\mathrm{mean}"}
AS_IT_IS = {"_by_channel", "astype", "copy", "reshape", "asarray", "ascontiguousarray"}       # they change no number
SUM, PRODUCT, SIGN, POWER, ATOM = range(5)              # how tightly a formula holds together


def statement(node: ast.Assign | ast.AugAssign | ast.AnnAssign) -> str:
    """An assignment."""
    assert node.value is not None
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    left = ",\\ ".join(expression(target) for target in targets)
    if isinstance(node, ast.AugAssign):
        operator = {ast.Add: "+", ast.Sub: "-", ast.Mult: r"\odot", ast.Div: "/"}.get(type(node.op), r"\circ")
        return rf"{left} \leftarrow {left} {operator} {_within(node.value, PRODUCT)}"
    return f"{left} = {expression(node.value)}"


def expression(node: ast.expr) -> str:
    """An expression."""
    return _written(node)[0]


def name_of(node: ast.expr) -> str:
    """The name at the root of what a line assigns to."""
    while isinstance(node, (ast.Subscript, ast.Starred)):
        node = node.value
    if isinstance(node, ast.Attribute):
        if node.attr in ("value", "grad"):
            return ("d" if node.attr == "grad" else "") + name_of(node.value)
        return node.attr
    return node.id if isinstance(node, ast.Name) else ast.unparse(node)


def gradient_in(node: ast.expr) -> str:
    """The first gradient that stands in a term, `dc_next` or `dh`; "" for none."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id.startswith("d") and len(part.id) > 1 and part.id not in FUNCTIONS:
            return part.id
    return ""


def name(text: str) -> str:
    """A variable: `c_tilde` is \\tilde{c}, `dh_prev` is dh_{t-1}, `kernel` is W."""
    if text in WHOLE:
        return WHOLE[text]
    if text.startswith("d") and len(text) > 1 and text not in GREEK:
        return "d" + (name(text[1:]) if text[1] != "_" else text[1:])
    first, *rest = text.strip("_").split("_")
    tilde = "tilde" in rest
    rest = [PARTS.get(part, part) for part in rest if part != "tilde"]
    shown = rf"\{first}" if first in GREEK else first if len(first) == 1 else rf"\mathrm{{{first}}}"
    shown = rf"\tilde{{{shown}}}" if tilde else shown
    below = ",".join(part if len(part) < 4 else rf"\mathrm{{{part}}}" for part in rest)
    return f"{shown}_{{{below}}}" if rest else shown


def _written(node: ast.expr) -> tuple[str, int]:
    """An expression, and how tightly it holds together."""
    if isinstance(node, ast.Name):
        return name(node.id), ATOM
    if isinstance(node, ast.Constant):
        return (r"\ldots" if node.value is Ellipsis else str(node.value)), ATOM
    if isinstance(node, ast.Attribute):
        return _attribute(node)
    if isinstance(node, ast.Subscript):
        return _subscript(node)
    if isinstance(node, ast.BinOp):
        return _operation(node)
    if isinstance(node, ast.UnaryOp):
        sign = {ast.USub: "-", ast.Invert: r"\neg ", ast.Not: r"\neg "}.get(type(node.op), "+")
        return sign + _within(node.operand, SIGN), SIGN
    if isinstance(node, ast.Compare):
        return _comparison(node), SUM
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, (ast.Tuple, ast.List)):
        return ",\\ ".join(map(expression, node.elts)), ATOM
    if isinstance(node, ast.IfExp):
        return rf"{expression(node.body)}\ \mathrm{{if}}\ {expression(node.test)},\ {expression(node.orelse)}", SUM
    return rf"\mathtt{{{_escaped(ast.unparse(node))}}}", ATOM


def _within(node: ast.expr, least: int) -> str:
    """An expression as an operand, in brackets where it holds together less tightly than it must."""
    text, tightness = _written(node)
    return text if tightness >= least else f"({text})"


def _attribute(node: ast.Attribute) -> tuple[str, int]:
    if node.attr == "T":
        return _within(node.value, ATOM) + r"^\top", POWER
    if node.attr == "grad":
        return "d" + _within(node.value, ATOM), ATOM
    return (_written(node.value) if node.attr == "value" else (name(node.attr), ATOM))


def _subscript(node: ast.Subscript) -> tuple[str, int]:
    indices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    shown = [_index(index) for index in indices]
    shown = [index for index in shown if index]
    base = _within(node.value, ATOM)
    return (f"{base}[{','.join(shown)}]" if shown else base), ATOM


def _index(node: ast.expr) -> str:
    if isinstance(node, ast.Slice):
        return "" if node.lower is None and node.upper is None else ":"
    if isinstance(node, ast.Constant) and node.value in (None, Ellipsis):
        return ""
    if isinstance(node, ast.Starred):
        return expression(node.value)
    return {"at": "t", "rows": "i"}.get(getattr(node, "id", ""), expression(node))


def _operation(node: ast.BinOp) -> tuple[str, int]:
    left, right, kind = node.left, node.right, type(node.op)
    if kind is ast.Add:
        return f"{expression(left)} + {expression(right)}", SUM
    if kind is ast.Sub:
        return f"{expression(left)} - {_within(right, PRODUCT)}", SUM
    if kind is ast.Mult:
        sign = r"\," if _is_number(left) or _is_number(right) else r" \odot "
        return f"{_within(left, PRODUCT)}{sign}{_within(right, PRODUCT)}", PRODUCT
    if kind is ast.MatMult:
        return rf"{_within(left, PRODUCT)}\,{_within(right, PRODUCT)}", PRODUCT
    if kind is ast.Div:
        return rf"\frac{{{expression(left)}}}{{{expression(right)}}}", ATOM
    if kind is ast.Pow:
        return f"{_within(left, ATOM)}^{{{expression(right)}}}", POWER
    sign = {ast.BitAnd: r"\wedge", ast.BitOr: r"\vee", ast.FloorDiv: r"\div", ast.Mod: r"\bmod"}.get(type(node.op), r"\circ")
    return f"{_within(left, PRODUCT)} {sign} {_within(right, PRODUCT)}", SUM


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant))


def _comparison(node: ast.Compare) -> str:
    signs = {ast.Lt: "<", ast.LtE: r"\le", ast.Gt: ">", ast.GtE: r"\ge", ast.Eq: "=", ast.NotEq: r"\ne"}
    parts = [expression(node.left)]
    for operator, right in zip(node.ops, node.comparators, strict=True):
        parts += [signs.get(type(operator), r"\sim"), expression(right)]
    return " ".join(parts)


def _call(node: ast.Call) -> tuple[str, int]:
    function, arguments = node.func, list(node.args)
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if isinstance(function, ast.Attribute) and getattr(function.value, "id", "") not in ("np", "self", "activations"):
        arguments.insert(0, function.value)             # x.sum(): of x
    if called in AS_IT_IS and arguments:
        return _written(arguments[0])
    if called == "sqrt":
        return rf"\sqrt{{{expression(arguments[0])}}}", ATOM
    if called == "square":
        return f"{_within(arguments[0], ATOM)}^2", POWER
    if called == "abs":
        return f"|{expression(arguments[0])}|", ATOM
    if called == "where" and len(arguments) == 3:
        test, yes, no = map(expression, arguments)
        return rf"\begin{{cases}}{yes} & {test}\\ {no}\end{{cases}}", ATOM
    if called in ("evaluate", "differentiate"):
        return _activation(called, arguments)
    shown = FUNCTIONS.get(called, rf"\mathrm{{{_escaped(called.strip('_'))}}}")
    return rf"{shown}({', '.join(map(expression, arguments))})", ATOM


def _activation(called: str, arguments: list[ast.expr]) -> tuple[str, int]:
    """activations.evaluate(f, z) is f(z); activations.differentiate(f, z, y, dy) is dy f'(z)."""
    f = {"sigma": r"\sigma", "g": "g"}.get(getattr(arguments[0], "id", ""), "f")
    if called == "evaluate":
        return f"{f}({expression(arguments[1])})", ATOM
    return rf"{_within(arguments[3], PRODUCT)} \odot {f}'({expression(arguments[1])})", PRODUCT


def _escaped(text: str) -> str:
    return text.replace("_", r"\_").replace("{", r"\{").replace("}", r"\}").replace("&", r"\&").replace("#", r"\#")
