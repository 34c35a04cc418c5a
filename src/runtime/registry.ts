import { endianness } from "node:os"
import type { Backend, DeviceId, DeviceListing, OpenOptions } from "../driver/backend.js"
import { checkInteger, checkOptions, LONGEST_TIMER, mustBe } from "../common/check.js"
import { openDevices } from "./device/current.js"
import { Device } from "./device/device.js"
import { AuxstreamError } from "../common/errors.js"

/** The name of a device for {@link openDevice}. */
export type DeviceSelector = "auto" | "cuda" | DeviceId

const openOptions: ReadonlySet<string> = new Set(["threads", "launchTimeout"] satisfies (keyof OpenOptions)[])

const backends: Backend[] = []
/** The device that `"auto"` chose. While it is open, `"auto"` returns it again. */
let automaticChoice: string | undefined

/** Functions to be called before the first device is opened. */
const beforeFirst: (() => void)[] = []

/** Makes a function run when the first device is opened. If it throws, the device is not opened. */
export function beforeFirstOpen(action: () => void): void {
  beforeFirst.push(action)
}

/** Registers a backend. `"auto"` prefers those registered first. */
export function registerBackend(backend: Backend): void {
  backends.push(backend)
}

/**
 * Lists all devices of this machine. If a device cannot be used, its `reason` says why and what to do.
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
 * Opens a device. If it is open already, this returns the same Device and adds a reference; the last
 * {@link Device.dispose} closes it.
 *
 * @param selector `"auto"` (the default) opens the first usable CUDA device, otherwise the host device. The environment
 * variable `AUXSTREAM_DEVICE` replaces `"auto"`.
 * @param options `threads` is the number of worker threads of the host device, and `launchTimeout` how long its kernels may run
 * @throws AuxstreamError AUX_DEVICE_UNAVAILABLE with the reason, AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE
 * @example
 * const device = openDevice()
 * const x = device.from(new Float32Array([1, 2, 3]))
 */
export function openDevice(selector: DeviceSelector = "auto", options: OpenOptions = {}): Device {
  checkOptions(options, "options", openOptions)
  if (options.threads !== undefined) checkInteger(options.threads, "threads", 1, 256)
  if (options.launchTimeout !== undefined) checkInteger(options.launchTimeout, "launchTimeout", 1, LONGEST_TIMER)
  const named = selector === "auto" ? automaticSelector() : selector
  if (named === "auto") return openAutomatic(options)
  const { backend, ordinal } = select(named, named === selector ? "selector" : "AUXSTREAM_DEVICE")
  if (named === selector) refuseTimeout(backend, options)
  return openOne(backend, ordinal, options)
}

/** A device chosen by name cannot have a limit that it cannot keep. `"auto"` is for programs that run on any device. */
function refuseTimeout({ kind }: Backend, { launchTimeout }: OpenOptions): void {
  if (kind === "host" || launchTimeout === undefined) return
  throw mustBe("launchTimeout", `omitted for a ${kind.toUpperCase()} device, which cannot end a kernel`, launchTimeout)
}

function openOne(backend: Backend, ordinal: number, options: OpenOptions): Device {
  const id = backend.kind === "host" ? "host" : (`${backend.kind}:${ordinal}` as const)
  const opened = openDevices.get(id)
  if (opened !== undefined) return again(opened, options)
  const reason = whyNotHere()
  if (reason !== undefined) throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", reason)
  for (const action of beforeFirst) action()
  beforeFirst.length = 0
  const device = new Device(id, backend.open(ordinal, options), () => openDevices.delete(id))
  openDevices.set(id, device)
  return device
}

/** Why this machine cannot use any device; undefined if it can. */
function whyNotHere(): string | undefined {
  if (endianness() === "LE") return undefined
  return "This machine is big-endian. auxstream needs a little-endian machine, because GPUs and WebAssembly are little-endian."
}

/**
 * Opens the first device that can be opened. A device that is listed as usable may still fail: a GPU in exclusive mode
 * reports that another process uses it only when it is opened.
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
      if (!listing.usable) throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", listing.reason ?? "It cannot be used.")
      const device = openOne(backend, ordinal, options)
      automaticChoice = device.id
      return device
    } catch (error) {
      if (!(error instanceof AuxstreamError) || error.code !== "AUX_DEVICE_UNAVAILABLE") throw error
      reasons.push(`${listing.id}: ${error.message}`)
    }
  }
  throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", `No device can be used. ${reasons.join(" ")}`)
}

/** Adds a reference to an open device. It keeps the options that it was opened with. */
function again(opened: Device, { threads, launchTimeout }: OpenOptions): Device {
  const { threads: running, launchTimeout: limit } = opened.driver
  if (launchTimeout !== undefined && opened.kind === "host" && launchTimeout !== limit) {
    const allowed =
      limit === undefined ? "omitted, because host is open without one" : `${limit}, as host is open with it`
    throw mustBe("launchTimeout", allowed, launchTimeout, "Omit the option, or dispose of the device first")
  }
  if (threads !== undefined && running !== undefined && threads !== running) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `\`threads\` must be ${running}, because ${opened.id} is open with ${running} threads; got ${threads}. Omit the option, or ` +
        "dispose of the device first.",
    )
  }
  opened.retain()
  return opened
}

function select(named: unknown, source: string): { backend: Backend; ordinal: number } {
  const match = typeof named === "string" ? /^(host|cuda)(?::(\d{1,4}))?$/.exec(named) : null
  const backend = backends.find((candidate) => candidate.kind === match?.[1])
  if (match === null || backend === undefined || (backend.kind === "host" && match[2] !== undefined)) {
    throw mustBe(source, '"auto", "host", "cuda" or a device such as "cuda:0"', named)
  }
  return { backend, ordinal: Number(match[2] ?? 0) }
}

/** The device that replaces "auto". An empty variable counts as not set. */
function automaticSelector(): string {
  const named = process.env["AUXSTREAM_DEVICE"]
  return named === undefined || named === "" ? "auto" : named
}
