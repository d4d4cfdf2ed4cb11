"""Documents that are images."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from sluice.auth import CallerDep
from sluice.contracts.images import DocumentImage, ImageLikeness, ImageQuery
from sluice.errors import Unauthorized, problem_responses
from sluice_retrieval.domain.errors import DocumentNotFound
from sluice_retrieval.domain.images import distance
from sluice_retrieval.wiring import DepsDep

_MOST_ALIKE = 100

router = APIRouter(
    prefix="/v1/vector_stores/{store_id}/documents/{document_id}",
    tags=["images"],
    responses=problem_responses(Unauthorized, DocumentNotFound),
)


@router.get("/image", summary="Get an image's facts")
async def get_image(
    store_id: str, document_id: str, query: Annotated[ImageQuery, Query()], caller: CallerDep, deps: DepsDep
) -> DocumentImage:
    """Return an image's size and hash, and images of the store that look alike, such as the same one in another size."""
    image, others = await deps.images.get(caller.tenant, store_id, document_id)
    alike = [
        ImageLikeness(document_id=other.document_id, name=other.name, distance=distance(image.hash, other.hash))
        for other in others
    ]
    alike = sorted((one for one in alike if one.distance <= query.max_distance), key=lambda one: one.distance)
    return DocumentImage(
        document_id=document_id,
        media_type=image.media_type,
        width=image.width,
        height=image.height,
        perceptual_hash=image.hash,
        thumbnail=thumbnail_of(store_id, document_id),
        alike=tuple(alike[:_MOST_ALIKE]),
    )


@router.get(
    "/thumbnail",
    summary="Get an image's thumbnail",
    response_class=Response,
    responses={200: {"description": "A WebP of at most 256 × 256 pixels", "content": {"image/webp": {}}}},
)
async def get_thumbnail(store_id: str, document_id: str, caller: CallerDep, deps: DepsDep) -> Response:
    """Return a small WebP of an image."""
    raw = await deps.images.thumbnail(caller.tenant, store_id, document_id)
    headers = {"cache-control": "private, max-age=3600", "x-content-type-options": "nosniff"}
    return Response(raw, media_type="image/webp", headers=headers)


def thumbnail_of(store_id: str, document_id: str) -> str:
    """Return the path of an image's thumbnail."""
    return f"/v1/vector_stores/{store_id}/documents/{document_id}/thumbnail"
