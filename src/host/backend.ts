import { availableParallelism, cpus } from "node:os"
import type { Backend, DeviceListing, Driver, OpenOptions } from "../driver.js"
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
    return new HostDriver(threadCount(options), availableParallelism(), deviceName())
  },
}

function deviceName(): string {
  const cores = availableParallelism()
  return `${cpus()[0]?.model.trim() ?? "CPU"} (${cores} ${cores === 1 ? "core" : "cores"})`
}

/** @throws AuxstreamError AUX_OUT_OF_RANGE */
function threadCount(options: OpenOptions): number {
  if (options.threads !== undefined) return checked(options.threads, "`threads`")
  const variable = process.env["AUXSTREAM_HOST_THREADS"]
  if (variable !== undefined && variable !== "") {
    return checked(
      /^\d+$/.test(variable) ? Number(variable) : variable,
      "The environment variable AUXSTREAM_HOST_THREADS",
    )
  }
  return Math.min(MAXIMUM_THREADS, Math.max(2, availableParallelism()))
}

function checked(value: unknown, what: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAXIMUM_THREADS) return value
  throw new AuxstreamError(
    "AUX_OUT_OF_RANGE",
    `\`${what}\` must be an integer from 1 to ${MAXIMUM_THREADS}; ` +
      `got ${typeof value === "string" ? JSON.stringify(value) : String(value)}. By default there is one thread per core.`,
  )
}
