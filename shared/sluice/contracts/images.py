"""Documents that are images, as the retrieval service speaks of them."""

from typing import Annotated, Literal

from pydantic import Field

from sluice.contracts.base import Reply, Request


class ImageQuery(Request):
    """How alike another image must be to be told."""

    max_distance: Annotated[
        int, Field(ge=0, le=32, description="of 64 bits of the hash, how many may differ; 0: only the same hash")
    ] = 8


class ImageLikeness(Reply):
    """Another image of the store that looks alike; `distance` is how many of 64 bits of both hashes differ."""

    document_id: str
    name: str
    distance: int


class DocumentImage(Reply):
    """What is known of an image: its size as it is shown, a hash of its looks, and images of the store that look alike."""

    document_id: str
    object: Literal["vector_store.document.image"] = "vector_store.document.image"
    media_type: str
    width: Annotated[int, Field(description="pixels")]
    height: Annotated[int, Field(description="pixels")]
    perceptual_hash: Annotated[str, Field(description="64 bits (difference hash) in hexadecimal")]
    thumbnail: Annotated[str, Field(description="path of a small WebP")]
    alike: Annotated[tuple[ImageLikeness, ...], Field(description="most alike first, 100 at most")] = ()
