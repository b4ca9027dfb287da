"""The dropout that trainings on a processor take in place of torch's."""

from typing import Any

import pytest


@pytest.fixture
def torch() -> Any:
    import torch

    torch.manual_seed(1)
    return torch


@pytest.fixture
def quick(torch: Any) -> Any:
    from resources.training.stepping.dropout import quick_dropout

    return quick_dropout(torch.device("cpu"))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_dropped_and_the_mean_stays(torch: Any, quick: Any, share: float) -> None:
    numbers = torch.ones(1_000, 1_001, requires_grad=True)
    with quick:
        found = torch.nn.Dropout(share)(numbers)
    found.sum().backward()
    dropped = found == 0
    assert float(dropped.float().mean()) == pytest.approx(share, abs=0.003)
    assert torch.allclose(found[~dropped], torch.tensor(1 / (1 - share)), rtol=1e-4)
    assert torch.equal(numbers.grad, found)  # what is dropped learns nothing, the rest is scaled
    assert float(dropped.float().mean(0).std()) < 0.02  # no column is dropped more than others
    assert float(dropped.float().mean(1).std()) < 0.02


def test_the_generator_decides(torch: Any, quick: Any) -> None:
    drop, numbers = torch.nn.Dropout(0.3), torch.randn(77)
    with quick:
        state = torch.get_rng_state()
        first, second = drop(numbers), drop(numbers)
        torch.set_rng_state(state)
        again = drop(numbers)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nothing_and_everything_are_dropped_as_torch_does(
    torch: Any, quick: Any, share: float
) -> None:
    numbers = torch.randn(33)
    with quick:
        assert torch.equal(torch.nn.Dropout(share)(numbers), numbers * (1 - share))
        assert torch.equal(torch.nn.Dropout(0.5).eval()(numbers), numbers)


@pytest.mark.parametrize("masked", ["not at all", "by truth", "by numbers"])
@pytest.mark.parametrize("scale", [None, 0.5])
def test_attention_is_torchs_with_some_weights_dropped(
    torch: Any, quick: Any, masked: str, scale: float | None
) -> None:
    attend = torch.nn.functional.scaled_dot_product_attention
    query, key, value = torch.randn(3, 2, 4, 7, 8).unbind()
    truth = torch.arange(7).expand(2, 1, 1, 7) < torch.tensor([7, 4]).view(2, 1, 1, 1)
    numbers = torch.zeros(2, 1, 1, 7).masked_fill(~truth, -1e9)
    mask = {"not at all": None, "by truth": truth, "by numbers": numbers}[masked]
    expected = attend(query, key, value, attn_mask=mask, scale=scale)
    least = 2**-16  # the smallest share that is dropped
    often = [each.repeat(2_000, 1, 1, 1) for each in (query, key, value)]
    masks = None if mask is None else mask.repeat(2_000, 1, 1, 1)
    with quick:
        found = attend(query, key, value, attn_mask=mask, dropout_p=least, scale=scale)
        many = attend(*often, attn_mask=masks, dropout_p=0.2, scale=scale).view(2_000, 2, 4, 7, 8)
    assert torch.allclose(found, expected, atol=1e-3)
    assert torch.allclose(many.mean(0), expected, atol=0.1)
    assert float(many.std(0).min()) > 0


def test_where_a_mask_is_left_to_torch_so_is_the_dropout(torch: Any, quick: Any) -> None:
    query, key, value = torch.randn(3, 1, 2, 5, 8).unbind()
    attend = torch.nn.functional.scaled_dot_product_attention
    torch.manual_seed(2)
    expected = attend(query, key, value, dropout_p=0.5, is_causal=True)
    torch.manual_seed(2)
    with quick:
        assert torch.equal(attend(query, key, value, dropout_p=0.5, is_causal=True), expected)
