import { availableParallelism } from "node:os"
import type { Backend, DeviceListing, OpenOptions } from "../driver.js"
import { checkInteger, checkOptions } from "./check.js"
import { Device } from "./device.js"
import { AuxstreamError } from "./errors.js"
import { show } from "./show.js"

/** What `openDevice` takes. */
export type DeviceSelector = "auto" | "host" | "cuda" | `cuda:${number}`

const backends: Backend[] = []
const open = new Map<string, { device: Device; options: OpenOptions }>()

/** Makes a kind of device known. The earlier one is preferred by `"auto"`. */
export function registerBackend(backend: Backend): void {
  backends.push(backend)
}

/**
 * Every device of this machine, and why those that cannot be used cannot.
 *
 * @example
 * for (const device of listDevices()) console.log(device.id, device.name, device.reason ?? "usable")
 */
export function listDevices(): DeviceListing[] {
  return backends.flatMap((backend) => backend.list())
}

/**
 * Opens a device, or counts one more reference to it if it is open: the last {@link Device.dispose} closes it.
 *
 * @param selector `"auto"`, the default, is the first usable CUDA device, else the host device; the environment
 * variable `AUXSTREAM_DEVICE` stands in for it
 * @throws AuxstreamError AUX_DEVICE_UNAVAILABLE, saying why in one sentence
 * @example
 * const device = openDevice()
 * const x = device.from(new Float32Array([1, 2, 3]))
 */
export function openDevice(selector: DeviceSelector = "auto", options: OpenOptions = {}): Device {
  checkOptions(options, "options")
  if (options.threads !== undefined) checkInteger(options.threads, "threads", 1, 256)
  const { backend, ordinal } = select(selector)
  const id = backend.kind === "host" ? "host" : `${backend.kind}:${ordinal}`
  const opened = open.get(id)
  if (opened !== undefined) return again(opened, options)
  const device = new Device(id, backend.open(ordinal, options), () => open.delete(id))
  open.set(id, { device, options })
  return device
}

function again(opened: { device: Device; options: OpenOptions }, options: OpenOptions): Device {
  if (options.threads !== undefined && options.threads !== (opened.options.threads ?? defaultThreads())) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `threads is ${options.threads}, but ${opened.device.id} is open with ${opened.options.threads ?? "the default"}; ` +
        "dispose of it first, or leave the option out",
    )
  }
  opened.device.retain()
  return opened.device
}

function defaultThreads(): number {
  return Math.max(2, availableParallelism())
}

function select(selector: unknown): { backend: Backend; ordinal: number } {
  const wanted = selector === "auto" ? automaticSelector() : selector
  if (wanted === "auto") return automatic()
  const match = typeof wanted === "string" ? /^(host|cuda)(?::(\d{1,4}))?$/.exec(wanted) : null
  const backend = backends.find((candidate) => candidate.kind === match?.[1])
  if (match === null || backend === undefined || (backend.kind === "host" && match[2] !== undefined)) {
    const source = wanted === selector ? "selector" : "AUXSTREAM_DEVICE"
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `${source} is ${show(wanted)}; it is "auto", "host", "cuda" or "cuda:0" with the device's number`,
    )
  }
  return { backend, ordinal: Number(match[2] ?? 0) }
}

/** What stands in for "auto". A variable that is set to nothing is not set. */
function automaticSelector(): string {
  const named = process.env["AUXSTREAM_DEVICE"]
  return named === undefined || named === "" ? "auto" : named
}

function automatic(): { backend: Backend; ordinal: number } {
  const reasons: string[] = []
  for (const backend of backends) {
    const listings = backend.list()
    const ordinal = listings.findIndex((listing) => listing.usable)
    if (ordinal >= 0) return { backend, ordinal }
    reasons.push(...listings.map((listing) => `${listing.id}: ${listing.reason ?? "not usable"}`))
  }
  throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", `no device can be used. ${reasons.join(" ")}`)
}

/** The device that is meant when nothing names one: the only open one. */
export function onlyOpenDevice(): Device {
  const [first, second] = open.values()
  if (first !== undefined && second === undefined) return first.device
  throw new AuxstreamError(
    "AUX_AMBIGUOUS_DEVICE",
    first === undefined
      ? "no device is open; call openDevice() first"
      : `more than one device is open (${[...open.keys()].join(", ")}); name a stream, or run inside stream.run()`,
  )
}
