/**
 * Pins all measured processes to one core, so that other load on the machine affects all alike. Otherwise the system keeps
 * each process on one core for minutes, beside a busy neighbour or not, which has made a difference of a factor of 1.8.
 * Uses util-linux's `taskset`. Without it, nothing is pinned.
 */
import { spawnSync } from "node:child_process"
import { availableParallelism } from "node:os"

/** The median time in milliseconds of a computation that depends only on the core's speed. */
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

/** The fastest core at the time of the first call; undefined if it cannot be determined. */
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

/** Pins a process's main thread to that core. Its other existing threads are not pinned. */
export function keepOnOneCore(pid: number): boolean {
  const core = quickestCore()
  return core !== undefined && taskset("--cpu-list", "--pid", String(core), String(pid)).status === 0
}

function taskset(...args: string[]): { readonly status: number | null; readonly stdout: string } {
  return spawnSync("taskset", args, { encoding: "utf8" })
}
