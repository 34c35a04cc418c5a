import { type Device, maybeExecuteInParallel, openDevice } from "auxstream"
import { type Contest, contest } from "./fresh-decisions.js"
import { type Benchmark, type Derived, type Findings, type Row, rowOf } from "./harness.js"
import { once, spinFor } from "./kernels.js"
import { equalLengths } from "./pieces-names.js"
import { threads } from "./threads.js"

const name = "captured-decisions"

/** A graph takes about this long in sequence, and has from 1 to 32 fork-joins. */
const GRAPH_MICROSECONDS = 1000
const MOST_LAYERS = 32

/** Whether a policy finds the faster way of a graph, for pieces of 2 µs to 20 ms. */
export const capturedDecisions: Benchmark = {
  name,
  title: "fresh decisions of a policy about a graph of fork-joins of two equal kernels, beside both ways, until done",
  async run({ quick }) {
    const device = openDevice("host", { threads })
    const rows: Row[] = []
    const derived: Derived[] = []
    for (const length of quick ? equalLengths.slice(0, 1) : equalLengths) {
      const found = contest(
        device,
        stack(device, length),
        quick ? { decisions: 2, seconds: 0 } : { decisions: 100, seconds: 8 },
      )
      const { rows: own, derived: more } = findingsOf(length, found)
      rows.push(...own)
      derived.push(...more)
    }
    device.dispose()
    return { rows, derived }
  },
}

function stack(device: Device, length: number): () => void {
  const layers = Math.max(1, Math.min(MOST_LAYERS, Math.floor(GRAPH_MICROSECONDS / (2 * length))))
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const piece = () => spinFor.launch(once, length / 1000)
  return () => {
    for (let layer = 0; layer < layers; layer++) maybeExecuteInParallel(piece, piece, event0, event1, aux)
  }
}

function findingsOf(length: number, found: Contest): Findings {
  const { sequential, parallel, speedUp, decisions, decidedParallel, right, launches, host } = found
  const row = (what: string, value: number) => rowOf(name, `${length} µs: ${what}`, "µs", [value])
  const figure = (what: string, value: number, unit: Derived["unit"]): Derived => ({
    benchmark: name,
    name: `${length} µs: ${what}`,
    value,
    unit,
  })
  return {
    rows: [
      row("in sequence", sequential),
      row("side by side", parallel),
      row("host time of a launch, without a policy", host.without),
      row("host time of a launch, measured", host.measured),
      row("host time of a launch, decided", host.decided),
    ],
    derived: [
      figure("speed-up", speedUp, "×"),
      figure(`decided for side by side, of ${decisions}`, (100 * decidedParallel) / decisions, "%"),
      figure(
        found.faster === undefined ? "right (both ways count)" : `right (${found.faster} is faster)`,
        (100 * right) / decisions,
        "%",
      ),
      figure("launches before a decision", launches, "×"),
    ],
  }
}
