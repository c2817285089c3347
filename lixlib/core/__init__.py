"""What every room stands on: the types that are passed around, their checks, and files."""
