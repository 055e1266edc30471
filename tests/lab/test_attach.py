# SPDX-License-Identifier: BSD-2-Clause
"""Putting the gate on an interface and taking it off; every way that this can be refused."""
import os
import shutil
import subprocess

import pytest
from lab import BUILD, PINS, VIP4

LAB_CONF = 'examples/lab.conf'


@pytest.fixture(autouse=True)
def clean(lab):
    yield
    lab.balancer.sluice('detach', '--all', check=False)
    lab.balancer.run('ip', 'link', 'set', 'eth0', 'xdp', 'off', check=False)
    lab.balancer.run('ip', 'link', 'set', 'eth0', 'xdpgeneric', 'off', check=False)


def attach(lab, *more, **kw):
    return lab.balancer.sluice('attach', 'eth0', '-c', LAB_CONF, *more, **kw)


def refused(done, *words):
    """Exit 1, and one line on stderr that says what is wrong and what to do."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith('sluice: '), done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def traces(host):
    """All that an attachment may leave behind."""
    rules = [host.run('ip', *family, 'route', 'show', 'table', 'all').stdout
             for family in (['-4'], ['-6'])]
    pins = host.run('find', '/sys/fs/bpf').stdout
    kept = [line for line in host.run('ip', 'neigh', 'show').stdout.splitlines()
            if 'managed' in line]
    return sorted(pins.split()), rules, kept, host.programs(), host.run('bpftool', 'net').stdout


def test_attach_shows_up_and_detach_leaves_nothing(lab):
    before = traces(lab.balancer)
    attach(lab)
    assert 'eth0' in lab.balancer.programs()
    assert f'local {VIP4} dev lo' in lab.balancer.run('ip', 'route', 'show', 'table', 'local').stdout
    status = lab.balancer.sluice('status').stdout
    assert 'eth0' in status and 'native' in status
    lab.balancer.sluice('detach', 'eth0')
    assert traces(lab.balancer) == before


def test_attaching_twice_is_said_and_changes_nothing(lab):
    attach(lab)
    before = lab.balancer.programs()
    done = attach(lab)
    assert 'already' in done.stdout + done.stderr
    assert lab.balancer.programs() == before


def test_detaching_twice_is_fine(lab):
    attach(lab)
    lab.balancer.sluice('detach', 'eth0')
    done = lab.balancer.sluice('detach', 'eth0', check=False)
    assert 'eth0' in done.stdout + done.stderr or 'not' in done.stdout + done.stderr


def test_keep_maps_keeps_the_blocklist(lab):
    attach(lab)
    lab.balancer.sluice('block', 'add', '203.0.113.0/24')
    lab.balancer.sluice('detach', 'eth0', '--keep-maps')
    assert 'eth0' not in lab.balancer.programs()
    attach(lab)
    assert '203.0.113.0/24' in lab.balancer.sluice('block', 'list').stdout


def test_generic_mode_is_what_was_asked_for(lab, config):
    conf = config(open('examples/lab.conf', encoding='utf-8').read().replace('= native', '= auto'))
    lab.balancer.sluice('attach', 'eth0', '-c', conf, '--mode', 'generic')
    assert 'xdpgeneric' in lab.balancer.run('ip', 'link', 'show', 'eth0').stdout
    assert 'generic' in lab.balancer.sluice('status').stdout


def test_another_mode_while_attached_is_refused(lab):
    attach(lab)
    refused(attach(lab, '--mode', 'generic', check=False), 'native', 'detach')


def test_no_such_interface(lab):
    refused(lab.balancer.sluice('attach', 'eth9', '-c', LAB_CONF, check=False), 'eth9', 'eth0')


def test_an_interface_that_went_away(lab):
    lab.balancer.run('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
    lab.balancer.sluice('attach', 'v0', '-c', LAB_CONF)
    lab.balancer.run('ip', 'link', 'del', 'v0')
    refused(lab.balancer.sluice('detach', 'v0', check=False), 'v0')
    lab.balancer.sluice('status')
    lab.balancer.sluice('detach', '--all')
    assert PINS not in lab.balancer.run('find', '/sys/fs/bpf').stdout


@pytest.fixture
def pair(lab):
    """Ends of a cable: v0, and v1 where nobody is."""
    def lay(*ends):
        lab.balancer.run('ip', 'link', 'add', 'v0', *ends, 'type', 'veth', 'peer', 'name', 'v1',
                         *ends)
    yield lay
    lab.balancer.sluice('detach', '--all', check=False)
    lab.balancer.run('ip', 'link', 'del', 'v0')


def test_a_veth_loses_what_nobody_takes_at_its_other_end(lab, pair):
    pair()
    done = lab.balancer.sluice('attach', 'v0', '-c', LAB_CONF)
    assert 'v0 is a veth' in done.stderr and 'XDP program too' in done.stderr, done.stderr


def test_what_a_driver_refuses_comes_with_its_mend(lab, pair):
    pair('numtxqueues', '2', 'numrxqueues', '1')
    refused(lab.balancer.sluice('attach', 'v0', '-c', LAB_CONF, check=False), 'driver veth',
            'give v0 as many receive queues')


def test_a_peer_whose_packets_are_too_long(lab, pair):
    pair('mtu', '9000')
    refused(lab.balancer.sluice('attach', 'v0', '-c', LAB_CONF, check=False), 'driver veth',
            "lower the peer's MTU")
    assert PINS not in lab.balancer.run('find', '/sys/fs/bpf').stdout


def test_a_driver_without_native_xdp_is_not_taken_generically(lab, config):
    lab.balancer.run('ip', 'link', 'add', 'v0', 'type', 'bridge')
    try:
        refused(lab.balancer.sluice('attach', 'v0', '-c', LAB_CONF, check=False),
                'v0 has no native XDP', '--mode generic')
    finally:
        lab.balancer.run('ip', 'link', 'del', 'v0')


def test_without_root_it_says_so(lab):
    lab.balancer.run('cp', os.path.join(BUILD, 'sluice'), '/run/sluice')
    nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '/run/sluice']
    refused(lab.balancer.run(*nobody, 'attach', 'eth0', check=False), 'root')
    attach(lab)
    for command in (['status'], ['block', 'add', '203.0.113.1'], ['detach', 'eth0'], ['why']):
        refused(lab.balancer.run(*nobody, *command, check=False), 'root')
    assert 'eth0' in lab.balancer.programs()


def test_root_without_capabilities_is_not_root(lab):
    done = lab.balancer.run('setpriv', '--bounding-set=-all', '--inh-caps=-all', 'sluice', 'attach',
                            'eth0', '-c', LAB_CONF, check=False)
    refused(done, 'root')
    assert lab.balancer.programs() == {}


def test_without_bpffs_it_is_mounted_or_asked_for(lab):
    script = 'umount /sys/fs/bpf && sluice attach eth0 -c examples/lab.conf && sluice status'
    done = lab.balancer.run('unshare', '--mount', 'sh', '-ec', script, check=False)
    if done.returncode:
        refused(done, 'mount', 'bpf')
    else:
        assert 'shop' in done.stdout


@pytest.mark.parametrize('command', [['status'], ['why'], ['block', 'list'],
                                     ['block', 'add', '203.0.113.1'],
                                     ['apply', '-c', LAB_CONF],
                                     ['flow', '10.83.0.100:1', f'{VIP4}:80']])
def test_with_nothing_attached_the_next_step_is_named(lab, command):
    done = lab.balancer.sluice(*command, check=False)
    assert 'attach' in done.stdout + done.stderr, done.stdout + done.stderr


@pytest.fixture(scope='session')
def stranger(tmp_path_factory):
    """Somebody else's XDP program."""
    clang = next(filter(shutil.which, ('clang-19', 'clang-16', 'clang')), None)
    if not clang:
        pytest.skip('no clang to build a foreign XDP program with')
    path = tmp_path_factory.mktemp('bpf') / 'stranger.o'
    source = ('__attribute__((section("xdp"))) int stranger(void *ctx) { return 2; }\n'
              'char _license[] __attribute__((section("license"))) = "GPL";\n')
    subprocess.run([clang, '-target', 'bpf', '-O2', '-g', '-x', 'c', '-c', '-', '-o', path],
                   input=source, text=True, check=True)
    return path


def test_another_program_in_place_is_left_alone(lab, stranger):
    lab.balancer.run('ip', 'link', 'set', 'dev', 'eth0', 'xdpdrv', 'obj', stranger, 'sec', 'xdp')
    before = lab.balancer.programs()
    refused(attach(lab, check=False), 'another XDP program', 'eth0')
    assert lab.balancer.programs() == before
    lab.balancer.sluice('detach', '--all', check=False)
    assert lab.balancer.programs() == before


def test_stale_pins_of_another_version_are_refused(lab):
    attach(lab)
    lab.balancer.sluice('detach', 'eth0', '--keep-maps')
    lab.balancer.run(*f'bpftool map update pinned {PINS}/meta key 0 0 0 0 value'.split(),
                     '99', *['0'] * 23)
    for done in (attach(lab, check=False), lab.balancer.sluice('status', check=False),
                 lab.balancer.sluice('apply', '-c', LAB_CONF, check=False)):
        refused(done, '99', 'detach --all')
    lab.balancer.sluice('detach', '--all')
    attach(lab)


def test_sluiced_refuses_stale_pins_too(lab):
    attach(lab)
    lab.balancer.run(*f'bpftool map update pinned {PINS}/meta key 0 0 0 0 value'.split(),
                     '99', *['0'] * 23)
    done = lab.balancer.run('sluiced', '-c', LAB_CONF, check=False)
    assert done.returncode != 0 and '99' in done.stderr


def test_check_reports_every_mistake_with_its_line(lab, config):
    path = config('gate {\n\tinterfaces = { "eth0" }\n\tmode = sideways\n}\n'
                  'service "a" {\n\tkind = l5\n\tlisten = { "198.51.100.300:80" }\n'
                  '\tbackend "b" { address = "nowhere" }\n}\n')
    done = lab.balancer.sluice('check', '-c', path, check=False)
    assert done.returncode == 1
    for line in (3, 6, 7, 8):
        assert f'{path}:{line}:' in done.stderr, done.stderr


@pytest.mark.parametrize('verb', [['attach', 'eth0'], ['apply']])
def test_a_bad_file_changes_nothing(lab, config, verb):
    bad = config('service "a" { kind = l4 listen = { "198.51.100.30:80" } }\n'
                 'service "a" { kind = l4 listen = { "198.51.100.30:81" } }\n')
    if verb == ['apply']:
        attach(lab)
    before = traces(lab.balancer)
    done = lab.balancer.sluice(*verb, '-c', bad, check=False)
    assert done.returncode == 1 and bad in done.stderr
    assert traces(lab.balancer) == before


def test_apply_prints_what_changes_and_only_that(lab, config):
    attach(lab)
    text = open('examples/lab.conf', encoding='utf-8').read()
    again = lab.balancer.sluice('apply', '-c', LAB_CONF)
    assert 'b2' not in again.stdout and 'shop' not in again.stdout
    conf = config(text.replace('weight = 2', 'weight = 7'))
    dry = lab.balancer.sluice('apply', '--dry-run', '-c', conf).stdout
    assert 'b2' in dry and '7' in dry and 'site' not in dry
    assert lab.balancer.sluice('apply', '-c', conf).stdout.count('b2') >= 1
    assert 'b2' not in lab.balancer.sluice('apply', '-c', conf).stdout


def test_apply_removes_a_service_with_its_route(lab, config):
    attach(lab)
    lab.balancer.sluice('apply', '-c', config('gate { interfaces = { "eth0" } }\n'))
    assert VIP4 not in lab.balancer.run('ip', 'route', 'show', 'table', 'local').stdout
    assert 'shop' not in lab.balancer.sluice('status').stdout


def test_routes_of_others_stay(lab):
    """A local route that the operator made is not sluice's to remove."""
    lab.balancer.run('ip', 'route', 'add', 'local', VIP4, 'dev', 'lo', 'table', 'local')
    try:
        attach(lab)
        lab.balancer.sluice('detach', '--all')
        assert VIP4 in lab.balancer.run('ip', 'route', 'show', 'table', 'local').stdout
    finally:
        lab.balancer.run('ip', 'route', 'del', 'local', VIP4, 'dev', 'lo', 'table', 'local')


def test_unknown_words_are_usage_errors(lab):
    for words in (['fly'], ['attach', '--sideways'], ['block', 'burn'], ['flow', 'here']):
        assert lab.balancer.sluice(*words, check=False).returncode == 2


def test_what_backends_need_is_told(lab):
    said = lab.balancer.sluice('check', '-c', 'examples/modes.conf', '--backends').stdout
    assert 'ip addr add 198.51.100.10/32 dev lo\n' in said, said
    assert 'ip addr add 2001:db8:51::11/128 dev lo nodad\n' in said, said
    assert 'arp_ignore=1 net.ipv4.conf.all.arp_announce=2' in said, said
    assert '10.83.0.2' in said and 'fd83::2' in said, said  # decap_from
