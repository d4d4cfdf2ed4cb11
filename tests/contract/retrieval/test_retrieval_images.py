"""Images as documents: what is read of them, what is refused, and that nobody sees another's."""

import base64
import io
import json
import shutil
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.contract.retrieval.test_retrieval_api import ACME, OTHER, make_store

from sluice.clients.http import HttpAnswer
from sluice_retrieval.adapters.captioner import Captioned
from sluice_retrieval.adapters.extract.image import difference_hash
from sluice_retrieval.adapters.extract.sandbox import ParseLimits, ProcessExtractor
from sluice_retrieval.domain.errors import DocumentTooLarge, DocumentUnreadable
from sluice_retrieval.domain.images import Picture, distance, text_of

LIMITS = ParseLimits(2_000_000, 50, 60, 1024, max_pixels=1_000_000)


def drawn(width: int = 300, height: int = 200, text: str = "") -> Image.Image:
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((width // 10, height // 10, width // 2, height // 2), fill="navy")
    draw.rectangle((width // 2, height // 2, width - 20, height - 20), fill="orange")
    if text:
        draw.text((10, height * 3 // 4), text, fill="black", font=ImageFont.load_default(36))
    return picture


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    packed = io.BytesIO()
    picture.save(packed, kind, **options)
    return packed.getvalue()


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header promises many pixels."""

    def part(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(bytes(100))) + part(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
async def test_every_format_is_read_in_a_process_of_its_own(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x010F] = "A maker of cameras"
    options = {"exif": exif} if kind == "JPEG" else {}
    picture = await ProcessExtractor(LIMITS, 1).picture(saved(drawn(), kind, **options), captioned=True)
    assert picture.media_type == f"image/{kind.lower()}"
    assert (picture.width, picture.height) == ((200, 300) if kind == "JPEG" else (300, 200))
    with Image.open(io.BytesIO(picture.thumbnail)) as small:
        assert (small.format, max(small.size)) == ("WEBP", 256)
        assert not small.getexif()
    assert len(picture.hash) == 16


def test_the_same_picture_in_other_shapes_has_almost_the_same_hash() -> None:
    first = difference_hash(drawn())
    smaller = difference_hash(drawn().resize((120, 80)))
    with Image.open(io.BytesIO(saved(drawn(), "JPEG", quality=30))) as rough:
        compressed = difference_hash(rough)
    mirrored = difference_hash(drawn().transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert distance(first, smaller) <= 4
    assert distance(first, compressed) <= 4
    assert distance(first, mirrored) > 12


@pytest.mark.parametrize(
    ("raw", "error", "says"),
    [
        (bomb(50_000, 50_000), DocumentTooLarge, "more than 1000000 pixels"),
        (bomb(1100, 1000), DocumentTooLarge, "IMAGE_MAX_PIXELS"),
        (saved(drawn(), "PNG")[:200], DocumentUnreadable, "not its pixels"),
        (b"no picture", DocumentUnreadable, "is no PNG, JPEG, WebP or GIF"),
        (saved(drawn(), "BMP"), DocumentUnreadable, "is no PNG, JPEG, WebP or GIF"),
    ],
)
async def test_hostile_images_fail_alone(raw: bytes, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        await ProcessExtractor(LIMITS, 1).picture(raw, captioned=True)


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
async def test_text_in_an_image_is_read_where_tesseract_is_installed() -> None:
    reader = ProcessExtractor(replace(LIMITS, tesseract=str(shutil.which("tesseract"))), 1)
    picture = await reader.picture(saved(drawn(700, 300, "Harbour opens at nine"), "PNG"), captioned=True)
    assert "Harbour opens at nine" in picture.recognised


def test_an_image_is_found_by_its_name_its_caption_and_its_text() -> None:
    picture = Picture("image/png", 1, 1, "0" * 16, b"", "Opens at\x00 nine")
    assert text_of("harbour_map-2.png", picture, " Where the ferries land ") == (
        "Image: harbour map 2\n\nWhere the ferries land\n\nText in the image:\n\nOpens at nine"
    )
    assert text_of("a.png", picture._replace(recognised=""), "") == "Image: a"


async def test_images_are_added_shown_and_kept_from_others(api: httpx.AsyncClient) -> None:
    store = await make_store(api)
    path = f"/v1/vector_stores/{store}/documents"

    async def added(name: str, raw: bytes, **fields: str) -> httpx.Response:
        return await api.post(path, files={"file": (name, raw)}, data=fields, headers=ACME)

    png = await added("harbour-map.png", saved(drawn(), "PNG"), caption="The piers of the old harbour")
    assert png.status_code == 202, png.text
    assert png.json()["media_type"] == "image/png"
    one = png.json()["id"]
    text = (await api.get(f"{path}/{one}/content", headers=ACME)).json()["text"]
    assert text.startswith("Image: harbour map\n\nThe piers of the old harbour")
    same = (await added("copy.jpg", saved(drawn().resize((120, 80)), "JPEG", quality=20))).json()["id"]
    turned = drawn().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    await added("other.gif", saved(turned, "GIF"), metadata='{"caption": "Something else"}')
    facts = (await api.get(f"{path}/{one}/image", headers=ACME)).json()
    assert (facts["width"], facts["height"], facts["media_type"]) == (300, 200, "image/png")
    assert [(alike["document_id"], alike["name"]) for alike in facts["alike"]] == [(same, "copy.jpg")]
    assert facts["alike"][0]["distance"] <= 8
    small = await api.get(facts["thumbnail"], headers=ACME)
    assert (small.headers["content-type"], small.headers["x-content-type-options"]) == ("image/webp", "nosniff")
    with Image.open(io.BytesIO(small.content)) as shown:
        assert shown.size == (256, 171)
    for part in ("image", "thumbnail"):
        assert (await api.get(f"{path}/{one}/{part}", headers=OTHER)).status_code == 404
        assert (await api.get(f"{path}/doc_none/{part}", headers=ACME)).status_code == 404
        elsewhere = f"/v1/vector_stores/{await make_store(api)}/documents/{one}/{part}"
        assert (await api.get(elsewhere, headers=ACME)).status_code == 404
    plain = await api.post(path, json={"name": "a", "text": "b"}, headers=ACME)
    assert (await api.get(f"{path}/{plain.json()['id']}/image", headers=ACME)).status_code == 404
    refused = await added("x.png", b"no picture")
    assert (refused.status_code, refused.json()["code"]) == (400, "document_unreadable")
    await api.delete(f"{path}/{one}", headers=ACME)
    assert (await api.get(f"{path}/{one}/thumbnail", headers=ACME)).status_code == 404


class VisionModel:
    """Answers as a chat model does, or not at all."""

    def __init__(self, says: str | Exception) -> None:
        self.says = says
        self.asked: list[dict[str, Any]] = []

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        assert (method, url, headers["authorization"]) == ("POST", "http://v/v1/chat/completions", "Bearer sk-vision")
        self.asked.append(json.loads(body or b""))
        if isinstance(self.says, Exception):
            raise self.says
        return HttpAnswer(200, {}, json.dumps({"choices": [{"message": {"content": self.says}}]}).encode())


async def test_an_image_without_a_caption_is_described_by_the_vision_model() -> None:
    failures: list[int] = []

    def reader(model: VisionModel) -> Captioned:
        inner = ProcessExtractor(LIMITS, 1)
        return Captioned(inner, model, "http://v/v1", "seeing", "sk-vision", 5.0, lambda: failures.append(1))

    model = VisionModel(" A blue ball\nover an orange box. ")
    raw = saved(drawn(2000, 400), "PNG")
    found = await reader(model).picture(raw, captioned=False)
    assert text_of("a.png", found, "") == "Image: a\n\nA blue ball over an orange box."
    assert text_of("a.png", found, "Mine") == "Image: a\n\nMine"
    (asked,) = model.asked
    text, image = asked["messages"][0]["content"]
    assert (asked["model"], text["type"]) == ("seeing", "text")
    kind, _, packed = image["image_url"]["url"].partition(";base64,")
    with Image.open(io.BytesIO(base64.b64decode(packed))) as seen:
        assert (kind, seen.format, seen.size) == ("data:image/webp", "WEBP", (1024, 205))
    assert not (await reader(model).picture(raw, captioned=True)).described
    assert len(model.asked) == 1
    for away in (VisionModel(TimeoutError()), VisionModel(OSError()), VisionModel("  ")):
        assert not (await reader(away).picture(raw, captioned=False)).described
    assert len(failures) == 3
