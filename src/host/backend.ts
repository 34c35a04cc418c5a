import { availableParallelism, cpus } from "node:os"
import type { Backend, DeviceListing, OpenOptions } from "../driver/backend.js"
import type { Driver } from "../driver/driver.js"
import { checkInteger, LONGEST_TIMER } from "../common/check.js"
import { AuxstreamError } from "../common/errors.js"
import { HostDriver } from "./driver.js"
import { whyNoWorkers } from "./threads/worker-file.js"

const MAXIMUM_THREADS = 256

/** The host device: streams on worker threads of this process. */
export const hostBackend: Backend = {
  kind: "host",
  list(): DeviceListing[] {
    const device = { id: "host", kind: "host", name: deviceName() } as const
    const reason = whyNoWorkers()
    return [reason === undefined ? { ...device, usable: true } : { ...device, usable: false, reason }]
  },
  open(_ordinal: number, options: OpenOptions): Driver {
    const reason = whyNoWorkers()
    if (reason !== undefined) throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", reason)
    return new HostDriver(threadCount(options), availableParallelism(), deviceName(), timeLimit(options))
  },
}

function deviceName(): string {
  const cores = availableParallelism()
  return `${cpus()[0]?.model.trim() ?? "CPU"} (${cores} ${cores === 1 ? "core" : "cores"})`
}

/** @throws AuxstreamError AUX_OUT_OF_RANGE */
function threadCount({ threads }: OpenOptions): number {
  const most = MAXIMUM_THREADS
  return threads ?? variable("AUXSTREAM_HOST_THREADS", most) ?? Math.min(most, Math.max(2, availableParallelism()))
}

/** @throws AuxstreamError AUX_OUT_OF_RANGE */
function timeLimit({ launchTimeout }: OpenOptions): number | undefined {
  return launchTimeout ?? variable("AUXSTREAM_HOST_LAUNCH_TIMEOUT", LONGEST_TIMER)
}

/** An environment variable that is a positive integer. An empty one counts as not set. @throws AuxstreamError AUX_OUT_OF_RANGE */
function variable(name: string, most: number): number | undefined {
  const text = process.env[name]
  if (text === undefined || text === "") return undefined
  const value = /^\d+$/.test(text) ? Number(text) : text
  checkInteger(value, `The environment variable ${name}`, 1, most)
  return value
}
