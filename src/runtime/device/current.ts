/**
 * The current stream and the current device of the calling code. This file may import only the types of streams and
 * devices, because both import it.
 */
import { mustBe } from "../../common/check.js"
import { AuxstreamError } from "../../common/errors.js"
import type { CaptureLink } from "../order/capture.js"
import { DeviceOrder } from "../order/device-order.js"
import { StreamState } from "../order/stream-state.js"
import { type Context, context } from "./context.js"
import type { Device } from "./device.js"
import type { Stream } from "./stream.js"

/** The open devices, by id. */
export const openDevices = new Map<string, Device>()

/** The only open device. @throws AuxstreamError AUX_AMBIGUOUS_DEVICE if none or several are open */
export function onlyOpenDevice(): Device {
  const [first, second] = openDevices.values()
  if (first !== undefined && second === undefined) return first
  throw new AuxstreamError(
    "AUX_AMBIGUOUS_DEVICE",
    first === undefined
      ? "No device is open. Call openDevice() first."
      : `Several devices are open (${[...openDevices.keys()].join(", ")}). Name a stream, or call this inside stream.run().`,
  )
}

/** The current stream, for the library itself. The public function is in `current-stream.ts`. */
export function currentStream(device: Device = currentDevice()): Stream {
  if (!isDevice(device)) throw mustBe("device", "a Device or undefined", device)
  return currentStreamIn(context(), device)
}

/** @internal Like {@link currentStream}, for callers that know the context and have checked the device. */
export function currentStreamIn(here: Context, device: Device): Stream {
  const { stream } = here
  if (here.capture !== undefined) return capturedStreamIn(here, here.capture, device)
  if (stream === undefined) return device.defaultStream
  return stream.device === device ? stream : (here.streamOf(device) ?? device.defaultStream)
}

function capturedStreamIn(here: Context, capture: CaptureLink, device: Device): Stream {
  const stream = here.streamOf(device) ?? device.defaultStream
  device.order.captures.checkNotOver(capture, stream.name)
  return stream
}

/** The device that receives work if the caller names none. */
export function currentDevice(): Device {
  return context().stream?.device ?? onlyOpenDevice()
}

/** Throws unless the value is a stream of the device. `other` is the object that the stream must share the device with. */
export function checkStreamOf(device: Device, stream: unknown, other: string): asserts stream is Stream {
  if (!isStream(stream)) {
    throw mustBe("stream", "a Stream", stream)
  }
  if (stream.device === device) return
  stream.device.checkUsable()
  device.checkUsable()
  throw new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `${stream.name} must be on the device of ${other}, ${device.id}; got a stream of ${stream.device.id}`,
  )
}

// This file cannot use `instanceof` for public classes, because it may import only their types.

function isStream(value: unknown): value is Stream {
  return typeof value === "object" && value !== null && "state" in value && value.state instanceof StreamState
}

function isDevice(value: unknown): value is Device {
  return typeof value === "object" && value !== null && "order" in value && value.order instanceof DeviceOrder
}
