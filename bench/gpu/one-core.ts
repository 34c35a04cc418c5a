/**
 * The core that all who are measured take their turns on, so that what else runs on the machine meets all alike. Left to
 * the system, each stays for minutes where it happens to be, beside a busy neighbour or not, which has been seen to make
 * up a factor of 1.8. With util-linux' `taskset`; where there is none, everybody stays where the system puts them.
 */
import { spawnSync } from "node:child_process"
import { availableParallelism } from "node:os"

/** Milliseconds, the median of some turns, of what only the core's speed decides. */
const calibration = `
  const turns = Array.from({ length: 15 }, () => {
    const started = performance.now()
    let sum = 0
    for (let i = 0; i < 1e6; i++) sum = (sum * 31 + i) | 0
    return performance.now() - started + (sum & 0)
  })
  console.log(turns.sort((a, b) => a - b)[7])
`

let found: { readonly core: number | undefined } | undefined

/** The quickest core at the time of the first call; undefined where it cannot be told. */
function quickestCore(): number | undefined {
  found ??= { core: findQuickest() }
  return found.core
}

function findQuickest(): number | undefined {
  const cores = Array.from({ length: availableParallelism() }, (_, core) => {
    const { status, stdout } = taskset("--cpu-list", String(core), process.execPath, "-e", calibration)
    return { core, milliseconds: status === 0 ? Number(stdout) : NaN }
  })
  const measured = cores.filter(({ milliseconds }) => milliseconds > 0)
  return measured.toSorted((a, b) => a.milliseconds - b.milliseconds)[0]?.core
}

/** Keeps a process' main thread on that core. Threads that are there already go where they like. */
export function keepOnOneCore(pid: number): boolean {
  const core = quickestCore()
  return core !== undefined && taskset("--cpu-list", "--pid", String(core), String(pid)).status === 0
}

function taskset(...args: string[]): { readonly status: number | null; readonly stdout: string } {
  return spawnSync("taskset", args, { encoding: "utf8" })
}
