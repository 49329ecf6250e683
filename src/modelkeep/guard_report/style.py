"""How the page looks: light and dark, on a phone and on paper."""

from __future__ import annotations

# Told apart by people who see colours differently. Source: Okabe and Ito, "Color Universal Design", 2008.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")
ALARM, WRONG = COLOURS[:2]

STYLE = (
    ":root{color-scheme:light dark;--ink:#1b1b1b;--faint:#595959;--line:#d0d0d0;--page:#fff;--box:#f4f5f7}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--faint:#a8a8a8;--line:#444;--page:#15171a;"
    "--box:#22262b}}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52em;margin:2em auto;padding:0 1em;color:var(--ink);"
    "background:var(--page);overflow-wrap:anywhere}"
    "h1{margin-bottom:.2em}h2{margin-top:2em}h3{font-size:1em;margin:1.2em 0 .3em}"
    "small,.about,figcaption,.axis{color:var(--faint)}.about{font-size:.9em;margin:.2em 0}"
    ".verdict{background:var(--box);border-left:.4em solid var(--tone);"
    "padding:.6em 1em;margin:1em 0;font-size:1.1em}"
    ".verdict p{margin:.4em 0}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.87em;overflow-wrap:normal}"
    "th,td{padding:.2em .7em;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}"
    "th:first-child,td:first-child{text-align:left;padding-left:0}td{white-space:nowrap}"
    "details{margin:.8em 0}summary{cursor:pointer}figure{margin:1em 0}"
    "svg{width:100%;max-width:30em;height:auto;display:block}"
    ".legend span{margin-right:1.5em;white-space:nowrap}"
    ".legend i{display:inline-block;width:.8em;height:.8em;margin-right:.4em}"
    ".row{display:grid;grid-template-columns:13em 1fr 10em;gap:0 .8em;align-items:center;margin:.35em 0}"
    ".row>*{min-width:0}.bars>span{display:block;position:relative;height:.7em;margin:.15em 0;"
    "background:var(--box)}.bars i,.bars b{position:absolute;top:0;bottom:0;left:0}"
    ".bars b{top:45%;bottom:45%;background:var(--ink)}.row small{white-space:nowrap}"
    "@media(max-width:38em){body{margin:.5em auto}.row{grid-template-columns:1fr auto}"
    ".row>:first-child{grid-column:1/3}}"
    "@media print{.row,table,figure{break-inside:avoid}}"
)
