# SPDX-License-Identifier: BSD-2-Clause
"""What an l4 service may say of its packets: that fragments are taken, that QUIC's clients move, how
long segments are."""
import contextlib
import select
import socket

import pytest
from lab import BACKENDS, CLIENT4, CLIENT6, VIP4, VIP6, Counted, await_until, request_on
from scapy.layers.inet import TCP

PORT = 5000
FAMILIES = [pytest.param(VIP4, id='v4'), pytest.param(VIP6, id='v6')]
CONF = '''
gate {{ interfaces = {{ "eth0" }} }}
service "media" {{
  kind = l4  proto = {{ udp }}  forward = {forward}  fragments = {fragments}
  listen = {{ "198.51.100.10:5000", "[2001:db8:51::10]:5000" }}
  backend "b1" {{ address = "10.83.0.11" }}
  backend "b2" {{ address = "10.83.0.12" }}
  backend "b3" {{ address = "10.83.0.13" }}
}}
'''


@pytest.fixture(scope='module')
def narrow(lab):
    """The gate everywhere, and a client whose path has room for the tunnel: it sends fragments of
    1400 bytes at most."""
    lab.attach()
    for ip, net, host in (['ip', 'route'], f'{VIP4}/32', '10.83.0.2'), \
            (['ip', '-6', 'route'], f'{VIP6}/128', 'fd83::2'):
        lab.client.run(*ip, 'replace', net, 'via', host, 'dev', 'eth0', 'mtu', 'lock', '1400')
    yield lab
    lab.detach()


@contextlib.contextmanager
def servers(lab, vip):
    """A socket on each backend's VIP, by the backend's name."""
    family = socket.AF_INET6 if ':' in vip else socket.AF_INET
    with contextlib.ExitStack() as stack:
        open_ = {b: stack.enter_context(lab.hosts[b].socket(family, socket.SOCK_DGRAM))
                 for b in BACKENDS}
        for s in open_.values():
            s.bind((vip, PORT))
        yield open_


def arrives(open_, timeout=10):
    """The backend that a datagram came to, and what it was; None if none came."""
    ready = select.select(list(open_.values()), [], [], timeout)[0]
    if not ready:
        return None
    name = next(b for b, s in open_.items() if s is ready[0])
    return name, *ready[0].recvfrom(65536)


@pytest.mark.parametrize('vip, forward', [pytest.param(VIP4, 'ipip', id='v4'),
                                          pytest.param(VIP6, 'l2', id='v6')])
def test_fragments_arrive_as_one_datagram_where_small_ones_do(narrow, config, vip, forward):
    family = socket.AF_INET6 if ':' in vip else socket.AF_INET
    narrow.balancer.sluice('apply', '-c', config(CONF.format(forward=forward, fragments='yes')))
    with servers(narrow, vip) as open_, Counted(narrow.balancer) as c:
        for n in range(5):
            with narrow.client.socket(family, socket.SOCK_DGRAM) as s:
                s.connect((vip, PORT))
                s.send(b'small')
                backend, data, who = arrives(open_)
                assert data == b'small' and who[0] == (CLIENT6 if ':' in vip else CLIENT4)
                large = bytes([n]) * (3000 + 1000 * n)
                s.send(large)
                assert arrives(open_)[:2] == (backend, large)
                open_[backend].sendto(large, who)
                assert s.recv(65536) == large
        c.awaits('forward', 5 * 4)
        assert c.fragment == 0


@pytest.mark.parametrize('vip', FAMILIES)
def test_without_the_word_they_are_dropped(narrow, config, vip):
    narrow.balancer.sluice('apply', '-c', config(CONF.format(forward='ipip', fragments='no')))
    family = socket.AF_INET6 if ':' in vip else socket.AF_INET
    with servers(narrow, vip) as open_, Counted(narrow.balancer) as c, \
            narrow.client.socket(family, socket.SOCK_DGRAM) as s:
        s.connect((vip, PORT))
        s.send(b'x' * 3000)
        c.awaits('fragment', 3)
        s.send(b'small')
        assert arrives(open_)[1] == b'small'


def test_what_the_cli_says_of_them(narrow, config):
    narrow.balancer.sluice('apply', '-c', config(CONF.format(forward='ipip', fragments='yes')))
    said = narrow.balancer.sluice('status').stdout
    assert '198.51.100.10:5000/udp [2001:db8:51::10]:5000/udp\n' in said, said
    with servers(narrow, VIP4) as open_, \
            narrow.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('0.0.0.0', 4321))
        s.connect((VIP4, PORT))
        s.send(b'x' * 3000)
        backend = arrives(open_)[0]

    def told():
        said = narrow.balancer.sluice('flow', f'{CLIENT4}:4321', f'{VIP4}:{PORT}/udp',
                                      check=False)
        return f'backend  {backend} ' in said.stdout and 'connection table' in said.stdout
    await_until(told, '`sluice flow` knows it by the client alone')


# ---- QUIC -------------------------------------------------------------------------------

SERVER = {'b1': b'\xc0\xff\xee\x01', 'b2': b'\xc0\xff\xee\x02', 'b3': b'\xc0\xff\xee\x03'}
QUIC = '''
gate { interfaces = { "eth0" } }
service "h3" {
  kind = l4  proto = { udp }  hash = quic_cid
  listen = { "198.51.100.10:5000", "[2001:db8:51::10]:5000" }
  backend "b1" { address = "10.83.0.11"  server_id = "c0ffee01" }
  backend "b2" { address = "10.83.0.12"  server_id = "c0ffee02" }
  backend "b3" { address = "10.83.0.13"  server_id = { "c0ffee03", "1:abcd" } }
}
'''


def initial(dcid):
    """A client's first datagram: long header, version 1, an ID of the client's own making."""
    return (b'\xc3\0\0\0\1' + bytes([len(dcid)]) + dcid + b'\0').ljust(1200, b'\0')


def short(dcid):
    return b'\x40' + dcid + b'ciphertext with its tag'


@pytest.mark.parametrize('vip', FAMILIES)
def test_a_quic_connection_moves_with_its_client(narrow, config, vip):
    """The server that got the first datagram names itself in its connection ID; each later datagram
    comes from another port."""
    narrow.balancer.sluice('apply', '-c', config(QUIC))
    family = socket.AF_INET6 if ':' in vip else socket.AF_INET
    met = set()
    with servers(narrow, vip) as open_, Counted(narrow.balancer) as c:
        for n in range(12):
            with narrow.client.socket(family, socket.SOCK_DGRAM) as s:
                s.sendto(initial(bytes([n]) * 8), (vip, PORT))
                first, _, who = arrives(open_)
                open_[first].sendto(b'\0' + SERVER[first] + b'nonc', who)
                cid = s.recv(100)
            met.add(first)
            for _ in range(3):
                with narrow.client.socket(family, socket.SOCK_DGRAM) as s:
                    s.sendto(short(cid), (vip, PORT))
                    backend, data, who = arrives(open_)
                    assert (backend, data) == (first, short(cid))
                    open_[backend].sendto(b'answer', who)
                    assert s.recv(100) == b'answer'
        c.awaits('quic_id', 36)
        assert c.quic_unknown == 12
    assert len(met) > 1


def test_quic_while_servers_change_their_ids(narrow, config):
    """An old configuration beside a new one, a backend that drains, and one that is gone."""
    narrow.balancer.sluice('apply', '-c', config(QUIC))
    with servers(narrow, VIP4) as open_, \
            narrow.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        def to(cid):
            s.sendto(short(cid), (VIP4, PORT))
            return arrives(open_)[0]

        assert to(b'\x00' + SERVER['b3'] + b'nonc') == 'b3'
        assert to(b'\x20\xab\xcdnonc') == 'b3'
        narrow.balancer.sluice('backend', 'drain', 'h3/b3')
        assert to(b'\x20\xab\xcdnonc') == 'b3'
        assert to(b'\x00' + SERVER['b1'] + b'nonc') == 'b1'
        without = '\n'.join(line for line in QUIC.splitlines() if '"b3"' not in line)
        said = narrow.balancer.sluice('apply', '-c', config(without)).stdout
        assert '- h3 server_id 0:c0ffee03 and 1 more\n' in said, said
        assert to(b'\x20\xab\xcdnonc') in ('b1', 'b2')


# ---- segments ---------------------------------------------------------------------------

@pytest.mark.parametrize('vip', FAMILIES)
def test_segments_are_as_long_as_the_service_says(narrow, config, vip):
    """The client's kernel asks for more, and the backend's believes the checksum."""
    narrow.balancer.sluice('apply', '-c', config(
        'gate { interfaces = { "eth0" } }\nservice "shop" { kind = l4  mss = 1300\n'
        'listen = { "198.51.100.10:80", "[2001:db8:51::10]:80" }\n'
        'backend "b1" { address = "10.83.0.11" } }\n'))
    with narrow.client.wire() as here, narrow.b1.wire() as there, \
            narrow.client.connect(vip) as s:
        port = s.getsockname()[1]

        def mss(wire):
            syn = wire.expect(lambda f: TCP in f and f[TCP].flags == 'S' and f[TCP].sport == port,
                              'the SYN')
            return dict(syn[TCP].options)['MSS']

        assert mss(here) > 1300
        assert mss(there) == 1300
        assert request_on(s)['backend'] == 'b1'
