# SPDX-License-Identifier: BSD-2-Clause
"""Answers compressed on their way: what the client unpacks is what the origin sent, and the
fields say what was done."""
import zlib

import brotli
import pytest
import zstandard
from actors import Broken, answers, chunks, get, ok

TEXT = b''.join(b'line %d of a text that is worth it\n' % (n * n) for n in range(20000))
UNPACK = {
    'gzip': lambda data: zlib.decompress(data, 31),
    'br': brotli.decompress,
    'zstd': lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}
ENCODINGS = sorted(UNPACK)


def accept(encoding, *fields, **named):
    return get('/', f'Accept-Encoding: {encoding}', *fields, **named)


def text(body=TEXT, *fields, status='200 OK'):
    return '\r\n'.join([f'HTTP/1.1 {status}', 'Content-Type: text/plain',
                        f'Content-Length: {len(body)}', *fields, '', '']).encode() + body


def served(stage, answer, **named):
    return stage.proxy(stage.origin(answers(answer)), service='compress { }', **named)


@pytest.mark.parametrize('encoding', ENCODINGS)
@pytest.mark.parametrize('size', [1, 1024, 16384, 100000, len(TEXT)])
def test_what_is_unpacked_is_what_was_sent(stage, encoding, size):
    proxy = served(stage, b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n'
                   b'Transfer-Encoding: chunked\r\n\r\n' + chunks(TEXT[:size]))
    client = proxy.client()
    for _ in range(2):  # and with an encoder that is used again
        got = client.ask(accept(encoding))
        assert got['Content-Encoding'] == encoding
        assert got['Vary'] == 'Accept-Encoding'
        assert not got['Content-Length']
        assert UNPACK[encoding](got.body) == TEXT[:size]
    assert size < 1024 or len(got.body) < size / 2


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_noise_does_not_hurt(stage, encoding):
    noise = b''.join(zlib.crc32(b'%d' % n).to_bytes(4, 'big') for n in range(50000))
    got = served(stage, text(noise)).ask(accept(encoding))
    assert UNPACK[encoding](got.body) == noise


def test_the_order_of_the_file_decides_between_equals(stage):
    proxy = stage.proxy(stage.origin(answers(text())),
                        service='compress { encodings = { zstd, gzip } }')
    assert proxy.ask(accept('gzip, br, zstd'))['Content-Encoding'] == 'zstd'
    assert proxy.ask(accept('gzip, br, zstd;q=0.9'))['Content-Encoding'] == 'gzip'
    assert not proxy.ask(accept('br'))['Content-Encoding']


@pytest.mark.parametrize('request_bytes, answer, vary', [
    (get(), text(), True),
    (accept('identity'), text(), True),
    (accept('gzip;q=0'), text(), True),
    (accept('gzip'), text(TEXT[:100]), False),
    (accept('gzip'), text(TEXT, 'Content-Encoding: x-own'), False),
    (accept('gzip'), text(TEXT, 'Cache-Control: public, no-transform'), False),
    (accept('gzip'), text(TEXT, 'Content-Range: bytes 0-9/10', status='206 Partial Content'),
     False),
    (accept('gzip'), ok(TEXT), False),
    (accept('gzip', version='1.0'), text(), True),
], ids=['no wish', 'identity', 'refused', 'short', 'encoded', 'no-transform', 'part', 'no type',
        'HTTP/1.0'])
def test_what_stays_as_it_is(stage, request_bytes, answer, vary):
    proxy = served(stage, answer)
    client = proxy.client()
    client.send(request_bytes)
    got = client.answer()
    assert got.body == answer.split(b'\r\n\r\n', 1)[1]
    assert got['Vary'] == ('Accept-Encoding' if vary else '')
    assert got['Content-Length'] == str(len(got.body))


def test_fields_that_are_true_no_more(stage):
    got = served(stage, text(
        TEXT, 'ETag: "v1"', 'Accept-Ranges: bytes', 'Content-MD5: x', 'Digest: x',
        'Content-Digest: x', 'Repr-Digest: x', 'Last-Modified: then')).ask(accept('gzip'))
    names = {name.lower() for name, _ in got.fields}
    assert not names & {'accept-ranges', 'content-md5', 'digest', 'content-digest', 'repr-digest'}
    assert got['ETag'] == 'W/"v1"' and got['Last-Modified'] == 'then'


def test_a_weak_etag_stays_one(stage):
    assert served(stage, text(TEXT, 'ETag: W/"v1"')).ask(accept('br'))['ETag'] == 'W/"v1"'


def test_head_tells_what_get_would(stage):
    proxy = served(stage, b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n'
                   b'Content-Length: 5000\r\nETag: "v1"\r\n\r\n')
    got = proxy.ask(accept('gzip', method='HEAD'))
    assert got['Content-Encoding'] == 'gzip' and not got['Content-Length']
    assert got['Vary'] == 'Accept-Encoding' and got['ETag'] == 'W/"v1"'


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_what_comes_bit_by_bit_goes_bit_by_bit(stage, origin, encoding):
    """An event stream: each event is there before the next one is made."""
    unpack = {'gzip': zlib.decompressobj(31), 'br': brotli.Decompressor(),
              'zstd': zstandard.ZstdDecompressor().decompressobj()}[encoding]
    decode = unpack.process if encoding == 'br' else unpack.decompress
    proxy = stage.proxy(origin, service='compress { }')
    client = proxy.client()
    client.send(accept(encoding))
    conn = origin.accept()
    conn.request()
    conn.send(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n')
    client.until(b'\r\n\r\n')
    for n in range(5):
        event, seen = b'data: %d\n\n' % n, b''
        conn.send(event)
        while seen != event:
            size = int(client.until(b'\r\n'), 16)
            seen += decode(client.exactly(size))
            client.until(b'\r\n')
    conn.close()
    rest = client.chunked()
    assert decode(rest) == b''


def test_a_body_cut_short_is_not_made_whole(stage, origin):
    proxy = stage.proxy(origin, service='compress { }')
    client = proxy.client()
    client.send(accept('gzip'))
    conn = origin.accept()
    conn.request()
    conn.send(text()[:-1])
    conn.close()
    client.until(b'\r\n\r\n')
    with pytest.raises(Broken):
        client.chunked()
    assert proxy.logged(1)[0]['reason'] == 'backend_gone'


def test_a_slow_reader(stage):
    """The encoder waits with the origin; nothing is held but buffers."""
    big = TEXT * 20
    proxy = served(stage, text(big))
    client = proxy.client(receive_buffer=4096)
    client.send(accept('gzip'))
    before = proxy.memory()
    client.until(b'\r\n\r\n')
    got = client.chunked()
    assert UNPACK['gzip'](got) == big
    assert proxy.memory() < before + 8192
