/**
 * Draws pictures of one layer of the main job (examples/moe) on the host device: docs/pictures/timeline.svg for
 * README.md, with 16 tokens, first in sequence, then side by side by hand; and docs/pictures/auto-parallel.svg, with 64 tokens,
 * the same and then written in sequence inside autoParallel. It traces many rounds and draws the fastest one, which other processes disturbed least, and
 * prints that round's report.
 *
 *   npm run build && node scripts/draw-timeline.mjs [timeline | auto-parallel] [--rounds N] [--out FILE.svg]
 */

import { mkdirSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { parseArgs } from "node:util"
import { autoParallel, maybeExecuteInParallel, openDevice, startTrace } from "auxstream"
import { readInput } from "../build/examples/moe/input.js"
import { Model } from "../build/examples/moe/model.js"
import { sizesFor } from "../build/examples/moe/sizes.js"
import { makeWeights } from "../build/examples/moe/weights.js"
import { at } from "./lib/project.mjs"

const titles = {
  timeline: "A mixture-of-experts layer, in sequence and then side by side",
  "auto-parallel": "A mixture-of-experts layer: in sequence, with a fork by hand, and inside autoParallel",
}
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "40" }, out: { type: "string" } },
})
const [picture = "timeline"] = positionals
const title = titles[picture]
if (title === undefined)
  throw new Error(`There is no picture "${picture}". Pictures: ${Object.keys(titles).join(", ")}.`)
const out = values.out ?? at(`docs/pictures/${picture}.svg`)

const device = openDevice("host")
const events = { event0: device.createEvent(), event1: device.createEvent() }
const main = device.createStream({ name: "main" })
const aux = device.createStream({ name: "aux" })
const sizes = sizesFor("host", 1, picture === "timeline" ? 16 : 64)
const model = new Model(device, sizes, makeWeights(device, sizes, false))
const tokens = device.from(readInput(undefined, sizes.tokens, sizes.tokens).tokens)

const reports = []
runAllWays() // The first round compiles the kernels and is not traced.
for (let round = 0; round < Number(values.rounds); round++) {
  const trace = startTrace()
  runAllWays()
  reports.push(await trace.stop())
}
const fastest = reports.reduce((best, report) => (spanOf(report) < spanOf(best) ? report : best))
mkdirSync(dirname(out), { recursive: true })
writeFileSync(out, fastest.toSvg({ title }))
console.log(`${out}\n${fastest.toString()}`)
device.dispose()

/** Runs the layer each way, and waits after each. */
function runAllWays() {
  for (const stream of [null, aux]) {
    run(() => forward((routed, shared) => maybeExecuteInParallel(routed, shared, events.event0, events.event1, stream)))
  }
  if (picture === "auto-parallel") run(() => autoParallel(() => forward((routed, shared) => [routed(), shared()])))
}

function forward(branches) {
  model.forward(tokens, branches)
}

function run(queue) {
  main.run(() => device.scope(queue))
  main.synchronize()
}

/** Nanoseconds from the first operation to the last one's end. */
function spanOf({ data: { spans } }) {
  return Math.max(...spans.map(({ end }) => end)) - Math.min(...spans.map(({ start }) => start))
}
