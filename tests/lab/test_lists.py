# SPDX-License-Identifier: BSD-2-Clause
"""The blocklist and the allow list, by bpftool as it is typed and by sluice."""
import json
import socket

import pytest
from lab import (BALANCER4, BALANCER6, CLIENT4, CLIENT6, PINS, VIP4, VIP6, Counted, Failed,
                 await_until)

FAMILIES = [pytest.param(VIP4, CLIENT4, 32, id='v4'), pytest.param(VIP6, CLIENT6, 128, id='v6')]
FOREVER = ['0'] * 16


@pytest.fixture(autouse=True)
def empty_lists(gate):
    yield
    gate.balancer.sluice('block', 'flush')
    for family in ('4', '6'):
        for row in dump(gate, f'allow{family}'):
            gate.balancer.run('bpftool', 'map', 'delete', 'pinned', f'{PINS}/allow{family}', 'key',
                              'hex', *[b.removeprefix('0x') for b in row['key']])


def dump(lab, name):
    return json.loads(lab.balancer.run('bpftool', '-j', 'map', 'dump', 'pinned',
                                       f'{PINS}/{name}').stdout)


def typed_key(address, prefix):
    """As an operator writes it: the length (host order), then the address byte by byte."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    return [str(prefix), '0', '0', '0', *map(str, socket.inet_pton(family, address))]


def bpftool(lab, verb, name, address, prefix, *value):
    return lab.balancer.run('bpftool', 'map', verb, 'pinned', f'{PINS}/{name}', 'key',
                            *typed_key(address, prefix), *value)


def reaches(lab, vip):
    """True when a request is answered; a dropped packet is known by the gate's counter."""
    with Counted(lab.balancer) as c:
        with lab.client.socket(socket.AF_INET6 if ':' in vip else socket.AF_INET) as s:
            s.setblocking(False)
            s.connect_ex((vip, 80))

            def decided():
                if c.block:
                    return 'dropped'
                try:
                    s.send(b'GET / HTTP/1.0\r\n\r\n')
                    return 'connected'
                except (BlockingIOError, BrokenPipeError):
                    return None
                except OSError as e:
                    return None if e.errno in (107, 11) else 'refused'
            return await_until(decided, 'the packet is dropped or answered') == 'connected'


@pytest.mark.parametrize('vip, client, bits', FAMILIES)
def test_bpftool_blocks_the_very_next_packet(gate, vip, client, bits):
    name = f'block{"6" if bits == 128 else "4"}'
    assert reaches(gate, vip)
    bpftool(gate, 'update', name, client, bits, 'value', *FOREVER)
    assert not reaches(gate, vip)
    bpftool(gate, 'delete', name, client, bits)
    assert reaches(gate, vip)


def test_a_line_of_the_readme(gate):
    """The line that the manual prints, for a network that is not ours."""
    gate.balancer.run(*('bpftool map update pinned /sys/fs/bpf/sluice/block4 key 24 0 0 0 203 0 113 0'
                        ' value 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0').split())
    assert '203.0.113.0/24' in gate.balancer.sluice('block', 'list').stdout
    assert reaches(gate, VIP4)


def test_bpftool_prints_names(gate):
    gate.balancer.sluice('block', 'add', '203.0.113.0/24')
    text = gate.balancer.run('bpftool', 'map', 'dump', 'pinned', f'{PINS}/block4').stdout
    for word in ('prefixlen', 'addr', 'expires_ns', 'reason'):
        assert word in text


@pytest.mark.parametrize('vip, client, bits', FAMILIES)
def test_sluice_blocks_and_unblocks(gate, vip, client, bits):
    gate.balancer.sluice('block', 'add', client, '--reason', 'abuse')
    listed = gate.balancer.sluice('block', 'list').stdout
    assert client in listed and 'abuse' in listed
    assert not reaches(gate, vip)
    gate.balancer.sluice('block', 'del', client)
    assert client not in gate.balancer.sluice('block', 'list').stdout
    assert reaches(gate, vip)


@pytest.mark.parametrize('network, vip', [('10.83.0.0/25', VIP4), ('10.0.0.0/8', VIP4),
                                          ('fd83::/64', VIP6)])
def test_networks_are_blocked(gate, network, vip):
    everybody = ['--force'] if network.endswith('/0') else []  # asked twice before it is done
    gate.balancer.sluice('block', 'add', network, *everybody)
    assert not reaches(gate, vip)
    gate.balancer.sluice('block', 'del', network)
    assert reaches(gate, vip)


@pytest.mark.parametrize('everybody', ['0.0.0.0/0', '::/0'])
def test_nobody_blocks_everybody_by_mistake(gate, everybody):
    done = gate.balancer.sluice('block', 'add', everybody, check=False)
    assert done.returncode == 1 and everybody in done.stderr
    assert reaches(gate, VIP4) and reaches(gate, VIP6)


@pytest.mark.parametrize('vip, client, bits', FAMILIES)
def test_allow_wins(gate, vip, client, bits):
    gate.balancer.sluice('block', 'add', client)
    gate.balancer.sluice('allow', 'add', client)
    with Counted(gate.balancer) as c:
        assert reaches(gate, vip)
        c.awaits('allowed')
    gate.balancer.sluice('allow', 'del', client)
    assert not reaches(gate, vip)


@pytest.mark.parametrize('vip, client, bits', FAMILIES)
def test_a_block_ends_by_itself(gate, vip, client, bits):
    gate.balancer.sluice('block', 'add', client, '--ttl', '1h')
    assert not reaches(gate, vip)
    gate.balancer.sluice('block', 'add', client, '--ttl', '1s')
    with Counted(gate.balancer) as c:
        await_until(lambda: reaches(gate, vip), 'the block is over')
        c.awaits('expired')


def test_a_blocked_source_does_not_reach_the_host_either(gate):
    gate.balancer.sluice('block', 'add', CLIENT4, CLIENT6)
    for address in (BALANCER4, BALANCER6):
        with Counted(gate.balancer) as c:
            gate.client.run('ping', '-c', '1', '-W', '0.2', address, check=False)
            c.awaits('block')


def test_import_and_flush(gate, tmp_path):
    feed = tmp_path / 'feed'
    feed.write_text('# a feed\n\n203.0.113.0/24\n198.51.100.99\n2001:db8:bad::/48  # why\n'
                    f'{CLIENT4}\n')
    gate.balancer.sluice('block', 'import', feed)
    listed = gate.balancer.sluice('block', 'list').stdout
    for word in ('203.0.113.0/24', '198.51.100.99', '2001:db8:bad::/48', CLIENT4):
        assert word in listed
    assert not reaches(gate, VIP4)
    gate.balancer.sluice('block', 'flush')
    assert reaches(gate, VIP4)
    assert not dump(gate, 'block4') and not dump(gate, 'block6')


@pytest.mark.parametrize('typed, told', [
    (['block', 'add', '10.0.0.1/33'], '10.0.0.1/33'),
    (['block', 'add', '10.0.0.1/8'], '10.0.0.0/8'),
    (['block', 'add', 'example.org'], 'example.org'),
    (['block', 'add', '10.0.0.1', '--ttl', '10'], '10'),
    (['block', 'add', '10.0.0.1', '--reason', 'moonphase'], 'moonphase'),
    (['block', 'add'], 'usage'),
])
def test_mistakes_change_nothing_and_say_what_is_wrong(gate, typed, told):
    done = gate.balancer.sluice(*typed, check=False)
    assert done.returncode != 0
    assert told in done.stderr
    assert not dump(gate, 'block4')


def test_deleting_what_is_not_listed_is_said(gate):
    with pytest.raises(Failed, match='203.0.113.9'):
        gate.balancer.sluice('block', 'del', '203.0.113.9')


def test_a_watched_feed_is_imported_again_whenever_its_file_changes(gate, tmp_path):
    """Written in place, or put in its place; a file with wrong lines leaves what was there."""
    feed = tmp_path / 'feed'
    feed.write_text('203.0.113.0/24\n')
    watching = gate.balancer.start('sluice', 'block', 'import', '--watch', '--name', 'bad', feed)

    def held():
        return gate.balancer.sluice('block', 'list', '--name', 'bad', check=False).stdout
    try:
        await_until(lambda: '203.0.113.0/24' in held(), 'the feed is imported')
        feed.write_text('203.0.113.0/24\n198.18.0.0/15\n')
        await_until(lambda: '198.18.0.0/15' in held(), 'a file that was written again is')
        feed.write_text('not an address\n')
        await_until(lambda: 'not an address' in watching.said(), 'a wrong line is told')
        assert '198.18.0.0/15' in held() and watching.ended() is None
        new = tmp_path / 'new'
        new.write_text('2001:db8:bad::/48\n')
        new.rename(feed)
        await_until(lambda: '2001:db8:bad::/48' in held(), 'a file in the place of the old one is')
        assert '203.0.113.0/24' not in held()
    finally:
        watching.kill()
        gate.balancer.sluice('block', 'flush', '--name', 'bad')
