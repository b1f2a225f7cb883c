"""One file that shows a run without a kernel: the dashboard's own program and what it shows.

The file fetches nothing and runs nothing but that program: its policy names the program and the
style by their SHA-256. Text of the run stands in a data block, where it is never code or markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path

from coflect_widget.records.run import Run
from coflect_widget.ui.dashboard import Dashboard
from coflect_widget.ui.publisher import snapshot
from coflect_widget.ui.view import replay

SHELF_BYTES = 32_000_000  # of recorded maps that the file holds; the newest of each sample first

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src '{script_hash}'; style-src '{style_hash}'; img-src blob: data:; base-uri 'none'; \
form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main id="coflect-view"></main>
<script type="application/json" id="coflect-saved">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""
_PAGE_STYLE = """
body { margin: 0; padding: 16px; background: #ffffff; }
main { max-width: 1560px; margin: 0 auto; }
@media (prefers-color-scheme: dark) { body { background: #101216; } }
@media print { body { padding: 0; } }
"""


def save_html(run: Run, path: str | Path) -> Path:
    """Write the dashboard of `run` to one self-contained, read-only file.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    view = replay(run)
    saved = snapshot(view, shelf_bytes=SHELF_BYTES)
    saved["update"]["status"]["mode"] = "live"  # saved, and not a run to look through
    data = json.dumps(
        {
            "update": saved["update"],
            "buffers": [base64.b64encode(buffer).decode() for buffer in saved["buffers"]],
        },
        allow_nan=False,
    )
    script = Dashboard.program.replace("</script", "<\\/script")
    style = (Dashboard.style + _PAGE_STYLE).replace("</style", "<\\/style")
    page = _PAGE.format(
        script_hash=_hash(script),
        style_hash=_hash(style),
        title=html.escape(f"Coflect {run.id}"),
        style=style,
        # "<" cannot end the block or begin a comment in it; the two separators end lines in
        # older scripts.
        data=data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"),
        script=script,
    )
    path = Path(path).expanduser()
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
