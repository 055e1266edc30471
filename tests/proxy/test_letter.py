# SPDX-License-Identifier: BSD-2-Clause
"""What RFC 9110 and RFC 9112 ask of an intermediary, where no body or framing is concerned:
expectations, Max-Forwards, and the settings that bound a connection and a request line."""
import pytest
from actors import answers, get, ok

HELLO = ok(b'hello')
EXPECTING = get('/', 'Expect: 100-continue', 'Content-Length: 5', method='POST')


@pytest.fixture
def client(stage, origin):
    return stage.proxy(origin).client()


# ---- Expect (RFC 9110 section 10.1.1) ---------------------------------------------------

def test_who_waits_for_100_in_vain_is_told_to_go_on(origin, client):
    """A backend that knows no expectations waits for the body, the client for the 100."""
    client.send(EXPECTING)
    conn = origin.accept()
    assert 'Expect: 100-continue' in conn.until(b'\r\n\r\n').decode()
    assert client.answer().status == 100
    client.send(b'hello')
    assert conn.exactly(5) == b'hello'
    conn.send(HELLO)
    assert client.answer().body == b'hello'
    assert client.silent()


def test_who_was_told_by_the_backend_is_not_told_again(stage, origin):
    client = stage.proxy(origin, service='body_timeout = 3s').client()
    client.send(EXPECTING)
    conn = origin.accept()
    conn.until(b'\r\n\r\n')
    conn.send(b'HTTP/1.1 100 Continue\r\n\r\n')
    assert client.answer().status == 100
    assert client.answer().status == 408  # what comes next, 3 seconds later


def test_an_expectation_without_a_body_is_forwarded_and_not_answered_here(origin, client):
    client.send(get('/', 'Expect: 100-continue'))
    conn = origin.accept()
    assert conn.request()['Expect'] == '100-continue'
    conn.send(HELLO)
    assert client.answer().status == 200


@pytest.mark.parametrize('value', ['200-ok', '100-continue, x', '100-continue;q=1', 'x'])
def test_other_expectations_fail(stage, origin, value):
    client = stage.proxy(origin).client()
    answer = client.ask(get('/', f'Expect: {value}'))
    assert answer.status == 417 and answer['Connection'] == 'close' and origin.untouched()


# ---- Max-Forwards (RFC 9110 section 7.6.2) ----------------------------------------------

@pytest.mark.parametrize('target', ['*', '/x'])
def test_options_that_may_go_no_further_are_answered_here(stage, origin, target):
    client = stage.proxy(origin).client()
    for _ in range(2):
        answer = client.ask(get(target, 'Max-Forwards: 0', method='OPTIONS'))
        assert answer.status == 200 and 'OPTIONS' in answer['Allow'] and not answer['Connection']
    assert origin.untouched()


@pytest.mark.parametrize('method, sent, got', [
    ('OPTIONS', '1', '0'), ('OPTIONS', '010', '9'), ('OPTIONS', '70', '69'),
    ('OPTIONS', 'many', 'many'), ('OPTIONS', '', ''), ('GET', '0', '0'), ('GET', '5', '5')])
def test_max_forwards_counts_down_where_it_counts(origin, client, method, sent, got):
    client.send(get('/', f'Max-Forwards: {sent}', method=method))
    assert origin.accept().request()['Max-Forwards'] == got


# ---- bounds -----------------------------------------------------------------------------

def test_a_connection_has_its_requests(stage):
    client = stage.proxy(stage.origin(answers(HELLO)), service='max_requests = 3').client()
    assert [client.ask(get())['Connection'] for _ in range(3)] == ['', '', 'close']
    assert client.ended()


def test_pipelined_requests_beyond_the_last_are_not_served(stage):
    origin = stage.origin(answers(lambda r: ok(r.target.encode())))
    client = stage.proxy(origin, service='max_requests = 2').client()
    client.send(*(get(f'/{n}') for n in range(4)))
    assert [client.answer().body for _ in range(2)] == [b'/0', b'/1'] and client.ended()
    assert b'/2' not in origin.conns[0].got


def test_a_target_up_to_its_own_limit(stage, origin):
    client = stage.proxy(origin, service='max_target = 64').client()
    client.send(get('/' + 'x' * 63))
    conn = origin.accept()
    assert len(conn.request().target) == 64
    conn.send(HELLO)
    assert client.answer().status == 200
    assert client.ask(get('/' + 'x' * 64)).status == 414 and client.ended() and conn.silent()
