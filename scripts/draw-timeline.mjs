/**
 * Draws the picture of README.md, docs/pictures/timeline.svg: one layer of the main job (examples/moe) on the host device, with
 * 16 tokens, first in sequence, then side by side. It traces many rounds and draws the fastest one, which other processes
 * disturbed least, and prints that round's report.
 *
 *   npm run build && node scripts/draw-timeline.mjs [--rounds N] [--out FILE.svg]
 */

import { mkdirSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { parseArgs } from "node:util"
import { maybeExecuteInParallel, openDevice, startTrace } from "auxstream"
import { readInput } from "../build/examples/moe/input.js"
import { Model } from "../build/examples/moe/model.js"
import { sizesFor } from "../build/examples/moe/sizes.js"
import { makeWeights } from "../build/examples/moe/weights.js"
import { at } from "./lib/project.mjs"

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "40" },
    out: { type: "string", default: at("docs/pictures/timeline.svg") },
  },
})

const device = openDevice("host")
const events = { event0: device.createEvent(), event1: device.createEvent() }
const main = device.createStream({ name: "main" })
const aux = device.createStream({ name: "aux" })
const sizes = sizesFor("host", 1, 16)
const model = new Model(device, sizes, makeWeights(device, sizes, false))
const tokens = device.from(readInput(undefined, sizes.tokens, sizes.tokens).tokens)

const reports = []
runBothWays() // The first round compiles the kernels and is not traced.
for (let round = 0; round < Number(values.rounds); round++) {
  const trace = startTrace()
  runBothWays()
  reports.push(await trace.stop())
}
const fastest = reports.reduce((best, report) => (spanOf(report) < spanOf(best) ? report : best))
mkdirSync(dirname(values.out), { recursive: true })
const title = "A mixture-of-experts layer, in sequence and then side by side"
writeFileSync(values.out, fastest.toSvg({ title }))
console.log(`${values.out}\n${fastest.toString()}`)
device.dispose()

/** Runs the layer in sequence, waits, and runs it side by side. */
function runBothWays() {
  for (const stream of [null, aux]) {
    const branches = (routed, shared) => maybeExecuteInParallel(routed, shared, events.event0, events.event1, stream)
    main.run(() => device.scope(() => void model.forward(tokens, branches)))
    main.synchronize()
  }
}

/** Nanoseconds from the first operation to the last one's end. */
function spanOf({ data: { spans } }) {
  return Math.max(...spans.map(({ end }) => end)) - Math.min(...spans.map(({ start }) => start))
}
