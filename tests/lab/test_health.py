# SPDX-License-Identifier: BSD-2-Clause
"""Backends of l4 services that are checked: the gate sends no new flows to those that are down,
whatever becomes of the daemon that found out."""
import json
import signal

import pytest
from lab import BACKENDS, ROOT, VIP4, VIP6, await_until, request_on

CONF = f'{ROOT}/tests/lab/nginx.conf'

ROWS = {'b1': '10.83.0.11', 'b2': '10.83.0.12', 'b3': 'fd83::13'}
CHECK = 'type = http  interval = 400ms  timeout = 400ms  rise = 1  fall = 1'


def ports(block, count=16):
    return range(20000 + 100 * block, 20000 + 100 * block + count)


def shop(health=CHECK, forward='ipip', rows=ROWS, weights=None):
    backends = '\n'.join(f'\tbackend "{n}" {{ address = "{a}"  weight = {(weights or {}).get(n, 1)} }}'
                         for n, a in rows.items())
    return f'''gate {{ interfaces = {{ "eth0" }} }}
service "shop" {{
\tkind    = l4
\tforward = {forward}
\tlisten  = {{ "{VIP4}:80", "[{VIP6}]:80" }}
\thealth {{ {health} }}
{backends}
}}
'''


class Shop:
    """A gate and its daemon on the balancer."""

    def __init__(self, lab, config):
        self.lab, self.config, self.path, self.daemon = lab, config, None, None

    def run(self, *args, **kw):
        self.path = self.config(shop(*args, **kw))
        self.lab.balancer.sluice('apply', '-c', self.path)
        self.start()

    def start(self):
        self.daemon = self.lab.balancer.start('sluiced', '-c', self.path)
        await_until(lambda: 'ready' in self.daemon.said(), f'ready: {self.daemon.said()}')

    def pids(self, title):
        rows = self.lab.balancer.run('ps', '-o', 'pid=,stat=,args=', '-C', 'sluiced',
                                     check=False).stdout.splitlines()
        return [int(r.split()[0]) for r in rows if title in r and r.split()[1][0] != 'Z']

    def kill(self, number=signal.SIGKILL):
        """The keeper, as that host counts."""
        for pid in self.pids('sluiced -c'):
            self.lab.balancer.run('kill', f'-{int(number)}', pid)
        await_until(lambda: not self.lab.balancer.pids('sluiced'), 'all of them are gone')

    def health(self):
        said = json.loads(self.lab.balancer.sluice('health', '--json').stdout)
        return {b['backend']: b for b in said['backends']}

    def gate_down(self):
        """Backends that the gate leaves out."""
        said = json.loads(self.lab.balancer.sluice('backend', 'list', '--json').stdout)
        return {b['backend'] for b in said['backends'] if b['down']}

    def awaits_down(self, *names):
        def so():
            health = self.health()
            return all(b['known'] for b in health.values()) and self.gate_down() == set(names) \
                == {name for name, b in health.items() if not b['up']}
        await_until(so,
                    f'{names} are down, and they alone: {self.daemon.said()}')

    def asked(self, block, vip=VIP4):
        return {self.lab.ask(vip, sport=sport)['backend'] for sport in ports(block)}


@pytest.fixture
def served(gate, config):
    """Ends with the lab as it was."""
    made = Shop(gate, config)
    yield made
    gate.balancer.stop_all()
    await_until(lambda: not gate.balancer.pids('sluiced'), 'no daemon')
    gate.balancer.run('rm', '-rf', '/run/sluice')
    gate.balancer.sluice('apply', '-c', 'examples/lab.conf')


@pytest.fixture
def nginx(gate):
    """Stops and starts a backend's server; the host lives."""
    stopped = set()

    def stop(*names):
        for name in names:
            host = gate.hosts[name]
            host.run('sh', '-c', 'kill $(cat /run/nginx/pid)')
            await_until(lambda h=host: not h.pids('nginx'), f'nginx on {name} has ended')
            stopped.add(name)

    def start(*names):
        for name in names:
            gate.hosts[name].run('nginx', '-q', '-p', '/run/nginx', '-e', '/run/nginx/error.log',
                                 '-c', CONF)
            stopped.discard(name)
    stop.start = start
    yield stop
    start(*tuple(stopped))


@pytest.mark.parametrize('vip', [pytest.param(VIP4, id='v4'), pytest.param(VIP6, id='v6')])
def test_new_flows_avoid_a_backend_that_is_down_and_come_back(gate, served, nginx, vip):
    served.run()
    served.awaits_down()
    assert served.asked(0, vip) == set(BACKENDS)
    held = {}
    for sport in ports(1):
        s = gate.client.connect(vip, sport=sport)
        held[s] = request_on(s)['backend']
    nginx('b2')
    served.awaits_down('b2')
    assert served.asked(2, vip) == {'b1', 'b3'}
    for s, backend in held.items():
        if backend != 'b2':
            assert request_on(s)['backend'] == backend
        s.close()
    assert 'connect: Connection refused' in served.health()['b2']['error']
    assert 'down for' in gate.balancer.sluice('status').stdout
    nginx.start('b2')
    served.awaits_down()
    assert served.asked(3, vip) == set(BACKENDS)


def test_a_backend_that_flaps_moves_nobody_elses_flows(gate, served, nginx):
    """It goes and comes, and is out for as long as rise says; flows of the others stay."""
    served.run(health=CHECK.replace('rise = 1', 'rise = 3'))
    served.awaits_down()
    held = [(s, request_on(s)['backend']) for s in (gate.client.connect(VIP4, sport=p)
                                                    for p in ports(6))]
    assert {b for _, b in held} == set(BACKENDS)
    for _ in range(3):
        nginx('b2')
        served.awaits_down('b2')
        nginx.start('b2')
        # The first good answers do not bring it back.
        assert served.gate_down() == {'b2'}
        for s, backend in held:
            if backend != 'b2':
                assert request_on(s)['backend'] == backend
    served.awaits_down()
    assert served.asked(7) == set(BACKENDS)
    for s, _ in held:
        s.close()


def test_with_all_down_all_are_used(gate, served, nginx):
    served.run()
    served.awaits_down()
    nginx(*BACKENDS)
    await_until(lambda: not any(b['up'] for b in served.health().values()), 'all are down')
    await_until(lambda: served.gate_down() == set(), 'none is left out')
    assert 'shop: only 0 of 3 backends are up' in served.daemon.said()
    nginx.start('b1', 'b2')
    served.awaits_down('b3')
    assert served.asked(4) == {'b1', 'b2'}


def test_without_a_floor_flows_are_refused_when_all_are_down(gate, served, nginx):
    served.run(health=f'{CHECK}  floor = 0', rows={'b1': ROWS['b1']})
    served.awaits_down()
    nginx('b1')
    served.awaits_down('b1')
    before = gate.balancer.counts()['no_backend']
    with gate.client.socket() as s:
        s.settimeout(0.3)
        with pytest.raises(OSError):
            s.connect((VIP4, 80))
    assert gate.balancer.counts()['no_backend'] > before
    nginx.start('b1')
    served.awaits_down()
    assert served.asked(5) == {'b1'}


def test_states_outlive_the_daemon_however_it_ends(gate, served, nginx):
    served.run()
    served.awaits_down()
    nginx('b2')
    served.awaits_down('b2')
    since = served.health()['b2']['since_ms']
    served.kill()
    assert served.gate_down() == {'b2'} and served.asked(6) == {'b1', 'b3'}
    # A file that is applied meanwhile keeps what checks found.
    gate.balancer.sluice('apply', '-c', served.config(shop(weights={'b1': 3})))
    assert served.gate_down() == {'b2'} and served.asked(7) == {'b1', 'b3'}
    served.start()
    assert served.gate_down() == {'b2'} and served.health()['b2']['since_ms'] == since
    nginx.start('b2')
    served.awaits_down()
    # Nor do they need the page: the tables tell.
    nginx('b3')
    served.awaits_down('b3')
    served.kill()
    gate.balancer.run('rm', '-r', '/run/sluice')
    served.start()
    assert served.gate_down() == {'b3'} and not served.health()['b3']['up']
    nginx.start('b3')
    served.awaits_down()


def test_weights_by_hand_and_states_do_not_disturb_one_another(gate, served, nginx):
    served.run()
    served.awaits_down()
    gate.balancer.sluice('backend', 'drain', 'shop/b1')
    nginx('b2')
    served.awaits_down('b2')
    assert served.asked(8) == {'b3'}
    gate.balancer.sluice('backend', 'weight', 'shop/b2', '5')
    assert served.gate_down() == {'b2'} and served.asked(9) == {'b3'}
    nginx.start('b2')
    served.awaits_down()
    assert served.asked(10) == {'b2', 'b3'}
    gate.balancer.sluice('backend', 'enable', 'shop/b1')
    assert served.asked(11) == set(BACKENDS)


def test_a_file_without_checks_uses_all_again(gate, served, nginx):
    served.run()
    nginx('b2')
    served.awaits_down('b2')
    served.kill(signal.SIGTERM)
    gate.balancer.sluice('apply', '-c', 'examples/lab.conf')
    assert served.gate_down() == set()


def test_l4_services_alone_need_a_daemon_only_for_checks(gate, served, config):
    path = config(shop().replace('health {', '#'))
    done = gate.balancer.run('sluiced', '-c', path, check=False)
    assert done.returncode == 1 and 'nothing to do here' in done.stderr
    done = gate.balancer.run('sluiced', '--no-gate', '-c', config(shop()), check=False)
    assert done.returncode == 1 and 'checked only where a gate is attached' in done.stderr


# ---- by the way that is forwarded --------------------------------------------------------

def ways(served):
    return {name: b['way'] for name, b in served.health().items()}


@pytest.mark.parametrize('forward', ['ipip', 'gue', 'l2'])
def test_a_backend_without_the_vip_is_down_although_its_own_address_answers(gate, served,
                                                                            forward):
    served.run(forward=forward)
    served.awaits_down()
    assert set(ways(served).values()) == {'forward'}, served.daemon.said()
    gate.b1.run('ip', 'addr', 'del', f'{VIP4}/32', 'dev', 'lo')
    gate.b3.run('ip', 'addr', 'del', f'{VIP6}/128', 'dev', 'lo')
    try:
        served.awaits_down('b1', 'b3')
        for name in ('b1', 'b3'):
            with gate.balancer.connect(gate.hosts[name].v4 if name == 'b1' else
                                       gate.hosts[name].v6):
                pass
    finally:
        gate.b1.run('ip', 'addr', 'add', f'{VIP4}/32', 'dev', 'lo')
        gate.b3.run('ip', 'addr', 'add', f'{VIP6}/128', 'dev', 'lo', 'nodad')
    served.awaits_down()


def test_checks_do_not_disturb_what_the_host_itself_asks(gate, served):
    served.run()
    served.awaits_down()
    for host in ('b1', 'b3'):
        with gate.balancer.connect(gate.hosts[host].v4) as s:
            assert request_on(s)['to'] == f'{gate.hosts[host].v4}:80'


def test_a_backend_of_a_family_without_vip_is_asked_at_its_own_address(gate, served, config):
    path = config(shop().replace(f', "[{VIP6}]:80"', ''))
    gate.balancer.sluice('apply', '-c', path)
    served.path = path
    served.start()
    served.awaits_down()
    assert ways(served) == {'b1': 'forward', 'b2': 'forward', 'b3': 'beside'}
    assert '1 of 3 backends are checked at their own addresses' in served.daemon.said()
