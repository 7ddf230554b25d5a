"""The benchmark computes what it times, skips visibly and reports; no test depends on time."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from isoconv import bench, optional, timing
from isoconv.bench import cases, ours, rewrites, roof, tables, with_torch
from isoconv.bench.results import Report, Row
from isoconv.errors import ArgumentError, InternalError, MissingPackageError
from isoconv.timing import Times


def small(shape):
    """The shape with as few samples and positions as it needs."""
    axes = zip(shape.spatial, shape.kernel, shape.strides, shape.dilations, strict=True)
    spatial = tuple(min(size, (k - 1) * d + 1 + 5 * s) for size, k, s, d in axes)
    return replace(shape, batch=min(shape.batch, 2), spatial=spatial)


@pytest.fixture(autouse=True)
def small_cases(monkeypatch):
    """Every case of the benchmark, small enough for a test."""
    shapes = [small(shape) for shape in cases.shapes()]
    networks = [
        replace(
            network,
            input=(40, 3) if network.name == "N2" else network.input,
            batches=(2,),
            training_batches=(2,) if network.training_batches else (),
        )
        for network in cases.networks()
    ]
    monkeypatch.setattr(cases, "shapes", lambda: shapes)
    monkeypatch.setattr(cases, "networks", lambda: networks)
    models = {
        "RepVGG block": lambda: rewrites.repvgg(4, 6),
        "Embedding, Conv1D on words": lambda: rewrites.words(9, 12),
    }
    monkeypatch.setattr(rewrites, "CASES", models)
    monkeypatch.setattr(roof, "_SECONDS", 1e-4)
    monkeypatch.setattr(timing, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(timing, "_TURN_SECONDS", 1e-5)


def test_all_sections_agree_with_torch_and_are_reported():
    seen = []
    report = bench.run(threads=2, seconds=0.0, on_case=seen.append)
    assert len(seen) == len(report.rows) + len(report.savings) == 23 + 3 + 2 + 2
    for row in report.rows:
        offered = {"isoconv", "torch", "isoconv, 1 thread", "jax"}
        predicting = {"torch best", "onnxruntime", *({"openvino"} - set(row.skipped))}
        extra = {"isoconv step"} if row.section == "training" else predicting
        assert set(row.times) == offered | extra
        assert all(times.count >= 3 and times.least > 0 for times in row.times.values())
    data = json.loads(json.dumps(report.as_data()))
    assert len(data["rows"]) == 28
    assert data["rows"][0]["times"]["torch"]["median"] > 0
    assert data["demands"][0]["wanted"] == 0.6


def test_shapes_are_those_of_the_layers():
    for shape in cases.shapes():
        assert ours.Ours(1).layer(shape).result().shape == shape.output_shape
    text = next(shape for shape in cases.shapes() if shape.name == "text3gram")
    text = replace(text, batch=32, spatial=(600,))
    assert text.flops == 2 * 32 * 598 * 64 * 3 * 300
    assert text.bytes == 4 * (32 * 600 * 300 + 3 * 300 * 64 + 32 * 598 * 64)


def test_only_what_is_asked_for():
    report = bench.run(["layers"], only="text3gram_b1", threads=1, seconds=0.0)
    assert [row.name for row in report.rows] == ["text3gram_b1"]
    with pytest.raises(ArgumentError, match=r"part of text3gram; .*; got 'nothing'"):
        bench.run(["layers"], only="nothing")
    with pytest.raises(ArgumentError, match="training, rewrites; got speed"):
        bench.run(["speed"])


def test_missing_peers_are_skipped_visibly(monkeypatch):
    def require(module, extra):
        raise MissingPackageError(f"{module} is needed: pip install 'isoconv[{extra}]'.")

    monkeypatch.setattr(optional, "require", require)
    report = bench.run(["layers"], only="seed_tiny", threads=1, seconds=0.0)
    assert set(report.rows[0].times) == {"isoconv", "isoconv, 1 thread"}
    shown = on_screen(report)
    assert "Skipped: torch: torch is needed: pip install 'isoconv[bench]'." in shown
    assert report.demands() == []


class Wrong(with_torch.TorchTyped):
    """A planted fault: a peer that leaves the bias out."""

    name = "wrong"

    def _fill(self, module, weight, bias):
        super()._fill(module, weight, np.zeros_like(bias))


def test_a_contender_that_computes_something_else_is_found():
    with pytest.raises(InternalError, match="seed_tiny: wrong"):
        bench.run(["layers"], only="seed_tiny", seconds=0.0, contenders=[ours.Ours(1), Wrong(1)])


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
    return Row(section, name, 10**9, 0, 0.5, 1.0, times)


def test_ratios_shares_and_demands():
    report = Report({}, [])
    report.rows = [row("layers", "text3gram"), row("networks", "N1, batch 32", torch=0.5)]
    first, second = report.rows
    assert (first.ratio("torch"), first.ratio("onnxruntime")) == (2.0, None)
    assert (first.share(), first.share_one()) == (0.5, 0.5)
    assert [(d.found, d.met) for d in report.demands()] == [(0.5, False), (0.5, False)]
    report.rows = [row("layers", "text3gram", alone=1.6), row("training", "N1, batch 32")]
    assert [d.met for d in report.demands()] == [True, True]
    assert second.ratio("torch") == 0.5


def test_tables_fit_in_80_columns():
    report = Report(
        {
            "processor": "processor",
            "vector_bits": 512,
            "threads": 2,
            "gflops": 480.0,
            "gflops_one_core": 243.0,
            "gigabytes_a_second": 60.0,
        },
        ["isoconv 0.1.0", "torch 2.13.0+cpu"],
    )
    slow = row("training", "N1, batch 256", ours=0.123456, torch=12.3456)
    del slow.times["torch best"]
    slow.times["isoconv step"] = Times(0.123456, 0.2, 3)
    report.rows = [row("layers", "long_k511_dw", ours=0.012345), slow, slow]
    lines = on_screen(report).splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "…" not in text
    assert "N1, batch 256" in text
    assert "123,456" in text


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
    block, words = report.savings
    assert (block.rules, words.rules) == (("15", "18"), ("21",))
    # One 3x3 instead of a 3x3, a 1x1 and sums; three additions of a row instead of 900 products.
    assert 1.1 < block.less_work < 2
    assert words.less_work > 20
    assert all(each.on.least > 0 and each.off.least > 0 for each in report.savings)
    console = Console(file=io.StringIO(), width=80)
    console.print(tables.tables(report))
    shown = console.file.getvalue()
    assert "RepVGG block" in shown
    assert "off/on" in shown
    assert json.loads(json.dumps(report.as_data()))["savings"][0]["name"] == "RepVGG block"


def test_a_case_that_only_asks_for_rules_is_found():
    report = bench.run(threads=1, seconds=0.0, only="RepVGG")
    assert [each.name for each in report.savings] == ["RepVGG block"]
    with pytest.raises(ArgumentError, match="RepVGG block"):
        bench.run(["rewrites"], threads=1, seconds=0.0, only="none such")


def test_a_rule_that_changes_the_result_stops_the_benchmark():
    with pytest.raises(InternalError, match="off"):
        rewrites._verify("RepVGG block", np.ones(3), np.zeros(3))
