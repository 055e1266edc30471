# SPDX-License-Identifier: BSD-2-Clause
"""Settings of a service that a route has otherwise for its requests."""
import subprocess

import pytest
from actors import SLUICED, answers, get, ok

TEXT = b'words and words and words ' * 200


def test_no_compression_here(stage):
    proxy = stage.proxy(stage.origin(answers(ok(TEXT, 'Content-Type: text/plain'))),
                        service='compress { }  route "raw" { path = "/raw"  compress = no }')
    assert proxy.ask(get('/', 'Accept-Encoding: gzip'))['Content-Encoding'] == 'gzip'
    raw = proxy.ask(get('/raw', 'Accept-Encoding: gzip'))
    assert raw.body == TEXT and not raw['Content-Encoding'] and not raw['Vary']


def test_no_cache_here(stage):
    asked = []

    def answer(request):
        asked.append(request.target)
        return ok(b'x', 'Cache-Control: max-age=100')
    proxy = stage.proxy(stage.origin(answers(answer)), top='cache "main" { memory = 16m }',
                        service='cache { }  route "live" { path = "/live"  cache = no }')
    client = proxy.client()
    for _ in range(3):
        assert not client.ask(get('/live'))['Cache-Status']
        assert client.ask(get('/'))['Cache-Status']
    assert asked.count('/live') == 3 and asked.count('/') == 1


def test_bodies_are_gathered_here(stage, origin):
    proxy = stage.proxy(origin, service='route "up" { path = "/up"  request_buffer = 64k }')
    gathered, streamed = proxy.client(), proxy.client()
    gathered.send(get('/up', 'Content-Length: 10', method='POST'), b'hello')
    streamed.send(get('/', 'Content-Length: 10', method='POST'), b'hello')
    conn = origin.accept()  # the second one's
    assert conn.until(b'\r\n\r\n').startswith(b'POST / ')
    assert origin.accepts_nothing()
    gathered.send(b'world')
    assert origin.accept().request().body == b'helloworld'


def test_responses_wait_here(stage, origin):
    """The backend is rid of all of it, and serves on, while the client has read nothing."""
    body = bytes(12 << 20)  # more than the kernel holds on the way
    proxy = stage.proxy(origin, service='response_buffer = 0  '
                        'route "slow" { path = "/slow"  response_buffer = 16m }')
    slow, other = proxy.client(receive_buffer=4096), proxy.client()
    slow.send(get('/slow'))
    conn = origin.accept()
    conn.request()
    conn.send(ok(body))
    other.send(get('/other'))
    assert conn.request().target == '/other'
    conn.send(ok(b'hello'))
    assert other.answer().body == b'hello' and slow.answer().body == body


@pytest.mark.parametrize('setting, said', [
    ('compress = no', 'compress: the service has no such section; remove it, or write compress { }'),
    ('cache = yes', 'cache: the service has no such section; remove it, or write cache { }'),
    ('request_buffer = 1t', 'request_buffer: "1t" is out of range; write 0 to 16m')])
def test_mistakes(tmp_path, setting, said):
    path = tmp_path / 'bad.conf'
    path.write_text('service "s" {\n\tkind = l7  listen = "127.0.0.1:1"\n'
                    f'\troute "r" {{ {setting}  deny = 403 }}\n}}\n', encoding='ascii')
    done = subprocess.run([SLUICED, '-n', '-c', path], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == f'{path}:3: {said}\n'
