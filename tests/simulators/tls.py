"""Real TLS for tests: an authority of one's own, a server with its certificate before a plain one, and a proxy for https."""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def certificates(folder: Path, *, days: int = 1) -> tuple[Path, ssl.SSLContext]:
    """Write an authority's certificate, and return its file and a server's context with a certificate for localhost."""
    authority, subject = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of a test")])
    now = dt.datetime.now(dt.UTC)
    begins, ends = now - dt.timedelta(days=2), now + dt.timedelta(days=days)

    def made(name: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number(), begins, ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        )

    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    own = made(issuer, authority, ca=True).sign(authority, hashes.SHA256())
    server = made(x509.Name([]), subject, ca=False).add_extension(x509.SubjectAlternativeName(names), critical=True)
    files = folder / "authority.pem", folder / "server.pem"
    files[0].write_bytes(own.public_bytes(serialization.Encoding.PEM))
    key = subject.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files[1].write_bytes(key + server.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1])
    return files[0], context


@asynccontextmanager
async def _listening(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Answer whoever connects to a free port, and yield that; at the end no connection is left, in whatever state it is.

    asyncio's own server knows nothing of connections in their handshake, and leaves the others open: whether the loop of a test still
    gets round to closing them depends on how busy the machine is, and what it does not close is a warning in any later test.
    """
    loop = asyncio.get_running_loop()
    accepted: dict[socket.socket, asyncio.Task[None]] = {}

    async def serve(one: socket.socket) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport: asyncio.Transport | None = None
        try:
            with suppress(OSError, EOFError):  # the other side hung up, or does not trust the certificate
                transport, _ = await loop.connect_accepted_socket(lambda: protocol, one, ssl=context)
                writer = asyncio.StreamWriter(transport, protocol, reader, loop)
                await answer(reader, writer)
                _close(writer)
                await writer.wait_closed()
        finally:
            if transport is not None:
                transport.abort()
            while one.fileno() >= 0:  # a transport lets go of its socket some turns of the loop after it was told to
                await asyncio.sleep(0)
            del accepted[one]

    def accept() -> None:
        with suppress(BlockingIOError):  # it left again
            one, _ = listener.accept()
            one.setblocking(False)
            accepted[one] = connections.create_task(serve(one))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with asyncio.TaskGroup() as connections:
            loop.add_reader(listener, accept)
            try:
                yield listener.getsockname()[1]
            finally:
                loop.remove_reader(listener)
                for task in accepted.values():
                    task.cancel()
        for one in accepted:  # cancelled before it began
            one.close()


def _close(writer: asyncio.StreamWriter) -> None:
    if not writer.is_closing():  # a TLS connection of Python 3.11 that was closed twice cannot be aborted any more
        writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    _close(writer)


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    far, near = await asyncio.open_connection(host, port)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pipe(reader, near))
            both.create_task(_pipe(far, writer))
    finally:
        near.transport.abort()
        with suppress(OSError):
            await near.wait_closed()


@asynccontextmanager
async def behind_tls(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Serve what a local port says over TLS, and yield the port of that."""

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _join(reader, writer, "127.0.0.1", port)

    async with _listening(joined, context) as at:
        yield at


@dataclass
class Proxy:
    """A proxy for https (RFC 9110, 9.3.6) that notes where it was asked to go; it refuses when it is told to."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    refuses: bool = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a caller with where it wants to go."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.asked.append(f"{method} {target}")
        if method != "CONNECT" or self.refuses:
            writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        host, _, port = target.rpartition(":")
        await _join(reader, writer, host, int(port))


@asynccontextmanager
async def proxy() -> AsyncIterator[Proxy]:
    """Run it."""
    found = Proxy()
    async with _listening(found.answer) as port:
        found.url = f"http://127.0.0.1:{port}"
        yield found
