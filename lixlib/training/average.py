"""The moving average of a network's weights: it is scored and kept in place of the weights of the last update."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from lixlib.core.averages import Mover


class MovingAverage:
    """The exponential moving average m of a network's weights w: after every update, m = d m + (1 - d) w.

    d = min(decay, (1 + n) / (10 + n)) after the n-th update, so that the random initial weights are soon forgotten and
    the average is of use from the first epoch on. Running means and variances of batch norm are averaged in the same
    way, because they have to fit the averaged weights; whole numbers, such as the count of batches, are copied.

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992, for the average of
    weights; Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017, for the exponential form. The
    growing d is that of TensorFlow's ExponentialMovingAverage.

    Args:
        net: on the device on which it is trained; its tensors must stay where they are.
    """

    def __init__(self, net: nn.Module, decay: float):
        self.decay = decay
        self._live: dict[str, Tensor] = net.state_dict()  # which shares the network's memory
        self.state = {name: tensor.clone() for name, tensor in self._live.items()}
        self._move = Mover(self.state)

    def update(self, step: int) -> None:
        """Take the weights after update `step` (1, 2, ...) into the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        self._move(self.state, self._live, 1 - decay)

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from an average that was stored."""
        for name, tensor in self.state.items():
            tensor.copy_(state[name])

    @contextmanager
    def in_network(self) -> Iterator[None]:
        """For the time of a `with` block, the network has the averaged weights."""
        kept = {name: tensor.clone() for name, tensor in self._live.items()}
        self.to_network()
        try:
            yield
        finally:
            for name, tensor in self._live.items():
                tensor.copy_(kept[name])

    def to_network(self) -> None:
        """Give the network the averaged weights."""
        for name, tensor in self._live.items():
            tensor.copy_(self.state[name])
