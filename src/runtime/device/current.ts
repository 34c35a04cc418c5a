/**
 * The current stream and the current device of the running code. This file knows streams and devices only by their types,
 * as both ask it.
 */
import { mustBe } from "../../common/check.js"
import { AuxstreamError } from "../../common/errors.js"
import { StreamState } from "../order/stream-state.js"
import { type Context, context } from "./context.js"
import type { Device } from "./device.js"
import type { Stream } from "./stream.js"

/** The devices that are open, by their ids. */
export const openDevices = new Map<string, Device>()

/** The device that is meant when nothing names one: the only open one. */
export function onlyOpenDevice(): Device {
  const [first, second] = openDevices.values()
  if (first !== undefined && second === undefined) return first
  throw new AuxstreamError(
    "AUX_AMBIGUOUS_DEVICE",
    first === undefined
      ? "no device is open; call openDevice() first"
      : `more than one device is open (${[...openDevices.keys()].join(", ")}); name a stream, or run inside stream.run()`,
  )
}

/**
 * The stream that work goes to if none is named: that of the innermost {@link Stream.run}, else the device's default
 * stream. It follows `await`.
 *
 * @param device unless given, the innermost `run`'s device, else the only open one
 * @throws AuxstreamError AUX_AMBIGUOUS_DEVICE without either
 */
export function currentStream(device: Device = currentDevice()): Stream {
  const here = context()
  const { stream } = here
  const isPlain = stream !== undefined && stream.device === device && here.capture === undefined
  return isPlain ? stream : currentStreamIn(here, device)
}

/** @internal The same, for callers that already have the context of the running code. */
export function currentStreamIn(here: Context, device: Device): Stream {
  const stream: unknown = here.streamOf(device) ?? device?.defaultStream
  if (!isStream(stream)) {
    throw mustBe("device", "a Device, or left out", device)
  }
  if (here.capture !== undefined) device.order.captures.checkNotOver(here.capture, stream.name)
  return stream
}

/** The device that work goes to if nothing names one. */
export function currentDevice(): Device {
  return context().stream?.device ?? onlyOpenDevice()
}

/** Refuses what is no stream, and streams of other devices. */
export function checkStreamOf(device: Device, stream: unknown, other: string): asserts stream is Stream {
  if (!isStream(stream)) {
    throw mustBe("stream", "a Stream", stream)
  }
  if (stream.device === device) return
  stream.device.checkUsable()
  device.checkUsable()
  throw new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `${stream.name} is of ${stream.device.id}, ${other} of ${device.id}; both must be of one device`,
  )
}

/** A stream is known by the state below it. */
function isStream(value: unknown): value is Stream {
  return typeof value === "object" && value !== null && "state" in value && value.state instanceof StreamState
}
