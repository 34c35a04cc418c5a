/** Reads a device's properties from the driver without opening the device. Must never create a context. */
import type { LaunchLimits } from "../../driver/kernels.js"
import { CMemory } from "../native/c-memory.js"
import { noDevice, type CudaLibrary } from "./library.js"
import { SUCCESS } from "./status.js"

const MAX_THREADS_PER_BLOCK = 1
const MAX_BLOCK_DIM_X = 2
const MAX_GRID_DIM_X = 5
const COMPUTE_MODE = 20
const COMPUTE_CAPABILITY_MAJOR = 75
const COMPUTE_CAPABILITY_MINOR = 76
const MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97
const MEMORY_POOLS_SUPPORTED = 115
const NAME_BYTES = 256
/** The compute mode in which no process may use the device. */
const PROHIBITED = 2

/** The properties of a device. */
export interface DeviceFacts {
  /** The driver's device handle. */
  readonly device: number
  readonly name: string
  readonly limits: LaunchLimits
  /** The compute capability: 90 is 9.0. */
  readonly architecture: number
  /** Why the device cannot be used, in one sentence; undefined if it can. */
  readonly reason: string | undefined
}

/** The number of devices. @throws AuxstreamError AUX_DEVICE_UNAVAILABLE if there is none */
export function deviceCount(library: CudaLibrary): number {
  const out = new CMemory(8)
  const status = library.calls.cuDeviceGetCount(out.address)
  if (status !== SUCCESS) throw library.error(status, "cuDeviceGetCount")
  const count = out.int(0)
  if (count === 0) throw noDevice()
  return count
}

/** @throws CudaError */
export function deviceFacts(library: CudaLibrary, ordinal: number): DeviceFacts {
  const out = new CMemory(NAME_BYTES)
  const check = (status: number, call: string): void => {
    if (status !== SUCCESS) throw library.error(status, call)
  }
  check(library.calls.cuDeviceGet(out.address, ordinal), "cuDeviceGet")
  const device = out.int(0)
  check(library.calls.cuDeviceGetName(out.address, NAME_BYTES, device), "cuDeviceGetName")
  const name = out.text()
  const attribute = (which: number): number => {
    check(library.calls.cuDeviceGetAttribute(out.address, which, device), "cuDeviceGetAttribute")
    return out.int(0)
  }
  const three = (first: number): [number, number, number] => [
    attribute(first),
    attribute(first + 1),
    attribute(first + 2),
  ]
  return {
    device,
    name,
    limits: {
      threadsPerBlock: attribute(MAX_THREADS_PER_BLOCK),
      block: three(MAX_BLOCK_DIM_X),
      grid: three(MAX_GRID_DIM_X),
      sharedMemory: attribute(MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
    },
    architecture: attribute(COMPUTE_CAPABILITY_MAJOR) * 10 + attribute(COMPUTE_CAPABILITY_MINOR),
    reason: reasonOf(name, attribute),
  }
}

function reasonOf(name: string, attribute: (which: number) => number): string | undefined {
  if (attribute(COMPUTE_MODE) === PROHIBITED) {
    return `${name} is in prohibited compute mode, so no process may use it. Allow it with \`nvidia-smi --compute-mode=0\`.`
  }
  if (attribute(MEMORY_POOLS_SUPPORTED) === 1) return undefined
  return (
    `${name} does not support memory pools, which stream-ordered allocation needs. Use another device, or on Windows the ` +
    "TCC or MCDM driver model."
  )
}
