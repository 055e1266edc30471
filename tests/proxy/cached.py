# SPDX-License-Identifier: BSD-2-Clause
"""A site behind a cache, for its tests: an origin that is told what to answer for each path, and
remembers what it was asked; and one proxy for a whole file of tests, each with paths of its own."""
import collections
import datetime
import email.utils
import itertools
import threading

from actors import answers, get, ok

paths = (f'/page{n}' for n in itertools.count())


def date(seconds=0):
    """As HTTP writes it, so many seconds from now."""
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return email.utils.format_datetime(at, usegmt=True)


class Site:
    """Answers to a path are given in order; the last one again and again. A function is asked for
    the answer. `before` is a gate for each path: it is waited for in front of the answer."""

    def __init__(self, stage, settings='', memory='memory = 16m', beside='', **named):
        self.planned, self.asked = {}, collections.defaultdict(list)
        self.gates, self.lock = {}, threading.Lock()
        self.origin = stage.origin(answers(self.answer))
        self.proxy = stage.proxy(self.origin, top=f'cache "main" {{ {memory} }}',
                                 service=f'cache {{ {settings} }}  {beside}', **named)

    def answer(self, request):
        path = request.target
        with self.lock:
            self.asked[path].append(request)
            plan = self.planned[path]
            planned = plan.pop(0) if len(plan) > 1 else plan[0]
        if path in self.gates:
            assert self.gates[path].wait(20)
        return planned(request) if callable(planned) else planned

    def page(self, *plan):
        """A new path with these answers."""
        path = next(paths)
        self.planned[path] = list(plan)
        return path

    def gate(self, path):
        self.gates[path] = threading.Event()
        return self.gates[path]

    def get(self, path, *fields, **named):
        return self.proxy.ask(get(path, *fields, **named))

    def n(self, path):
        """How often the origin was asked for it."""
        return len(self.asked[path])


def page(*fields, body=b'one', start='HTTP/1.1 200 OK'):
    return ok(body, *fields, start=start)


def unmodified(*fields):
    return '\r\n'.join(['HTTP/1.1 304 Not Modified', *fields, '', '']).encode()
