"""The page of an animation, run by a browser where one is installed."""

import re
import shutil
import subprocess

import pytest

from isoconv import draw

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Steps on and back by buttons, over the start to the last, by key, by the slider; then plays.
DRIVER = """<script>
  const seen = [];
  const within = (run, step) => +run.split("-")[0] <= step && step <= +run.split("-").pop();
  const right = group => group.dataset.frames.split(" ").some(run => within(run, slider.value))
    === (group.getAttribute("visibility") === "visible");
  const drawn = [...document.querySelectorAll("[data-frames]")];
  const note = () => seen.push(`${slider.value}:${drawn.length > 1 && drawn.every(right)}`);
  play(false); show(0);
  for (const name of ["on", "on", "back", "back", "back"]) { find(name).onclick(); note(); }
  document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
  note();
  slider.value = 3; slider.oninput(); note();
  const told = find("told").textContent;
  find("play").onclick(); const playing = find("play").textContent;
  find("play").onclick();
  document.body.dataset.seen = [...seen, told, playing, find("play").textContent].join();
</script></body>"""


def test_buttons_keys_and_slider_step_through_the_scenes(tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    picture = draw.kernel_animation("Conv1D(1, 2)", (6, 1))
    last = len(picture.scenes) - 1
    path = tmp_path / "page.html"
    path.write_text(picture.html().replace("</body>", DRIVER), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}"]
    command = [browser, *flags, "--dump-dom", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    seen = re.search(r'data-seen="([^"]*)"', shown)
    steps = [1, 2, 1, 0, last, 0, 3]
    wanted = [*(f"{step}:true" for step in steps), f"4 of {last + 1}", "Pause", "Play"]
    assert seen is not None
    assert seen[1].split(",") == wanted
