"""Sliders for the notebooks, and exercises with a checker."""
