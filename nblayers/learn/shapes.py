"""What NumPy says of shapes that do not fit, in a learner's words."""
import ast
import types
from typing import Any

import numpy as np

SIGNS = {ast.MatMult: "@", ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def in_words(error: BaseException, filename: str, source: str) -> str:
    """Which operation of a learner's code has operands whose shapes do not fit; empty if the error is another one.

    Arguments:
        error: as it was raised.
        filename: what the learner's code is called in the traceback.
        source: its text.
    """
    frames, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            frames.append(trace)
        trace = trace.tb_next
    if not isinstance(error, ValueError) or not frames:
        return ""
    node = _operation(frames[-1], source)
    if node is None or type(node.op) not in SIGNS:
        return ""
    try:
        left, right = (np.asarray(_value(part, frames[-1].tb_frame)) for part in (node.left, node.right))
    except Exception:
        return ""
    return _product(node, left, right) if isinstance(node.op, ast.MatMult) else _by_elements(node, left, right)


def _operation(trace: types.TracebackType, source: str) -> ast.BinOp | None:
    """The operation that was running."""
    begin, end, left, right = list(trace.tb_frame.f_code.co_positions())[trace.tb_lasti // 2]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp) and (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset) == (
                begin, end, left, right):
            return node
    return None


def _value(node: ast.expr, frame: types.FrameType) -> Any:
    return eval(compile(ast.Expression(node), "<operand>", "eval"), frame.f_globals, frame.f_locals)


def _product(node: ast.BinOp, left: np.ndarray, right: np.ndarray) -> str:
    shapes = f"the shapes {left.shape} and {right.shape} in {ast.unparse(node)} do not fit"
    if not left.ndim or not right.ndim:
        return f"{shapes}: a single number is multiplied with *"
    columns, rows = left.shape[-1], right.shape[-2 if right.ndim > 1 else 0]
    if columns == rows:
        return shapes
    hint = f"{shapes}: a product with @ needs as many columns at the left ({columns}) as rows at the right ({rows})"
    turned = [(right.ndim == 2 and columns == right.shape[1]), (left.ndim == 2 and left.shape[0] == rows)]
    return f"{hint}. Should one of the two be transposed?" if any(turned) else hint


def _by_elements(node: ast.BinOp, left: np.ndarray, right: np.ndarray) -> str:
    try:
        np.broadcast_shapes(left.shape, right.shape)
    except ValueError:
        sign = SIGNS[type(node.op)]
        return (f"the shapes {left.shape} and {right.shape} in {ast.unparse(node)} do not fit: {sign} goes element by element, "
                "so counted from the right each axis must be equally long, or 1 at one side")
    return ""
