"""DiffKD: its denoising steps, and which of its terms teaches the student."""

import torch
from torch import nn
from two_layers import outputs

from lixlib.distillers import build


def test_diffkd_takes_the_noise_out_in_five_steps():
    student, teacher, _ = outputs(h=4, w=4, widths=(5, 20))
    diffkd = build("diffkd", student, teacher)
    assert diffkd.times == [400, 300, 200, 100, 0] and diffkd.head[0].in_channels == 10
    assert build("diffkd", student, teacher, steps=2).times == [250, 0]
    signal, noise = torch.randn(2, 10, 4, 4), torch.randn(2, 10, 4, 4)
    level = diffkd.levels[400]
    start = level**0.5 * signal + (1 - level) ** 0.5 * noise
    diffkd.adapter.forward = lambda x: 1.0
    diffkd.predictor.forward = lambda x, times: noise  # it knows
    diffkd.head = nn.Identity()
    torch.testing.assert_close(diffkd.denoise(start), signal, rtol=1e-4, atol=1e-4)


def test_only_diffkd_s_own_term_teaches_the_student():
    student, teacher, target = outputs()
    student.taps["tap"].requires_grad_()
    terms = build("diffkd", student, teacher)(student, teacher, target)
    assert terms["noise"].requires_grad and terms["autoencoder"].requires_grad
    for name in ("noise", "autoencoder"):
        (gradient,) = torch.autograd.grad(terms[name], student.taps["tap"], allow_unused=True, retain_graph=True)
        assert gradient is None
    assert torch.autograd.grad(terms["diffkd"], student.taps["tap"])[0].abs().max() > 0
