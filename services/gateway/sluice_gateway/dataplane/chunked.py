"""Chunks of HTTP's coding (RFC 9112, 7.1) that can be told without a parser."""

_LAST = b"\r\n0\r\n\r\n"
_MANY_CHUNKS = 4096  # so much at once is left to the parser, which is faster then


def are_chunks(data: bytes, at: int) -> bool:
    """Tell whether all from a place on is whole chunks without extensions, none of them the last one."""
    length = len(data)
    if length - at > _MANY_CHUNKS:
        return False
    end = data.find(b"\r\n", at, at + 8)
    if data[at:end] == b"%x" % (length - end - 4) and data.endswith(b"\r\n"):
        return length > end + 4  # one chunk, as in most reads
    if data.endswith(_LAST):
        return False
    while at < length:
        end = data.find(b"\r\n", at, at + 8)
        digits = data[at:end]
        if end < 0 or not digits.isalnum() or digits[1:2] in (b"x", b"X"):  # which Python reads as well
            return False
        try:
            size = int(digits, 16)
        except ValueError:
            return False
        at = end + size + 4
        if not size or at > length or data[at - 2 : at] != b"\r\n":
            return False
    return True
