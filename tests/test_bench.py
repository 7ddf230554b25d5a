"""The benchmark computes what it times, skips visibly and reports; no test depends on time."""

import io
import json
import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from isoconv import bench, optional, timing
from isoconv.bench import (
    agenda,
    cases,
    cold,
    elsewhere,
    networks,
    ours,
    resident,
    rewrites,
    roof,
    tables,
    with_jax,
    with_litert,
    with_onnx,
    with_torch,
    within,
)
from isoconv.bench.chart import roof_chart
from isoconv.bench.networks import Conv, Dense, Embedding, Residual
from isoconv.bench.results import Report, Row
from isoconv.errors import ArgumentError, InternalError, MissingPackageError
from isoconv.timing import Times


def small(shape):
    """The shape with as few samples and positions as it needs."""
    axes = zip(shape.spatial, shape.kernel, shape.strides, shape.dilations, strict=True)
    spatial = tuple(min(size, (k - 1) * d + 1 + 5 * s) for size, k, s, d in axes)
    return replace(shape, batch=min(shape.batch, 2), spatial=spatial)


# One network for each kind of step, each small.
INPUTS = {"N1": (24, 1), "N2": (12, 3), "N3": (12, 12, 1), "words": (12,)}
LAYERS = {
    "N4": lambda layers: narrow([*layers[:3], *layers[4:5], *layers[-2:]]),
    "N5": lambda layers: narrow([*layers[:4], *layers[7:9], *layers[-2:]]),
    "N6": lambda layers: narrow(layers[7:9]),
    "words": lambda layers: [Embedding(50, 4), *layers[1:]],
}


def narrow(layers):
    """The layers with an eighth of the filters and few classes."""
    found = []
    for spec in layers:
        if isinstance(spec, Residual):
            parts = {"layers": narrow(spec.layers), "shortcut": narrow(spec.shortcut)}
            found.append(replace(spec, **parts))
        elif isinstance(spec, Conv):
            found.append(replace(spec, filters=spec.filters // 8))
        else:
            found.append(Dense(7) if isinstance(spec, Dense) else spec)
    return tuple(found)


def small_network(network):
    layers = tuple(LAYERS.get(network.name, lambda layers: layers)(network.layers))
    size = {"N6": (20, 8)}.get(network.name, (*(32 for _ in network.input[:-1]), 3))
    given = INPUTS.get(network.name, size)
    batches = {"batches": (2,), "training_batches": network.training_batches and (2,)}
    return replace(network, input=given, layers=layers, **batches)


@pytest.fixture(autouse=True)
def small_cases(monkeypatch):
    """Every case of the benchmark, small enough for a test."""
    shapes = [small(shape) for shape in cases.shapes()]
    chosen = [small_network(network) for network in networks.networks()]
    monkeypatch.setattr(cases, "shapes", lambda: shapes)
    monkeypatch.setattr(networks, "networks", lambda: chosen)
    models = {
        "RepVGG block": lambda: rewrites.repvgg(4, 6),
        "Embedding, Conv1D on words": lambda: rewrites.words(9, 12),
    }
    monkeypatch.setattr(rewrites, "CASES", models)
    monkeypatch.setattr(roof, "_SECONDS", 1e-4)
    monkeypatch.setattr(timing, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(timing, "_TURN_SECONDS", 1e-5)


# Those whose sums come from other code than ours; the rest takes long to compile.
QUICK = [ours.Ours(2), with_torch.TorchTyped(2), with_torch.TorchBest(2), with_litert.LiteRT(2)]


@pytest.mark.parametrize(
    ("section", "count"),
    [("layers", 23), ("networks", 8), ("training", 4), ("faces", 10), ("channels_first", 5)],
)
def test_sections_agree_with_their_peers_and_are_reported(section, count, monkeypatch):
    seen = []
    if section in ("faces", "channels_first"):
        kinds = ("dw1d_k4", "stride2", "wavenet_d64", "grouped32", "conv3d")
        chosen = [shape for shape in cases.shapes() if shape.name in kinds]
        monkeypatch.setattr(cases, "shapes", lambda: chosen)
    report = bench.run([section], threads=2, seconds=0.0, contenders=QUICK, on_case=seen.append)
    assert len(seen) == len(report.rows) == count
    offered = {
        "layers": {"torch best", "litert"},
        "networks": {"torch best", "litert"},
        "channels_first": set(),
    }
    for row in report.rows:
        expected = {"isoconv", "torch"} | offered.get(section, {"torch best"})
        assert set(row.runs[0]) == expected
        assert all(times.count >= 3 and times.least > 0 for times in row.runs[0].values())
    data = json.loads(json.dumps(report.as_data()))
    assert data["rows"][0]["runs"][0]["torch"]["median"] > 0
    assert max(map(len, on_screen(report).splitlines())) <= 80


def test_every_network_has_what_its_papers_say(monkeypatch):
    monkeypatch.undo()
    found = {network.name: network for network in networks.networks()}
    assert len(found) == 7
    parameters = {"N4": 11_699_112, "N5": 3_538_984}  # those of torchvision, with statistics
    for name, expected in parameters.items():
        assert found[name].weight_bytes() == 4 * expected
        assert found[name].output == (1000,)
    assert found["N4"].flops(1) == pytest.approx(2 * 1.814e9, rel=1e-3)
    assert found["N5"].flops(1) == pytest.approx(2 * 0.3008e9, rel=1e-3)
    assert found["N6"].live_bytes(4) == 4 * 4 * 4096 * 64 * 2
    dilations = [layer.layers[0].dilation for layer in found["N6"].layers]
    assert dilations == [1, 2, 4, 8, 16, 32, 64, 128] * 2


ONNX = [with_onnx.OnnxRuntime, with_onnx.OpenVino]


@pytest.mark.parametrize(
    ("kind", "section", "only"),
    [
        *[(kind, "networks", "") for kind in ONNX],
        *[(with_jax.Jax, "networks", only) for only in ("N4", "words")],
        *[(kind, "layers", "dw1d_k4") for kind in (*ONNX, with_jax.Jax)],
        (with_jax.Jax, "faces", "stride2"),
        (with_jax.Jax, "training", "N1"),
    ],
)
def test_other_peers_agree(kind, section, only):
    contenders = [ours.Ours(2), kind(2)]
    contenders[1].takes_part = True
    report = bench.run([section], only, threads=2, seconds=0.0, contenders=contenders)
    assert all(set(row.runs[0]) == {"isoconv", kind.name} for row in report.rows)


def test_a_network_within_a_tolerance_differs_by_roundings():
    conv = Conv(48, (3, 3), norm=True)
    plain = networks.Network("N", "a layer", (12, 12, 40), (2,), (), (conv,))
    exact, within = (
        ours.Ours(2).network(each, 2).result() for each in (plain, replace(plain, rtol=1e-3))
    )
    assert (exact != within).any()
    np.testing.assert_allclose(within, exact, atol=1e-4 * np.abs(exact).max())
    names = [case.name for case in agenda.SECTIONS["networks"].cases("networks", None)]
    assert names[-1].startswith("N4 ~0.001, batch")


def test_pytorch_on_our_kernels_agrees_with_pytorch():
    report = bench.run(["accelerate"], only="N1", threads=1, seconds=0.0)
    assert len(report.rows) == 2
    assert all(set(row.runs[0]) == {"isoconv", "torch"} for row in report.rows)
    assert [row.name for row in report.rows][-1] == "N1 step, batch 32"


def test_one_thread_is_compared_with_one_core():
    quick = [*QUICK[:1], ours.Ours(1, "isoconv, 1 thread")]
    report = bench.run(["layers"], only="text3gram_b1", seconds=0.0, contenders=quick)
    assert "isoconv, 1 thread" in report.rows[0].runs[0]
    assert report.rows[0].share_one() > 0


def test_sizes_of_one_convolution_grow():
    names = [case.name for case in agenda.SECTIONS["scaling"].cases("scaling", None)]
    assert {"batch 32", "length 20000", "channels 256"} < set(names)
    quick = QUICK[:1]
    report = bench.run(["scaling"], only="50", threads=1, seconds=0.0, contenders=quick)
    assert [row.name for row in report.rows] == ["length 50", "length 5000"]


# -- a process of its own ---------------------------------------------------------------------


def test_a_contender_elsewhere_computes_and_is_timed_there():
    there = elsewhere.Elsewhere(ours.OursBare, 1, elsewhere.MALLOC)
    quick = [ours.Ours(1), there]
    report = bench.run(["training"], only="N1", threads=1, seconds=0.0, contenders=quick, runs=2)
    assert set(report.rows[0].runs[1]) == {"isoconv", "isoconv step"}
    assert there.version() == ours.Ours(1).version()
    there.close()


class Bad(ours.OursBare):
    """A planted fault."""

    def training(self, network, batch):
        raise MissingPackageError("bad is needed.", name="bad")


def test_an_error_elsewhere_is_raised_here():
    answer = elsewhere.answers(Bad(1))
    with pytest.raises(MissingPackageError, match="bad is needed"):
        answer("prepare", "training", networks.networks()[0], 2)


def test_what_is_printed_elsewhere_is_no_answer():
    there = elsewhere.Elsewhere(Printing, 1, {"PYTHONPATH": ":".join(sys.path)})
    assert there.version() == "printing 1"
    there.close()


class Printing(ours.OursBare):
    def version(self):
        print("not an answer", flush=True)
        return "printing 1"


# -- what is asked for ------------------------------------------------------------------------


def test_shapes_are_those_of_the_layers():
    for shape in cases.shapes():
        assert ours.Ours(1).layer(shape).result().shape == shape.output_shape
    text = next(shape for shape in cases.shapes() if shape.name == "text3gram")
    text = replace(text, batch=32, spatial=(600,))
    assert text.flops == 2 * 32 * 598 * 64 * 3 * 300
    assert text.bytes == 4 * (32 * 600 * 300 + 3 * 300 * 64 + 32 * 598 * 64)


def test_only_what_is_asked_for():
    quick = QUICK[:1]
    report = bench.run(["layers"], only="text3gram_b1", seconds=0.0, contenders=quick)
    assert [row.name for row in report.rows] == ["text3gram_b1"]
    with pytest.raises(ArgumentError, match=r"part of text3gram; .*; got 'nothing'"):
        bench.run(["layers"], only="nothing")
    with pytest.raises(ArgumentError, match=r"rewrites.*; got speed"):
        bench.run(["speed"])


def test_missing_peers_are_skipped_visibly(monkeypatch):
    def require(module, extra):
        raise MissingPackageError(f"{module} is needed: pip install 'isoconv[{extra}]'.")

    monkeypatch.setattr(optional, "require", require)
    report = bench.run(["layers"], only="seed_tiny", seconds=0.0, contenders=QUICK)
    assert set(report.rows[0].runs[0]) == {"isoconv"}
    shown = on_screen(report)
    assert "Skipped: torch: torch is needed: pip install 'isoconv[bench]'." in shown
    assert all(demand.met is None for demand in report.demands())


class Wrong(with_torch.TorchTyped):
    """A planted fault: a peer that leaves the bias out."""

    name = "wrong"

    def _fill(self, module, **arrays):
        super()._fill(module, **arrays | {"bias": np.zeros_like(arrays["bias"])})


def test_a_contender_that_computes_something_else_is_found():
    with pytest.raises(InternalError, match="seed_tiny: wrong"):
        bench.run(["layers"], only="seed_tiny", seconds=0.0, contenders=[ours.Ours(1), Wrong(1)])


# -- the report -------------------------------------------------------------------------------


def on_screen(report):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(tables.tables(report))
    return console.export_text()


def row(section, name, ours=1.0, torch=2.0, alone=2.0):
    times = {
        contender: Times(seconds, 2 * seconds, 3)
        for contender, seconds in (
            ("isoconv", ours),
            ("torch", torch),
            ("torch best", torch / 2),
            ("isoconv, 1 thread", alone),
        )
    }
    return Row(section, name, 10**9, 0, 0.5, 1.0, [times])


def test_ratios_and_shares_are_medians_of_runs():
    report = Report({})
    for ours_, torch in ((1.0, 2.0), (0.5, 3.0), (1.0, 1.0)):
        report.add(row("layers", "text3gram", ours=ours_, torch=torch))
    (found,) = report.rows
    assert (found.ratio("torch"), found.ratio("torch", "torch best")) == (2.0, 1.0)
    assert found.ratio("onnxruntime") is None
    assert (found.share(), found.share_one()) == (1.0, 0.5)


def test_demands_are_met_or_not():
    report = Report({})
    report.rows = [row("layers", "a"), row("layers", "b", ours=2.0), row("networks", "N1, batch 1")]
    found = {demand.what: demand for demand in report.demands()}
    each = found["layers: each, against the best peer, 1 of 2 do; the least"]
    assert (each.found, each.wanted, each.met) == (0.5, 0.97, False)
    mean = found["layers: geometric mean, against torch"]
    assert (mean.found, mean.met) == (pytest.approx(2**0.5), False)
    network = found["networks: N1, batch 1, against the best peer"]
    assert (network.found, network.met) == (1.0, False)
    # Ours takes twice what the machine needs, twice and four times.
    assert (network.most, mean.most) == (2.0, pytest.approx(4.0))
    report.rows = [row("training", "N1, batch 32", torch=4.0)]
    assert [demand.met for demand in report.demands()] == [True, True]


def test_tables_fit_in_80_columns():
    slow = row("training", "N1, batch 256", ours=0.123456, torch=12.3456)
    slow.runs[0]["isoconv step"] = slow.runs[0]["keras tf"] = Times(0.123456, 0.2, 3)
    wide = row("layers", "words, batch 256", ours=0.059279, torch=14.0)
    for peer in ("onnxruntime", "openvino", "jax", "litert"):
        wide.runs[0][peer] = Times(1.23, 1.23, 3)
    report = Report(MACHINE, {"isoconv 0.1.0": None, "torch 2.13.0+cpu": None})
    report.rows = [wide, slow, slow]
    lines = on_screen(report).splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "…" not in text
    assert "N1, batch 256" in text
    assert "123,456" in text


MACHINE = {
    "processor": "processor",
    "vector_bits": 512,
    "threads": 2,
    "gflops": 480.0,
    "gflops_one_core": 243.0,
    "gigabytes_a_second": 60.0,
}


def test_chart_shows_every_convolution_against_its_roof():
    text = roof_chart([row("layers", "text3gram"), row("networks", "N1")])
    picture = ElementTree.fromstring(text)
    words = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "text3gram" in words
    assert "N1" not in words
    assert "1 of 2" in words
    with pytest.raises(ArgumentError, match="no convolutions"):
        roof_chart([])


def test_roof_is_measured():
    assert roof.flops(1) > 1e8
    assert roof.flops(2) > 1e8
    for total in (1, 1 << 14, 1 << 20):
        assert roof.bandwidth(total, 1) > 1e7


def test_contenders_run_in_turn(monkeypatch):
    monkeypatch.setattr(timing, "_repeats", lambda run: 2)
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = timing.in_turn(runs, 0.0)
    # In each of three turns, each warms up and is timed twice.
    assert "".join(calls) == "aaabbb" * 3
    assert times["a"].count == times["b"].count == 6
    assert times["a"].least <= times["a"].median


def test_rules_on_weights_are_timed_on_and_off():
    report = bench.run(["rewrites"], threads=1, seconds=0.0)
    block, words = report.alone["rewrites"]
    assert (block.rules, words.rules) == (("15", "18"), ("21",))
    # One 3x3 instead of a 3x3, a 1x1 and sums; three additions of a row instead of 900 products.
    assert 1.1 < block.less_work < 2
    assert words.less_work > 20
    assert all(each.on.least > 0 and each.off.least > 0 for each in (block, words))
    console = Console(file=io.StringIO(), width=80)
    console.print(tables.tables(report))
    shown = console.file.getvalue()
    assert "RepVGG block" in shown
    assert "off/on" in shown
    assert (
        json.loads(json.dumps(report.as_data()))["alone"]["rewrites"][0]["name"] == "RepVGG block"
    )


def test_a_tolerance_is_timed_and_its_error_found(monkeypatch):
    small = {"3 x 3": ((3, 3), (9, 9, 40), 40), "depthwise": ((80,), (90, 16), 0)}
    monkeypatch.setattr(within, "CASES", small | {"few": ((3, 3), (9, 9, 40), 4)})
    report = bench.run(["tolerance"], threads=1, seconds=0.0)
    found = report.alone["tolerance"]
    assert [each.scheme for each in found] == ["Winograd F(4,3)", "Toom-Cook F(4,4)", "exact"]
    assert all(0 < each.error <= each.bound <= within.RTOL for each in found)
    assert all(each.gain > 0 for each in found)
    console = Console(file=io.StringIO(), width=80)
    console.print(tables.tables(report))
    assert max(map(len, console.file.getvalue().splitlines())) <= 80


def test_a_case_that_only_asks_for_rules_is_found():
    report = bench.run(threads=1, seconds=0.0, only="RepVGG")
    assert [each.name for each in report.alone["rewrites"]] == ["RepVGG block"]
    with pytest.raises(ArgumentError, match="RepVGG block"):
        bench.run(["rewrites"], threads=1, seconds=0.0, only="none such")


def test_a_rule_that_changes_the_result_stops_the_benchmark():
    with pytest.raises(InternalError, match="off"):
        rewrites._verify("RepVGG block", np.ones(3), np.zeros(3))


def test_cold_starts_are_told_stage_by_stage():
    found = cold.measured("isoconv, cached", 1, 0.0)
    assert found.skipped is None
    assert 0 < sum(found.stages) < found.total


def test_memory_of_a_prediction_is_near_what_is_needed():
    found = resident.measured("N1, batch 32", 1, 0.0)
    assert found.peak >= 0.5 * found.live
    assert found.excess <= found.allowed
