"""How the page of `physnet report` looks: on a desk, on a phone, on paper, by day and by night."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1c1e21; --faint: #5c6470; --line: #d9dde3; --shade: #f5f6f8;
  --good: #1b6e3c; --warn: #8a5300; --bad: #a61b1b; --link: #0a58a8;
  /* what xarray's page of a dataset takes its colours from */
  --jp-content-font-color0: var(--ink); --jp-content-font-color2: var(--faint); --jp-content-font-color3: var(--faint);
  --jp-border-color2: var(--line); --jp-layout-color0: var(--paper); --jp-layout-color1: var(--paper);
  --jp-layout-color2: var(--shade); --jp-layout-color3: var(--faint);
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --ink: #e4e6e9; --faint: #a0a8b3; --line: #363b42; --shade: #1e2125;
    --good: #6fcf97; --warn: #f0b35a; --bad: #ff8a80; --link: #7ab8ff;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 66rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
h1, h2, h3, h4 { line-height: 1.25; margin: 2.2em 0 .6em; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; margin-top: 0; }
h2 { font-size: 1.3rem; }
h3 { font-size: 1.1rem; }
h4 { font-size: 1rem; margin: 1.5em 0 .5em; }
article + article { border-top: 2px solid var(--line); margin-top: 3.5rem; }
section > :is(h2, h3) { border-bottom: 1px solid var(--line); padding-bottom: .25em; }
p { margin: .5em 0; overflow-wrap: anywhere; }
a { color: var(--link); }
code, pre { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-size: .9em; overflow-wrap: anywhere; }
pre { margin: 0; font-size: .85rem; line-height: 1.45; overflow-x: auto; }
.file, footer { color: var(--faint); font-size: .9rem; }
.summary { background: var(--shade); padding: .9rem 1rem; border-radius: 4px; }
.note { border-left: 4px solid currentColor; padding: .35rem .8rem; background: var(--shade); }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .9rem; min-width: 50%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--faint); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; white-space: nowrap; }
td { white-space: nowrap; font-variant-numeric: tabular-nums; }
td.long { white-space: normal; min-width: 13rem; max-width: 40rem; overflow-wrap: anywhere; }
figure { margin: 1.4rem 0 2rem; }
.picture {
  overflow-x: auto; width: fit-content; max-width: 100%; background: #ffffff; border: 1px solid var(--line);
  border-radius: 4px; padding: .6rem;
}
.picture img {
  display: block; height: auto; width: var(--width); max-width: 100%; min-width: calc(0.65 * var(--width));
}
figcaption { color: var(--faint); font-size: .9rem; margin-top: .5rem; }
figcaption b { color: var(--ink); }
footer { margin-top: 4rem; }
.listing .xr-wrap { max-width: none !important; }
@media (max-width: 40rem) {
  body { padding: 1.2rem .9rem 3rem; }
  h1 { font-size: 1.35rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  figure, tr, .note { break-inside: avoid; }
  h1, h2, h3, h4 { break-after: avoid; }
  .scroll, .picture, pre { overflow: visible; }
  .picture { border: none; padding: 0; }
  .picture img { min-width: 0; }
  pre { white-space: pre-wrap; }
  td, tbody th { white-space: normal; overflow-wrap: anywhere; }
  td.long { min-width: 6rem; }
  article + article { break-before: page; border-top: none; }
}
"""
