"""An animation as a page by itself, with buttons; nothing is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from isoconv.drawing.scene import Scene
from isoconv.drawing.svg import svg

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 15px "DejaVu Sans", Verdana, sans-serif; margin: 1.5em; }}
  nav {{ display: flex; flex-wrap: wrap; gap: .6em; align-items: center; margin: .8em 0; }}
  button {{ font: inherit; min-width: 2.6em; padding: .2em .6em; }}
  input {{ flex: 1; max-width: 30em; }}
</style>
</head>
<body>
{picture}{controls}</body>
</html>
"""

_CONTROLS = """<nav>
  <button id="back" title="One step back (left arrow)">&#9664;&#xFE0E;</button>
  <button id="play" title="Play or pause (space)">Play</button>
  <button id="on" title="One step on (right arrow)">&#9654;&#xFE0E;</button>
  <input id="step" type="range" min="0" max="{last}" value="0" aria-label="Step">
  <output id="told"></output>
</nav>
<script>
  const groups = [...document.querySelectorAll("[data-frames]")].map(group =>
    [group, group.dataset.frames.split(" ").map(run => run.split("-").map(Number))]);
  const find = name => document.getElementById(name);
  const slider = find("step"), count = {last} + 1;
  let timer = null;
  function show(step) {{
    slider.value = step = (step + count) % count;
    for (const [group, runs] of groups) {{
      const seen = runs.some(([first, last]) => first <= step && step <= last);
      group.setAttribute("visibility", seen ? "visible" : "hidden");
    }}
    find("told").textContent = `${{step + 1}} of ${{count}}`;
  }}
  function play(on) {{
    clearInterval(timer);
    timer = on ? setInterval(() => show(+slider.value + 1), {milliseconds}) : null;
    find("play").textContent = on ? "Pause" : "Play";
  }}
  function move(by) {{ play(false); show(+slider.value + by); }}
  find("back").onclick = () => move(-1);
  find("on").onclick = () => move(1);
  find("play").onclick = () => play(timer === null);
  slider.oninput = () => move(0);
  document.onkeydown = event => {{
    if (event.target !== document.body) return;
    const action = {{ArrowLeft: () => move(-1), ArrowRight: () => move(1),
      " ": () => play(timer === null)}}[event.key];
    if (action) {{ event.preventDefault(); action(); }}
  }};
  show(0);
  play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
</script>
"""


def page(scenes: Sequence[Scene], seconds: float) -> str:
    """The scenes as an HTML page; several with buttons to play them and to go step by step."""
    controls = _CONTROLS.format(last=len(scenes) - 1, milliseconds=round(1000 * seconds))
    return _PAGE.format(
        title=escape(scenes[0].title),
        picture=svg(scenes, seconds, moving=False),
        controls=controls if len(scenes) > 1 else "",
    )
