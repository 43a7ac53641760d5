"""TLS to Redis, whose certificates are read once for all connections of a process."""

from __future__ import annotations

import socket
import ssl
import threading
from functools import lru_cache
from pathlib import Path

from redis import SSLConnection
from redis.asyncio.connection import RedisSSLContext

_lock = threading.Lock()


class TlsConnection(SSLConnection):
    """redis-py's connection, with a context that connections share.

    redis-py reads the system's certificates for each connection: 20 ms in which no other thread runs, so that
    twenty connections made at once keep each other past their timeout.
    """

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        if self.ssl_validate_ocsp or self.ssl_validate_ocsp_stapled:
            return super()._wrap_socket_with_ssl(sock)  # type: ignore[no-any-return, no-untyped-call]
        files = (self.keyfile, self.certfile, self.ca_certs, self.ca_path)
        with _lock:
            context = _context(
                self.keyfile,
                self.certfile,
                self.cert_reqs,
                tuple(self.ssl_include_verify_flags or ()),
                tuple(self.ssl_exclude_verify_flags or ()),
                self.ca_certs,
                self.ca_data,
                self.ca_path,
                self.check_hostname,
                self.ssl_min_version,
                self.ssl_ciphers,
                self.certificate_password,
                _written=tuple(Path(file).stat().st_mtime_ns for file in files if file),
            )
        return context.wrap_socket(sock, server_hostname=self.host)


@lru_cache(maxsize=8)
def _context(*options: object, _written: tuple[int, ...]) -> ssl.SSLContext:
    """Return the context of these options; ``_written`` are the times at which its files were written."""
    return RedisSSLContext(*options).get()  # type: ignore[arg-type]
