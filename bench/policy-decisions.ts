import { type Device, maybeExecuteInParallel, openDevice } from "auxstream"
import { contest, type Contest, type Piece, type Way } from "./eager-decisions.js"
import { type Benchmark, type Derived, type Row, type Settings } from "./harness.js"
import { once, spinFor } from "./kernels.js"
import { nameOfPair, type Pair, pairs } from "./pieces-names.js"
import { threads } from "./threads.js"

const name = "policy-decisions"

/** A turn takes about this long in sequence, and has from 1 to 16 fork-joins. */
const TURN_MICROSECONDS = 4000
const MOST_CALLS = 16

/** Whether a policy finds the faster way of eager fork-joins of two kernels that take a given time by the clock. */
export const policyDecisions: Benchmark = {
  name,
  title: "fresh decisions of a policy about two kernels by the clock, eager: right if it is for the faster way",
  run(settings) {
    const device = openDevice("host", { threads })
    const found = (settings.quick ? pairs.slice(0, 1) : pairs).map((pair) => findingsOf(device, pair, settings))
    device.dispose()
    return Promise.resolve({
      rows: found.flatMap(({ rows }) => rows),
      derived: found.flatMap(({ derived }) => derived),
    })
  },
}

function findingsOf(device: Device, pair: Pair, { quick }: Settings): { rows: Row[]; derived: Derived[] } {
  const effort = quick ? { decisions: 3, later: 10, seconds: 0 } : { decisions: 100, later: 1000, seconds: 20 }
  const found = contest(pieceOf(device, pair), effort)
  const what = nameOfPair(pair)
  const row = (way: string, median: number): Row => ({
    ...{
      benchmark: name,
      name: `${what}, ${way}`,
      unit: "µs",
      median,
      p25: median,
      p75: median,
      turns: found.decisions,
    },
  })
  return {
    rows: [row("in sequence", found.sequential), row("side by side", found.parallel), row("as decided", found.chosen)],
    derived: derivedOf(what, found),
  }
}

function derivedOf(
  what: string,
  { speedUp, faster, decisions, right, callsBefore, loss, control }: Contest,
): Derived[] {
  const derived = (label: string, value: number, unit: Derived["unit"]): Derived => ({
    ...{ benchmark: name, name: `${what}: ${label}`, value, unit },
  })
  return [
    derived("speed-up", speedUp, "×"),
    derived(`right decisions of ${decisions} (faster: ${faster ?? "about equal"})`, (100 * right) / decisions, "%"),
    derived(`calls before the decision`, callsBefore, "×"),
    derived("later calls, lost to the better way", 100 * loss.relative, "%"),
    derived("the same for each call", loss.microseconds, "µs"),
    derived("the decided way without a policy, lost to the better way", 100 * control.relative, "%"),
  ]
}

function pieceOf(device: Device, [longer, shorter]: Pair): Piece {
  const calls = Math.max(1, Math.min(MOST_CALLS, Math.floor(TURN_MICROSECONDS / (longer + shorter))))
  const [aux, event0, event1] = [device.createStream(), device.createEvent(), device.createEvent()]
  const main = () => spinFor.launch(once, longer / 1000)
  const other = () => spinFor.launch(once, shorter / 1000)
  const call = (way: Way) => {
    if (typeof way === "object") {
      maybeExecuteInParallel(main, other, event0, event1, aux, { overlap: way, key: longer })
    } else maybeExecuteInParallel(main, other, event0, event1, way === "parallel" ? aux : null)
  }
  return {
    calls,
    queue(way) {
      for (let made = 0; made < calls; made++) call(way)
    },
    settle: () => device.defaultStream.synchronize(),
  }
}
