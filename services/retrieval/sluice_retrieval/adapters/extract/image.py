"""Images: checked by their header before a pixel is decoded, then made small, hashed and, with tesseract, read."""

import base64
import io
import json
import subprocess
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from sluice_retrieval.adapters.extract.markdown import TooLarge, Unreadable

_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_THUMBNAIL, _VIEW = 256, 1024
_READ = 2400
_HASH_WIDTH, _HASH_HEIGHT = 9, 8
_OCR_S = 15


def read_image(raw: bytes, max_pixels: int, tesseract: str, languages: str) -> str:
    """Return, as JSON, what `Picture` holds; of an animation the first frame is read.

    Raises:
        Unreadable: it is broken, or no PNG, JPEG, WebP or GIF.
        TooLarge: its header promises more than `max_pixels`; nothing is decoded then.
    """
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with Image.open(io.BytesIO(raw), formats=tuple(_FORMATS)) as opened:
            media_type = _FORMATS[opened.format or ""]
            if opened.width * opened.height > max_pixels:
                raise _too_large(max_pixels)
            opened.draft("RGB", (_READ, _READ))  # a JPEG is decoded at the size that is needed
            size = opened.size
            shown = ImageOps.exif_transpose(opened)
            turned = shown.size != size
            picture = _on_white(shown)
            width, height = _full_size(raw, turned=turned)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise _too_large(max_pixels) from exc
    except UnidentifiedImageError as exc:
        raise Unreadable("The image is broken, or is no PNG, JPEG, WebP or GIF.") from exc
    except (OSError, SyntaxError) as exc:  # what Pillow raises of pixels that end too early or cannot be decoded
        raise Unreadable("The image is broken: its header can be read, and not its pixels. Was it sent whole?") from exc
    return json.dumps(
        {
            "media_type": media_type,
            "width": width,
            "height": height,
            "hash": difference_hash(picture),
            "thumbnail": _small(picture, _THUMBNAIL),
            "view": _small(picture, _VIEW),
            "recognised": _recognised(picture, tesseract, languages) if tesseract else "",
        }
    )


def _small(picture: Image.Image, pixels: int) -> str:
    """Return base64 of a WebP without what the file says of camera and place."""
    made, packed = picture.copy(), io.BytesIO()
    made.thumbnail((pixels, pixels))
    made.save(packed, "WEBP", quality=80)
    return base64.b64encode(packed.getvalue()).decode()


def difference_hash(picture: Image.Image) -> str:
    """Return 64 bits in hexadecimal: whether each of 9 × 8 grey pixels is brighter than its right neighbour (N. Krawetz, 2013, "Kind of like that").

    Of pictures that differ by scale, compression or a little colour few bits differ.
    """
    grey = picture.convert("L").resize((_HASH_WIDTH, _HASH_HEIGHT), Image.Resampling.LANCZOS).tobytes()
    bits = 0
    for row in range(_HASH_HEIGHT):
        for column in range(_HASH_WIDTH - 1):
            at = row * _HASH_WIDTH + column
            bits = bits << 1 | (grey[at] > grey[at + 1])
    return f"{bits:016x}"


def _full_size(raw: bytes, *, turned: bool) -> tuple[int, int]:
    with Image.open(io.BytesIO(raw), formats=tuple(_FORMATS)) as opened:
        width, height = opened.size
    return (height, width) if turned else (width, height)


def _on_white(picture: Image.Image) -> Image.Image:
    with_alpha = picture.convert("RGBA")
    white = Image.new("RGBA", with_alpha.size, "white")
    return Image.alpha_composite(white, with_alpha).convert("RGB")


def _recognised(picture: Image.Image, tesseract: str, languages: str) -> str:
    """Return the text that tesseract sees; nothing if it fails or takes too long: the image is found by its caption then."""
    page = picture.copy()
    page.thumbnail((_READ, _READ))
    packed = io.BytesIO()
    page.save(packed, "PNG", compress_level=1)
    try:
        done = subprocess.run(
            [tesseract, "stdin", "stdout", "-l", languages],
            input=packed.getvalue(),
            capture_output=True,
            timeout=_OCR_S,
            check=False,
            env={"OMP_THREAD_LIMIT": "1"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


def _too_large(max_pixels: int) -> TooLarge:
    return TooLarge(
        f"The image has more than {max_pixels} pixels. Make it smaller, or raise SLUICE_RETRIEVAL_IMAGE_MAX_PIXELS."
    )
