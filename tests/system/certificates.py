"""Certificates of a cluster: an authority, and one certificate that it signed for all who belong."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def write_certificates(folder: Path) -> Path:
    """Write ``ca.crt``, ``tls.crt`` and ``tls.key``, the names of a Kubernetes secret."""
    folder.mkdir(mode=0o700)
    authority, member = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = signed("authority", authority, by="authority", key=authority, is_authority=True)
    leaf = signed("member", member, by="authority", key=authority, is_authority=False)
    (folder / "ca.crt").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.crt").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    secret = member.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tls.key").write_bytes(secret)
    (folder / "tls.key").chmod(0o600)
    return folder


def signed(
    name: str, subject: ec.EllipticCurvePrivateKey, *, by: str, key: ec.EllipticCurvePrivateKey, is_authority: bool
) -> x509.Certificate:
    """A certificate of a day."""
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by)]))
        .public_key(subject.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256())
