"""Chapter 12: what it writes out holds, Table V is that of the paper's text, and the tool behind Fig. 5 measures."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from notebook_code import cells_of, definitions

from lixlib.core.files import read_json_lines
from lixlib.course.exercises import EXERCISES
from lixlib.functional.cka import centre
from lixlib.lab.evidence import EQUAL_PULL
from lixlib.lab.experiments import EXPERIMENTS
from lixlib.nets import Output
from tools.dev.execute_notebooks import FOLDER
from tools.studies.cka_over_training import Observer, recipe_of

CHAPTER = definitions("12_ablation_feature")
RESULTS = FOLDER.parent / "results"
TABLE = read_json_lines(RESULTS / "paper" / "table-v.jsonl")
KERNELS, MEASURES = ("laplace", "gaussian", "linear", "none"), ("cosine", "euclidean", "pearson", "cka")


def test_the_papers_table_is_that_of_its_text(paper):
    rows = paper.split("Cosine Similarity | Euclidean Distance")[1].splitlines()[1:5]
    assert [line["score"] for line in TABLE] == [
        pytest.approx(float(cell) / 100) for row in rows for cell in row.split("|")[1:5]
    ]
    assert [(line["kernel"], line["measure"]) for line in TABLE] == list(itertools.product(KERNELS, MEASURES))


def test_every_cell_has_a_run():
    names = {CHAPTER["name_of"](line["kernel"], line["measure"]) for line in TABLE}
    assert names == set(EXPERIMENTS["table-v"])


@pytest.mark.parametrize("shape", [(4, 4), (2, 5)])
def test_parts_add_up_to_the_table(shape):
    table = np.random.default_rng(0).normal(90, 2, shape)
    mean, rows, columns, left = CHAPTER["parts"](table)
    np.testing.assert_allclose(mean + rows + columns + left, table)
    for part, axis in ((rows, 0), (columns, 1), (left, 0), (left, 1)):
        np.testing.assert_allclose(part.sum(axis), 0, atol=1e-10)
    np.testing.assert_allclose(left, EXERCISES["12.1"].expected(torch.from_numpy(table)))


def test_the_interaction_of_a_square_table_is_ckas_centring():
    table = torch.randn(5, 5, dtype=torch.float64)
    torch.testing.assert_close(EXERCISES["12.1"].expected(table), centre(table))


def test_ties_are_the_exercises():
    means = np.random.default_rng(1).normal(50, 1, (4, 4))
    expected = EXERCISES["12.2"].expected(torch.from_numpy(means), 0.4, 2.0)
    assert (CHAPTER["ties"](means, 0.4, 2.0) == expected.numpy()).all()
    means[0, 0] = np.nan  # a cell without a run is tied with nothing
    assert not CHAPTER["ties"](means, 0.4, 2.0)[0, 0]


def line_of(score):
    return {"metrics": {"mIoU": score / 100}}


def test_the_table_of_equal_pulls_shows_what_has_been_run():
    told, student = CHAPTER["told"], {seed: line_of(50 + seed) for seed in range(3)}
    command = "lix experiment table-v-equal --seeds 0 1 2 --results results/evidence"
    for nothing in ({}, {"student": student}, {"laplace, cka": student}):
        assert "Nobody has run" in told(nothing) and command in told(nothing)
    better = {seed: line_of(52 + seed) for seed in range(3)}
    text = told({"student": student, "none, cosine": better, "laplace, cka": student})
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| none", "| laplace"))]
    assert [row[:5] for row in rows] == [
        ["| none, cosine", f"{EQUAL_PULL['none, cosine']:g}", "3", "53.0", "+2.0"],
        ["| laplace, cka", "3", "3", "51.0", "+0.0"],
    ]
    assert "Not run yet: laplace, cosine; " in text
    assert "Not run yet: none." in told(dict.fromkeys(["student", *EQUAL_PULL], student))


def outputs_with(words):
    """The printed lines of the committed chapter that have these words."""
    texts = [output.get("text", "") for cell in cells_of("12_ablation_feature") for output in cell.get("outputs", [])]
    return [line for text in texts for line in text.splitlines() if words in line]


def test_the_adapter_learns_in_the_students_place():
    shares = [int(line.split("removes ")[1].split()[0]) for line in outputs_with("the adapter alone removes")]
    own = {way: [float(x.split()[-1]) for x in outputs_with(f"    {way}")] for way in ("published", "no adapter")}
    assert len(shares) == 2 and min(shares) >= 40, "the words say: a large part"
    assert all(a > 1.5 * b for a, b in zip(*own.values(), strict=True)), "the student itself stays further away"


def test_one_weight_does_not_serve_all():
    (line,) = outputs_with("into the band")
    inside, all_of_them = (int(word) for word in line.split() if word.isdigit())
    assert inside < all_of_them == len(EQUAL_PULL)


def test_unrest_is_the_mean_absolute_step():
    assert CHAPTER["unrest"](np.array([[0.0, 1.0, 0.0], [0.2, 0.4, 0.6]])) == pytest.approx([1.0, 0.2])


class Net(torch.nn.Module):
    """A network of RGB and X, or of RGB alone, with two taps."""

    def __init__(self, channels):
        super().__init__()
        self.x_channels = channels - 3 or None
        self.first, self.second = torch.nn.Conv2d(channels, 4, 3, 2), torch.nn.Conv2d(4, 6, 3, 2)
        self.head = torch.nn.Conv2d(3, 13, 1)

    def forward(self, rgb, x=None):
        first = self.first(rgb if x is None else torch.cat([rgb, x], 1))
        return Output(self.head(rgb), {"first": first, "second": self.second(first)})


@pytest.fixture(scope="module")
def observer():
    recipe = recipe_of("arfd", 0, quick=True)
    torch.manual_seed(0)
    teacher = Net(4).eval()
    return Observer(recipe, teacher, frames=6), teacher


@torch.no_grad()
def test_a_student_like_its_teacher_has_a_cka_of_one(observer):
    look, teacher = observer
    found = look(1, SimpleNamespace(student=lambda rgb: teacher(rgb, look.batch.x)))["cka"]
    for kind in ("linear", "particular", "laplace"):
        for score, floor in found[kind].values():
            assert score == pytest.approx(1, abs=1e-3) and floor < score
    assert 0 <= found["mIoU"] <= 1


@torch.no_grad()
def test_what_all_frames_share_does_not_count_as_particular(observer):
    look, teacher = observer
    mean = {name: f.mean(0, keepdim=True) for name, f in teacher(look.batch.rgb, look.batch.x).taps.items()}
    layout = {name: f.expand(6, -1, -1, -1) for name, f in mean.items()}
    found = look(1, SimpleNamespace(student=lambda rgb: Output(teacher.head(rgb), layout)))["cka"]
    for name in layout:
        assert found["linear"][name][0] > 0.05 and found["particular"][name][0] < 0.01


def test_the_tools_runs_are_those_of_the_experiments():
    recipes = [recipe_of(method, 1) for method in ("student", "arfd", "lix")]
    assert [recipe.method for recipe in recipes] == ["student", "arfd", "lix"]
    assert len({(recipe.size, recipe.epochs, recipe.batch_size, recipe.seed) for recipe in recipes}) == 1
    assert recipes[1].of_teacher() == recipes[2].of_teacher()
    assert recipes[1].options["kernel"] == "laplace" and recipes[2].method_options == {}
