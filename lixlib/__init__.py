"""LIX, "Learning to Infuse X": a network with a camera and a second sensor X teaches one with the camera alone.

Where to look: `functional` holds every loss as a pure function, `distillers` the methods built from them,
`nets` the networks, `data` the data sets, `training` the training loop, `lab` the experiments.
"""

__version__ = "0.1.0"
