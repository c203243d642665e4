"""A picture of the ratios: for each setup a bar a gateway, with the range of its rounds as whiskers.

It is SVG written by hand, without fonts or scripts of its own, in tones that can be read on a light page
and on a dark one: whoever shows a page decides which it is, and a picture within it cannot know.
"""

from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 820, 268, 120
ROW, GAP, HEAD = 22, 46, 30

# A bar that is longer is cut, and says how long it would be: one slow peer would make all others stubs.
CUT_AT = 8.0

TEXT, LINE, WHISKER = "#7d8590", "#8b949e", "#57606a"
OURS, AUTHORIZES, FORWARDS = "#2f81f7", "#b5720e", "#8b949e"


def draw(document):
    """The picture, as text."""
    groups = [result for result in document["results"] if any("ratio" in row for row in result["rows"])]
    shown = [row for result in groups for row in result["rows"] if "ratio" in row]
    most = min(CUT_AT, max([row["ratio_most"] for row in shown], default=1.0))
    scale = (WIDTH - LEFT - RIGHT) / max(most, 1.0)
    parts, top = [], HEAD
    for result in groups:
        rows = [row for row in result["rows"] if "ratio" in row]
        parts.append(text(8, top + 16, result["title"], size=13, weight="bold"))
        top += 26
        height = ROW * len(rows)
        one = LEFT + scale
        parts.append(f'<path d="M{one:.1f} {top - 3}V{top + height + 3}" stroke="{LINE}" stroke-dasharray="3 3"/>')
        for row in rows:
            parts += bar(row, top, scale, most)
            top += ROW
        top += GAP - 20
    parts.append(text(LEFT + scale, 18, "1.0 = HAProxy, forwarding only", size=11, anchor="middle"))
    parts.append(text(8, top + 4, told(document), size=11))
    height = top + 16
    title = "Processor time of a request, over that of HAProxy in the same round"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img" font-family="system-ui, sans-serif">\n'
            f"<title>{title}</title>\n" + "\n".join(parts) + "\n</svg>\n")


def bar(row, top, scale, most):
    """One gateway."""
    ratio, least, greatest = row["ratio"], row["ratio_least"], row["ratio_most"]
    is_cut = ratio > most
    length = scale * min(ratio, most)
    ours = row["gateway"] == "portcullis"
    colour = OURS if ours else FORWARDS if row["does"] == "forwards" else AUTHORIZES
    middle = top + ROW / 2 - 1
    yield text(LEFT - 8, middle + 4, f"{row['gateway']} – {row['does']}", anchor="end", weight="bold" if ours else "normal")
    yield f'<rect x="{LEFT}" y="{top + 2}" width="{length:.1f}" height="{ROW - 7}" rx="2" fill="{colour}"/>'
    end = length
    if is_cut:
        x = LEFT + length - 12
        yield f'<path d="M{x:.1f} {top + ROW - 4}l5 -{ROW - 5}m4 0l-5 {ROW - 5}" stroke="{TEXT}" stroke-width="1.5"/>'
    elif least < greatest:
        end = scale * min(greatest, most)
        a, b = LEFT + scale * least, LEFT + end
        yield f'<path d="M{a:.1f} {middle}H{b:.1f}M{a:.1f} {middle - 4}v8M{b:.1f} {middle - 4}v8" stroke="{WHISKER}" stroke-width="1.5" fill="none"/>'
    figure = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"
    yield text(LEFT + max(end, length) + 8, middle + 4, f"{figure} ({row['cpu_us']:.0f} µs)", weight="bold" if ours else "normal")


def told(document):
    """Where and how, in a line."""
    machine, settings = document["machine"], document["settings"]
    haproxy = machine["versions"].get("haproxy", "").split("-")[0].replace("version ", "")
    return (f"{machine['processor']}, one core for the gateway; {haproxy}; medians of {settings['rounds']} rounds "
            f"of {settings['seconds']} s, whiskers their range")


def text(x, y, content, size=12, anchor="start", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
            f'text-anchor="{anchor}" fill="{TEXT}">{escape(content)}</text>')
