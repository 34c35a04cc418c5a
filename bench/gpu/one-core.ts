import { spawnSync } from "node:child_process"
import { availableParallelism } from "node:os"

/**
 * Keeps a process' main thread on one core, the same one for all: they take turns, so that what else runs on the machine
 * meets all alike. Left to the system, each stays for minutes where it happens to be, beside a busy neighbour or not,
 * which has been seen to make up a factor of 1.8. Threads that are there already go where they like.
 *
 * @returns whether that could be done; on Linux it can, with util-linux' `taskset`
 */
export function keepOnOneCore(pid: number): boolean {
  const core = availableParallelism() - 1
  return spawnSync("taskset", ["--cpu-list", "--pid", String(core), String(pid)]).status === 0
}
