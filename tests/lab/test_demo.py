"""The four networks of the demo are one comparison: each differs from the next in what it says."""

from dataclasses import replace

import pytest

from lixlib.lab.demo import four_networks
from lixlib.lab.regime import DEMO, PUBLISHED, REGIME

HALVES = [
    ("lix-ours", {"lambda_l": 2.0, "lambda_f": 3.0}),
    ("lix", {"lambda_l": 2.0, "lambda_f": 3.0}),
    ("arfd", {"weight": 3.0}),
    ("kd", {"weight": 2.0}),
]


@pytest.mark.parametrize(("method", "options"), HALVES)
def test_the_four_are_one_comparison(method, options):
    found = four_networks(method=method, seed=4, lambda_l=2.0, lambda_f=3.0)
    assert list(found) == ["teacher", "student", "taught without X", "distilled"]
    teacher, student, without, distilled = found.values()
    assert distilled.method == method and distilled.method_options == {**PUBLISHED.get(method, {}), **options}
    assert teacher == distilled.of_teacher() and teacher.x
    assert student == replace(distilled, method="student", method_options={})
    assert without.of_teacher() == replace(teacher, x=False)
    assert replace(without, teacher={}) == distilled


def test_the_demo_is_the_regime_of_the_tables_but_for_its_length_and_recordings():
    distilled = four_networks()["distilled"]
    same = ("size", "batch_size", "network_options", "class_weights", "ema")
    assert {name: getattr(distilled, name) for name in same} == {name: REGIME[name] for name in same}
    assert distilled.dataset_options["count"] == REGIME["dataset_options"]["count"]
    assert (distilled.epochs, distilled.unlabelled) == (DEMO["epochs"], DEMO["unlabelled"])


def test_what_is_given_counts():
    given = four_networks(epochs=3, size=(32, 64), batch_size=2, precision="32-true", network="off-net")["distilled"]
    assert (given.epochs, given.size, given.batch_size, given.precision) == (3, (32, 64), 2, "32-true")
    assert given.network_options == {}
    assert {each.epochs for each in four_networks(quick=True, epochs=50).values()} == {2}
    photographs = four_networks("camvid", root="somewhere")["student"]
    assert photographs.network_options == {} and photographs.class_weights == "sqrt" and photographs.epochs == 15


def test_bfloat16_is_taken_where_the_processor_has_it(monkeypatch):
    for has in (False, True):
        monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda has=has: has)
        monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        assert four_networks()["student"].precision == ("bf16-mixed" if has else "32-true")
