/** Lists and opens the CUDA devices of this machine. Importing it must load neither koffi nor the CUDA driver. */
import { AuxstreamError, CudaError } from "../common/errors.js"
import type { Backend, DeviceListing } from "../driver/backend.js"
import type { Driver } from "../driver/driver.js"
import { deviceCount, deviceFacts } from "./api/device-facts.js"
import { CudaDriver } from "./driver.js"
import { cudaLibrary } from "./api/library.js"
import { unavailable } from "./native/errors.js"

function list(): DeviceListing[] {
  try {
    const library = cudaLibrary()
    return Array.from({ length: deviceCount(library) }, (_, ordinal) => listing(ordinal))
  } catch (error) {
    return [unusable("cuda", "CUDA", error)]
  }
}

function listing(ordinal: number): DeviceListing {
  const id = `cuda:${ordinal}` as const
  try {
    const { name, reason } = deviceFacts(cudaLibrary(), ordinal)
    const usable = reason === undefined
    return usable ? { id, kind: "cuda", name, usable } : { id, kind: "cuda", name, usable, reason }
  } catch (error) {
    return unusable(id, id, error)
  }
}

function unusable(id: DeviceListing["id"], name: string, error: unknown): DeviceListing {
  const reason = error instanceof Error ? error.message : String(error)
  return { id, kind: "cuda", name, usable: false, reason }
}

function open(ordinal: number): Driver {
  try {
    const library = cudaLibrary()
    checkOrdinal(ordinal, deviceCount(library))
    const facts = deviceFacts(library, ordinal)
    if (facts.reason !== undefined) throw unavailable(facts.reason)
    return new CudaDriver(library, facts, ordinal)
  } catch (error) {
    if (error instanceof AuxstreamError && error.code === "AUX_DEVICE_UNAVAILABLE") throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new AuxstreamError(
      "AUX_DEVICE_UNAVAILABLE",
      `cuda:${ordinal} cannot be opened: ${reason}${isTaken(error) ? TAKEN : ""}`,
      { cause: error },
    )
  }
}

const TAKEN =
  ". Another process uses it in exclusive mode. End that process, open another device, or allow sharing with " +
  "`nvidia-smi --compute-mode=0`."

function isTaken(error: unknown): boolean {
  return error instanceof CudaError && error.status === "CUDA_ERROR_DEVICE_UNAVAILABLE"
}

function checkOrdinal(ordinal: number, count: number): void {
  if (Number.isInteger(ordinal) && ordinal >= 0 && ordinal < count) return
  const known = count === 1 ? "only cuda:0" : `cuda:0 to cuda:${count - 1}`
  throw unavailable(`There is no device cuda:${ordinal}: this machine has ${known}.`)
}

/** NVIDIA devices, through the CUDA driver. */
export const cudaBackend: Backend = { kind: "cuda", list, open }
