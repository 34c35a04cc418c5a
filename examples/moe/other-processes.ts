import { cpus } from "node:os"

/** Watches how much of the machine's processor time other processes use: figures from a busy machine mean little. */
export class OtherProcesses {
  readonly #machine = machineTimes()
  readonly #own = process.cpuUsage()

  /** Their share since this object was made: 0 is none, 1 the whole machine. */
  share(): number {
    const { busy, all } = machineTimes()
    const { user, system } = process.cpuUsage(this.#own)
    const others = busy - this.#machine.busy - (user + system) / 1e3
    return Math.max(0, others / Math.max(1, all - this.#machine.all))
  }
}

/** Milliseconds of all cores since the machine was started. */
function machineTimes(): { busy: number; all: number } {
  let [busy, all] = [0, 0]
  for (const { times } of cpus()) {
    busy += times.user + times.nice + times.sys + times.irq
    all += times.user + times.nice + times.sys + times.irq + times.idle
  }
  return { busy, all }
}
