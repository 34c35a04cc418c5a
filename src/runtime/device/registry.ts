import { endianness } from "node:os"
import type { Backend, DeviceId, DeviceListing, OpenOptions } from "../../driver.js"
import { checkInteger, checkOptions } from "../../common/check.js"
import { openDevices } from "./current.js"
import { Device } from "./device.js"
import { AuxstreamError } from "../../common/errors.js"
import { show } from "../../common/show.js"

/** What `openDevice` takes. */
export type DeviceSelector = "auto" | "cuda" | DeviceId

const openOptions: ReadonlySet<string> = new Set(["threads"] satisfies (keyof OpenOptions)[])

const backends: Backend[] = []
/** The device that `"auto"` chose, while it is open: the same call gives the same device. */
let automaticChoice: string | undefined

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
  const reason = whyNotHere()
  const listings = backends.flatMap((backend) => backend.list())
  return reason === undefined ? listings : listings.map((listing) => ({ ...listing, usable: false, reason }))
}

/**
 * Opens a device, or counts one more reference to it if it is open: the last {@link Device.dispose} closes it.
 *
 * @param selector `"auto"`, the default, is the first CUDA device that opens, else the host device; the environment
 * variable `AUXSTREAM_DEVICE` stands in for it
 * @throws AuxstreamError AUX_DEVICE_UNAVAILABLE, saying why in one sentence
 * @example
 * const device = openDevice()
 * const x = device.from(new Float32Array([1, 2, 3]))
 */
export function openDevice(selector: DeviceSelector = "auto", options: OpenOptions = {}): Device {
  checkOptions(options, "options", openOptions)
  if (options.threads !== undefined) checkInteger(options.threads, "threads", 1, 256)
  const named = selector === "auto" ? automaticSelector() : selector
  if (named === "auto") return openAutomatic(options)
  const { backend, ordinal } = select(named, named === selector ? "selector" : "AUXSTREAM_DEVICE")
  return openOne(backend, ordinal, options)
}

function openOne(backend: Backend, ordinal: number, options: OpenOptions): Device {
  const id = backend.kind === "host" ? "host" : (`${backend.kind}:${ordinal}` as const)
  const opened = openDevices.get(id)
  if (opened !== undefined) return again(opened, options)
  const reason = whyNotHere()
  if (reason !== undefined) throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", reason)
  const device = new Device(id, backend.open(ordinal, options), () => openDevices.delete(id))
  openDevices.set(id, device)
  return device
}

/** Why no device can be used on this machine; undefined where they can. */
function whyNotHere(): string | undefined {
  if (endianness() === "LE") return undefined
  return "This machine is big-endian. auxstream needs a little-endian one, as the numbers of GPUs and of WebAssembly are."
}

/**
 * The first device that opens. One that is listed as usable may still be taken: a GPU in exclusive mode says so only
 * when it is opened.
 */
function openAutomatic(options: OpenOptions): Device {
  const chosen = automaticChoice === undefined ? undefined : openDevices.get(automaticChoice)
  if (chosen !== undefined) return again(chosen, options)
  const reasons: string[] = []
  const candidates = backends.flatMap((backend) =>
    backend.list().map((listing, ordinal) => ({ backend, ordinal, listing })),
  )
  for (const { backend, ordinal, listing } of candidates) {
    try {
      if (!listing.usable) throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", listing.reason ?? "it is not usable")
      const device = openOne(backend, ordinal, options)
      automaticChoice = device.id
      return device
    } catch (error) {
      if (!(error instanceof AuxstreamError) || error.code !== "AUX_DEVICE_UNAVAILABLE") throw error
      reasons.push(`${listing.id}: ${error.message}`)
    }
  }
  throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", `no device can be used. ${reasons.join(" ")}`)
}

/** One more reference to a device. What it was opened with counts, whether by option, environment or default. */
function again(opened: Device, { threads }: OpenOptions): Device {
  const { threads: running } = opened.driver
  if (threads !== undefined && running !== undefined && threads !== running) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `threads must be ${running}, as ${opened.id} is open with ${running} threads; got ${threads}. Dispose of the device ` +
        "first, or leave the option out",
    )
  }
  opened.retain()
  return opened
}

function select(named: unknown, source: string): { backend: Backend; ordinal: number } {
  const match = typeof named === "string" ? /^(host|cuda)(?::(\d{1,4}))?$/.exec(named) : null
  const backend = backends.find((candidate) => candidate.kind === match?.[1])
  if (match === null || backend === undefined || (backend.kind === "host" && match[2] !== undefined)) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `${source} is ${show(named)}; it is "auto", "host", "cuda" or "cuda:0" with the device's number`,
    )
  }
  return { backend, ordinal: Number(match[2] ?? 0) }
}

/** What stands in for "auto". A variable that is set to nothing is not set. */
function automaticSelector(): string {
  const named = process.env["AUXSTREAM_DEVICE"]
  return named === undefined || named === "" ? "auto" : named
}
