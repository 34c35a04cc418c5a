/**
 * Our side of the GPU benchmarks, a process like the others: answers a line "ROW BATCHES OPERATIONS" with a line of
 * JSON, see ../peer.ts. A row's name may have arguments after colons. A prepared row is kept.
 */

import { createInterface } from "node:readline"
import { type Device, openDevice } from "auxstream"
import { callRows } from "./calls.js"
import { decisionRow } from "./decisions.js"
import { expertProducts } from "./expert-products.js"
import { expertVectors, isFew } from "./expert-vectors.js"
import { memoryRows } from "./memory.js"
import { pieceRows } from "./pieces.js"
import { loraWorkload, normsWorkload } from "./projections.js"
import { policyRow } from "./policy-decisions.js"
import { productRows } from "./products.js"
import type { Figures, MakeRow, Run } from "./row.js"
import { type Workload, workloadRow } from "./workload.js"

/** NAME:SIZE:MODE:WAY. The arrays of a size are created once for all its rows. */
function workloads(make: (device: Device, size: number) => Workload): MakeRow {
  const made = new Map<string, Workload>()
  return (device, size = "", mode = "", way = "") => {
    const workload = made.get(size) ?? make(device, Number(size))
    made.set(size, workload)
    return workloadRow(device, workload, mode, way)
  }
}

const experts = (device: Device, tokens: number): Workload =>
  isFew(tokens) ? expertVectors(device, tokens) : expertProducts(device, tokens)

const rows: Readonly<Record<string, MakeRow>> = {
  ...callRows,
  ...memoryRows,
  ...productRows,
  ...pieceRows,
  experts: workloads(experts),
  "experts-cublas": workloads(expertProducts),
  norms: workloads(normsWorkload),
  lora: workloads(loraWorkload),
  decision: decisionRow({ experts, norms: normsWorkload, lora: loraWorkload }),
  policy: policyRow({ experts, norms: normsWorkload, lora: loraWorkload }),
}

const ready = new Map<string, Run>()

/** Long enough for V8 to compile the functions that are called thousands of times. */
const warmUpMilliseconds = 150

async function answer(device: Device, line: string): Promise<object> {
  const [row = "", batches, operations] = line.split(" ")
  const run = ready.get(row) ?? make(device, row)
  if (typeof run === "string") return { missing: run }
  if (!ready.has(row) && !(row in memoryRows) && !/^(decision|policy):/.test(row)) await warmUp(run, Number(operations))
  ready.set(row, run)
  const samples: Figures[] = []
  for (let batch = 0; batch < Number(batches); batch++) samples.push(await run(Number(operations)))
  const names = Object.keys(samples[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, samples.map((sample) => sample[name])]))
}

async function warmUp(run: Run, operations: number): Promise<void> {
  const end = performance.now() + warmUpMilliseconds
  do await run(operations)
  while (performance.now() < end)
}

function make(device: Device, row: string): Run | string {
  const [name = "", ...words] = row.split(":")
  return rows[name]?.(device, ...words) ?? "auxstream has no such row"
}

const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`)
const textOf = (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error))

try {
  const device = openDevice("cuda:0")
  say({ ready: true, versions: { node: process.versions.node } })
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      say(await answer(device, line))
    } catch (error) {
      say({ failed: textOf(error) })
    }
  }
  device.dispose()
} catch (error) {
  say({ failed: textOf(error) })
  process.exitCode = 1
}
