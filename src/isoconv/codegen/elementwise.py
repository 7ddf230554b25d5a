"""The emission of elementwise operations: one value, in one lane or many, from its operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isoconv.codegen.emit import SCALARS, Builder, Value, element_type, like, mangle
from isoconv.codegen.functions import FUNCTIONS
from isoconv.errors import InternalError

Emit = Callable[[Builder, Sequence[Value]], Value]


def _is_float(value: Value) -> bool:
    return element_type(value.type) in ("float", "double")


def _arithmetic(float_name: str, integer_name: str) -> Emit:
    def emit(b: Builder, args: Sequence[Value]) -> Value:
        return b.op(float_name if _is_float(args[0]) else integer_name, *args)

    return emit


def _extreme(predicate: str, intrinsic: str) -> Emit:
    """max or min; a NaN in either operand is the result."""

    def emit(b: Builder, args: Sequence[Value]) -> Value:
        x, y = args
        if not _is_float(x):
            return b.intrinsic(intrinsic, x, y)
        # This form is one instruction on x86: it gives x where either is NaN.
        chosen = b.select(b.compare(predicate, y, x), y, x)
        if _is_constant(y):
            return chosen
        return b.select(b.compare("uno", y, y), y, chosen)

    return emit


def _is_constant(value: Value) -> bool:
    return not value.text.startswith("%")


def _negate(b: Builder, args: Sequence[Value]) -> Value:
    (x,) = args
    if _is_float(x):
        return b.emit(x.type, f"fneg {x}")
    return b.op("sub", b.const(x.type, 0), x)


def _absolute(b: Builder, args: Sequence[Value]) -> Value:
    (x,) = args
    if _is_float(x):
        return b.intrinsic("fabs", x)
    return b.intrinsic("smax", x, _negate(b, args))


def _sign(b: Builder, args: Sequence[Value]) -> Value:
    (x,) = args
    zero, one, minus = (b.const(x.type, n) for n in (0, 1, -1))
    above, below = ("ogt", "olt") if _is_float(x) else ("sgt", "slt")
    positive = b.select(b.compare(above, x, zero), one, zero)
    if _is_float(x):
        positive = b.select(b.compare("uno", x, x), x, positive)
    return b.select(b.compare(below, x, zero), minus, positive)


def _floor(b: Builder, args: Sequence[Value]) -> Value:
    return b.intrinsic("floor", args[0]) if _is_float(args[0]) else args[0]


def _comparison(float_predicate: str, integer_predicate: str) -> Emit:
    def emit(b: Builder, args: Sequence[Value]) -> Value:
        return b.compare(float_predicate if _is_float(args[0]) else integer_predicate, *args)

    return emit


def _not(b: Builder, args: Sequence[Value]) -> Value:
    return b.op("xor", args[0], b.const(args[0].type, 1))


def _function(name: str) -> Emit:
    return lambda b, args: FUNCTIONS[name](b, *args)


def cast(b: Builder, value: Value, dtype: str) -> Value:
    """The value in another dtype; floats are cut towards zero, saturating, for integers."""
    old, new = element_type(value.type), SCALARS[dtype]
    if old == new:
        return value
    if new == "i1":
        predicate = "une" if _is_float(value) else "ne"
        return b.compare(predicate, value, b.const(value.type, 0))
    rank = {"i1": 0, "i32": 1, "i64": 2, "float": 3, "double": 4}
    if rank[old] < 3 and rank[new] >= 3:
        return b.convert("uitofp" if old == "i1" else "sitofp", value, new)
    if rank[old] < 3:
        if rank[old] > rank[new]:
            return b.convert("trunc", value, new)
        return b.convert("zext" if old == "i1" else "sext", value, new)
    if rank[new] >= 3:
        return b.convert("fpext" if new == "double" else "fptrunc", value, new)
    type_ = like(value.type, new)
    suffix = f"{mangle(type_)}.{mangle(value.type)}"
    return b.call(f"llvm.fptosi.sat.{suffix}", type_, value)


ELEMENTWISE: dict[str, Emit] = {
    "neg": _negate,
    "abs": _absolute,
    "sign": _sign,
    "floor": _floor,
    "relu": lambda b, args: _extreme("ogt", "smax")(b, (args[0], b.const(args[0].type, 0))),
    "sqrt": lambda b, args: b.intrinsic("sqrt", args[0]),
    "add": _arithmetic("fadd", "add"),
    "sub": _arithmetic("fsub", "sub"),
    "mul": _arithmetic("fmul", "mul"),
    "div": lambda b, args: b.op("fdiv", *args),
    # A call of fmod, lane by lane.
    "rem": lambda b, args: b.op("frem", *args),
    "max": _extreme("ogt", "smax"),
    "min": _extreme("olt", "smin"),
    "lt": _comparison("olt", "slt"),
    "le": _comparison("ole", "sle"),
    "eq": _comparison("oeq", "eq"),
    "and": lambda b, args: b.op("and", *args),
    "or": lambda b, args: b.op("or", *args),
    "not": _not,
    "where": lambda b, args: b.select(*args),
    **{
        name: _function(name)
        for name in ("exp", "expm1", "log", "log1p", "tanh", "erf", "sin", "cos", "pow")
    },
}


def apply(b: Builder, op: str, args: Sequence[Value]) -> Value:
    """The value of an elementwise operation other than a cast."""
    if op not in ELEMENTWISE:
        raise InternalError(f"no emission for the operation {op}")
    return ELEMENTWISE[op](b, args)
