/**
 * Writes a trace as one HTML file that shows it: code, style and data inside, nothing loaded. A content security policy in the file
 * allows only that code, so the page cannot reach a network whatever names the trace has in it.
 */

import { createHash } from "node:crypto"
import { pack } from "../data/columns.js"
import type { TraceData } from "../data/data.js"
import type { TraceFigures } from "../data/figures.js"
import { script, style } from "./page.generated.js"

/** The page; `figures` are what the analysis found. */
export function toHtml(data: TraceData, figures?: TraceFigures): string {
  const policy = `default-src 'none'; script-src '${hashOf(script)}'; style-src '${hashOf(style)}'; base-uri 'none'; form-action 'none'`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Trace of ${escapeText(data.date)} · auxstream</title>
<style>${style}</style>
</head>
<body>
${BODY}
<script type="application/json" id="trace">${embed({ trace: pack(data), figures })}</script>
<script>${script}</script>
</body>
</html>
`
}

/** Everything that the page's code fills or listens to. */
const BODY = `<header>
<h1 id="what">Trace</h1>
<p id="where"></p>
<ul id="figures"></ul>
</header>
<div id="toolbar" role="toolbar" aria-label="Timeline">
<input id="search" type="search" placeholder="Search names  /" aria-label="Search operations, fork-joins and calls" autocomplete="off" spellcheck="false">
<span class="group"><button id="previous" type="button" aria-label="Previous hit" disabled>↑</button><button id="next" type="button" aria-label="Next hit" disabled>↓</button></span>
<span id="count" role="status"></span>
<span class="gap"></span>
<span class="group"><button id="zoom-out" type="button" aria-label="Zoom out">−</button><button id="zoom-in" type="button" aria-label="Zoom in">+</button><button id="fit" type="button" title="Show everything (0)">Fit</button></span>
<span class="group"><button id="waits" type="button" title="Arrows from records to waits (x)">Waits</button><button id="skipped" type="button" title="Waits that the library skipped, dashed (Shift x)">Skipped</button><button id="path" type="button" title="The operations that determined the end (c)">Critical path</button></span>
<span class="group"><button id="table" type="button" title="Fork-joins as a table (t)">Table</button><button id="theme" type="button" title="Light or dark (l)">Dark</button><button id="keys" type="button" aria-label="Keys" title="Keys (?)">?</button></span>
</div>
<main>
<canvas id="timeline" tabindex="0" role="img" aria-label="Timeline: a lane for each stream. The keys period, comma and the arrows select operations; the selection is described below the timeline." aria-describedby="details"></canvas>
<section id="tables" aria-label="Fork-joins"></section>
<div id="tooltip" role="tooltip" hidden></div>
</main>
<section id="details" aria-live="polite" aria-label="Selection"></section>
<dialog id="help" aria-labelledby="help-title">
<h2 id="help-title">Keys</h2>
<dl id="key-list"></dl>
<form method="dialog"><button>Close</button></form>
</dialog>
<noscript>This page draws the trace with JavaScript.</noscript>`

const hashOf = (text: string) => `sha256-${createHash("sha256").update(text).digest("base64")}`

/** JSON that cannot end the element in which it stands. */
const embed = (value: unknown) => JSON.stringify(value).replaceAll("<", "\\u003c")

const escapeText = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
