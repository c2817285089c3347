"""Experiments and their numbers: a recipe, its run, a grid of runs, and what is read off their results."""
