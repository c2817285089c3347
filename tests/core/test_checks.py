"""What a label that is no class does in a compiled loss, which cannot branch on values."""

import pytest
import torch

from lixlib.functional import kd_loss


def test_a_wrong_label_in_a_compiled_loss():
    torch._dynamo.reset()
    logits, teacher = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 4)
    label = torch.randint(5, (2, 3, 4))
    compiled = torch.compile(kd_loss, fullgraph=True, backend="eager")
    assert torch.equal(compiled(logits, teacher, label), kd_loss(logits, teacher, label))
    label[0, 1, 2] = 7
    with pytest.raises(RuntimeError, match="labels must be 0..4, or 255"):
        compiled(logits, teacher, label)
    with pytest.raises(ValueError, match="label 7 at image 0, row 1, column 2"):
        kd_loss(logits, teacher, label)
