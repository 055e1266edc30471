# SPDX-License-Identifier: BSD-2-Clause
"""Certificates for tests: an authority, what it signs, what it takes back; and clients of TLS."""
import datetime
import ipaddress
import os
import socket
import ssl

from actors import DEADLINE, Broken, Client
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM
DAY = datetime.timedelta(days=1)


def now():
    return datetime.datetime.utcnow()


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def new_key(kind):
    if kind == 'rsa':
        return rsa.generate_private_key(65537, 2048)
    if kind == 'rsa1024':
        return rsa.generate_private_key(65537, 1024)
    return ec.generate_private_key(ec.SECP256R1())


class Pair:
    """A certificate and its key, in files."""

    def __init__(self, folder, label, cert, key, chain=()):
        self.cert, self.key = cert, key
        self.path = os.path.join(folder, f'{label}.pem')
        self.key_path = os.path.join(folder, f'{label}.key')
        self.write(self.path, *(c.public_bytes(PEM) for c in (cert, *chain)))
        self.write(self.key_path, key.private_bytes(PEM, serialization.PrivateFormat.PKCS8,
                                                    serialization.NoEncryption()))

    def der(self):
        return self.cert.public_bytes(serialization.Encoding.DER)

    @staticmethod
    def write(path, *parts):
        with open(path + '.new', 'wb') as f:
            f.write(b''.join(parts))
        os.rename(path + '.new', path)  # as who renews certificates should do it


class Authority:
    def __init__(self, folder, name='Test CA'):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.name, self.revoked = str(folder), name_of(name), []
        self.key = new_key('ec')
        self.pair = Pair(self.folder, name.replace(' ', '-'), self.sign(
            self.name, self.key.public_key(), (), 365, ca=True), self.key)
        self.path = self.pair.path

    def sign(self, subject, public_key, names, days, ca=False):
        begin = now() - DAY if days > 0 else now() + 2 * days * DAY
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
                   .public_key(public_key).serial_number(x509.random_serial_number())
                   .not_valid_before(begin).not_valid_after(now() + days * DAY)
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([alternative(n) for n in names]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, *names, kind='ec', days=90, label=None, key=None):
        """For hosts of these names; a client has one."""
        key = key or new_key(kind)
        cert = self.sign(name_of(names[0]), key.public_key(), names, days)
        return Pair(self.folder, label or f'{names[0].replace("*", "_")}-{kind}', cert, key)

    def revoke(self, *pairs):
        """Returns the path of the list of all that were."""
        self.revoked += [p.cert.serial_number for p in pairs]
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.name)
                   .last_update(now() - DAY).next_update(now() + 30 * DAY))
        for serial in self.revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial)
                .revocation_date(now() - DAY).build())
        path = os.path.join(self.folder, 'crl.pem')
        Pair.write(path, builder.sign(self.key, hashes.SHA256()).public_bytes(PEM))
        return path

    def trust(self, **settings):
        """What a client who trusts it has."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.path)
        for name, value in settings.items():
            setattr(context, name, value)
        return context


class TlsClient(Client):
    """A client that has shaken hands; ssl.SSLError and the like if it could not."""

    def __init__(self, port, context, name='site.test', host='127.0.0.1', session=None):
        super().__init__(port, host)
        self.sock = context.wrap_socket(self.sock, server_hostname=name, session=session,
                                        suppress_ragged_eofs=False)

    def more(self):
        try:
            return super().more()
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as e:
            raise Broken(f'cut: {e}') from e

    def half_close(self):
        self.sock.unwrap()

    def names(self):
        """The hosts that its peer's certificate is for."""
        return [value for _, value in self.sock.getpeercert()['subjectAltName']]


def raw(port, host='127.0.0.1'):
    """A connection on which nothing was said."""
    sock = socket.create_connection((host, port), DEADLINE)
    sock.settimeout(DEADLINE)
    return sock


def section(*pairs, more=''):
    """A tls section of a service with these certificates."""
    certificates = ', '.join(f'"{p.path}"' for p in pairs)
    keys = ', '.join(f'"{p.key_path}"' for p in pairs)
    return f'tls {{ certificate = {{ {certificates} }}\n\tkey = {{ {keys} }}\n\t{more}\n}}\n'
