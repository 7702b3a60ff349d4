#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Draws what the benchmarks measured. plots.py POINTS DIRECTORY: POINTS has lines "plot<TAB>series<TAB>x<TAB>y", where a
plot of bars is "plot: group". Writes calls.svg, starts.svg, memory.svg and parser.svg; one without points is left as it is,
aloud. The same points give the same bytes."""
import math
import os
import sys
from xml.sax.saxutils import escape

INK, FAINT, PAPER, GRID, PEER = "#1f2328", "#59636e", "#ffffff", "#d8dee4", "#9aa6b2"
OURS = ("#0b62b8", "#2f9e5b", "#7a4fbf")
THEIRS = ("#6e7781", "#b0562a", "#a08516", "#b03a5b")
MARKS = ("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "M-4-4h8v8h-8z", "M0-5l5 9h-10z", "M0-5l5 5l-5 5l-5-5z")
FONT = "font-family='system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif'"


def ours(name):
	return any(word in name for word in ("airlock", "target", "pool", "lent"))


def number(value):
	"""Three digits, as a person writes them."""
	if value >= 1000:
		digits = max(0, int(math.log10(value)) - 2)
		return f"{round(value, -digits):,.0f}"
	return f"{value:.3g}"


def amount(power, unit):
	"""Ten to this power, of a unit; microseconds in what a person would say."""
	if unit != "µs":
		return f"{number(10.0**power)} {unit}"
	for name, least in (("s", 6), ("ms", 3), ("µs", 0)):
		if power >= least:
			return f"{number(10.0**(power - least))} {name}"
	return f"{number(10.0**(power + 3))} ns"


class Svg:
	def __init__(self, width, height, title, note):
		self.size, self.parts = (width, height), []
		self.parts.append(f"<rect x='.5' y='.5' width='{width - 1}' height='{height - 1}' rx='6' fill='{PAPER}' stroke='{GRID}'/>")
		self.text(20, 30, title, size=16, weight=600)
		self.text(20, 50, note, colour=FAINT)

	def text(self, x, y, what, size=12, colour=INK, anchor="start", weight=400):
		self.parts.append(
			f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{colour}' text-anchor='{anchor}' font-weight='{weight}'>{escape(what)}</text>")

	def line(self, x1, y1, x2, y2, colour=GRID):
		self.parts.append(f"<path d='M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}' stroke='{colour}'/>")

	def write(self, path):
		width, height = self.size
		with open(path, "w", encoding="utf-8") as f:
			f.write(f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}' {FONT}>\n")
			f.write("\n".join(self.parts) + "\n</svg>\n")


def spread(wanted, gap, top, bottom):
	"""Heights for labels, near those wanted (sorted), gap apart, between top and bottom."""
	at = list(wanted)
	for i in range(1, len(at)):
		at[i] = max(at[i], at[i - 1] + gap)
	limit = bottom
	for i in reversed(range(len(at))):
		at[i] = min(at[i], limit)
		limit = at[i] - gap
	return [max(y, top) for y in at]


def lines(path, title, note, series, x_ticks, y_unit):
	"""Both axes by powers of ten; each series has its name at its end."""
	svg = Svg(760, 440, title, note)
	left, right, top, bottom = 80, 570, 76, 396
	xs = [x for x, _ in x_ticks]
	ys = [y for points in series.values() for _, y in points]
	x0, x1 = math.log10(min(xs)), math.log10(max(xs))
	y0, y1 = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))

	def place(x, y):
		return (left + (math.log10(x) - x0) / (x1 - x0) * (right - left),
			bottom - (math.log10(y) - y0) / (y1 - y0) * (bottom - top))

	for power in range(y0, y1 + 1):
		_, y = place(min(xs), 10.0**power)
		svg.line(left, y, right, y)
		svg.text(left - 8, y + 4, amount(power, y_unit), colour=FAINT, anchor="end")
	for value, label in x_ticks:
		x, _ = place(value, 10.0**y0)
		svg.line(x, top, x, bottom)
		svg.text(x, bottom + 20, label, colour=FAINT, anchor="middle")
	ends = []
	counts = [0, 0]
	for name, points in series.items():
		mine = ours(name)
		colour = (OURS if mine else THEIRS)[counts[mine] % (3 if mine else 4)]
		mark = MARKS[(counts[0] + counts[1]) % len(MARKS)]
		counts[mine] += 1
		at = [place(x, y) for x, y in sorted(points)]
		svg.parts.append("<path d='M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at) +
			f"' fill='none' stroke='{colour}' stroke-width='{2.5 if mine else 1.5}'/>")
		for x, y in at:
			svg.parts.append(f"<path d='{mark}' transform='translate({x:.1f} {y:.1f})' fill='{colour}'/>")
		ends.append((at[-1][1], name, colour, mine))
	ends.sort()
	for (y, name, colour, mine), label in zip(ends, spread([e[0] for e in ends], 17, top, bottom)):
		svg.line(right + 6, y, right + 20, label, colour)
		svg.text(right + 24, label + 4, name, colour=colour, weight=600 if mine else 400)
	svg.write(path)


def bars(path, title, note, groups, unit):
	"""One bar for each; each group has its own scale."""
	height = 70 + sum(30 + 22 * len(rows) for rows in groups.values())
	svg = Svg(760, height, title, note)
	left, right, y = 290, 640, 72
	for group, rows in groups.items():
		svg.text(20, y + 12, group, weight=600)
		y += 22
		most = max(value for _, value in rows)
		for name, value in rows:
			width = max(1.0, value / most * (right - left))
			svg.text(left - 10, y + 13, name, anchor="end", weight=600 if ours(name) else 400)
			svg.parts.append(f"<rect x='{left}' y='{y + 2}' width='{width:.1f}' height='15' rx='2' fill='{OURS[0] if ours(name) else PEER}'/>")
			svg.text(left + width + 6, y + 13, f"{number(value)} {unit}", colour=FAINT)
			y += 22
		y += 8
	svg.write(path)


def main():
	plots = {}
	with open(sys.argv[1], encoding="utf-8") as f:
		for row in f:
			plot, series, x, y = row.rstrip("\n").split("\t")
			if float(y) > 0:
				plots.setdefault(plot, {}).setdefault(series, []).append((float(x), float(y)))

	def groups(prefix):
		found = {}
		for plot, series in plots.items():
			if plot.startswith(prefix + ": "):
				rows = sorted((points[-1][0], i, name, points[-1][1]) for i, (name, points) in enumerate(series.items()))
				found[plot[len(prefix) + 2:]] = [(name, value) for _, _, name, value in rows]
		return found

	os.makedirs(sys.argv[2], exist_ok=True)

	def draw(name, what, *arguments):
		if arguments[2]:
			what(os.path.join(sys.argv[2], name), *arguments)
		else:
			print(f"bench: {name}: nothing was measured for it; it stays as it was", file=sys.stderr)

	sizes = [(16, "16 B"), (1024, "1 KiB"), (65536, "64 KiB"), (1 << 20, "1 MiB"), (1 << 24, "16 MiB")]
	draw("calls.svg", lines, "A call, by size", "Median time there and back, as many bytes each way; a lent buffer is not copied.",
		plots.get("calls", {}), sizes, "µs")
	draw("memory.svg", lines, "Memory of idle targets",
		"By their number: proportional set size of all processes that they add, inits and broker too.",
		plots.get("memory", {}), [(1, "1"), (10, "10"), (100, "100"), (1000, "1,000")], "MiB")
	draw("starts.svg", bars, "Starts a second", "One after the other: more is better.", groups("starts"), "/s")
	draw("parser.svg", bars, "A parser, compiled as it is", "stb_image, megabytes of pixels a second: more is better.",
		groups("parser"), "MB/s")


main()
