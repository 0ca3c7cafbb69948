"""Whom our clients trust, and what it means where a certificate does not hold."""

import ssl
from pathlib import Path

import certifi

from sreops.errors import SettingsInvalid

DIRECT = ("all://localhost", "all://127.0.0.1", "all://[::1]")
"""What is asked without a proxy, whatever the environment says: this machine."""
_UNKNOWN_ISSUERS = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's verify codes of an issuer that nobody knows (X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT …, x509_vfy.h)."""
_NO_FAILURE = (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLCertVerificationError)
_EXPIRED, _NOT_YET_VALID, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64


def client_trust(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a context that trusts the public CAs, those of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, and ``ca_file``.

    Raises SettingsInvalid where the file holds no certificate. Reads files: not on the loop.
    """
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()  # OpenSSL reads SSL_CERT_FILE and SSL_CERT_DIR by itself
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (ssl.SSLError, OSError) as exc:
            raise SettingsInvalid(
                [f"SREOPS_CA_FILE: {ca_file} can't be read as certificates in PEM ({exc}): give the CA's certificate"]
            ) from exc
    return context


def write_bundle(ca_file: Path, path: Path) -> Path:
    """Write the public CAs and ``ca_file`` into one file, for programs that take one only; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + ca_file.read_bytes())
    return path


def handshake_cure(exc: BaseException | None) -> str:
    """Say what to do about a failed TLS handshake among an error's causes; empty where there was none."""
    seen = 0
    while exc is not None and seen < 20:
        if isinstance(exc, BaseExceptionGroup) and exc.exceptions:
            exc = exc.exceptions[0]
        if isinstance(exc, ssl.SSLCertVerificationError) and hasattr(exc, "verify_code"):  # aiohttp's has none
            return _certificate_cure(exc)
        reason = getattr(exc, "reason", None) if isinstance(exc, ssl.SSLError) else None
        if reason and not isinstance(exc, _NO_FAILURE):
            if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
                return "it does not speak TLS at this port: write http:// instead of https://, or another port"
            return "the TLS handshake failed: see which versions and certificates the server takes"
        exc, seen = exc.__cause__ or exc.__context__, seen + 1
    return ""


def _certificate_cure(exc: ssl.SSLCertVerificationError) -> str:
    if exc.verify_code in _UNKNOWN_ISSUERS:
        return "its certificate is of a CA that is not known here: set SREOPS_CA_FILE to that CA's certificate (PEM)"
    if exc.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        return "its certificate is for another name: write the name that the certificate has into the URL"
    if exc.verify_code == _EXPIRED:
        return "its certificate has expired: renew it"
    if exc.verify_code == _NOT_YET_VALID:
        return "its certificate is not valid yet: set the clocks right"
    return "its certificate does not hold: replace it, or set SREOPS_CA_FILE to the CA that issued it (PEM)"
