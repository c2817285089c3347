"""vid, pad, factor transfer, maskd, omni-contrast, DiffKD's process: reference values, definitions, extreme inputs."""

import math

import pytest
import torch
import torch.nn.functional as F

from lixlib.functional import (
    factor_transfer_loss,
    maskd_diversity,
    maskd_loss,
    omni_contrast_loss,
    pad_loss,
    vid_loss,
)
from lixlib.functional.diffkd import add_noise, ddim_step, mix_noise, noise_schedule, remove_noise
from lixlib.functional.maskd import maskd_masks

C = 6


def features(*shape, dtype=torch.float64, scale=1.0):
    return (scale * torch.randn(shape, dtype=dtype)).requires_grad_()


def assert_reference(value, g, **inputs):
    value.backward()
    assert abs(value.item() - g["loss"]) < 1e-9
    for name, tensor in {"student": g["student"], **inputs}.items():
        torch.testing.assert_close(tensor.grad, g[f"grad_{name}"], rtol=0, atol=1e-8)


def variances(like):
    return torch.linspace(0.5, 3, like.shape[1], dtype=like.dtype)


# Each takes (student, teacher) of one shape (B, C, H, W), C = 6.
LOSSES = {
    "vid": lambda s, t: vid_loss(s, t, variances(s)),
    "pad": lambda s, t: pad_loss(s, t, t.detach().roll(1, 1)),
    "ft-1": lambda s, t: factor_transfer_loss(s, t),
    "ft-2": lambda s, t: factor_transfer_loss(s, t, p=2),
    "maskd": lambda s, t: maskd_loss(s, t, torch.linspace(-1, 1, 5 * C, dtype=s.dtype).view(5, C)),
    "afdcd": lambda s, t: omni_contrast_loss(s, t, groups=3, pool=2, patch=2),
}
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


# What every loss promises


@losses
@pytest.mark.parametrize("shape", [(2, C, 8, 8), (1, C, 4, 9), (3, C, 5, 2)])
def test_a_finite_number_with_gradient_for_the_student_alone(loss, shape):
    student, teacher = features(*shape), features(*shape)
    value = loss(student, teacher)
    value.backward()
    assert value.dim() == 0 and value.dtype == torch.float64 and value.isfinite()
    assert student.grad.isfinite().all() and student.grad.abs().max() > 0
    assert teacher.grad is None


@losses
def test_gradient_is_that_of_the_value(loss):
    teacher = features(2, C, 4, 6)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), features(2, C, 4, 6))


@losses
@pytest.mark.parametrize("sign", [1, -1])
def test_extreme_features(loss, sign):
    student = features(2, C, 4, 8, dtype=torch.float32).detach().sign().mul(1e4).requires_grad_()
    student.data[0, 0] = 0
    teacher = sign * student.detach().roll(1, -1)
    value = loss(student, teacher)
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()
    assert value.item() == pytest.approx(loss(student.detach().double(), teacher.double()).item(), rel=1e-4)


@losses
def test_equal_and_empty_features_have_a_finite_gradient(loss):
    for student in (features(2, C, 4, 4), torch.zeros(2, C, 4, 4, requires_grad=True)):
        loss(student, student.detach().clone()).backward()
        assert student.grad.isfinite().all()


@losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    student, teacher = features(2, C, 4, 8, dtype=dtype), features(2, C, 4, 8, dtype=dtype)
    value = loss(student, teacher)
    value.backward()
    assert value.dtype == torch.float32 and student.grad.dtype == dtype and student.grad.isfinite().all()


@losses
def test_autocast(loss):
    student, teacher = features(2, C, 4, 8, dtype=torch.float32), features(2, C, 4, 8, dtype=torch.float32)
    expected = loss(student, teacher)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(student, teacher), expected)


@losses
def test_unequal_shapes(loss):
    with pytest.raises(ValueError, match=r"\(2, 6, 4, 8\) and \(2, 6, 4, 7\)"):
        loss(features(2, C, 4, 8), features(2, C, 4, 7))


# VID


def test_vid_reference_values(golden):
    g = golden("vid_fixed")
    g["log_scale"].requires_grad_()
    mean = F.conv2d(F.conv2d(F.conv2d(g["student"], g["w1"]).relu(), g["w2"]).relu(), g["w3"])
    value = vid_loss(mean, g["teacher"], F.softplus(g["log_scale"]) + 1e-5)
    assert_reference(value, g, log_scale=g["log_scale"])


def test_vid_is_the_negative_log_likelihood_of_a_gaussian():
    mean, teacher, variance = features(3, C, 2, 5), features(3, C, 2, 5), variances(torch.ones(1, C).double())
    gaussian = torch.distributions.Normal(mean, variance.sqrt()[:, None, None].expand(C, 2, 5))
    expected = -gaussian.log_prob(teacher).mean() - math.log(2 * math.pi) / 2
    torch.testing.assert_close(vid_loss(mean, teacher, variance), expected)
    torch.testing.assert_close(
        vid_loss(mean[:, :, 0, 0], teacher[:, :, 0, 0], variance),
        vid_loss(mean[:, :, :1, :1], teacher[:, :, :1, :1], variance),
    )


def test_vid_variance_is_trained_towards_the_residual():
    teacher, raw = features(50, C) * variances(torch.ones(1, C).double()), torch.zeros(C, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        vid_loss(torch.zeros_like(teacher), teacher, raw.exp()).backward()
        optimizer.step()
    torch.testing.assert_close(raw.exp().detach().double(), teacher.detach().square().mean(0), rtol=1e-3, atol=0)


def test_vid_needs_one_variance_a_channel():
    with pytest.raises(ValueError, match=r"found \(5,\) and \(2, 6, 4, 8\)"):
        vid_loss(features(2, C, 4, 8), features(2, C, 4, 8), torch.ones(5))


# PAD


def test_pad_reference_values(golden):
    g = golden("pad_l2")
    g["log_var"].requires_grad_()
    assert_reference(pad_loss(g["student"], g["teacher"], g["log_var"]), g, log_var=g["log_var"])


@pytest.mark.parametrize("log_variance", [-1e4, -100.0, 0.0, 100.0, 1e4])
def test_pad_of_extreme_variances(log_variance):
    student, teacher = features(2, C, dtype=torch.float32), features(2, C, dtype=torch.float32)
    l = torch.full((2, C), log_variance, requires_grad=True)  # noqa: E741
    value = pad_loss(student, teacher, l)
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all() and l.grad.isfinite().all()


def test_pad_needs_a_variance_for_every_entry():
    with pytest.raises(ValueError, match=r"\(2, 6, 4, 8\): found \(2, 1, 4, 8\)"):
        pad_loss(features(2, C, 4, 8), features(2, C, 4, 8), torch.zeros(2, 1, 4, 8))


# Factor transfer


def test_factor_transfer_reference_values(golden):
    g = golden("ft_paper_p1")
    assert_reference(factor_transfer_loss(g["student"], g["teacher"]), g)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("size", [0.0, 1e-7])
def test_a_factor_without_length_gives_no_gradient(p, size):
    student = torch.randn(3, C, 2, 2)
    student[1] = size
    student.requires_grad_()
    factor_transfer_loss(student, torch.randn(3, C, 2, 2), p=p).backward()
    assert (student.grad[1] == 0).all() and 0 < student.grad.abs().max() < 1


def test_factor_transfer_compares_directions():
    student, teacher = features(2, C, 3, 5), features(2, C, 3, 5)
    for p in (1, 2):
        value = factor_transfer_loss(student, teacher, p=p)
        assert abs(factor_transfer_loss(7 * student, 0.2 * teacher, p=p) - value) < 1e-12
        assert factor_transfer_loss(student, 3 * student, p=p) < 1e-12
        assert abs(factor_transfer_loss(student, -student, p=2) - 2) < 1e-12
    with pytest.raises(ValueError, match="p must be 1 or 2, found 3"):
        factor_transfer_loss(student, teacher, p=3)


# MasKD


def test_maskd_reference_values(golden):
    g = golden("maskd_seg")
    assert_reference(maskd_loss(g["student"], g["teacher"], g["mask_token"]), g)
    torch.testing.assert_close(maskd_masks(g["teacher"], g["mask_token"]), g["masks"], rtol=0, atol=1e-9)


def test_maskd_weights_the_places_that_a_token_sees():
    student, teacher = torch.zeros(1, 2, 1, 2).double(), torch.tensor([[[[50.0, -50]], [[0, 0]]]]).double()
    value = maskd_loss(student, teacher, torch.tensor([[1.0, 0]]).double())  # sees the left position alone
    assert value.item() == pytest.approx(0.5 * 50**2 / (1 + 1e-5) / 2)


def test_maskd_trains_no_token():
    tokens = features(3, C)
    maskd_loss(features(2, C, 3, 4), features(2, C, 3, 4), tokens).backward()
    assert tokens.grad is None


def test_maskd_diversity_is_the_overlap_of_two_masks():
    teacher, tokens = features(2, C, 4, 5), features(3, C)
    value = maskd_diversity(teacher, tokens)
    masks = torch.einsum("kc,bchw->bkhw", tokens, teacher).sigmoid().flatten(2)
    overlaps = [
        2 * (masks[b, k] @ masks[b, m]) / (masks[b, k] @ masks[b, k] + masks[b, m] @ masks[b, m])
        for b in range(2)
        for k in range(3)
        for m in range(3)
        if k != m
    ]
    torch.testing.assert_close(value, torch.stack(overlaps).mean())
    value.backward()
    assert tokens.grad.abs().max() > 0 and teacher.grad is None
    assert torch.autograd.gradcheck(lambda m: maskd_diversity(teacher, m), tokens)


def test_maskd_diversity_of_equal_single_and_blind_tokens():
    teacher, token = features(2, C, 4, 5), features(1, C)
    assert maskd_diversity(teacher, token.expand(3, C)).item() == pytest.approx(1)
    single = maskd_diversity(teacher, token)
    single.backward()
    assert single == 0 and (token.grad == 0).all()
    blind = torch.full((2, C), -1e4, requires_grad=True)
    value = maskd_diversity(torch.ones(1, C, 2, 2), blind)
    value.backward()
    assert value == 0 and (blind.grad == 0).all()
    for logit in (-30.0, -50.0, -60.0):  # squares that float32 can hardly hold
        blind = torch.full((2, C), logit / C, requires_grad=True)
        maskd_diversity(torch.ones(1, C, 2, 2), blind).backward()
        assert blind.grad.isfinite().all() and blind.grad.abs().max() < 10


def test_maskd_needs_tokens_of_the_same_channels():
    for tokens in (torch.ones(3, 5).double(), torch.ones(C).double()):
        for loss in (
            lambda m: maskd_loss(features(2, C, 3, 4), features(2, C, 3, 4), m),
            lambda m: maskd_diversity(features(2, C, 3, 4), m),
        ):
            with pytest.raises(ValueError, match=r"tokens must be \(K, C\) for maps \(B, C, H, W\), found"):
                loss(tokens)


# Af-DCD


def test_omni_contrast_reference_values(golden):
    g = golden("afdcd_contrast")
    options = {"groups": g["M"], "pool": g["pool"], "patch": g["patch"], "temperature": g["tau"]}
    assert_reference(omni_contrast_loss(g["student"], g["teacher"], **options), g)


@pytest.mark.parametrize("groups, patch", [(3, 1), (6, 2), (2, 4)])
def test_omni_contrast_is_infonce_of_one_patch(groups, patch):
    student, teacher, temperature = features(1, C, patch, patch), features(1, C, patch, patch), 0.5
    value = omni_contrast_loss(student, teacher, groups=groups, pool=1, patch=patch, temperature=temperature)
    s, t = (f.reshape(groups, C // groups, patch * patch) for f in (student[0], teacher[0]))
    total = 0
    for m in range(groups):
        for i in range(patch * patch):
            near = [-(s[m, :, i] - t[m, :, i]).abs().sum() / temperature]
            for n in range(groups):
                if n != m:
                    near += [-(s[m, :, i] - t[n, :, j]).abs().sum() / temperature for j in range(patch * patch)]
            total -= torch.stack(near).log_softmax(0)[0]
    torch.testing.assert_close(value, total / patch**2)


@pytest.mark.parametrize(
    "sides, pool, patch, pooled",
    [((24, 80), 4, 4, (4, 20)), ((3, 10), 1, 3, (3, 9)), ((9, 7), 2, 2, (4, 2)), ((8, 9), 4, 4, (4, 4))],
)
def test_omni_contrast_pools_to_whole_patches(sides, pool, patch, pooled):
    student, teacher = features(2, C, *sides), features(2, C, *sides)
    value = omni_contrast_loss(student, teacher, groups=2, pool=pool, patch=patch)
    s, t = (F.adaptive_max_pool2d(f, pooled) for f in (student, teacher))
    torch.testing.assert_close(value, omni_contrast_loss(s, t, groups=2, pool=1, patch=patch))


def test_omni_contrast_of_one_group_is_zero():
    student = features(2, C, 4, 4)
    value = omni_contrast_loss(student, features(2, C, 4, 4), groups=1, pool=1, patch=2)
    value.backward()
    assert value == 0 and (student.grad == 0).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"groups": 4}, "6 channels cannot be cut into 4 equal groups"),
        ({"groups": 0}, "groups must be at least 1"),
        ({"pool": 0}, "pool must be at least 1"),
        ({"patch": 5}, "4 x 8 positions has no patch of 5 x 5"),
        ({"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_omni_contrast_errors(options, message):
    with pytest.raises(ValueError, match=message):
        omni_contrast_loss(features(2, C, 4, 8), features(2, C, 4, 8), **{"groups": 3, "pool": 1, "patch": 2} | options)


# DiffKD's diffusion


def test_diffusion_reference_values(golden):
    g = golden("diffkd_scheduler")
    kept = noise_schedule()
    clean, noise = g["x0"], g["noise"]
    gamma = g["gamma"].view(-1, 1, 1, 1)
    for found, name in (
        (kept.double(), "alphas_cumprod"),
        (add_noise(clean, noise, kept[g["ts"]].view(-1, 1, 1, 1)), "value"),
        (ddim_step(clean, noise, kept[400].item(), kept[300].item()), "step_prev"),
        (remove_noise(clean, noise, kept[400].item()), "step_x0"),
        (mix_noise(clean, noise, gamma), "mix"),
    ):
        torch.testing.assert_close(found, g[name], rtol=0, atol=1e-6)


def test_a_step_with_the_true_noise_is_as_if_less_had_been_added():
    clean, noise = features(2, C, 3, 4), features(2, C, 3, 4)
    noisy = add_noise(clean, noise, 0.2)
    torch.testing.assert_close(ddim_step(noisy, noise, 0.2, 0.7), add_noise(clean, noise, 0.7))
    torch.testing.assert_close(ddim_step(noisy, noise, 0.2, 1.0), clean)
    assert add_noise(features(9, 99, 99), features(9, 99, 99), 0.3).std().item() == pytest.approx(1, abs=0.02)


def test_noise_takes_over():
    kept = noise_schedule()
    assert kept[0] > 0.999 and kept[-1] < 1e-4 and (kept.diff() < 0).all()


def test_diffusion_of_extreme_and_half_precision_signals():
    kept = noise_schedule()
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        clean, noise = features(1, C, 2, 2, scale=1e4, dtype=dtype), features(1, C, 2, 2, dtype=dtype)
        for value in (add_noise(clean, noise, kept[500]), ddim_step(clean, noise, kept[999].item(), kept[0].item())):
            value.sum().backward()
            assert value.dtype == torch.float32 and value.isfinite().all() and clean.grad.isfinite().all()
