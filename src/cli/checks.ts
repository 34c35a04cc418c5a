/** Finds out what works on this machine, by trying it. */
import { availableParallelism } from "node:os"
import process from "node:process"
import { setImmediate } from "../common/timers.js"
import { prepareMatmul } from "../blas/index.js"
import { defineKernel, type Device, type DeviceListing, listDevices, openDevice, startTrace } from "../index.js"
import { type Measured, measure } from "./measure.js"

/** One finding. */
export interface Check {
  readonly name: string
  readonly ok: boolean
  /** What was found; if something is missing, what to do about it. */
  readonly detail: string
}

/** What was found about one device. */
export interface CheckedDevice {
  readonly id: string
  readonly name: string
  readonly usable: boolean
  /** Why it cannot be used. */
  readonly reason?: string
  readonly checks: readonly Check[]
  readonly measured?: Measured
}

const ROUNDS = 9

/** The program's own facts. */
export function checkProgram(): Check[] {
  const { node } = process.versions
  const detail = `${node} on ${process.platform} ${process.arch}, ${availableParallelism()} cores`
  return [{ name: "Node.js", ok: true, detail }]
}

/** Checks every listed device. A device that cannot be used is listed with its reason. */
export async function checkDevices(): Promise<CheckedDevice[]> {
  const checked: CheckedDevice[] = []
  for (const listing of listDevices()) checked.push(await checkDevice(listing))
  return checked
}

async function checkDevice({ id, name, usable, reason }: DeviceListing): Promise<CheckedDevice> {
  if (!usable || id === "cuda") return { id, name, usable: false, reason: reason ?? "it has no ordinal", checks: [] }
  try {
    const device = openDevice(id)
    try {
      const checks = device.kind === "cuda" ? await checkLibraries(device) : []
      const canLaunch = checks.every(({ name: library, ok }) => ok || library !== "NVRTC")
      const measured = canLaunch ? { measured: await measure(device, ROUNDS) } : {}
      return { id, name, usable, checks: [driverOf(device), ...checks], ...measured }
    } finally {
      device.dispose()
    }
  } catch (error) {
    return { id, name, usable: false, reason: textOf(error), checks: [] }
  }
}

function driverOf({ kind, properties, memory }: Device): Check {
  const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  const room = `${gibibytes(memory.free)} of ${gibibytes(memory.total)} free`
  if (kind === "host") return { name: "memory", ok: true, detail: room }
  const { driverVersion, computeCapability } = properties
  const versions = `driver for CUDA ${driverVersion?.major}.${driverVersion?.minor}`
  const capability = `compute capability ${computeCapability?.major}.${computeCapability?.minor}`
  return { name: "driver", ok: true, detail: `${versions}, ${capability}, ${room}` }
}

/** The libraries that only some programs need. */
async function checkLibraries(device: Device): Promise<Check[]> {
  // A source that no cache has, so that it is compiled.
  const source = `extern "C" __global__ void doctor(int* x) { *x = ${process.hrtime()[1]}; }`
  const kernel = defineKernel({ name: "doctor", signature: ["out int32*"], cuda: { source } })
  return [
    await tried("NVRTC", "compiles CUDA C++", () => kernel.prepare(device)),
    await tried("cuBLASLt", "multiplies matrices", () =>
      prepareMatmul(device, { dtype: "float32", m: 16, n: 16, k: 16 }),
    ),
    await checkCupti(),
  ]
}

async function checkCupti(): Promise<Check> {
  const warnings: string[] = []
  const keep = (warning: Error) => void warnings.push(warning.message)
  process.on("warning", keep)
  const { data } = await startTrace({ times: "cupti" }).stop()
  await new Promise(setImmediate)
  process.off("warning", keep)
  const ok = data.devices.every(({ kind, times }) => kind !== "cuda" || times === "cupti")
  return { name: "CUPTI", ok, detail: ok ? "traces graphs' nodes" : (warnings[0] ?? "cannot be used") }
}

async function tried(name: string, detail: string, attempt: () => Promise<unknown>): Promise<Check> {
  try {
    await attempt()
    return { name, ok: true, detail }
  } catch (error) {
    return { name, ok: false, detail: textOf(error) }
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
