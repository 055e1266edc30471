# SPDX-License-Identifier: BSD-2-Clause
"""What both benchmarks do with their numbers: rows, medians, a table, a file."""
import json
import os
import statistics


class Results:
    """Figures by (case, contender); each figure is the median of its rounds."""

    def __init__(self, name, unit, contenders):
        self.name, self.unit, self.contenders = name, unit, contenders
        self.samples = {}
        self.units = {}
        self.notes = []

    def add(self, case, contender, value, unit=None):
        self.samples.setdefault(case, {}).setdefault(contender, []).append(value)
        self.units[case] = unit or self.unit

    def note(self, text):
        """Something that the reader must know to read the numbers; said once."""
        if text not in self.notes:
            self.notes.append(text)

    def median(self, case, contender):
        values = self.samples[case].get(contender)
        return statistics.median(values) if values else None

    def rows(self):
        for case in self.samples:
            ours = self.median(case, 'sluice')
            for peer in self.contenders[1:]:
                theirs = self.median(case, peer)
                if theirs is None:
                    continue
                yield {
                    'case': case,
                    'unit': self.units[case],
                    'sluice': rounded(ours),
                    'peer': rounded(theirs),
                    'peer_name': peer,
                    'ratio': rounded(ours / theirs) if ours is not None and theirs else None,
                }

    def print_table(self):
        print(f"\n{'case':<44}{'unit':<13}" + f"{'sluice':>9}" +
              ''.join(f'{p + " (ratio)":>20}' for p in self.contenders[1:]))
        for case in self.samples:
            ours = self.median(case, 'sluice')
            line = f'{case:<44}{self.units[case]:<13}{show(ours):>9}'
            for peer in self.contenders[1:]:
                theirs = self.median(case, peer)
                ratio = f' ({ours / theirs:.2f})' if ours is not None and theirs else ''
                line += f'{show(theirs) + ratio:>20}'
            print(line)
        print('\nratio = sluice / peer: below 1 is cheaper than the peer')
        for text in self.notes:
            print(f'note: {text}')

    def save(self):
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'out')
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f'{self.name}.json')
        with open(path, 'w', encoding='utf-8') as f:
            json.dump(list(self.rows()), f, indent=1)
            f.write('\n')
        print(f'saved: tests/bench/out/{self.name}.json')


def rounded(value):
    return None if value is None else float(f'{value:.4g}')


def show(value):
    if value is None:
        return '-'
    return f'{value:.0f}' if value >= 1000 else f'{value:.3g}'


def skip(why):
    """77 is a skip to the callers, as everywhere in scripts/."""
    print(f'bench: skipped: {why}')
    raise SystemExit(77)
