/** Backends: each lists and opens the devices of one kind. `openDevice` and `listDevices` take their types from here. */
import type { Driver } from "./driver.js"

/** Lists and opens one kind of device. Registered in `backends.ts`. */
export interface Backend {
  readonly kind: "cuda" | "host"
  /** The devices of this kind. Never throws. */
  list(): DeviceListing[]
  /** @throws AuxstreamError with code AUX_DEVICE_UNAVAILABLE and the listing's reason */
  open(ordinal: number, options: OpenOptions): Driver
}

/** A device in `listDevices()`, before it is opened. */
export interface DeviceListing {
  /** The argument for `openDevice`; `"cuda"` if the CUDA devices cannot be counted. */
  readonly id: DeviceId | "cuda"
  /** The kind of device. */
  readonly kind: "cuda" | "host"
  /** The vendor's name of the device. */
  readonly name: string
  /** Whether `openDevice` can open it. */
  readonly usable: boolean
  /** Why it is not usable, and what to do. */
  readonly reason?: string | undefined
}

/** The name of one device: `"host"`, `"cuda:0"`. */
export type DeviceId = "host" | `cuda:${number}`

/** The options of `openDevice`. */
export interface OpenOptions {
  /** The host device's worker threads, 1 to 256. The default is the number of cores, but at least 2. */
  readonly threads?: number | undefined
  /**
   * How long one launch of a kernel may run on the host device, in milliseconds, 1 to 2147483647. A launch that runs
   * longer loses the device, and the error names the kernel and its stream. There is no limit by default. CUDA cannot
   * end a kernel: `"auto"` ignores the option if it opens a CUDA device, and a CUDA device that is named refuses it.
   *
   * @example
   * const device = openDevice("host", { launchTimeout: 10_000 })
   */
  readonly launchTimeout?: number | undefined
}
