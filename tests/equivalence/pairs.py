"""Pairs of chains of layers of which it is known whether they are equal, by integers on impulses.

It knows nothing of the prover: chains are drawn, rewritten layer by layer into other forms or
changed in one number, and both sides run by the reference on whole numbers.
"""

from dataclasses import dataclass, field

import numpy as np

import isoconv
from isoconv import layers, reference
from isoconv.errors import ArgumentError
from isoconv.ops.program import Spec, trace

PRIME = 1_000_003
OTHERS = ("Dense", "Pad", "Crop", "Average", "Max", "Up")


@dataclass
class Pair:
    """Two chains as (class, arguments), their inputs, and what is known of them.

    given: whether the weights matter. equal: the truth. a_not_in_b, b_not_in_a: known of free
    weights. changed: what was changed in b, if anything.
    """

    a: list
    b: list
    shape: tuple
    other: tuple
    given: bool
    changed: str = ""
    equal: bool = True
    a_not_in_b: bool = False
    b_not_in_a: bool = False
    weights: tuple = field(default=((), ()))


def build(chain, shape):
    made = [getattr(layers, name)(**arguments) for name, arguments in chain]
    return isoconv.Sequential([isoconv.Input(shape), *made])


# -- drawing ----------------------------------------------------------------------------------


def draw(rng):
    """A chain of 1 to 4 layers that fit each other, and its input shape."""
    while True:
        rank = int(rng.choice([1, 1, 1, 2, 2, 3]))
        first = bool(rng.random() < 0.2)
        longest = {1: 12, 2: 6, 3: 4}[rank]
        spatial = [int(n) for n in rng.integers(3, longest + 1, rank)]
        channels = int(rng.choice([1, 2, 2, 3, 4]))
        shape = (channels, *spatial) if first else (*spatial, channels)
        count = int(rng.choice([1, 1, 2, 2, 3, 4]))
        chain = [_layer(rng, rank, first) for _ in range(count)]
        if rng.random() < 0.2:
            chain += [("Flatten", {}), ("Dense", {"units": int(rng.integers(1, 4))})]
        chain = chain[:4]
        try:
            model = build(chain, shape)
        except (ArgumentError, ValueError):
            continue
        if np.prod(model.output_shape[1:]) <= 150 and model.count_params() <= 150:
            return chain, shape


def _layer(rng, rank, first):
    one = lambda most: int(rng.integers(1, most + 1))  # noqa: E731
    per = lambda most: tuple(one(most) for _ in range(rank)) if rank > 1 else one(most)  # noqa: E731
    name = str(rng.choice(["Conv", "Conv", "Conv", "Transpose", "Depthwise", "Separable", *OTHERS]))
    form = "channels_first" if first else "channels_last"
    common = {"data_format": form}
    if name == "Dense":
        return "Dense", {"units": one(4), **_ends(rng)}
    if name in ("Pad", "Crop"):
        both = tuple((int(rng.integers(0, 3)), int(rng.integers(0, 2))) for _ in range(rank))
        argument = {"Pad": "padding", "Crop": "cropping"}[name]
        full = {"Pad": "ZeroPadding", "Crop": "Cropping"}[name]
        return f"{full}{rank}D", {argument: both[0] if rank == 1 else both, **common}
    if name in ("Average", "Max"):
        padding = str(rng.choice(["valid", "same"]))
        return f"{name}Pooling{rank}D", {
            "pool_size": per(2),
            "strides": one(2),
            "padding": padding,
            **common,
        }
    if name == "Up":
        if rank == 1:
            return "UpSampling1D", {"size": one(2)}
        return f"UpSampling{rank}D", {"size": per(2), **common}
    modes = ["valid", "same"] + (["causal"] if rank == 1 and name != "Transpose" else [])
    common |= {"kernel_size": per(3), "padding": str(rng.choice(modes)), **_ends(rng)}
    step = str(rng.choice(["none", "none", "strides", "dilation", "both"]))
    if step in ("strides", "both"):
        common["strides"] = one(3)
    if step in ("dilation", "both"):
        common["dilation_rate"] = one(3)
    if name == "Depthwise":
        return f"DepthwiseConv{rank}D", common | {"depth_multiplier": one(2)}
    common["filters"] = one(4)
    if name == "Separable":
        return f"SeparableConv{rank}D", common | {"depth_multiplier": one(2)}
    if rng.random() < 0.3:
        common["groups"] = one(3)
    if name == "Transpose":
        return f"Conv{rank}DTranspose", common
    return f"Conv{rank}D", common


def _ends(rng):
    activation = str(rng.choice(["linear", "linear", "linear", "relu"]))
    return {"use_bias": bool(rng.random() < 0.6), "activation": activation}


# -- other forms of the same ------------------------------------------------------------------


def rewritten(rng, chain, shape, arrays):
    """An equal chain with its weights: each layer in another form, where one is drawn."""
    new, weights, current = [], [], tuple(shape)
    own = iter(arrays)
    for name, arguments in chain:
        layer = getattr(layers, name)(**arguments)
        layer.build((None, *current))
        after = tuple(layer.compute_output_shape((None, *current))[1:])
        held = [next(own) for _ in layer.weights]
        forms = [form for form in FORMS if form.__name__[1:] in FITS(name, arguments, rng)]
        made = None
        if forms and rng.random() < 0.7:
            made = forms[int(rng.integers(len(forms)))](name, arguments, current, after, held)
        chosen, carried = made or ([(name, dict(arguments))], held)
        new += chosen
        weights += carried
        current = after
    return new, weights


def FITS(name, arguments, rng):
    fit = ["split"] if arguments.get("activation", "linear") != "linear" else []
    last = arguments.get("data_format", "channels_last") == "channels_last"
    conv = name in ("Conv1D", "Conv2D", "Conv3D")
    if name == "Conv1D" and last:
        fit += ["wider"]
    if conv and last and _all(arguments["kernel_size"], 1) and _all(arguments.get("strides", 1), 1):
        fit += ["dense"] if arguments.get("groups", 1) == 1 else []
    if name.startswith("Depthwise"):
        fit += ["grouped"]
    if name.startswith("Separable"):
        fit += ["halves"]
    if not last and name[:4] in ("Conv", "Dept", "Sepa"):
        fit += ["turned"]
    if arguments.get("padding") in ("same", "causal") and name[:4] in ("Conv", "Dept", "Sepa"):
        fit += [] if "Transpose" in name else ["padded"]
    return fit


def _all(value, number):
    return value == number or value == (number,) * len(np.atleast_1d(value))


def _split(name, arguments, before, after, held):
    return [
        (name, arguments | {"activation": "linear"}),
        ("Activation", {"activation": "relu"}),
    ], held


def _wider(name, arguments, before, after, held):
    """Conv1D as a Conv2D with a unit axis."""
    if arguments["padding"] == "causal":
        return None
    two = dict(arguments)
    for key in ("kernel_size", "strides", "dilation_rate"):
        if key in two:
            two[key] = (two[key], 1)
    steps, channels = before
    chain = [
        ("Reshape", {"target_shape": (steps, 1, channels)}),
        ("Conv2D", two),
        ("Reshape", {"target_shape": after}),
    ]
    return chain, [held[0][:, None], *held[1:]]


def _dense(name, arguments, before, after, held):
    keep = {key: arguments[key] for key in ("use_bias", "activation")}
    flat = held[0].reshape(held[0].shape[-2:])
    return [("Dense", {"units": arguments["filters"], **keep})], [flat, *held[1:]]


def _grouped(name, arguments, before, after, held):
    """A depthwise convolution as one with as many groups as channels."""
    two = {key: value for key, value in arguments.items() if key != "depth_multiplier"}
    *taps, channels, multiplier = held[0].shape
    two |= {"filters": channels * multiplier, "groups": channels}
    kernel = held[0].reshape(*taps, 1, channels * multiplier)
    return [(name.removeprefix("Depthwise"), two)], [kernel, *held[1:]]


def _halves(name, arguments, before, after, held):
    one = {key: value for key, value in arguments.items() if key != "filters"}
    one |= {"use_bias": False, "activation": "linear"}
    rank = int(name[-2])
    two = {key: arguments[key] for key in ("filters", "use_bias", "activation", "data_format")}
    chain = [(f"DepthwiseConv{rank}D", one), (f"Conv{rank}D", two | {"kernel_size": 1})]
    return chain, held


def _turned(name, arguments, before, after, held):
    rank = len(before) - 1
    there, back = (*range(2, rank + 2), 1), (rank + 1, *range(1, rank + 1))
    chain = [
        ("Permute", {"dims": there}),
        (name, arguments | {"data_format": "channels_last"}),
        ("Permute", {"dims": back}),
    ]
    return chain, held


def _padded(name, arguments, before, after, held):
    """Padding written out: as many zeros as make the windows of "same" or "causal" fit."""
    rank, first = int(name[-2]), arguments["data_format"] == "channels_first"
    lengths = before[1:] if first else before[:-1]
    each = [np.broadcast_to(arguments.get(key, 1), rank) for key in _STEPS]
    pairs = []
    for length, taps, stride, dilation in zip(lengths, *each, strict=True):
        width = (int(taps) - 1) * int(dilation) + 1
        total = width - 1
        if arguments["padding"] == "same":
            total = max((-(-length // int(stride)) - 1) * int(stride) + width - length, 0)
        low = total if arguments["padding"] == "causal" else total // 2
        pairs.append((low, total - low))
    pad = {
        "padding": pairs[0] if rank == 1 else tuple(pairs),
        "data_format": arguments["data_format"],
    }
    return [(f"ZeroPadding{rank}D", pad), (name, arguments | {"padding": "valid"})], held


_STEPS = ("kernel_size", "strides", "dilation_rate")
FORMS = (_split, _wider, _dense, _grouped, _halves, _turned, _padded)


# -- one change -------------------------------------------------------------------------------


def changed(rng, chain):
    """The chain with one number or word changed, and what was changed."""
    spots = [(i, key) for i, (_, arguments) in enumerate(chain) for key in arguments]
    spots = [(i, key) for i, key in spots if key not in ("target_shape", "dims", "data_format")]
    while spots:
        place, key = spots[int(rng.integers(len(spots)))]
        name, arguments = chain[place]
        value = _another(rng, key, arguments[key])
        if value is None:
            spots.remove((place, key))
            continue
        new = [*chain[:place], (name, arguments | {key: value}), *chain[place + 1 :]]
        return new, f"{name} {key}: {arguments[key]} -> {value}"
    return None


def _another(rng, key, value):
    if key == "activation":
        return {"linear": "relu", "relu": "linear"}[value]
    if isinstance(value, bool):
        return not value
    if key == "padding" and isinstance(value, str):
        return str(rng.choice([mode for mode in ("valid", "same", "causal") if mode != value]))
    if isinstance(value, tuple):
        at = int(rng.integers(len(value)))
        inner = _another(rng, key, value[at])
        return None if inner is None else (*value[:at], inner, *value[at + 1 :])
    if isinstance(value, int):
        return value + int(rng.choice([-1, 1]))
    return None


def shuffled(rng, arrays):
    """Weights with two elements along one axis of one array exchanged, and what was changed."""
    spots = [(i, axis) for i, w in enumerate(arrays) for axis, n in enumerate(w.shape) if n > 1]
    if not spots:
        return None
    index, axis = spots[int(rng.integers(len(spots)))]
    new = [array.copy() for array in arrays]
    new[index] = np.roll(new[index], 1, axis)
    return new, f"weight {index} rolled along axis {axis}"


# -- the truth --------------------------------------------------------------------------------


def runner(model, shape):
    """The model by the reference: (points, weights) -> outputs, on whole numbers."""
    traces = {}

    def run(points, weights):
        if len(points) not in traces:
            spec = Spec((len(points), *shape), "float32")
            traces[len(points)] = trace(lambda x: model(x), [spec])
        found = traces[len(points)]
        by_id = {id(v): w for v, w in zip(model.weights, weights, strict=True)}
        feeds = {found.graph.inputs[0]["name"]: points.reshape(len(points), *shape)}
        for node, source in zip(found.graph.inputs[1:], found.captured, strict=True):
            feeds[node["name"]] = by_id[id(source)]
        (outputs,) = reference.run(found.graph, feeds, precision="float64")
        return outputs.reshape(len(points), -1)

    return run


def numbers(rng, model, positive=False):
    """Whole weights, few enough digits that float64 holds what four layers make of them."""
    low = 1 if positive else -97
    return [rng.integers(low, 98, w.shape).astype("float32") for w in model.get_weights()]


def impulses(size):
    unit = np.eye(size) * 2
    return np.concatenate([np.zeros((1, size)), unit, -unit])


def response(run, size, weights):
    """What each impulse adds to the result for no input, and that result."""
    values = run(impulses(size), weights)
    return np.concatenate([values[:1], values[1:] - values[0]])


def judge(rng, pair):
    """Fills in the truth; False where the generator cannot tell."""
    models = build(pair.a, pair.shape), build(pair.b, pair.other)
    size = int(np.prod(pair.shape))
    runs = runner(models[0], pair.shape), runner(models[1], pair.other)
    if models[0].output_shape[1:] != models[1].output_shape[1:]:
        sizes = [int(np.prod(m.output_shape[1:])) for m in models]
        if sizes[0] != sizes[1]:
            pair.equal, pair.a_not_in_b, pair.b_not_in_a = False, True, True
            return True
    if pair.given:
        points = np.concatenate([impulses(size), rng.integers(-3, 4, (20, size))])
        left, right = (run(points, w) for run, w in zip(runs, pair.weights, strict=True))
        pair.equal = bool(np.array_equal(left, right))
        return True
    return True if not pair.changed else _free(rng, pair, models, runs, size)


def _free(rng, pair, models, runs, size):
    """Of changed chains with free weights: equal with the same weights, or told apart by what
    stays 0, by what stays alike, or by how many directions there are.
    """
    if [w.shape for w in models[0].get_weights()] == [w.shape for w in models[1].get_weights()]:
        draws = [numbers(rng, models[0]) for _ in range(3)]
        points = np.concatenate([impulses(size), rng.integers(-3, 4, (20, size))])
        if all(np.array_equal(runs[0](points, w), runs[1](points, w)) for w in draws):
            pair.equal = True
            return True
    # Positive numbers pass relu and max, so that a response is a polynomial in the weights.
    tables = []
    for model, run in zip(models, runs, strict=True):
        draws = [response(run, size, numbers(rng, model, True)) for _ in range(5)]
        tables.append(np.stack(draws)[:, : size + 1])
    left, right = tables
    lives = [(each != 0).any(0) for each in tables]
    pair.a_not_in_b = bool((lives[0] & ~lives[1]).any())
    pair.b_not_in_a = bool((lives[1] & ~lives[0]).any())
    pair.equal = not (pair.a_not_in_b or pair.b_not_in_a)
    if pair.equal and _classes(left) != _classes(right):
        pair.equal = False
    if pair.equal:
        ranks = [_rank(rng, m, r, size) for m, r in zip(models, runs, strict=True)]
        pair.equal = ranks[0] == ranks[1]
    # Alike in all of this, yet not by the same weights: the generator cannot tell.
    return not pair.equal


def _classes(tables):
    """The entries that are alike in every draw, as numbers by first appearance."""
    flat = tables.reshape(len(tables), -1).T
    _, which = np.unique(flat, axis=0, return_inverse=True)
    first = {}
    return [first.setdefault(int(each), len(first)) for each in which.reshape(-1)]


def _rank(rng, model, run, size):
    """How many directions the responses have near positive weights: the most of three draws."""
    return max(_directions(run, size, numbers(rng, model, True)) for _ in range(3))


def _directions(run, size, weights):
    here, rows = response(run, size, weights)[: size + 1].reshape(-1), []
    for index, array in enumerate(weights):
        for spot in np.ndindex(array.shape):
            near = [w.copy() for w in weights]
            near[index][spot] += 1
            rows.append(response(run, size, near)[: size + 1].reshape(-1) - here)
    return _rank_of(np.stack(rows)) if rows else 0


def _rank_of(matrix):
    """The rank modulo a prime, by elimination; averages over powers of two become whole first."""
    rows, rank = (matrix * 2**9).astype(np.int64) % PRIME, 0
    for column in range(rows.shape[1]):
        found = np.flatnonzero(rows[rank:, column])
        if found.size:
            pivot = rank + found[0]
            rows[[rank, pivot]] = rows[[pivot, rank]]
            rows[rank] = rows[rank] * pow(int(rows[rank, column]), -1, PRIME) % PRIME
            below = rows[rank + 1 :]
            rows[rank + 1 :] = (below - below[:, column, None] * rows[rank]) % PRIME
            rank += 1
        if rank == len(rows):
            break
    return rank


def pairs(seed, count):
    """So many pairs, half of them changed in one number; two thirds with free weights."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < count:
        pair = _pair(rng, made % 2 == 1)
        if pair is not None and judge(rng, pair):
            yield pair
            made += 1


def _pair(rng, change):
    chain, shape = draw(rng)
    model = build(chain, shape)
    arrays = numbers(rng, model)
    other, carried = rewritten(rng, chain, shape, arrays)
    pair = Pair(chain, other, shape, shape, bool(rng.random() < 0.34), weights=(arrays, carried))
    if not change:
        return pair
    if pair.given and rng.random() < 0.5:
        found = shuffled(rng, carried)
        if found is None:
            return None
        pair.weights, pair.changed = (arrays, found[0]), found[1]
        return pair
    found = changed(rng, other)
    if found is None:
        return None
    pair.b, pair.changed = found
    try:
        model = build(pair.b, shape)
    except (ArgumentError, ValueError):
        return None
    shapes = [w.shape for w in model.get_weights()]
    if pair.given and shapes != [np.shape(w) for w in carried]:
        pair.given = False
    return None if model.count_params() > 200 else pair
