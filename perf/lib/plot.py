"""The same figures as a picture: CPU per request by scenario and peer, with the spread of the rounds. SVG, written by hand."""

import statistics
from html import escape

WIDTH, LEFT, RIGHT = 960, 150, 130
BAR, GAP, TITLE, TOP = 14, 4, 26, 56
COLOURS = {"tollgate": "#0b6e4f", "floor": "#9aa5b1", "nginx": "#2f6fb3", "haproxy": "#d98c1f", "envoy": "#a0408f", "pingora": "#c0392b",
           "monoio": "#6c7a1f", "glommio": "#7d5a3c"}


def values(measured, name):
    """Of each round, by perf/load where it asked."""
    return [row[name].get("own", row[name])["cpu"] for row in measured["rounds"]]


def colour(name):
    return COLOURS.get(name.split("-")[0], "#444444")


def text(x, y, words, **how):
    style = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in how.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}>{escape(words)}</text>'


def bar(y, name, cpu, scale):
    """The median as a bar, the rounds' extremes as a line over it."""
    middle, least, most = statistics.median(cpu), min(cpu), max(cpu)
    end, centre = LEFT + middle * scale, y + BAR / 2
    opacity = "0.6" if name.endswith("-epoll") else "1"
    return [
        text(LEFT - 6, y + BAR - 3, name, text_anchor="end"),
        f'<rect x="{LEFT}" y="{y:.1f}" width="{middle * scale:.1f}" height="{BAR}" fill="{colour(name)}" fill-opacity="{opacity}"/>',
        f'<path d="M{LEFT + least * scale:.1f} {centre:.1f}H{LEFT + most * scale:.1f}" stroke="#111" stroke-width="1.5"/>',
        *(f'<path d="M{LEFT + at * scale:.1f} {centre - 3:.1f}v6" stroke="#111" stroke-width="1.5"/>' for at in (least, most)),
        text(max(end, LEFT + most * scale) + 6, y + BAR - 3, f"{middle:.1f}"),
    ]


def plot(measured, title):
    """Each scenario has a scale of its own: what is compared are the peers."""
    parts, y = [], TOP
    for scenario, one in measured.items():
        names = list(one["rounds"][0])
        cpu = {name: values(one, name) for name in names}
        scale = (WIDTH - LEFT - RIGHT) / max(max(many) for many in cpu.values())
        parts.append(text(8, y + 12, scenario, font_weight="bold"))
        y += TITLE - 6
        for name in names:
            parts += bar(y, name, cpu[name], scale)
            y += BAR + GAP
        y += TITLE - GAP
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>',
        text(8, 20, title, font_size="15", font_weight="bold"),
        text(8, 38, "microseconds of core 0 per request, median of the rounds; lines: from the cheapest round to the dearest; shorter is better"),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"
