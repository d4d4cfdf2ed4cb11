"""The encodings in which text may come."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE

ONLY = "Save it as UTF-8 (in Excel: CSV UTF-8), or as UTF-16 with its byte order mark, and send it again."


def text_of(raw: bytes) -> str:
    """Return the text of UTF-8, or of UTF-16 that begins with a byte order mark, without the mark; raises `UnicodeDecodeError`.

    Nothing is guessed: a wrong guess would stand in answers as if it were the file's text.
    """
    return raw.decode("utf-16" if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")
