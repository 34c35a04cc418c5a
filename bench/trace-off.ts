import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { type Benchmark, ratio, rowOf } from "./harness.js"

const name = "trace-off"

/** What a process measures in one turn, in nanoseconds. */
export interface Turn {
  readonly launch: number
  readonly forkJoin: number
}

/** The same twice without a trace, so that the difference of equal processes is known. */
const KINDS = ["never traced", "never traced, again", "traced once before"] as const

interface Group {
  readonly kind: (typeof KINDS)[number]
  readonly processes: readonly ChildProcess[]
  readonly turns: Turn[]
}

/** The cost that remains after a trace has stopped: the host's time of a launch and of a fork-join. */
export const traceOff: Benchmark = {
  name,
  title: "a launch, and a fork-join of two launches, in processes that never traced and that traced once and stopped",
  async run({ quick }) {
    const [processes, turns] = quick ? [1, 2] : [3, 150]
    const groups = await Promise.all(KINDS.map((kind) => start(kind, processes)))
    for (let turn = 0; turn < turns; turn++) {
      for (let index = 0; index < processes; index++) {
        for (let place = 0; place < groups.length; place++) {
          const group = groups[(place + turn) % groups.length]
          const process = group?.processes[index]
          if (process !== undefined) group?.turns.push(await measure(process))
        }
      }
    }
    for (const { processes: running } of groups) for (const process of running) process.disconnect()
    const rows = groups.flatMap(({ kind, turns: all }) => [
      rowOf(
        name,
        `launch, ${kind}`,
        "ns",
        all.map((one) => one.launch),
      ),
      rowOf(
        name,
        `fork-join, ${kind}`,
        "ns",
        all.map((one) => one.forkJoin),
      ),
    ])
    const derived = (["launch", "fork-join"] as const).flatMap((what) =>
      KINDS.slice(1).map((kind) =>
        ratio(rows, `${what}: ${kind} ÷ never traced`, `${what}, ${kind}`, `${what}, never traced`),
      ),
    )
    return { rows, derived }
  },
}

async function start(kind: Group["kind"], count: number): Promise<Group> {
  const program = fileURLToPath(new URL("trace-off-program.js", import.meta.url))
  const options =
    kind === "traced once before" ? ["traced", process.env["AUXSTREAM_TRACE_TIMES"] ?? "events"] : ["untraced"]
  const processes: ChildProcess[] = []
  for (let index = 0; index < count; index++) {
    const child = fork(program, options)
    await once(child, "message")
    processes.push(child)
  }
  return { kind, processes, turns: [] }
}

async function measure(child: ChildProcess): Promise<Turn> {
  const answer: Promise<unknown[]> = once(child, "message")
  child.send("turn")
  const [turn] = await answer
  if (!isTurn(turn)) throw new Error("A process of the benchmark did not measure.")
  return turn
}

function isTurn(value: unknown): value is Turn {
  return typeof value === "object" && value !== null && "launch" in value && "forkJoin" in value
}
