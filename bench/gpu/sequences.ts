/** Prints how fast the six programs of bench/sequences/ run on a GPU, as JSON: `node build/bench/gpu/sequences.js [host] [--quick]`. */
import { openDevice } from "auxstream"
import { measureSequences } from "../sequences.js"

const kind = process.argv.includes("host") ? "host" : "cuda"
const quick = process.argv.includes("--quick")
const device = openDevice(kind === "host" ? "host" : "cuda:0")
const { rows, derived } = await measureSequences(device, quick ? "smallest" : kind, quick)
for (const { name, median, p25, p75 } of rows) {
  console.log(`${name.padEnd(50)} ${median.toFixed(1).padStart(10)} µs  (${p25.toFixed(1)} to ${p75.toFixed(1)})`)
}
for (const { name, value } of derived) console.log(`${name.padEnd(90)} ${value.toFixed(3).padStart(8)} ×`)
console.log(JSON.stringify({ device: device.name, node: process.version, rows, derived }))
device.dispose()
