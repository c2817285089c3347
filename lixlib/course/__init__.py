"""What the notebooks need beside the library: sliders, and exercises with their checkers."""
