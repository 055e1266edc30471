# SPDX-License-Identifier: BSD-2-Clause
"""Backends that are spoken with by TLS: who is believed, what is shown to them, what is cut."""
import socket
import ssl

import pytest
from actors import Broken, Origin, OriginConn, answers, await_until, get, ok
from certs import Authority


class TlsOrigin(Origin):
    """Its connections have shaken hands; .failed_handshakes are of those that could not."""

    def __init__(self, story, context, **named):
        self.context, self.failed_handshakes, self.names = context, [], []
        context.sni_callback = lambda sock, name, context: self.names.append(name)
        super().__init__(story, **named)

    def tell(self, conn):
        try:
            conn.sock = self.context.wrap_socket(conn.sock, server_side=True,
                                                 suppress_ragged_eofs=False)
        except (ssl.SSLError, OSError) as e:
            self.failed_handshakes.append(e)
            conn.close()
            return
        super().tell(conn)


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('ca'))


def served(pair, **settings):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.path, pair.key_path)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


@pytest.fixture
def make(stage, authority):
    def make_one(pair, settings='name = "app.internal"', story=answers(ok(b'hello')), ca=None,
                 context=None):
        origin = stage.add(TlsOrigin(story, context or served(pair)))
        ca = f'ca = "{ca or authority.path}"' if 'verify = no' not in settings else ''
        proxy = stage.proxy(origin, service=f'upstream_tls {{ {ca} {settings} }}')
        return proxy, origin
    return make_one


@pytest.mark.parametrize('version', ['TLSv1_2', 'TLSv1_3'])
def test_a_backend_of_the_right_name(make, authority, version):
    version = getattr(ssl.TLSVersion, version)
    pair = authority.issue('app.internal')
    proxy, origin = make(pair, context=served(pair, minimum_version=version,
                                              maximum_version=version))
    client = proxy.client()
    for _ in range(5):
        assert client.ask(get()).body == b'hello'
    assert len(origin.conns) == 1, 'the connection is kept'
    assert origin.names == ['app.internal']


def test_large_bodies_both_ways(make, authority):
    body = bytes(range(256)) * 8192
    proxy, _ = make(authority.issue('app.internal'), story=answers(lambda r: ok(r.body)))
    client = proxy.client()
    for _ in range(2):
        client.send(get('/', f'Content-Length: {len(body)}', method='POST'), body)
        assert client.answer('POST').body == body


def test_or_of_the_right_address(make, authority):
    proxy, origin = make(authority.issue('127.0.0.1'), settings='')
    assert proxy.ask().body == b'hello' and origin.names in ([], [None])


@pytest.mark.parametrize('names, settings', [
    (('other.internal',), 'name = "app.internal"'), (('127.0.0.2',), ''), (('app.internal',), ''),
], ids=['name', 'address', 'no-address'])
def test_another_is_not_believed(make, authority, names, settings):
    proxy, origin = make(authority.issue(*names), settings=settings)
    assert proxy.ask().status == 502
    proxy.awaits('handshake with a backend failed pool=site end=certificate')
    await_until(lambda: origin.failed_handshakes, 'the origin saw it fail')
    assert proxy.logged(1)[0]['reason'] != 'ok'


def test_nor_one_that_a_stranger_signed(make, tmp_path):
    stranger = Authority(tmp_path / 'stranger', 'Stranger')
    proxy, _ = make(stranger.issue('app.internal'))
    assert proxy.ask().status == 502
    proxy.awaits('unable to get local issuer certificate')


def test_nor_one_that_has_expired(make, authority):
    proxy, _ = make(authority.issue('app.internal', days=-1))
    assert proxy.ask().status == 502
    proxy.awaits('certificate has expired')


def test_unless_nobody_looks(make, tmp_path):
    stranger = Authority(tmp_path / 'stranger', 'Stranger')
    proxy, _ = make(stranger.issue('other'), settings='verify = no')
    assert proxy.ask().body == b'hello'


def test_a_certificate_can_be_pinned(make, authority):
    pinned, another = authority.issue('app.internal', label='pinned'), authority.issue(
        'app.internal', label='another')
    proxy, _ = make(pinned, ca=pinned.path)
    assert proxy.ask().body == b'hello'
    proxy, _ = make(another, ca=pinned.path)
    assert proxy.ask().status == 502


def test_a_backend_is_shown_a_certificate(make, authority):
    shown = authority.issue('sluice.internal')
    context = served(authority.issue('app.internal'), verify_mode=ssl.CERT_REQUIRED)
    context.load_verify_locations(authority.path)
    proxy, _ = make(None, context=context, settings='name = "app.internal" '
                    f'certificate = "{shown.path}" key = "{shown.key_path}"')
    assert proxy.ask().body == b'hello'
    proxy, _ = make(None, context=context)
    assert proxy.ask().status == 502


def test_sessions_are_resumed(make, authority):
    pair = authority.issue('app.internal')
    context = served(pair)
    proxy, _ = make(pair, context=context,
                    story=answers(ok(b'hello', 'Connection: close'), times=1))
    for _ in range(4):
        assert proxy.ask().body == b'hello'
    assert context.session_stats()['hits'] >= 3


@pytest.mark.parametrize('whole', [True, False])
def test_an_answer_without_a_length_ends_by_close_notify(make, authority, whole):
    def story(conn):
        conn.request()
        conn.send(b'HTTP/1.1 200 OK\r\n\r\nhello')
        if whole:
            conn.sock.unwrap()
        else:
            conn.sock.shutdown(socket.SHUT_RDWR)  # FIN, without a word before it
    proxy, _ = make(authority.issue('app.internal'), story=story)
    client = proxy.client()
    client.send(get())
    if whole:
        assert client.answer().body == b'hello'
        return
    with pytest.raises(Broken):
        client.answer()
    assert proxy.logged(1)[0]['reason'] == 'backend_gone'


def test_a_backend_that_speaks_no_tls(stage, authority):
    proxy = stage.proxy(stage.origin(lambda conn: conn.send(b'HTTP/1.1 400 Bad\r\n\r\n')),
                        service=f'upstream_tls {{ ca = "{authority.path}" }}')
    assert proxy.ask().status == 502
    proxy.awaits('handshake with a backend failed')


def test_a_backend_that_never_shakes_hands(stage, authority):
    proxy = stage.proxy(stage.origin(OriginConn.rest), service=
                        f'upstream_tls {{ ca = "{authority.path}" }} connect_timeout = 300ms')
    assert proxy.ask().status == 504


def test_nobody_there(stage, authority):
    proxy = stage.proxy('127.0.0.1:1', service=f'upstream_tls {{ ca = "{authority.path}" }}')
    assert proxy.ask().status == 502
    assert 'address=127.0.0.1:1: Connection refused' in proxy.said()
