"""How large a model is, in words and in memory."""

from typing import Literal

from sluice.contracts.base import Reply

SizeCategory = Literal["small", "medium", "large", "XL"]


class ModelSize(Reply):
    """The category of a model's size, and the memory of its weights with two bytes each, in GB (10^9 bytes)."""

    category: SizeCategory
    fp16_gb: float


def category_of(parameters_b: float) -> SizeCategory:
    """Return the category of so many billions of parameters: small below 7, medium below 30, large below 100, XL (F026)."""
    return "small" if parameters_b < 7 else "medium" if parameters_b < 30 else "large" if parameters_b < 100 else "XL"


def size_of(parameters_b: float) -> ModelSize:
    """Return the size of a model of so many billions of parameters."""
    return ModelSize(category=category_of(parameters_b), fp16_gb=round(2.0 * parameters_b, 3))
