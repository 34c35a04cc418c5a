/** Prints what placing costs on a GPU, as JSON: `node build/bench/gpu/placement-cost.js [cuda:0] [--quick]`. */
import { openDevice } from "auxstream"
import { placementCost } from "../placement.js"

const named = process.argv.slice(2).find((argument) => !argument.startsWith("--"))
const device = openDevice(named === "host" ? "host" : "cuda:0")
const { rows, derived } = await placementCost(device, process.argv.includes("--quick"))
for (const { name, median, p25, p75 } of rows) {
  console.log(`${name.padEnd(50)} ${median.toFixed(0).padStart(8)} ns  (${p25.toFixed(0)} to ${p75.toFixed(0)})`)
}
for (const { name, value } of derived) console.log(`${name.padEnd(50)} ${value.toFixed(2).padStart(8)}`)
console.log(JSON.stringify({ device: device.name, node: process.version, rows, derived }))
device.dispose()
