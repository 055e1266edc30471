# SPDX-License-Identifier: BSD-2-Clause
"""Time that a packet spends in the gate, beside xdp-filter and an empty program.

Runs in namespaces of its own (scripts/bench sees to that). Each contender is attached to one
end of a veth of its own, natively; gen sends the same traffic into each in turn, and the
whole is repeated. A contender's figure is the kernel's own accounting (bpf_stats_enabled:
run_time_ns / run_cnt over the turn) minus the empty program's of the same round; the
median of the rounds counts. That the packets met what the case is about is checked by
sluice's own counters: a case that did not happen is an error, not a number.
"""
import ipaddress
import json
import os
import shutil
import subprocess
import sys

from table import Results, skip

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ['BUILD']
ROUNDS = int(os.environ.get('ROUNDS', 5))
PACKETS = int(os.environ.get('PACKETS', 1000000))
CONTENDERS = ['sluice', 'xdp-filter', 'empty']
LINK = {name: name.replace('xdp-', '') for name in CONTENDERS}

ONE4, ONE6 = '10.200.0.1', 'fd00:200::1'
FROM4, FROM6 = '10.0.0.0', 'fd00::1'  # the first of many
SCATTER = 0x9e3779b1  # as gen.bpf.c
VIP4, VIP6 = '198.51.100.10:80', '[2001:db8:51::10]:80'
L7, HOST, HOST6 = '198.51.100.20:80', '192.0.2.1:80', '[2001:db8:2::1]:80'


class Case:
    """What is sent, what is blocked meanwhile, and what the gate must make of it."""

    def __init__(self, name, reason, src, dst, flows, vary='ports', flags='ack', blocked=0,
                 fresh=False, feed=False, listed=None, conf='gate', warm=None):
        self.name, self.reason = name, reason
        self.src, self.dst, self.flows = src, dst, flows
        self.vary, self.flags, self.blocked = vary, flags, blocked
        self.fresh = fresh  # every round must meet an empty connection table
        self.feed = feed    # blocked by a feed, not entry by entry
        self.listed = listed or src  # the first of those that are blocked
        self.conf = conf             # peers/NAME.conf
        self.warm = warm or flags    # how the flows begin

    @property
    def v6(self):
        return ':' in self.src

    @property
    def filterable(self):
        """What xdp-filter can do too; its maps hold 10,000 addresses."""
        return 0 < self.blocked <= 10000

    def blocklist(self):
        """The addresses that gen will send from, or as many others."""
        if self.blocked == 1:
            return [self.listed]
        first = int(ipaddress.ip_address(self.listed))
        bits, shift = (32, 80) if self.v6 else (32 if self.vary == 'anywhere' else 24, 0)
        family = ipaddress.IPv6Address if self.v6 else ipaddress.IPv4Address
        top = 1 << (128 if self.v6 else 32)
        return [str(family((first + ((n * SCATTER & (1 << bits) - 1) << shift)) % top))
                for n in range(self.blocked)]


def cases():
    for flows in (10_000, 1_000_000):
        n = f'{flows:,} flows'
        yield Case(f'drop v4, 1 blocked, {n}', 'block', ONE4, VIP4, flows, blocked=1)
        yield Case(f'drop v6, 1 blocked, {n}', 'block', ONE6, VIP6, flows, blocked=1)
    for flows in (10_000, 1_000_000):
        n = f'{flows:,}'
        yield Case(f'drop v4, {n} blocked, all send', 'block', FROM4, VIP4, flows, 'addrs',
                   blocked=flows)
        yield Case(f'drop v6, {n} blocked, all send', 'block', FROM6, VIP6, flows, 'addrs',
                   blocked=flows)
    for flows in (10_000, 1_000_000):
        n = f'{flows:,}'
        yield Case(f'drop v4, {n} in a feed, all send', 'feed', FROM4, VIP4, flows, 'addrs',
                   blocked=flows, feed=True)
        yield Case(f'drop v4, {n} in a feed, all send, from anywhere', 'feed', FROM4, VIP4, flows,
                   'anywhere', blocked=flows, feed=True)
        yield Case(f'drop v6, {n} in a feed, all send', 'feed', FROM6, VIP6, flows, 'addrs',
                   blocked=flows, feed=True)
    for name, src, dst in (('v4', FROM4, HOST), ('v6', FROM6, HOST6)):
        for blocked in (0, 1_000_000):
            yield Case(f'pass {name}, {blocked:,} in a feed, others send', 'no_service', src, dst,
                       1_000_000, 'anywhere', blocked=blocked, feed=True,
                       listed='100.0.0.0' if name == 'v4' else 'fd00:0:0:1::1')
    for flows in (10_000, 1_000_000):
        n = f'{flows:,} flows'
        yield Case(f'forward v4, known, {n}', 'forward', FROM4, VIP4, flows, 'addrs')
        yield Case(f'forward v6, known, {n}', 'forward', FROM6, VIP6, flows, 'addrs')
    for name, src, vip in (('v4', FROM4, VIP4), ('v6', FROM6, VIP6)):
        yield Case(f'forward {name}, new flows, SYN only', 'forward', src, vip, 10_000_000,
                   'addrs', 'syn', fresh=True)
        yield Case(f'forward {name}, new flows, entered', 'forward', src, vip, 10_000_000,
                   'addrs', fresh=True)
    for mode, port in (('gue', 81), ('l2', 82)):
        for name, src, vip in (('v4', FROM4, VIP4), ('v6', FROM6, VIP6)):
            vip = vip.replace(':80', f':{port}')
            yield Case(f'forward {name} by {mode}, known, 10,000 flows', 'forward', src, vip,
                       10_000, 'addrs')
            yield Case(f'forward {name} by {mode}, new flows, SYN only', 'forward', src, vip,
                       10_000_000, 'addrs', 'syn', fresh=True)
    for name, src, vip in (('v4', FROM4, VIP4), ('v6', FROM6, VIP6)):
        yield Case(f'forward {name} by nat, known, 10,000 flows', 'forward', src, vip, 10_000,
                   'addrs', conf='nat', warm='syn')
        yield Case(f'forward {name} by nat, new flows, SYN only', 'forward', src, vip,
                   10_000_000, 'addrs', 'syn', fresh=True, conf='nat')
        yield Case(f'forward {name}, known, 10,000 flows, no events', 'forward', src, vip, 10_000,
                   'addrs', conf='quiet')
    yield Case('drop v4, 1 blocked, 10,000 flows, no events', 'block', ONE4, VIP4, 10_000,
               blocked=1, conf='quiet')
    yield Case('pass to l7, 10,000 flows', 'l7', FROM4, L7, 10_000, 'addrs')
    yield Case('pass, no service, 10,000 flows', 'no_service', FROM4, HOST, 10_000, 'addrs')
    yield Case('pass, no service, 1,000,000 flows', 'no_service', FROM4, HOST, 1_000_000, 'addrs')


def run(*command, **kw):
    done = subprocess.run(command, capture_output=True, text=True, **kw)
    if done.returncode:
        raise RuntimeError(f'{" ".join(command)}: {done.stderr.strip() or done.stdout.strip()}')
    return done.stdout


def sluice(*args):
    return run(f'{BUILD}/sluice', *args)


def links():
    run('ip', 'link', 'set', 'lo', 'up')
    for setting in ('net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1',
                    'net.ipv6.conf.default.accept_dad=0', 'net.ipv4.conf.default.rp_filter=0'):
        run('sysctl', '-q', '-w', setting)
    for link in LINK.values():
        queues = ['numrxqueues', '2', 'numtxqueues', '2']
        run('ip', 'link', 'add', f'x_{link}', *queues, 'address', '02:00:00:00:00:02', 'type',
            'veth', 'peer', 'name', f'g_{link}', *queues)
        # Whatever leaves the contender's end is taken here.
        run('ip', 'link', 'set', 'dev', f'g_{link}', 'xdpdrv', 'obj',
            f'{BUILD}/tests/bench/empty.bpf.o', 'sec', 'xdp')
        run('ip', 'link', 'set', f'g_{link}', 'up')
        run('ip', 'link', 'set', f'x_{link}', 'up')
    run('ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'x_sluice')
    run('ip', 'addr', 'add', '2001:db8:2::1/64', 'dev', 'x_sluice', 'nodad')
    for n in range(11, 15):
        for address in (f'192.0.2.{n}', f'2001:db8:2::{n}'):
            run('ip', 'neigh', 'add', address, 'lladdr', f'02:00:00:00:00:{n}', 'dev',
                'x_sluice', 'nud', 'permanent')


def accounted(link):
    """(run_time_ns, run_cnt) of the program on that link."""
    shown = json.loads(run('ip', '-j', 'link', 'show', 'dev', f'x_{link}'))
    prog = shown[0]['xdp']['prog']['id']
    info = json.loads(run('bpftool', '-j', 'prog', 'show', 'id', str(prog)))
    return info.get('run_time_ns', 0), info.get('run_cnt', 0)


def send(link, case, packets, flags=None):
    run('taskset', '-c', '1', f'{BUILD}/tests/bench/gen', f'{BUILD}/tests/bench/gen.bpf.o',
        f'g_{link}', str(packets), str(case.flows), f'[{case.src}]:1024' if case.v6
        else f'{case.src}:1024', case.dst, case.vary, flags or case.flags)


def turn(contender, case):
    link = LINK[contender]
    time_before, count_before = accounted(link)
    send(link, case, PACKETS)
    time_after, count_after = accounted(link)
    count = count_after - count_before
    if count < PACKETS * 0.9:
        raise RuntimeError(f'{contender}: {count} of {PACKETS} packets arrived')
    return (time_after - time_before) / count


class Sluice:
    """The gate under test, or nothing when it is not built."""

    here = os.access(f'{BUILD}/sluice', os.X_OK)

    @classmethod
    def attach(cls, conf):
        sluice('attach', 'x_sluice', '-c', f'{HERE}/peers/{conf}.conf')

    @classmethod
    def renew(cls, conf):
        """An empty connection table, nothing blocked."""
        sluice('detach', '--all')
        cls.attach(conf)

    @staticmethod
    def block(addresses, feed):
        with open('/run/list', 'w', encoding='ascii') as f:
            f.write('\n'.join(addresses) + '\n')
        # With a reason, they are entries of the list, however many they are.
        how = ['--name', 'bench'] if feed else ['--reason', 'feed']
        sluice('block', 'import', *how, '/run/list')

    @staticmethod
    def counted():
        """Packets by reason, and notices."""
        status = json.loads(sluice('status', '--json'))
        return {**status['notices'],
                **{name: row['packets'] for name, row in status['reasons'].items()}}


class Filter:
    """xdp-filter with only the features that the case needs, so that it is at its best."""

    here = shutil.which('xdp-filter') is not None
    loaded = False

    @classmethod
    def setup(cls, case):
        if cls.loaded:
            run('xdp-filter', 'unload', 'x_filter')
        run('xdp-filter', 'load', 'x_filter', '-m', 'native', '-p', 'allow', '-f',
            'ipv6' if case.v6 else 'ipv4')
        cls.loaded = True
        addresses = case.blocklist()
        run('xdp-filter', 'ip', addresses[0], '-m', 'src')
        if len(addresses) > 1:
            cls.fill(addresses[1:], case.v6)

    @staticmethod
    def fill(addresses, v6):
        """Through its map: ten thousand calls of its CLI take minutes."""
        path = f'/sys/fs/bpf/xdp-filter/filter_ipv{6 if v6 else 4}'
        flags = json.loads(run('bpftool', '-j', 'map', 'dump', 'pinned', path))[0]
        value = flags['values'][0]['value']
        with open('/run/batch', 'w', encoding='ascii') as f:
            for a in addresses:
                key = ' '.join(str(b) for b in ipaddress.ip_address(a).packed)
                f.write(f'map update pinned {path} key {key} value '
                        f'{" ".join(value)}\n')
        run('bpftool', 'batch', 'file', '/run/batch')


def setup(case):
    """Brings every contender to what the case says; answers who takes part."""
    taking_part = ['empty']
    if Sluice.here:
        Sluice.renew(case.conf)
        if case.blocked:
            Sluice.block(case.blocklist(), case.feed)
        taking_part.append('sluice')
    if case.filterable and Filter.here:
        Filter.setup(case)
        taking_part.append('xdp-filter')
    return taking_part


def measure(results, case):
    taking_part = setup(case)
    for contender in taking_part:
        # Twice around, so that every flow is known; the table may be smaller than that.
        send(LINK[contender], case, max(PACKETS // 10, min(2 * case.flows, 2_000_000)),
             case.warm)
    for _ in range(ROUNDS):
        if case.fresh and Sluice.here:
            Sluice.renew(case.conf)
        before = Sluice.counted() if Sluice.here else {}
        took = {c: turn(c, case) for c in taking_part}
        for contender in taking_part:
            results.add(case.name, contender, took[contender] -
                        (took['empty'] if contender != 'empty' else 0))
        if Sluice.here:
            verify(results, case, before, Sluice.counted())
    print(f'{case.name}: done', file=sys.stderr)


def verify(results, case, before, after):
    met = after[case.reason] - before[case.reason]
    if met < PACKETS * 0.99:
        raise RuntimeError(f'{case.name}: {met} of {PACKETS} packets were {case.reason}')
    if case.reason == 'forward':
        results.add(f'{case.name}: in table', 'sluice',
                    100 * (after['conn_hit'] - before['conn_hit']) / PACKETS, '%')


def main():
    with open('/proc/sys/kernel/bpf_stats_enabled', 'w', encoding='ascii') as f:
        f.write('1')
    results = Results('l4', 'ns/packet', CONTENDERS)
    if not Filter.here:
        results.note('xdp-filter is missing; `scripts/deps bench` installs it')
    if not Sluice.here:
        results.note(f'sluice is not built ({BUILD}/sluice)')
    links()
    run('ip', 'link', 'set', 'dev', 'x_empty', 'xdpdrv', 'obj',
        f'{BUILD}/tests/bench/empty.bpf.o', 'sec', 'xdp')
    wanted = os.environ.get('CASES', '')
    for case in cases():
        if any(w in case.name for w in wanted.split('|')):
            measure(results, case)
    results.note('sluice and xdp-filter: over the empty program; empty: the accounting itself')
    results.print_table()
    results.save()


if __name__ == '__main__':
    main()
