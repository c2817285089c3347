"""Chapter 12: what rows and columns leave of a table, and which cells may be the best."""

import torch
from torch import Tensor

from lixlib.course.checker import Exercise, Inputs, randn


def _two_way(generator: torch.Generator) -> Inputs:
    rows, columns = randn(generator, 4, 1), randn(generator, 1, 5)
    return {
        "a table of random scores": (50 + 3 * randn(generator, 4, 4),),
        "rows and columns that add up": (90 + rows + columns + 0.01 * randn(generator, 4, 5),),
        "two rows, three columns": (randn(generator, 2, 3),),
    }


def _left_over(table: Tensor, *, rows: float = 1, columns: float = 1, mean: float = 1) -> Tensor:
    effects = rows * table.mean(1, keepdim=True) + columns * table.mean(0, keepdim=True)
    return table - effects + mean * table.mean()


def _tables_of_means(generator: torch.Generator) -> Inputs:
    means = torch.tensor([[49.0, 51.3, 51.6], [48.5, 52.3, 50.9]], dtype=torch.float64)
    return {
        "six cells": (means, 0.4, 2.0),
        "six cells, a larger error": (means, 0.7, 2.1),
        "one cell far above": (torch.tensor([[1.0, 2.0], [9.0, 3.0]], dtype=torch.float64), 0.5, 2.0),
        "random cells": (3 * randn(generator, 4, 4), 1.0, 2.0),
        "cells below zero": (-5 + 2 * randn(generator, 4, 4), 0.8, 2.0),
    }


def _tied(means: Tensor, error: float, t: float, *, of_difference: float = 2**0.5) -> Tensor:
    return means.max() - means <= t * of_difference * error


EXERCISES = {
    "12.1": Exercise(
        expected=_left_over,
        inputs=_two_way,
        hint="means with keepdim=True can be subtracted from the table; the overall mean is in both of them.",
        mistakes={
            "the overall mean was taken away twice: put it back once.": lambda table: _left_over(table, mean=0),
            "only the rows' means are gone; the columns' too.": lambda table: _left_over(table, columns=0, mean=0),
            "only the columns' means are gone; the rows' too.": lambda table: _left_over(table, rows=0, mean=0),
            "that is what rows and columns explain; return what is left.": lambda table: table - _left_over(table),
        },
    ),
    "12.2": Exercise(
        expected=_tied,
        inputs=_tables_of_means,
        hint="two independent means differ by chance with the root of the sum of their squared errors.",
        mistakes={
            "that is the error of one mean; a difference of two has sqrt(2) of it.": lambda means, error, t: _tied(
                means, error, t, of_difference=1
            ),
            "errors add as squares: sqrt(2) of it, not 2.": lambda means, error, t: _tied(
                means, error, t, of_difference=2
            ),
            "those can be told from the highest; mark the others.": lambda means, error, t: ~_tied(means, error, t),
            "t is missing.": lambda means, error, t: _tied(means, error, 1.0),
        },
    ),
}
