"""The agent's tools: arithmetic and the time."""

import ast
import operator
from datetime import datetime, timedelta, timezone

from haystack.tools import tool

_OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}


@tool
def calculate(expression: str) -> str:
    """Work out a sum, such as `(17 + 25) * 2`."""
    return str(_value(ast.parse(expression, mode="eval").body))


@tool
def current_time(hours_from_utc: float = 0) -> str:
    """Tell the date and time at a distance of some hours from UTC."""
    zone = timezone(timedelta(hours=hours_from_utc))
    return datetime.now(zone).strftime("%Y-%m-%d %H:%M (UTC%z)")


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.operand))
    raise ValueError("Only numbers and + - * / ( ) can be worked out.")
