"""Readers: one module for each data set that is read from files."""
