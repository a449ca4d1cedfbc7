"""TLS for the server: a given certificate, or one made for this run."""

import datetime as dt
import ipaddress
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

VALID_DAYS = 30


def context_of(certificate: str | Path, key: str | Path | None = None) -> ssl.SSLContext:
    """Return the TLS settings for a PEM certificate (chain) and its key, which may be in the same file.

    Raises:
        OSError: a file cannot be read, or is no certificate or key (ssl.SSLError).

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def self_signed(host: str) -> tuple[ssl.SSLContext, bytes]:
    """Make a certificate for `host`, localhost and the loopback addresses.

    Returns:
        The TLS settings, and the certificate in PEM for clients to trust. The key is kept nowhere.

    Raises:
        ImportError: cryptography is missing; the message names the extra to install.

    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise ImportError('a certificate needs cryptography: pip install "realtime-core[local]"') from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "realtime-core local server")])
    names = [_general_name(text) for text in dict.fromkeys([host, "localhost", "127.0.0.1", "::1"])]
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.TemporaryDirectory() as folder:  # readable by this user alone, and gone at once: ssl reads only files
        path = Path(folder, "server.pem")
        path.write_bytes(secret + pem)
        return context_of(path), pem


def _general_name(text: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
