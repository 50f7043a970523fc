"""Every loss term against the number its formula gives."""

import math

import pytest
import torch

from vq.train.losses import discriminator_loss, gaussian_kl, generator_loss, log_error, sum_of_squares


def test_sum_of_squares_by_hand() -> None:
    x = torch.zeros(2, 3, 2, 2)
    y = x.clone()
    y[0] += 0.5  # 12 values of 1/4
    y[1, 0, 0, 0] = 2.0  # one value of 4
    y.requires_grad_()
    loss = sum_of_squares(x, y)
    assert loss.item() == (3.0 + 4.0) / 2
    loss.backward()
    assert torch.equal(y.grad, (y - x).detach())  # 2 (y - x) / batch of 2


def test_kl_by_hand() -> None:
    mean = torch.tensor([[1.0, -2.0]], requires_grad=True)
    logvar = torch.tensor([[0.0, math.log(4.0)]], requires_grad=True)
    kl = gaussian_kl(mean, logvar)
    # 1/2 (1 + 1 - 0 - 1) + 1/2 (4 + 4 - log 4 - 1)
    assert kl.item() == pytest.approx(0.5 + 0.5 * (7 - math.log(4)))
    kl.sum().backward()
    assert mean.grad.tolist() == [[1.0, -2.0]]
    assert logvar.grad.tolist() == [[0.0, pytest.approx(1.5)]]  # (sigma^2 - 1) / 2


REAL, FAKE = torch.tensor([[0.5], [3.0]]), torch.tensor([[-2.0], [0.0]])


def test_hinge_by_hand() -> None:
    # real: max(0, 1 - 1/2), max(0, 1 - 3); fake: max(0, 1 - 2), max(0, 1 + 0)
    assert discriminator_loss(REAL, FAKE).item() == 0.25 + 0.5
    assert generator_loss(FAKE).item() == 1.0


def test_log_form_by_hand() -> None:
    def d(v: float) -> float:
        return 1 / (1 + math.exp(-v))

    real = -(math.log(d(0.5)) + math.log(d(3.0))) / 2
    fake = -(math.log(1 - d(-2.0)) + math.log(1 - d(0.0))) / 2
    assert discriminator_loss(REAL, FAKE, "log").item() == pytest.approx(real + fake, rel=1e-6)
    assert generator_loss(FAKE, "log").item() == pytest.approx(-(math.log(d(-2.0)) + math.log(d(0.0))) / 2, rel=1e-6)


def test_log_form_survives_large_logits() -> None:
    huge = torch.tensor([[500.0]])
    assert discriminator_loss(-huge, huge, "log").item() == 1000.0
    assert math.isfinite(generator_loss(-huge, "log").item())


@pytest.mark.parametrize(
    "loss", [lambda: discriminator_loss(REAL, FAKE, "least"), lambda: generator_loss(FAKE, "least")]
)
def test_unknown_form_is_named(loss: object) -> None:
    with pytest.raises(ValueError, match="'least'"):
        loss()


def test_log_error_weighs_each_picture_by_the_inverse_of_its_error() -> None:
    x = torch.zeros(2, 3, 2, 2)
    y = x.clone()
    y[0] += 0.1  # error 0.01
    y[1] += 1.0  # error 1
    y.requires_grad_()
    loss = log_error(y, x)
    mean = (0.01 + 1.0) / 2
    assert loss.item() == pytest.approx(mean * (math.log(0.0101) + math.log(1.0001)) / 2, rel=1e-5)
    loss.backward()
    # d/dy of mean * log(error + 1e-4) / 2, with error the mean of 12 squares.
    expected = mean / 2 * torch.tensor([0.1 / 0.0101, 1.0 / 1.0001]) * 2 / 12
    torch.testing.assert_close(y.grad[:, 0, 0, 0], expected)
